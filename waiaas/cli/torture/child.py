"""The daemon under torture: exactly `python -m waiaas serve`, on a data directory made for this run."""

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import msgspec

from waiaas.cli.torture import hook
from waiaas.cli.torture.points import Point
from waiaas.clock import Clock
from waiaas.errors import StartError

WAIAAS = (sys.executable, "-m", "waiaas")
READY_SECONDS = 30
STOP_SECONDS = 40
#: of `waiaas init` and `waiaas audit verify`
COMMAND_SECONDS = 120
LOOK_SECONDS = 0.03
#: characters of what it says while it is not ready
MOST_TOLD = 500
POLL_SECONDS = 0.005
#: below the ports that a system hands out by itself
PORTS = range(20000, 32768)


class Place(msgspec.Struct, frozen=True):
    """The fresh directory of a run, and what lies in it."""

    root: Path

    @property
    def data(self) -> Path:
        """The daemon's data directory."""
        return self.root / "wallet"

    @property
    def database(self) -> Path:
        return self.data / "data" / "waiaas.db"

    @property
    def chains(self) -> Path:
        return self.root / "chains"

    @property
    def hook(self) -> Path:
        """What is put in front of the child's path."""
        return self.root / "hook"

    @property
    def password(self) -> Path:
        return self.root / "password"

    @property
    def output(self) -> Path:
        """What the daemons print."""
        return self.root / "serve.out"

    def journals(self) -> list[Path]:
        """One for each program that asks for something."""
        return sorted(self.root.glob("*.journal"))


def prepare(place: Place, password: str, endpoints: Mapping[str, Sequence[str]]) -> int:
    """Directories, configuration and hook for a wallet that `waiaas init` then makes; the port of its daemon."""
    for directory in (place.data, place.hook):
        directory.mkdir(mode=0o700)
    write(place.password, password + "\n")
    shutil.copy(str(hook.__file__), place.hook / "sitecustomize.py")
    write(place.hook / "parent.json", str(os.getpid()))
    port = free_port()
    write(place.data / "config.toml", configuration(port, endpoints))
    ended, said = command(place, "init")
    if ended:
        raise StartError(f"waiaas init ended with exit code {ended}: {said}")
    return port


def command(place: Place, *words: str) -> tuple[int, str]:
    """Exit code and output of a `waiaas` command; one that does not end is killed."""
    try:
        ended = subprocess.run(
            [*WAIAAS, *words],
            env=environment(place),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=COMMAND_SECONDS,
        )
    except subprocess.TimeoutExpired:
        return -signal.SIGKILL, f"it took more than {COMMAND_SECONDS} seconds"
    return ended.returncode, ended.stdout + ended.stderr


def write(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o600)


def configuration(port: int, endpoints: Mapping[str, Sequence[str]]) -> str:
    """config.toml: short deadlines, no rate limits, the cheapest Argon2id."""
    sections: dict[str, dict[str, Any]] = {
        "daemon": {"port": port},
        "keystore": {"argon2_memory": 32768, "argon2_time": 1, "argon2_parallelism": 1},
        "rpc": {
            **{setting: list(urls) for setting, urls in endpoints.items()},
            "solana_default_network": "localnet",
            "evm_default_network": "ethereum-localnet",
            "request_timeout_seconds": 2,
            "breaker_cooldown_seconds": 1,
            "max_response_bytes": 1048576,
            "solana_max_priority_fee_lamports": 10000,
        },
        "security": {
            "max_pending_tx": 1000,
            "max_sessions_per_agent": 50,
            "rate_limit_global_ip_rpm": 0,
            "rate_limit_session_rpm": 0,
            "rate_limit_tx_rpm": 0,
        },
    }
    lines = []
    for section, keys in sections.items():
        lines += [f"[{section}]", *(f"{key} = {msgspec.json.encode(value).decode()}" for key, value in keys.items())]
    return "\n".join(lines) + "\n"


