"""An embedded chain on a clock held in the hand, spoken to as any client speaks to it: JSON over HTTP."""

from base64 import b64encode
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import httpx
import pytest
from solders.hash import Hash
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.system_program import TransferParams, transfer
from solders.transaction import VersionedTransaction
from starlette.types import ASGIApp

from waiaas.clock import Clock
from waiaas.localnet import open_solana

SOL = 1_000_000_000
SLOT_SECONDS = 0.4


class HandClock(Clock):
    """A clock that stands until it is moved."""

    def __init__(self, seconds: float = 1_700_000_000.0) -> None:
        super().__init__()
        self.seconds = seconds

    def wall(self) -> float:
        return self.seconds

    def pass_slots(self, slots: int) -> None:
        # in whole milliseconds, so that no float error falls short of a slot
        self.seconds = round(self.seconds + slots * SLOT_SECONDS, 3)


class RpcFailed(Exception):
    def __init__(self, error: dict) -> None:
        self.code, self.message, self.data = error["code"], error["message"], error.get("data")
        super().__init__(f"{self.code} {self.message}")


class Node:
    """A client of one chain."""

    def __init__(self, app: ASGIApp, http: httpx.AsyncClient, clock: HandClock) -> None:
        self.app = app
        self.http = http
        self.clock = clock

    async def call(self, method: str, *params):
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}
        reply = (await self.http.post("/", json=body)).json()
        if "error" in reply:
            raise RpcFailed(reply["error"])
        return reply["result"]

    async def value(self, method: str, *params):
        return (await self.call(method, *params))["value"]

    async def blockhash(self) -> Hash:
        return Hash.from_string((await self.value("getLatestBlockhash"))["blockhash"])

    async def send(self, transaction: VersionedTransaction, **config) -> str:
        return await self.call("sendTransaction", wire(transaction), {"encoding": "base64", **config})

    async def land(self, transaction: VersionedTransaction, **config) -> dict:
        """Send it, let its slot end, and return its status."""
        signature = await self.send(transaction, **config)
        self.clock.pass_slots(1)
        return await self.status(signature)

    async def status(self, signature: str, **config) -> dict | None:
        return (await self.value("getSignatureStatuses", [str(signature)], config))[0]

    async def balance(self, address: Pubkey) -> int:
        return await self.value("getBalance", str(address))

    async def fund(self, address: Pubkey, lamports: int = 10 * SOL) -> str:
        signature = await self.call("requestAirdrop", str(address), lamports)
        self.clock.pass_slots(1)
        assert (await self.status(signature))["err"] is None
        return signature

    async def sign(self, instructions: Sequence[Instruction], *signers: Keypair, blockhash: Hash | None = None):
        message = MessageV0.try_compile(signers[0].pubkey(), instructions, [], blockhash or await self.blockhash())
        return VersionedTransaction(message, signers)

    async def transfer(self, sender: Keypair, to: Pubkey, lamports: int, blockhash: Hash | None = None):
        return await self.sign([pay(sender.pubkey(), to, lamports)], sender, blockhash=blockhash)


def pay(sender: Pubkey, to: Pubkey, lamports: int) -> Instruction:
    return transfer(TransferParams(from_pubkey=sender, to_pubkey=to, lamports=lamports))


def wire(transaction: VersionedTransaction) -> str:
    return b64encode(bytes(transaction)).decode()


@asynccontextmanager
async def open_node(directory: Path, clock: HandClock) -> AsyncIterator[Node]:
    async with AsyncExitStack() as stack:
        app = await stack.enter_async_context(open_solana(directory, clock))
        transport = httpx.ASGITransport(app)
        http = await stack.enter_async_context(httpx.AsyncClient(transport=transport, base_url="http://embedded"))
        yield Node(app, http, clock)


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def directory(tmp_path) -> Path:
    return tmp_path / "localnet"


@pytest.fixture
async def node(directory, clock) -> AsyncIterator[Node]:
    async with open_node(directory, clock) as node:
        yield node


@pytest.fixture
async def payer(node) -> Keypair:
    """A key with 10 SOL."""
    keypair = Keypair()
    await node.fund(keypair.pubkey())
    return keypair
