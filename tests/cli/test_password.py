"""Where the master password comes from, and in which order."""

import os
from pathlib import Path

import pytest

from waiaas.cli.context import Context
from waiaas.cli.password import PasswordOptions, choose_password, generate_password, read_password
from waiaas.clock import Clock
from waiaas.errors import AuthenticationFailed, PasswordMissing, PasswordRefused
from waiaas.paths import DataDir

NOWHERE = PasswordOptions(stdin=False, file=None)


@pytest.fixture
def context(data: DataDir) -> Context:
    """A command on the data directory."""
    return Context(data, Clock())


def put(path: Path, text: str, mode: int = 0o600) -> Path:
    """A file of that mode."""
    path.write_text(text)
    path.chmod(mode)
    return path


def test_the_sources_come_in_order(context: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    put(context.data.password_file, "from the directory\n")
    assert read_password(context, NOWHERE) == "from the directory"
    monkeypatch.setenv("WAIAAS_MASTER_PASSWORD_FILE", str(put(tmp_path / "a", "from a named file\nsecond line")))
    assert read_password(context, NOWHERE) == "from a named file"
    option = PasswordOptions(stdin=False, file=str(put(tmp_path / "b", "from the option\r\n")))
    assert read_password(context, option) == "from the option"
    monkeypatch.setenv("WAIAAS_MASTER_PASSWORD", "from the environment")
    assert read_password(context, option) == "from the environment"


def test_the_variable_is_gone_once_it_was_read(context: Context, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("WAIAAS_MASTER_PASSWORD", "from the environment")
    read_password(context, NOWHERE)
    assert "WAIAAS_MASTER_PASSWORD" not in os.environ


def test_without_source_and_terminal_it_ends_with_4(context: Context):
    with pytest.raises(PasswordMissing) as caught:
        read_password(context, NOWHERE)
    assert caught.value.exit_code == 4


def test_a_file_others_may_read_is_warned_of(context: Context, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    read_password(context, PasswordOptions(stdin=False, file=str(put(tmp_path / "p", "correct horse", 0o644))))
    assert "has mode 0644" in capsys.readouterr().err


def test_a_file_that_cannot_be_read_is_named(context: Context):
    with pytest.raises(PasswordMissing, match="/nowhere cannot be read"):
        read_password(context, PasswordOptions(stdin=False, file="/nowhere"))


def test_the_directory_s_own_file_may_not_be_a_symlink(context: Context, tmp_path: Path):
    context.data.password_file.symlink_to(put(tmp_path / "p", "correct horse battery"))
    with pytest.raises(OSError, match="symbolic links"):
        read_password(context, NOWHERE)


@pytest.mark.parametrize("password", ["eleven char", "ü" * 65, "x" * 129])
def test_a_new_password_is_neither_short_nor_endless(context: Context, tmp_path: Path, password: str):
    with pytest.raises(PasswordRefused):
        choose_password(context, PasswordOptions(stdin=False, file=str(put(tmp_path / "p", password))))


@pytest.mark.parametrize("password", ["twelve chars", "ü" * 64])
def test_twelve_characters_and_128_bytes_are_enough(context: Context, tmp_path: Path, password: str):
    assert choose_password(context, PasswordOptions(stdin=False, file=str(put(tmp_path / "p", password)))) == password


def test_what_cannot_be_the_password_is_not_tried(context: Context, tmp_path: Path):
    with pytest.raises(AuthenticationFailed):
        read_password(context, PasswordOptions(stdin=False, file=str(put(tmp_path / "p", "x" * 129))))


def test_a_generated_password_is_long_random_and_kept_for_an_interrupted_init(context: Context):
    first = generate_password(context)
    assert len(first) == 32
    assert context.data.password_file.stat().st_mode & 0o777 == 0o600
    assert generate_password(context) == first
    context.data.password_file.unlink()
    assert generate_password(context) != first
