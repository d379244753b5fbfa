"""Every way the product reaches a chain: the adapters over the embedded machines, and over anvil as the real node."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Protocol

import httpx
import pytest

from tests.anvil import Anvil, anvil  # noqa: F401  (a fixture)
from tests.chains import conftest as solana
from tests.chains.conftest import HandClock
from tests.chains.evm import conftest as evm
from tests.chains.tokens import Bank
from waiaas.chains.base import Attempt, Chain, Signed
from waiaas.chains.endpoint import Endpoint, Limits
from waiaas.chains.evm.adapter import EvmChain
from waiaas.chains.evm.networks import DIALECT as EVM_DIALECT
from waiaas.chains.evm.networks import PROFILES
from waiaas.chains.rpc import Dialect, Rpc
from waiaas.chains.solana.adapter import DIALECT, SolanaChain
from waiaas.domain.chain import Network
from waiaas.domain.request import AccountMeta, Approve, ContractCall, Request, Token, TokenTransfer, Transfer
from waiaas.localnet import open_evm, open_solana

AGENT = solana.AGENT
MEMO = "MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr"

Bend = Callable[[bytes, bytes], "httpx.Response | bytes"]


class Wire(httpx.AsyncBaseTransport):
    """What lies between adapter and node; `bend` may turn an answer into another one, `silent` keeps them all."""

    def __init__(self, node: httpx.AsyncBaseTransport) -> None:
        self._node = node
        self.bend: Bend | None = None
        self.silent = False
        self.methods: list[bytes] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        body = await request.aread()
        self.methods.append(body)
        answer = await self._node.handle_async_request(request)
        text = await answer.aread()
        if self.silent:
            await asyncio.Event().wait()
        return httpx.Response(200, content=self.bend(body, text) if self.bend else text)

    async def aclose(self) -> None:
        await self._node.aclose()


class World(Protocol):
    """A chain with a key that has ten whole units of native money, and a token of which it holds 1,000,000."""

    chain: Chain
    wire: Wire
    signer: Any
    stranger: str
    token: Token
    unit: int
    #: a request of every type that the adapter takes
    requests: dict[str, Request]

    async def block(self) -> None:
        """A block passes."""

    async def hold(self) -> None:
        """What is sent from now on waits for the next `block`."""

    async def finality(self) -> None:
        """What has happened is final, and what could run out has run out."""

    async def doomed(self) -> list[Signed]:
        """Two payments of which each could be made, but not the second after the first."""

    async def supersede(self, signed: Signed) -> None:
        """Make it impossible that these bytes land."""


def attempt(world: World, signed: Signed) -> Attempt:
    return Attempt(signed.hash, world.signer.address, signed.slot)


def transfer(world: World, amount: int) -> Transfer:
    return Transfer(world.stranger, str(amount))


async def make(world: World, request: Request) -> Signed:
    """Signed bytes for a request on a fresh slot."""
    prepared = await world.chain.prepare(request, world.signer.address)
    return world.chain.sign(prepared, await world.chain.slot(world.signer.address), world.signer, AGENT)


async def land(world: World, request: Request) -> Signed:
    """Prepare, sign, send, and let a block pass."""
    signed = await make(world, request)
    await world.chain.broadcast(signed.raw, signed.hash)
    await world.block()
    return signed


class SolanaWorld:
    """Solana on the embedded machine."""

    def __init__(self, chain: SolanaChain, wire: Wire, clock: HandClock) -> None:
        self.chain, self.wire, self.clock = chain, wire, clock
        self.signer = solana.KeySigner()
        self.stranger = solana.TO
        self.unit = solana.SOL

    async def settle(self) -> None:
        await solana.give(self.chain, self.clock, self.signer.address, 10 * self.unit)
        other = solana.KeySigner()
        await solana.give(self.chain, self.clock, other.address, 10 * self.unit)
        self.token = await Bank(self.chain, self.clock, other).token(self.signer.address, 1_000_000)
        self.clock.pass_slots(3)
        pay = transfer(self, self.unit // 10)
        sender = AccountMeta(self.signer.address, True, False)
        memo = ContractCall(program_id=MEMO, instruction_data="aGVsbG8=", accounts=(sender,))
        self.requests = {
            "TRANSFER": pay,
            "TRANSFER with memo": Transfer(self.stranger, pay.amount, "thanks"),
            "TOKEN_TRANSFER": TokenTransfer(self.stranger, "5", self.token),
            "APPROVE": Approve(self.stranger, self.token, "5"),
            "CONTRACT_CALL": memo,
        }

    async def block(self) -> None:
        self.clock.pass_slots(1)

    async def hold(self) -> None:
        pass

    async def finality(self) -> None:
        self.clock.pass_slots(200)

    async def doomed(self) -> list[Signed]:
        return [await make(self, transfer(self, amount * self.unit)) for amount in (6, 7)]

    async def supersede(self, signed: Signed) -> None:
        """Its blockhash runs out by itself."""


class EvmWorld:
    """EVM on either machine."""

    def __init__(self, chain: EvmChain, wire: Wire, machine: evm.Machine) -> None:
        self.chain, self.wire, self.machine = chain, wire, machine
        self.signer = evm.KeySigner()
        self.stranger = evm.KeySigner().address
        self.unit = evm.ETHER

    async def settle(self) -> None:
        maker = evm.KeySigner()
        for address in (self.signer.address, maker.address):
            await self.chain.faucet(address, 10 * self.unit)
        address = await self.machine.deploy_token(maker, 2_000_000)
        self.token = Token(address, 6, "TKN")
        given = TokenTransfer(self.signer.address, "1000000", self.token)
        await self.machine.land(await evm.make(self.chain, maker, given))
        self.requests = {
            "TRANSFER": transfer(self, self.unit // 10),
            "TRANSFER with memo": Transfer(self.stranger, "1", "thanks"),
            "TOKEN_TRANSFER": TokenTransfer(self.stranger, "5", self.token),
            "APPROVE": Approve(self.stranger, self.token, "5"),
            "CONTRACT_CALL": evm.call(address, "transfer(address,uint256)", self.stranger, 5),
        }

    async def block(self) -> None:
        await self.machine.mine()

    async def hold(self) -> None:
        await self.machine.call("evm_setAutomine", False)

    async def finality(self) -> None:
        await self.machine.mine(70)

    async def doomed(self) -> list[Signed]:
        requests = [TokenTransfer(self.stranger, str(amount), self.token) for amount in (600_000, 700_000)]
        return [await evm.make(self.chain, self.signer, request, nonce) for nonce, request in enumerate(requests)]

    async def supersede(self, signed: Signed) -> None:
        """Another payment takes its nonce."""
        await self.machine.land(await evm.make(self.chain, self.signer, transfer(self, 1), signed.slot.number))


Open = Callable[..., Any]


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
async def open_world(tmp_path: Path, clock: HandClock, request: pytest.FixtureRequest) -> AsyncIterator[Open]:
    """`await open_world("solana embedded")`, with limits of the endpoint as keywords."""
    async with AsyncExitStack() as stack:

        def wired(network: Network, dialect: Dialect, identity: str | None, node: Any, url: str, **limits: Any) -> Any:
            wire = Wire(node)
            client = httpx.AsyncClient(transport=wire, trust_env=False)
            rpc = Rpc(network, [Endpoint("node", url, client, Limits(**limits), clock)], dialect, clock, identity)
            stack.push_async_callback(rpc.close)
            return rpc, wire

        async def open_on_solana(**limits: Any) -> SolanaWorld:
            app = await stack.enter_async_context(open_solana(tmp_path / "solana", clock))
            node = httpx.ASGITransport(app)
            rpc, wire = wired(Network.LOCALNET, DIALECT, None, node, "http://embedded/", **limits)
            world = SolanaWorld(SolanaChain(Network.LOCALNET, rpc, clock, 1_000_000), wire, clock)
            await world.settle()
            return world

        async def open_on_evm(node: httpx.AsyncBaseTransport, url: str, **limits: Any) -> EvmWorld:
            network = Network.ETHEREUM_LOCALNET
            rpc, wire = wired(network, EVM_DIALECT, PROFILES[network].identity, node, url, **limits)
            chain = EvmChain(network, rpc, clock, 1000)
            machine = evm.Machine(chain, clock, httpx.AsyncClient(transport=node, base_url=url, trust_env=False))
            world = EvmWorld(chain, wire, machine)
            await world.settle()
            return world

        async def opened(kind: str, **limits: Any) -> World:
            if kind == "solana embedded":
                return await open_on_solana(**limits)
            if kind == "evm embedded":
                app = await stack.enter_async_context(open_evm(tmp_path / "evm", clock))
                return await open_on_evm(httpx.ASGITransport(app), "http://embedded/", **limits)
            node: Anvil = request.getfixturevalue("anvil")
            stack.callback(node.call, "evm_revert", node.call("evm_snapshot"))
            stack.callback(node.call, "evm_setAutomine", True)
            return await open_on_evm(httpx.AsyncHTTPTransport(), node.url + "/", **limits)

        yield opened


KINDS = ("solana embedded", "evm embedded", "evm anvil")


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
async def world(open_world: Open, kind: str) -> World:
    """Each implementation in turn."""
    return await open_world(kind)
