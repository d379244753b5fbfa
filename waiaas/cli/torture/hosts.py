"""The chains under torture: they live in this process, or at a URL, and outlive every daemon."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

import httpx
import msgspec
from starlette.types import ASGIApp

from waiaas.cli.torture import erc20, evm, solana, spl
from waiaas.cli.torture.exchange import Node
from waiaas.cli.torture.facts import Truth
from waiaas.cli.torture.forks import Fork
from waiaas.clock import Clock
from waiaas.domain.chain import Chain, Network, chain_of
from waiaas.errors import ExtraMissing, UsageWrong
from waiaas.ids import entropy
from waiaas.localnet.ondemand import has_evm

LOOPBACK = {"127.0.0.1", "localhost", "::1"}
NODE_SECONDS = 30


class LeapingClock(Clock):
    """The present, plus what has been leapt over."""

    def __init__(self) -> None:
        super().__init__()
        self._leapt = 0.0

    def wall(self) -> float:
        return super().wall() + self._leapt

    def leap(self, seconds: float) -> None:
        """From here on it is later: what was valid for a while has run out."""
        self._leapt += seconds


class Known(Protocol):
    """What a module of this package knows of a chain by itself."""

    @property
    def NATIVE(self) -> str: ...
    def sent(self, call: dict[str, Any]) -> str | None: ...
    def asked(self, call: dict[str, Any]) -> list[str]: ...
    def hash_of(self, raw: bytes) -> str: ...
    def recipients(self, entropy: list[bytes]) -> list[str]: ...
    async def hold(self, node: Node, held: bool) -> None: ...
    async def evict(self, node: Node, hash: str) -> None: ...
    async def landed(self, node: Node, hashes: list[str]) -> set[str]: ...
    async def truth(self, node: Node, network: str, addresses: list[str], token: str) -> Truth: ...
    def asset_of(self, token: str) -> str: ...
    def callee(self, token: str) -> str: ...
    def call_of(self, sender: str, token: str, to: str, amount: int) -> dict[str, Any]: ...
    def called(self, item: dict[str, Any]) -> tuple[str, str, int] | None: ...
    async def refuse_real_money(self, node: Node) -> str | None: ...


class Bank(Protocol):
    """Who made the token of a chain, and may be allowed to take it back."""

    token: str
    spender: str

    async def open(self) -> None: ...
    async def give(self, owner: str, amount: int) -> None: ...
    async def take(self, owner: str, to: str, amount: int) -> bool: ...


class Kind(msgspec.Struct, frozen=True):
    """A network that can be tortured: the key of its endpoints in [rpc], how its chain is begun, a unit for amounts."""

    network: Network
    chain: Chain
    setting: str
    open: Callable[[Path, Clock], AbstractAsyncContextManager[ASGIApp]]
    known: Known
    bank: Callable[[Node, bytes], Bank]
    #: base units; amounts are millions of it, so that a fee is small beside them
    unit: int


def open_solana(directory: Path, clock: Clock) -> AbstractAsyncContextManager[ASGIApp]:
    """The embedded Solana chain."""
    from waiaas.localnet.solana import open_solana

    return open_solana(directory, clock)


def open_evm(directory: Path, clock: Clock) -> AbstractAsyncContextManager[ASGIApp]:
    """The embedded EVM chain."""
    from waiaas.localnet.evm import open_evm

    return open_evm(directory, clock)


KINDS: Mapping[Network, Kind] = {
    Network.LOCALNET: Kind(Network.LOCALNET, Chain.SOLANA, "solana_localnet", open_solana, solana, spl.Bank, unit=1),
    Network.ETHEREUM_LOCALNET: Kind(
        Network.ETHEREUM_LOCALNET, Chain.ETHEREUM, "evm_ethereum_localnet", open_evm, evm, erc20.Bank, unit=10**10
    ),
}


class Host(msgspec.Struct, frozen=True):
    """A running chain with a token of its own; `clock` is None if it is not ours to move."""

    kind: Kind
    node: Node
    clock: LeapingClock | None
    bank: Bank
    #: its newest blocks can be taken away; None: they cannot
    fork: Fork | None

    @property
    def native(self) -> str:
        """The asset that its fees are paid in."""
        return self.kind.known.NATIVE

    @property
    def token(self) -> str:
        """The asset that its bank issues."""
        return self.kind.known.asset_of(self.bank.token)


@asynccontextmanager
async def open_hosts(directory: Path, elsewhere: Mapping[Network, str]) -> AsyncIterator[list[Host]]:
    """Every kind of chain, embedded unless it is `elsewhere`; UsageWrong for a node that may hold real money."""
    async with AsyncExitStack() as stack:
        hosts: list[Host] = []
        for network, kind in KINDS.items():
            clock: LeapingClock | None = None
            if url := elsewhere.get(network):
                client = await stack.enter_async_context(httpx.AsyncClient(trust_env=False, timeout=NODE_SECONDS))
                node = at(client, url)
            elif chain_of(network) is Chain.ETHEREUM and not has_evm():
                raise ExtraMissing(f"{network} needs the extra localnet, or --rpc {network}=URL.")
            else:
                clock = LeapingClock()
                app = await stack.enter_async_context(kind.open(directory, clock))
                node = within(app)
            if reason := await kind.known.refuse_real_money(node):
                raise UsageWrong(f"The node of {network} is not for this: {reason}.")
            fork = Fork(node) if chain_of(network) is Chain.ETHEREUM else None
            bank = kind.bank(fork or node, entropy(32))
            await bank.open()
            hosts.append(Host(kind, fork or node, clock, bank, fork))
        yield hosts


def parse_elsewhere(texts: tuple[str, ...]) -> dict[Network, str]:
    """`NETWORK=URL` of each --rpc; UsageWrong unless it is a network of ours at a loopback address."""
    found = {}
    for text in texts:
        name, _, url = text.partition("=")
        if name not in KINDS:
            raise UsageWrong(f"--rpc {text}: the network must be one of {', '.join(KINDS)}.")
        if urlsplit(url).hostname not in LOOPBACK:
            raise UsageWrong(f"--rpc {text}: only a node on this machine is tortured.")
        found[Network(name)] = url
    return found


def within(app: ASGIApp) -> Node:
    """A chain of this process."""

    async def answer(body: bytes) -> bytes:
        said = bytearray()
        headers = [(b"content-type", b"application/json")]
        scope = {"type": "http", "method": "POST", "path": "/", "headers": headers, "query_string": b""}

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:
            said.extend(message.get("body", b""))

        await app(scope, receive, send)
        return bytes(said)

    return answer


def at(client: httpx.AsyncClient, url: str) -> Node:
    """A chain of another process."""

    async def answer(body: bytes) -> bytes:
        return (await client.post(url, content=body, headers={"content-type": "application/json"})).content

    return answer