def environment(place: Place) -> dict[str, str]:
    """This process's environment without its own WAIAAS_ variables, and with those of the child."""
    clean = {name: text for name, text in os.environ.items() if not name.startswith("WAIAAS_")}
    path = os.pathsep.join(filter(None, (str(place.hook), clean.get("PYTHONPATH"))))
    ours = {"WAIAAS_DATA_DIR": str(place.data), "WAIAAS_MASTER_PASSWORD_FILE": str(place.password)}
    return {**clean, **ours, "PYTHONPATH": path}


def free_port() -> int:
    """A port of 127.0.0.1 nobody listens on."""
    for port in PORTS:
        number = PORTS.start + (port + os.getpid() * 97) % len(PORTS)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", number))
            return number
    raise StartError("No port between 20000 and 32767 is free.")


class Child:
    """One life of the daemon."""

    def __init__(self, place: Place, port: int, clock: Clock) -> None:
        self._place, self._port, self._clock = place, port, clock
        self._process: subprocess.Popen[bytes] | None = None
        self.begun = 0.0
        #: what /ready answered last in this life
        self.told = ""

    def start(self, point: Point | None) -> None:
        """Begin a life, which `point` is to end if that is for the hook to do."""
        self.told = ""
        plan = self._place.hook / "plan.json"
        plan.unlink(missing_ok=True)
        if point is not None and point.kind in ("sql", "file"):
            plan.write_bytes(msgspec.json.encode(as_plan(point)))
        with open(self._place.output, "ab") as output:
            self._process = subprocess.Popen(
                [*WAIAAS, "serve"],
                env=environment(self._place),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.begun = self._clock.monotonic()

    def leap(self, seconds: int) -> None:
        """From the next life on its wall clock is so far ahead."""
        (self._place.hook / "clock.json").write_bytes(msgspec.json.encode(seconds))

    @property
    def process(self) -> "subprocess.Popen[bytes]":
        assert self._process is not None
        return self._process

    @property
    def ended(self) -> int | None:
        """The exit code; None while it runs."""
        return None if self._process is None else self._process.poll()

    async def ready(self, client: httpx.AsyncClient) -> float | None:
        """Seconds until /ready said yes; None if the daemon ended before, or took more than READY_SECONDS."""
        while self.ended is None and (passed := self._clock.monotonic() - self.begun) < READY_SECONDS:
            with contextlib.suppress(httpx.HTTPError):
                answer = await client.get("/ready", timeout=2)
                self.told = answer.text[:MOST_TOLD]
                if answer.status_code == 200:
                    return passed
            await asyncio.sleep(LOOK_SECONDS)
        return None

    async def wait(self, seconds: float) -> bool:
        """Whether it has ended when that time is over."""
        until = self._clock.monotonic() + seconds
        for _ in range(1 + int(seconds / POLL_SECONDS)):
            if self.ended is not None or self._clock.monotonic() >= until:
                break
            await asyncio.sleep(POLL_SECONDS)
        return self.ended is not None

    async def kill(self) -> None:
        """SIGKILL, and no doubt about it."""
        if self._process is not None and self.ended is None:
            self._process.kill()
        if self._process is not None:
            await asyncio.to_thread(self._process.wait)

    async def stop(self) -> int | None:
        """SIGTERM; the exit code, or None if it had to be killed."""
        self.process.send_signal(signal.SIGTERM)
        if await self.wait(STOP_SECONDS):
            return self.ended
        await self.kill()
        return None


def as_plan(point: Point) -> dict[str, Any]:
    """What the hook reads."""
    if point.kind == "file":
        return {"kind": "file", "name": point.what, "count": point.count}
    return {"kind": "sql", "text": point.what, "when": point.when, "count": point.count}


def audit_verifies(place: Place) -> list[str]:
    """What `waiaas audit verify` says against it."""
    ended, said = command(place, "audit", "verify")
    return [said] if ended else []
