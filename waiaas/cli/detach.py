"""`start -d`: a child in its own session that gets the password and reports through inherited pipes."""

import os
import select
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec

from waiaas.cli.context import error_fields, exit_code
from waiaas.config import Config
from waiaas.errors import DaemonRefused, DaemonSilent, WaiaasError
from waiaas.paths import DataDir

READY_SECONDS = 60


class Report(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the child says, once: its pid when it is ready, or its error and exit code."""

    ready: int | None = None
    error: dict[str, Any] | None = None
    exit: int = 0


def start_detached(data: DataDir, arguments: list[str], password: str) -> int:
    """Start the daemon and wait until it is ready; its pid. The child's own error if it fails, DaemonSilent if mute."""
    secret_out, secret_in = os.pipe()
    report_out, report_in = os.pipe()
    with open(secret_in, "wb") as pipe:
        pipe.write(password.encode())  # a pipe holds it until the child reads
    command = [sys.executable, "-m", "waiaas", "serve", "--data-dir", str(data.root), *arguments]
    child = subprocess.Popen(
        [*command, "--handover", f"{secret_out},{report_in}"],
        pass_fds=(secret_out, report_in),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    os.close(secret_out)
    os.close(report_in)
    with open(report_out, "rb") as pipe:
        readable, _, _ = select.select([pipe], [], [], READY_SECONDS)
        return judge(child, pipe.read() if readable else None)


def judge(child: subprocess.Popen[bytes], line: bytes | None) -> int:
    """The pid of a ready child; its own error; DaemonSilent if it ended (empty) or said nothing in time (None)."""
    if not line:
        child.kill()
        child.wait()
        what = f"was not ready within {READY_SECONDS} s" if line is None else "ended before it was ready"
        raise DaemonSilent(f"The daemon {what}; its log tells why.")
    report = msgspec.json.decode(line, type=Report)
    if report.error is not None:
        child.wait()
        raise refusal(report.error, report.exit)
    child.returncode = 0  # it lives on without us: Popen must not complain that nobody waited
    return child.pid


def refusal(error: dict[str, Any], exit_code: int) -> DaemonRefused:
    """The child's error, as if it were ours."""
    details = error.get("details", {})
    return DaemonRefused(error["message"], code=error["code"], hint=error.get("hint"), exit_code=exit_code, **details)


class Parent:
    """The parent of a detached daemon, as the child sees it: the password comes from it, one report goes to it."""

    def __init__(self, handover: str) -> None:
        secret, report = map(int, handover.split(","))
        self._secret = open(secret, "rb")  # noqa: SIM115  # closed by the one who reads or says
        self._report = open(report, "wb")  # noqa: SIM115

    def password(self) -> str:
        """The password, read to the end of its pipe."""
        with self._secret as pipe:
            return pipe.read().decode()

    def ready(self, _config: Config) -> None:
        """Say that the daemon answers."""
        self.say(Report(ready=os.getpid()))

    @contextmanager
    def told_of_errors(self) -> Iterator[None]:
        """Say which error ended the start."""
        try:
            yield
        except WaiaasError as error:
            self.say(Report(error=error_fields(error), exit=exit_code(error)))
            raise

    def say(self, report: Report) -> None:
        """One line, then the pipe is closed; a parent that was told of the start is told nothing more."""
        if not self._report.closed:
            with self._report as pipe:
                pipe.write(msgspec.json.encode(report, enc_hook=str) + b"\n")
