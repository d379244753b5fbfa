"""Chains over nodes that misbehave on request, and over the embedded machine, on a clock held in the hand."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import httpx
import pytest
from solders.keypair import Keypair
from solders.signature import Signature

from tests.chains.tokens import Bank
from waiaas.chains.base import Sighting, Signed
from waiaas.chains.endpoint import Endpoint, Limits
from waiaas.chains.pool import Pool
from waiaas.chains.rpc import Rpc
from waiaas.chains.solana.adapter import DIALECT, GENESIS, SolanaChain
from waiaas.clock import Clock
from waiaas.domain.chain import Network
from waiaas.domain.request import Request, Transfer
from waiaas.localnet import open_solana

SOL = 1_000_000_000
AGENT = "agent"
TO = "AB8rLM4GmC7TnWGMzxyPYyX9GFdaDx7x2q4m3KAqNVos"
HASH = "5j7s6NiJS3JAkvgkoc18WVAsiSaci2pxB2A6ueCJP4tprA2TFg9wSyTLeYouxPBJEMzJinENTkpA52YStRW5Dia7"


class HandClock(Clock):
    """A clock that stands until it is moved; wall and monotonic time are one."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds = 1_700_000_000.0

    def wall(self) -> float:
        return self.seconds

    def monotonic(self) -> float:
        return self.seconds

    def pass_slots(self, slots: int) -> None:
        self.seconds = round(self.seconds + slots * 0.4, 3)


class Refusal(Exception):
    """What a node answers instead of a result."""

    def __init__(self, code: int, message: str = "no", data: Any = None) -> None:
        self.error = {"code": code, "message": message, "data": data}


class Node:
    """A node that answers from a table of methods; a value may be a function of the parameters.

    `respond`, when set, answers instead of it, as a broken node would.
    """

    def __init__(self, **answers: Any) -> None:
        self.answers = {"getGenesisHash": GENESIS[Network.DEVNET], "getSlot": 100} | answers
        self.respond: Callable[[httpx.Request], Any] | None = None
        self.bodies: list[Any] = []

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content)
        self.bodies.append(body)
        if self.respond:
            answer = self.respond(request)
            return answer if isinstance(answer, httpx.Response) else await answer
        return httpx.Response(
            200, json=[self.reply(one) for one in body] if isinstance(body, list) else self.reply(body)
        )

    def reply(self, question: dict[str, Any]) -> dict[str, Any]:
        base = {"jsonrpc": "2.0", "id": question["id"]}
        try:
            answer = self.answers[question["method"]]
            return base | {"result": answer(*question["params"]) if callable(answer) else answer}
        except Refusal as refusal:
            return base | {"error": refusal.error}

    @property
    def methods(self) -> list[str]:
        """Every method asked for, in order."""
        return [one["method"] for body in self.bodies for one in (body if isinstance(body, list) else [body])]


def refuse(code: int, message: str = "no", data: Any = None) -> Callable[..., Any]:
    """An answer that is a JSON-RPC error."""

    def answer(*params: Any) -> Any:
        raise Refusal(code, message, data)

    return answer


class KeySigner:
    """A keystore with one key."""

    def __init__(self) -> None:
        self.key = Keypair()
        self.address = str(self.key.pubkey())

    def sign(self, agent_id: str, payload: bytes) -> bytes:
        assert agent_id == AGENT
        return bytes(self.key.sign_message(payload))


def pay(amount: int = SOL, to: str = TO, memo: str | None = None) -> Transfer:
    return Transfer(to, str(amount), memo)


async def give(chain: SolanaChain, clock: HandClock, address: str, amount: int) -> None:
    """A gift of the faucet, which waits until the clock has passed a slot."""
    gift = asyncio.create_task(chain.faucet(address, amount))
    while not gift.done():
        await asyncio.sleep(0)
        clock.pass_slots(1)
    await gift


async def make(chain: SolanaChain, signer: KeySigner, request: Request) -> Signed:
    """Signed bytes for a request, on a fresh slot."""
    prepared = await chain.prepare(request, signer.address)
    return chain.sign(prepared, await chain.slot(signer.address), signer, AGENT)


async def land(chain: SolanaChain, clock: HandClock, signer: KeySigner, request: Request) -> Sighting:
    """Prepare, sign, send and follow a request to its block."""
    signed = await make(chain, signer, request)
    await chain.broadcast(signed.raw, signed.hash)
    clock.pass_slots(1)
    return (await chain.statuses([signed.hash]))[signed.hash]


def signature(number: int) -> str:
    """A well-formed hash of a transaction nobody sent."""
    return str(Signature.from_bytes(number.to_bytes(64, "big")))


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
async def make_rpc(clock) -> AsyncIterator[Callable[..., Rpc]]:
    """`make_rpc(node, node, …)`: a devnet whose endpoints a, b, c, … are these nodes."""
    async with AsyncExitStack() as stack:

        def make(*nodes: Node, network: Network = Network.DEVNET, **limits: Any) -> Rpc:
            endpoints = []
            for name, node in zip("abcdefgh", nodes, strict=False):
                client = httpx.AsyncClient(transport=httpx.MockTransport(node))
                endpoints.append(Endpoint(name, f"https://{name}.example/?key=secret", client, Limits(**limits), clock))
            rpc = Rpc(network, endpoints, DIALECT, clock, GENESIS.get(network))
            stack.push_async_callback(rpc.close)
            return rpc

        yield make


@pytest.fixture
def make_chain(make_rpc, clock) -> Callable[..., SolanaChain]:
    """A Solana adapter on such a devnet."""
    return lambda *nodes: SolanaChain(Network.DEVNET, make_rpc(*nodes), clock, 1_000_000)


@pytest.fixture
def signer() -> KeySigner:
    return KeySigner()


@pytest.fixture
async def pool(tmp_path, clock) -> AsyncIterator[Pool]:
    """The embedded localnet, as the daemon reaches it."""
    async with open_solana(tmp_path / "localnet", clock) as app:
        transports = {Network.LOCALNET: httpx.ASGITransport(app)}
        async with Pool(
            {Network.LOCALNET: ["embedded"]},
            clock=clock,
            limits=Limits(),
            solana_max_priority_fee_lamports=1_000_000,
            evm_max_fee_gwei=500,
            transports=transports,
            identities={},
        ) as pool:
            yield pool


@pytest.fixture
def localnet(pool) -> SolanaChain:
    return pool.chain(Network.LOCALNET)


@pytest.fixture
async def funded(localnet, clock, signer) -> KeySigner:
    """A key with 10 SOL on the localnet."""
    await give(localnet, clock, signer.address, 10 * SOL)
    assert await localnet.balance(signer.address) == 10 * SOL
    return signer


@pytest.fixture
async def bank(localnet, clock) -> Bank:
    """Somebody else with 10 SOL, who makes tokens and hands them out."""
    signer = KeySigner()
    await give(localnet, clock, signer.address, 10 * SOL)
    return Bank(localnet, clock, signer)
