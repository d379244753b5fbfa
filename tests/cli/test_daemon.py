"""`waiaas serve`, `start`, `stop` and `status`, as processes, with their exit codes."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Run, told
from tests.cli.processes import PASSWORD, Wallet
from tests.config.holding import HOLD
from waiaas import __version__
from waiaas.cli import daemon as daemon_commands
from waiaas.lifecycle import is_held, read_holder
from waiaas.paths import DataDir

STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + HOLD


def test_it_serves_until_it_is_told_to_stop(wallet: Wallet):
    data = DataDir(wallet.root)
    with wallet.serving() as process:
        assert data.pid.read_text() == f"{process.pid}\n"
        found = read_holder(data.lock)
        assert found is not None
        assert (found.pid, found.version) == (process.pid, __version__)
        status = wallet.told("status")
        assert status["running"] is True
        assert status["pid"] == process.pid
        assert status["healthy"] is True
        assert status["version"] == __version__
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    assert not data.pid.exists()
    assert data.lock.exists()
    assert wallet.told("status") == {"ok": True, "running": False}


def test_a_second_daemon_ends_with_2_and_the_first_serves_on(wallet: Wallet):
    with wallet.serving():
        assert wallet.refused("serve") == (2, "ALREADY_RUNNING")
        assert wallet.refused("start", "-d") == (2, "ALREADY_RUNNING")
        assert wallet.told("status")["healthy"] is True
        assert DataDir(wallet.root).pid.exists()


def test_a_daemon_killed_leaves_nothing_that_blocks_the_next(wallet: Wallet):
    with wallet.serving() as process:
        process.kill()
        process.wait()
    data = DataDir(wallet.root)
    assert data.pid.exists()
    data.pid.write_text(f"{os.getpid()}\n")
    with wallet.serving() as process:
        assert data.pid.read_text() == f"{process.pid}\n"


def test_in_the_background_it_is_ready_when_the_command_returns(wallet: Wallet):
    ready = wallet.told("start", "-d")
    assert ready["address"] == f"http://127.0.0.1:{wallet.port}"
    assert wallet.told("status")["pid"] == ready["pid"]
    assert wallet.told("stop") == {"ok": True, "stopped": True, "killed": False, "pid": ready["pid"]}
    assert wallet.refused("stop") == (3, "NOT_RUNNING")


def test_a_detached_daemon_has_a_session_of_its_own_and_no_password_anywhere(wallet: Wallet):
    ready = wallet.told("start", "-d", password=None, environment={"WAIAAS_MASTER_PASSWORD": PASSWORD})
    try:
        assert os.getsid(ready["pid"]) == ready["pid"]
        if sys.platform == "linux" and os.geteuid() == 0:
            for name in ("cmdline", "environ"):
                assert PASSWORD.encode() not in Path(f"/proc/{ready['pid']}/{name}").read_bytes()
    finally:
        wallet.run("stop")
    assert PASSWORD not in (wallet.root / "logs" / "daemon.log").read_text()


@pytest.mark.parametrize("command", [["serve"], ["start"], ["start", "-d"]])
def test_a_wrong_password_ends_with_4(wallet: Wallet, command: list[str]):
    assert wallet.refused(*command, password="wrong horse battery") == (4, "INVALID_MASTER_PASSWORD")
    assert not is_held(DataDir(wallet.root).lock)


@pytest.mark.parametrize("command", [["serve"], ["start", "-d"]])
def test_no_password_ends_with_4(wallet: Wallet, command: list[str]):
    assert wallet.refused(*command, password=None) == (4, "PASSWORD_MISSING")


@pytest.mark.parametrize("command", [["serve"], ["start", "-d"]])
def test_without_a_wallet_it_ends_with_3(tmp_path: Path, command: list[str]):
    assert Wallet(tmp_path / "nothing", 1024).refused(*command) == (3, "NOT_INITIALISED")
    assert not (tmp_path / "nothing").exists()


@pytest.mark.parametrize("command", [["serve"], ["start", "-d"]])
def test_settings_that_cannot_be_used_end_with_1(wallet: Wallet, command: list[str]):
    assert wallet.refused(*command, "--port", "80") == (1, "CONFIG_LOAD_ERROR")


@pytest.mark.parametrize("command", [["serve"], ["start", "-d"]])
def test_a_port_that_is_taken_ends_with_1(wallet: Wallet, tmp_path: Path, command: list[str]):
    with wallet.serving():
        other = wallet.copy(tmp_path / "other")
        assert Wallet(other.root, wallet.port).refused(*command) == (1, "PORT_TAKEN")


def test_a_port_of_the_command_line_wins(wallet: Wallet, first_wallet: Wallet):
    with wallet.serving("--port", str(first_wallet.port)):
        status = wallet.told("status", "--base-url", f"http://127.0.0.1:{first_wallet.port}")
        assert status["healthy"] is True
        assert wallet.told("status")["healthy"] is False


def test_an_unsafe_directory_is_refused_before_the_password_is_asked_for(wallet: Wallet, tmp_path: Path):
    logs = wallet.root / "logs"
    logs.rename(tmp_path / "logs")
    logs.symlink_to(tmp_path / "logs")
    assert wallet.refused("serve", password=None) == (1, "DATA_DIRECTORY_UNSAFE")


def test_modes_are_narrowed_at_start_and_the_log_says_so(wallet: Wallet):
    master = wallet.root / "keystore" / "master.json"
    master.chmod(0o644)
    with wallet.serving():
        assert master.stat().st_mode & 0o777 == 0o600
    assert f"{master} had mode 0644, now 0600" in [line["event"] for line in wallet.log()]


def test_what_a_dead_process_left_is_swept_at_start(wallet: Wallet):
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    left = wallet.root / "keystore" / f".x.json.{process.pid}.0123abcd"
    left.touch(mode=0o600)
    with wallet.serving():
        assert not left.exists()


def test_a_start_that_fails_is_the_last_line_of_the_log(wallet: Wallet):
    wallet.run("serve", password="wrong horse battery")
    assert wallet.log()[-1]["level"] == "critical"
    assert wallet.log()[-1]["code"] == "INVALID_MASTER_PASSWORD"


def test_force_kills_and_says_so_with_5(wallet: Wallet):
    with wallet.serving() as process:
        ended = wallet.run("stop", "--force", "--json")
        assert ended.returncode == 5
        assert process.wait() == -signal.SIGKILL
    assert not DataDir(wallet.root).pid.exists()
    with wallet.serving():
        assert wallet.told("status")["healthy"] is True


def test_a_daemon_that_does_not_stop_is_killed(run: Run, data: DataDir, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(daemon_commands, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(daemon_commands, "patience", lambda _: 1)
    command = [sys.executable, "-c", STUBBORN, str(data.lock)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        ended = run("stop", "--json")
        assert process.wait() == -signal.SIGKILL
    assert ended.exit_code == 5
    assert told(ended) == {"ok": True, "stopped": True, "killed": True, "pid": process.pid}


def test_stopping_waits_five_seconds_beyond_the_daemon_s_own_time(data: DataDir, run: Run):
    from waiaas.cli.context import Context
    from waiaas.clock import Clock

    context = Context(data, Clock())
    assert daemon_commands.patience(context) == 35
    data.config.write_text("[daemon]\nshutdown_timeout = 60\n")
    assert daemon_commands.patience(context) == 65
    data.config.write_text("[daemon\n")
    assert daemon_commands.patience(context) == 35


def test_a_stale_pid_file_is_removed_by_stop(run: Run, data: DataDir):
    data.pid.write_text(f"{os.getpid()}\n")
    ended = run("stop", "--json")
    assert (ended.exit_code, told(ended)["error"]["code"]) == (3, "NOT_RUNNING")
    assert not data.pid.exists()


def test_a_lock_without_an_answer_is_running_and_not_healthy(run: Run, data: DataDir):
    command = [sys.executable, "-c", HOLD, str(data.lock)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        status = told(run("status", "--base-url", "http://127.0.0.1:9", "--json"))
        process.kill()
    assert (status["running"], status["pid"], status["healthy"]) == (True, process.pid, False)
