"""The parent of a detached daemon: what it is told, and what it does when it is told nothing."""

import os
import subprocess
import sys
from collections.abc import Iterator

import msgspec
import pytest

from waiaas.cli.detach import Report, judge
from waiaas.errors import DaemonRefused, DaemonSilent


@pytest.fixture
def child() -> Iterator["subprocess.Popen[bytes]"]:
    """A process that lives until its standard input ends."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        yield process
        process.returncode = None  # `judge` may have let go of it


def test_a_ready_child_is_left_alive(child: "subprocess.Popen[bytes]"):
    assert judge(child, msgspec.json.encode(Report(ready=child.pid))) == child.pid
    os.kill(child.pid, 0)


def test_the_error_of_the_child_becomes_ours_with_its_exit_code(child: "subprocess.Popen[bytes]"):
    child.kill()
    error = {"code": "INVALID_MASTER_PASSWORD", "message": "Wrong.", "hint": "Again.", "details": {"tries": 1}}
    with pytest.raises(DaemonRefused) as caught:
        judge(child, msgspec.json.encode(Report(error=error, exit=4)))
    assert (caught.value.code, caught.value.message, caught.value.hint) == (error["code"], "Wrong.", "Again.")
    assert (caught.value.exit_code, caught.value.details) == (4, {"tries": 1})


@pytest.mark.parametrize(("line", "said"), [(None, "was not ready within 60 s"), (b"", "ended before it was ready")])
def test_a_mute_child_is_killed(child: "subprocess.Popen[bytes]", line: bytes | None, said: str):
    with pytest.raises(DaemonSilent, match=said) as caught:
        judge(child, line)
    assert caught.value.exit_code == 1
    assert child.returncode is not None
