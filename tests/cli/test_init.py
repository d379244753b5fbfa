"""`waiaas init`: all or, after a crash, the rest of it; and never twice."""

import os
import pty
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Run, told
from tests.cli.processes import CHEAP, PASSWORD, Wallet, free_port
from waiaas.config.edit import render_default
from waiaas.paths import DataDir

NULL = subprocess.DEVNULL


@pytest.fixture(autouse=True)
def cheap(monkeypatch: pytest.MonkeyPatch, data: DataDir) -> None:
    """A password in the environment, and Argon2id at its cheapest."""
    monkeypatch.setenv("WAIAAS_MASTER_PASSWORD", PASSWORD)
    for name, text in CHEAP.items():
        monkeypatch.setenv(name, text)


def policies(data: DataDir) -> list[tuple[str, str | None]]:
    """What the database allows."""
    connection = sqlite3.connect(data.data / "waiaas.db")
    try:
        return connection.execute("SELECT type, agent_id FROM policies").fetchall()
    finally:
        connection.close()


def test_it_makes_everything_a_daemon_needs(tmp_path: Path):
    wallet = Wallet(tmp_path / "wallet", free_port())
    assert wallet.told("init") == {"ok": True, "dataDir": str(wallet.root), "alreadyInitialized": False}
    data = DataDir(wallet.root)
    assert data.initialised
    assert data.config.read_text() == render_default()
    assert policies(data) == [("SPENDING_LIMIT", None)]
    for path in (data.root, *data.root.rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


def test_a_second_time_it_says_so_and_touches_nothing(run: Run, data: DataDir):
    run("init")
    before = {path: path.stat().st_mtime_ns for path in data.root.rglob("*")}
    ended = run("init", "--generate-password", "--json")
    assert (ended.exit_code, told(ended)["alreadyInitialized"]) == (0, True)
    assert {path: path.stat().st_mtime_ns for path in data.root.rglob("*")} == before


@pytest.mark.parametrize("crash", ["waiaas.app._migrate", "waiaas.app._seed", "waiaas.app.create"])
def test_what_a_crash_left_half_done_is_finished(run: Run, data: DataDir, crash: str):
    def power_cut(*_: object, **__: object) -> None:
        raise RuntimeError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(crash, power_cut)
        assert run("init", "--generate-password").exit_code == 1
    assert not data.initialised
    password = data.password_file.read_text()
    assert told(run("init", "--generate-password", "--json"))["passwordFile"] == str(data.password_file)
    assert data.initialised
    assert data.password_file.read_text() == password
    assert policies(data) == [("SPENDING_LIMIT", None)]


def test_a_failed_disk_leaves_it_uninitialised(run: Run, data: DataDir, monkeypatch: pytest.MonkeyPatch):
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device", "master.json")

    monkeypatch.setattr("waiaas.app.create", full)
    ended = run("init")
    assert (ended.exit_code, ended.stderr) == (1, "Error: master.json: No space left on device.\n")
    assert not data.initialised


def test_the_generated_password_opens_the_wallet(run: Run, data: DataDir):
    from waiaas.keystore import Keystore

    run("init", "--generate-password")
    Keystore.unlock(data.keystore, data.password_file.read_text().strip()).lock()
    assert stat.S_IMODE(data.password_file.stat().st_mode) == 0o600


def test_settings_that_are_there_already_are_kept(run: Run, data: DataDir):
    data.config.write_text("# mine\n")
    run("init")
    assert data.config.read_text() == "# mine\n"


def test_a_short_password_makes_nothing(tmp_path: Path):
    wallet = Wallet(tmp_path / "wallet", free_port())
    assert wallet.refused("init", password="eleven char") == (1, "PASSWORD_REFUSED")
    assert wallet.refused("init", password=None) == (4, "PASSWORD_MISSING")
    assert wallet.run("init", "--password-stdin", password=None, input=f"{PASSWORD}\n").returncode == 0


def test_on_a_terminal_the_password_is_asked_for_twice_and_not_shown(tmp_path: Path):
    wallet = Wallet(tmp_path / "wallet", free_port())
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "waiaas", "init"],
        env=wallet.environment(password=None),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    ) as process:
        os.close(theirs)
        shown = converse(ours, [b"New master password", b"Repeat for confirmation"])
        assert process.wait() == 0
    os.close(ours)
    assert b"Created the wallet" in shown
    assert PASSWORD.encode() not in shown
    assert DataDir(wallet.root).initialised


def converse(terminal: int, prompts: list[bytes]) -> bytes:
    """Type the password at each prompt; everything that was shown until the other side closed."""
    shown = b""
    while True:
        try:
            read = os.read(terminal, 4096)
        except OSError:  # Linux: the last one on the other side has closed it
            return shown
        if not read:
            return shown
        shown += read
        if prompts and prompts[0] in shown:
            prompts.pop(0)
            os.write(terminal, f"{PASSWORD}\n".encode())


def test_two_at_once_make_one_wallet(tmp_path: Path):
    wallet = Wallet(tmp_path / "wallet", free_port())

    command = [sys.executable, "-m", "waiaas", "init"]
    started = [subprocess.Popen(command, env=wallet.environment(), stdout=NULL, stderr=NULL) for _ in range(2)]
    codes = sorted(process.wait() for process in started)
    assert codes in ([0, 0], [0, 2])
    assert policies(DataDir(wallet.root)) == [("SPENDING_LIMIT", None)]
