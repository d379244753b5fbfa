"""One daemon per data directory: the lock, the pid file, and what a process does before it reads a secret."""

import ctypes
import fcntl
import gc
import os
import resource
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from waiaas.errors import AlreadyRunning

#: from linux/prctl.h: a process that is not dumpable leaves no core and lets no other user attach to it
PR_SET_DUMPABLE = 4

#: `is_held` takes the lock for an instant; whoever finds it taken looks again before giving up
TRIES = 5
PAUSE_SECONDS = 0.04

#: objects made beyond those that ended, before the youngest are looked through; a transfer makes some hundreds
YOUNG = 5_000

_waiter = threading.Event()


class Holder(msgspec.Struct, frozen=True, rename="camel"):
    """Who holds, or last held, the lock."""

    pid: int
    started_at: int
    version: str


def harden() -> None:
    """New files for this user alone, no core file, and on Linux no dump or attach (umask, setrlimit, prctl)."""
    os.umask(0o077)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)


def keep_started() -> None:
    """What was made until now lives as long as the process: the collector of garbage looks at younger things alone."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG)


def holder(now: int, version: str) -> Holder:
    """This process."""
    return Holder(os.getpid(), now, version)


@contextmanager
def hold(path: Path, me: Holder) -> Iterator[None]:
    """Hold the data directory's lock, with `me` written in it; AlreadyRunning if another process does.

    The file is never unlinked: two processes could then each lock a file of that name.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        if not take(descriptor):
            found = read_holder(path)
            raise AlreadyRunning(f"A daemon is running on {path.parent}{f' (pid {found.pid})' if found else ''}.")
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, msgspec.json.encode(me) + b"\n", 0)
        yield
    finally:
        os.close(descriptor)


def take(descriptor: int, tries: int = TRIES) -> bool:
    """Whether the lock could be taken, exclusive and without waiting for its holder to end."""
    for left in reversed(range(tries)):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if left:
                _waiter.wait(PAUSE_SECONDS)
    return False


def is_held(path: Path) -> bool:
    """Whether a process holds the lock: the lock, not what is written in the file, says "running"."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        return not take(descriptor, tries=1)
    finally:
        os.close(descriptor)


def read_holder(path: Path) -> Holder | None:
    """What the lock file says of its holder; None if nothing readable."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Holder)
    except (OSError, msgspec.MsgspecError):
        return None


def remove_pid(path: Path) -> None:
    """Remove the pid file, if there is one."""
    path.unlink(missing_ok=True)


def send_signal(pid: int, number: signal.Signals) -> bool:
    """Send a signal; False if there is no such process any more."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


def wait_until_free(path: Path, *, steps: int, step_seconds: float) -> bool:
    """Look at the lock `steps` times, that far apart; whether it became free."""
    for _ in range(steps):
        if not is_held(path):
            return True
        _waiter.wait(step_seconds)
    return not is_held(path)
