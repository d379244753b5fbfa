"""The lock says "running"; what is written in files is a hint."""

import gc
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.config.holding import HOLD
from waiaas import lifecycle
from waiaas.errors import AlreadyRunning
from waiaas.lifecycle import Holder, hold, is_held, read_holder

ME = Holder(os.getpid(), 1_800_000_000, "0.1.0")


@contextmanager
def another_process(lock: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that holds the lock until it is told to end."""
    command = [sys.executable, "-c", HOLD, str(lock)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_second_holder_is_refused_with_the_pid_of_the_first(tmp_path: Path):
    lock = tmp_path / "daemon.lock"
    with another_process(lock) as process:
        assert is_held(lock)
        with pytest.raises(AlreadyRunning, match=rf"\(pid {process.pid}\)") as caught, hold(lock, ME):
            pass
        assert caught.value.exit_code == 2


def test_the_lock_dies_with_its_process_however_that_ends(tmp_path: Path):
    lock = tmp_path / "daemon.lock"
    with another_process(lock) as process:
        process.kill()
        process.wait()
        assert not is_held(lock)
        with hold(lock, ME):
            assert read_holder(lock) == ME


def test_a_lock_file_left_behind_blocks_nobody(tmp_path: Path):
    lock = tmp_path / "daemon.lock"
    lock.write_text('{"pid": 1, "startedAt": 1, "version": "of a much longer ago version"}' + " " * 200)
    with hold(lock, ME):
        assert lock.read_text() == f'{{"pid":{ME.pid},"startedAt":1800000000,"version":"0.1.0"}}\n'
    assert lock.exists()
    assert not is_held(lock)


def test_the_lock_file_is_for_its_user_alone(tmp_path: Path):
    old = os.umask(0)
    try:
        with hold(tmp_path / "daemon.lock", ME):
            pass
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "daemon.lock").stat().st_mode) == 0o600


def test_a_symlink_in_place_of_the_lock_is_not_followed(tmp_path: Path):
    (tmp_path / "daemon.lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic links"), hold(tmp_path / "daemon.lock", ME):
        pass
    assert not (tmp_path / "elsewhere").exists()


def test_who_asks_whether_it_runs_does_not_make_a_start_fail(tmp_path: Path):
    lock = tmp_path / "daemon.lock"
    lock.touch()
    asking = os.open(lock, os.O_RDWR)
    assert lifecycle.take(asking)
    waits: list[float] = []

    class Waiter:
        def wait(self, seconds: float) -> None:
            waits.append(seconds)
            os.close(asking)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lifecycle, "_waiter", Waiter())
        with hold(lock, ME):
            assert len(waits) == 1


def test_nothing_readable_in_the_lock_file_is_no_holder(tmp_path: Path):
    assert read_holder(tmp_path / "absent") is None
    (tmp_path / "daemon.lock").write_text("garbage")
    assert read_holder(tmp_path / "daemon.lock") is None


def test_waiting_ends_when_the_lock_is_free(tmp_path: Path):
    lock = tmp_path / "daemon.lock"
    with another_process(lock) as process:
        assert not lifecycle.wait_until_free(lock, steps=2, step_seconds=0.01)
        process.kill()
        assert lifecycle.wait_until_free(lock, steps=500, step_seconds=0.01)


def test_a_signal_to_a_process_that_is_gone_is_told(tmp_path: Path):
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    assert not lifecycle.send_signal(process.pid, signal.SIGTERM)


def test_a_hardened_process_leaves_no_core_and_no_open_files(tmp_path: Path):
    script = (
        "import os, resource, sys\n"
        "from waiaas.lifecycle import harden\n"
        "harden()\n"
        "open(sys.argv[1], 'w').close()\n"
        "print(resource.getrlimit(resource.RLIMIT_CORE))\n"
        "import ctypes; print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))\n"  # PR_GET_DUMPABLE
    )
    made = tmp_path / "file"
    told = subprocess.run([sys.executable, "-c", script, str(made)], capture_output=True, text=True, check=True)
    assert told.stdout.splitlines()[0].startswith("(0, 0)")
    assert stat.S_IMODE(made.stat().st_mode) == 0o600
    if sys.platform == "linux":
        assert told.stdout.splitlines()[1] == "0"


def test_what_a_start_made_is_set_apart_from_what_the_collector_looks_at():
    gc.unfreeze()
    gc.set_threshold(700)
    lifecycle.keep_started()
    assert gc.get_freeze_count() > 10_000
    assert gc.get_threshold()[0] > 700
