"""`python -m waiaas serve` as anybody runs it: a directory made by `waiaas init`, a port, signals and exit codes."""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests import invariants
from tests.faults import FaultLayer, on_socket
from waiaas.clock import Clock
from waiaas.domain.transaction import FINAL
from waiaas.localnet import open_solana

WAIAAS = (sys.executable, "-m", "waiaas")
KILLER = Path(__file__).parent / "killer"
#: Argon2id at its cheapest, so that a start does not pay for a real password
CHEAP = {
    "WAIAAS_KEYSTORE_ARGON2_MEMORY": "32768",
    "WAIAAS_KEYSTORE_ARGON2_TIME": "1",
    "WAIAAS_KEYSTORE_ARGON2_PARALLELISM": "1",
}
START_SECONDS = 20


def environment(**settings: str) -> dict[str, str]:
    """Of this process's, without what would reach a daemon."""
    kept = {name: text for name, text in os.environ.items() if not name.startswith(("WAIAAS_", "PYTHON", "COV"))}
    return kept | CHEAP | settings


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Ended(Exception):
    """The daemon ended before it was ready; its exit code and what it printed."""

    def __init__(self, code: int, said: str) -> None:
        self.code, self.said = code, said
        super().__init__(f"exit {code}: {said}")


class Daemon:
    """A running daemon and an operator in front of it."""

    def __init__(self, process: asyncio.subprocess.Process, client: httpx.AsyncClient) -> None:
        self.process = process
        self._client = client

    async def ask(self, method: str, path: str, *, token: str | None = None, **request: Any) -> dict[str, Any]:
        """The JSON of a successful answer, as the operator, or with a token as a session."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        answer = await self._client.request(method, path, headers=headers | request.pop("headers", {}), **request)
        assert answer.is_success, f"{method} {path} answered {answer.status_code}: {answer.text}"
        return answer.json()  # type: ignore[no-any-return]

    async def agent(self, name: str) -> dict[str, Any]:
        return await self.ask("POST", "/v1/agents", json={"name": name, "chain": "solana", "network": "localnet"})

    async def token(self, agent: dict[str, Any]) -> str:
        return str((await self.ask("POST", "/v1/sessions", json={"agentId": agent["id"]}))["token"])

    async def send(self, token: str, to: str, amount: int = 1000, key: str | None = None) -> dict[str, Any]:
        headers = {"Idempotency-Key": key} if key else {}
        body = {"to": to, "amount": str(amount)}
        return await self.ask("POST", "/v1/transactions/send", token=token, json=body, headers=headers)

    async def ended(self, token: str, tx_id: str) -> dict[str, Any]:
        """The transaction once it is final."""
        async with asyncio.timeout(20):
            while True:
                tx = await self.ask("GET", f"/v1/transactions/{tx_id}", token=token, params={"wait": "5"})
                if tx["status"] in FINAL:
                    return tx

    async def ready(self) -> None:
        """Until /ready says yes: recovery is over."""
        async with asyncio.timeout(START_SECONDS):
            while (await self._client.get("/ready")).status_code != 200:
                await asyncio.sleep(0.02)

    async def kill(self) -> None:
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()

    async def stop(self) -> int:
        """SIGTERM; the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return await self.process.wait()


class House:
    """A wallet's directory, and the daemons that come and go in it."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.password = (data / ".master-password").read_text().strip()
        #: environment of every daemon started from now on
        self.settings: dict[str, str] = {}
        self._daemon: Daemon | None = None
        self._client: httpx.AsyncClient | None = None

    async def serve(self, **settings: str) -> Daemon:
        """A daemon that has said that it is ready; Ended if it ends before."""
        port = free_port()
        process = await asyncio.create_subprocess_exec(
            *(*WAIAAS, "serve", "--port", str(port), "--data-dir", str(self.data)),
            env=environment(**self.settings, **settings),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        assert process.stdout
        async with asyncio.timeout(START_SECONDS):
            said = b""
            while b" ready on " not in (line := await process.stdout.readline()):
                said += line
                if not line:
                    raise Ended(await process.wait(), said.decode())
        await self._leave()
        self._client = httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{port}", headers={"X-Master-Password": self.password}, timeout=30
        )
        self._daemon = Daemon(process, self._client)
        return self._daemon

    async def killed_at(self, point: str) -> Daemon:
        """A daemon that will kill itself at that moment."""
        return await self.serve(PYTHONPATH=str(KILLER), WAIAAS_TEST_KILL=point)

    async def waiaas(self, *args: str) -> tuple[int, str]:
        """The exit code of a command, and what it printed."""
        process = await asyncio.create_subprocess_exec(
            *(*WAIAAS, *args, "--data-dir", str(self.data)),
            env=environment(),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said, _ = await process.communicate()
        assert process.returncode is not None
        return process.returncode, said.decode()

    async def check(self, localnet: Path | None = None) -> invariants.Books:
        """With nothing running: every invariant, the commands that verify, and no debris of any kind."""
        database = self.data / "data" / "waiaas.db"
        invariants.check(database, localnet or self.data / "localnet")
        for command in (("audit", "verify"), ("db", "check")):
            code, said = await self.waiaas(*command)
            assert code == 0, said
        books = invariants.read_books(database)
        assert self.key_files() == {agent["id"] for agent in books.agents}
        assert {agent["status"] for agent in books.agents} <= {"ACTIVE"}
        assert self.temporaries() == []
        return books

    def temporaries(self) -> list[str]:
        """Names of files that an atomic write has begun and not ended."""
        return [path.name for path in self.data.rglob(".*") if path.name != ".master-password"]

    def key_files(self) -> set[str]:
        return {path.stem for path in (self.data / "keystore").glob("*.json")} - {"master"}

    async def _leave(self) -> None:
        if self._client is not None:
            await self._client.aclose()
        if self._daemon is not None:
            await self._daemon.kill()

    async def close(self) -> None:
        await self._leave()


@pytest.fixture(scope="session")
def initialised(tmp_path_factory):
    """A directory as `waiaas init --generate-password` makes it."""
    data = tmp_path_factory.mktemp("process") / "wallet"
    command = [*WAIAAS, "init", "--generate-password", "--data-dir", str(data)]
    made = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr
    return data


@pytest.fixture
async def house(initialised, tmp_path):
    data = tmp_path / "wallet"
    shutil.copytree(initialised, data)
    opened = House(data)
    yield opened
    await opened.close()


@asynccontextmanager
async def served(directory: Path) -> AsyncIterator[tuple[FaultLayer, str]]:
    """The embedded chain behind faults on a socket of this process: it outlives every daemon."""
    async with open_solana(directory, Clock()) as chain:
        faults = FaultLayer(chain)
        async with on_socket(faults) as url:
            yield faults, url
