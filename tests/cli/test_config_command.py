"""`waiaas config`: read and edit, and a bad value changes nothing."""

import os
import stat
from pathlib import Path

import pytest

from tests.cli.conftest import Run, told
from waiaas.config import KEYS
from waiaas.config.edit import render_default
from waiaas.paths import DataDir

TEXT = "# mine\n[daemon]\nport = 4000  # why\n"


@pytest.fixture(autouse=True)
def settings(data: DataDir) -> Path:
    """A config.toml with one key set."""
    data.config.write_text(TEXT)
    data.config.chmod(0o600)
    return data.config


def test_a_value_is_told_with_its_source(run: Run, monkeypatch: pytest.MonkeyPatch):
    assert run("config", "get", "daemon.port").stdout == "4000\n"
    assert told(run("config", "get", "daemon.hostname", "--json")) == {
        "ok": True,
        "key": "daemon.hostname",
        "value": "127.0.0.1",
        "source": "default",
    }
    monkeypatch.setenv("WAIAAS_DAEMON_PORT", "5000")
    assert told(run("config", "get", "daemon.port", "--json"))["source"] == "env"


def test_an_unknown_key_is_refused_with_the_nearest_name(run: Run):
    for command in (("get", "daemon.prot"), ("set", "daemon.prot", "1"), ("unset", "daemon.prot")):
        ended = run("config", *command)
        assert ended.exit_code == 1
        assert "did you mean daemon.port?" in ended.stderr


def test_setting_keeps_comments_and_says_when_it_counts(run: Run, settings: Path):
    ended = run("config", "set", "daemon.port", "5000")
    assert ended.stdout == "daemon.port = 5000. It is taken up at the next start.\n"
    assert settings.read_text() == TEXT.replace("4000", "5000")
    assert stat.S_IMODE(settings.stat().st_mode) == 0o600


def test_a_value_is_taken_from_standard_input(run: Run, settings: Path):
    run("config", "set", "daemon.log_file", "-", input="logs/other.log\n")
    assert 'log_file = "logs/other.log"' in settings.read_text()


@pytest.mark.parametrize(
    ("key", "value"),
    [("daemon.port", "many"), ("daemon.port", "80"), ("security.session_ttl", "604801"), ("database.path", "../x.db")],
)
def test_a_bad_value_changes_nothing(run: Run, settings: Path, key: str, value: str):
    before = settings.stat()
    ended = run("config", "set", key, value, "--json")
    assert ended.exit_code == 1
    assert told(ended)["error"]["code"] == "CONFIG_LOAD_ERROR"
    assert settings.read_text() == TEXT
    assert settings.stat().st_ino == before.st_ino
    assert os.listdir(settings.parent).count("config.toml") == 1


def test_a_value_that_only_breaks_a_cross_check_changes_nothing_either(run: Run, settings: Path):
    run("config", "set", "security.session_absolute_lifetime", "86400")
    before = settings.read_text()
    assert run("config", "set", "security.session_ttl", "86401").exit_code == 1
    assert settings.read_text() == before


def test_unsetting_brings_the_default_back(run: Run, settings: Path):
    assert "daemon.port = 3100, its default" in run("config", "unset", "daemon.port").stdout
    assert settings.read_text() == "# mine\n[daemon]\n"


def test_the_list_has_every_key(run: Run):
    listed = told(run("config", "list", "--json"))["config"]
    assert list(listed) == list(KEYS)
    assert listed["daemon.port"] == {"value": 4000, "source": "file"}
    assert listed["rpc.solana_localnet"] == {"value": "embedded", "source": "default"}
    assert "security.cors_origins" in run("config", "list").stdout


def test_the_check_tells_all_that_is_wrong(run: Run, settings: Path):
    assert run("config", "check").exit_code == 0
    settings.write_text("[daemon]\nport = 80\nprot = 1\n")
    ended = run("config", "check", "--json")
    assert ended.exit_code == 1
    assert [found["place"] for found in told(ended)["error"]["details"]["violations"]] == [
        "config.toml line 3",
        "config.toml line 2",
    ]


def test_the_path_is_told_whether_the_file_is_there_or_not(run: Run, settings: Path):
    settings.unlink()
    assert run("config", "path").stdout == f"{settings}\n"


def test_a_symlinked_file_stays_a_symlink(run: Run, settings: Path, tmp_path: Path):
    settings.rename(tmp_path / "real.toml")
    settings.symlink_to(tmp_path / "real.toml")
    run("config", "set", "daemon.port", "5000")
    assert settings.is_symlink()
    assert "5000" in (tmp_path / "real.toml").read_text()


def test_what_init_writes_can_be_edited_and_is_the_same_after_unset(run: Run, settings: Path):
    settings.write_text(render_default())
    run("config", "set", "daemon.port", "4000")
    assert "\nport = 4000\n" in settings.read_text()
    run("config", "unset", "daemon.port")
    assert settings.read_text() == render_default()
