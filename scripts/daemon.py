"""A real daemon for the demo and the bench: a wallet in a directory of its own, run as anyone would run it."""

import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx

WAIAAS = (sys.executable, "-m", "waiaas")
START_SECONDS = 30
STOP_SECONDS = 35


class Failed(Exception):
    """Something did not go as it should; the text says what."""


class Daemon:
    """A running daemon: where it listens, its password, its directory and what it printed."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, data: Path) -> None:
        self.process = process
        self.url = f"http://127.0.0.1:{port}"
        self.data = data
        self.output = data / "serve.out"
        self.password = (data / ".master-password").read_text().strip()

    def client(self) -> httpx.Client:
        """An HTTP client that speaks as the operator; one that sends `Authorization` speaks as a session."""
        return httpx.Client(base_url=self.url, headers={"X-Master-Password": self.password}, timeout=70)

    def resident_mib(self) -> float:
        """Resident memory of the process, in MiB, as ps(1) tells it."""
        told = subprocess.run(
            ["ps", "-o", "rss=", "-p", str(self.process.pid)], capture_output=True, text=True, check=True
        )
        return int(told.stdout) / 1024

    def wait_until_ready(self) -> float:
        """Seconds until /ready says yes; Failed if the daemon ends or takes too long."""
        begun = time.monotonic()
        while time.monotonic() - begun < START_SECONDS:
            if self.process.poll() is not None:
                raise Failed(f"the daemon ended at its start, with exit code {self.process.returncode}\n{self.tail()}")
            with contextlib.suppress(httpx.TransportError):
                if httpx.get(f"{self.url}/ready", timeout=2).status_code == 200:
                    return time.monotonic() - begun
            time.sleep(0.02)
        raise Failed(f"the daemon was not ready within {START_SECONDS} seconds")

    def stop(self) -> None:
        """SIGTERM, and SIGKILL if that is not heard."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def tail(self, lines: int = 20) -> str:
        """The last lines that the daemon printed and logged."""
        texts = [
            path.read_text(errors="replace")
            for path in (self.output, self.data / "logs" / "daemon.log")
            if path.exists()
        ]
        return "\n".join(line for text in texts for line in text.splitlines()[-lines:])


def free_port() -> int:
    """A port of 127.0.0.1 nobody listens on, below those that outgoing connections take."""
    for port in random.sample(range(20000, 32768), 100):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise Failed("no free port between 20000 and 32767")


def environment(**settings: str) -> dict[str, str]:
    """This process's environment without its WAIAAS_ variables, and with `settings`."""
    return {name: text for name, text in os.environ.items() if not name.startswith("WAIAAS_")} | settings


def make_wallet(data: Path) -> None:
    """`waiaas init` with a password of its own choosing."""
    command = [*WAIAAS, "init", "--generate-password", "--data-dir", str(data)]
    made = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
    if made.returncode:
        raise Failed(f"waiaas init ended with exit code {made.returncode}:\n{made.stdout}{made.stderr}")


@contextlib.contextmanager
def running(data: Path, **settings: str) -> Iterator[Daemon]:
    """`waiaas serve` on a free port, stopped at the end; in a session of its own, so that Ctrl-C reaches us first."""
    port = free_port()
    with open(data / "serve.out", "wb") as output:
        process = subprocess.Popen(
            [*WAIAAS, "serve", "--port", str(port), "--data-dir", str(data)],
            env=environment(**settings),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    daemon = Daemon(process, port, data)
    try:
        yield daemon
    finally:
        daemon.stop()
