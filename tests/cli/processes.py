"""`python -m waiaas` as a process of its own."""

import itertools
import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

PASSWORD = "correct horse battery"

#: Argon2id at its cheapest, so that no test waits for it
CHEAP = {"WAIAAS_KEYSTORE_ARGON2_MEMORY": "32768", "WAIAAS_KEYSTORE_ARGON2_TIME": "1"}


_ports = itertools.count(20000 + os.getpid() % 8000)


def free_port() -> int:
    """A port nobody listens on, below those the system hands out by itself; never the same twice."""
    for port in _ports:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)):
                return port
    raise AssertionError("no free port")


class Wallet(msgspec.Struct, frozen=True):
    """A data directory, the port its daemon gets, and commands on it."""

    root: Path
    port: int

    def environment(self, password: str | None = PASSWORD) -> dict[str, str]:
        """What each process gets."""
        clean = {name: text for name, text in os.environ.items() if not name.startswith("WAIAAS_")}
        ours = {**CHEAP, "WAIAAS_DATA_DIR": str(self.root), "WAIAAS_DAEMON_PORT": str(self.port)}
        return {**clean, **ours, **({"WAIAAS_MASTER_PASSWORD": password} if password else {})}

    def run(self, *arguments: str, password: str | None = PASSWORD, **extra: Any) -> "subprocess.CompletedProcess[str]":
        """One command, to its end."""
        return subprocess.run(
            [sys.executable, "-m", "waiaas", *arguments],
            env={**self.environment(password), **extra.pop("environment", {})},
            capture_output=True,
            text=True,
            timeout=50,
            stdin=None if "input" in extra else subprocess.DEVNULL,
            **extra,
        )

    def told(self, *arguments: str, **extra: Any) -> dict[str, Any]:
        """The answer of a command that must succeed."""
        ended = self.run(*arguments, "--json", **extra)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        answer: dict[str, Any] = json.loads(ended.stdout)
        return answer

    def refused(self, *arguments: str, **extra: Any) -> tuple[int, str]:
        """Exit code and error code of a command that must fail."""
        ended = self.run(*arguments, "--json", **extra)
        return ended.returncode, json.loads(ended.stdout)["error"]["code"]

    @contextmanager
    def serving(self, *arguments: str, password: str | None = PASSWORD) -> Iterator["subprocess.Popen[str]"]:
        """A foreground daemon, from its ready line on; killed if the test leaves it running."""
        command = [sys.executable, "-m", "waiaas", "serve", *arguments]
        with subprocess.Popen(command, env=self.environment(password), stdout=subprocess.PIPE, text=True) as process:
            try:
                assert process.stdout is not None
                assert f"(pid {process.pid})" in process.stdout.readline()
                yield process
            finally:
                process.kill()

    def copy(self, root: Path) -> "Wallet":
        """The same wallet elsewhere, on a port of its own."""
        shutil.copytree(self.root, root)
        return Wallet(root, free_port())

    def log(self) -> list[dict[str, Any]]:
        """The lines of the daemon's log."""
        return [json.loads(line) for line in (self.root / "logs" / "daemon.log").read_text().splitlines()]
