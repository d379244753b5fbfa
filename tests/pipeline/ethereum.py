"""A wallet on an EVM chain: the world of `tests.world` with the embedded chain, or anvil, beside it.

Alice and Bob have 100 ETH each, Alice also a million units of a token; a contract to be called stands ready. The node
is reached past the wallet too: to hold its blocks, to drop what it has taken, to spend with Alice's key elsewhere.
"""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import msgspec
import rlp
from coincurve import PrivateKey
from eth_hash.auto import keccak
from starlette.types import ASGIApp, Receive, Scope, Send

from tests import invariants, signed
from tests.conftest import PASSWORD, ManualClock, settings
from tests.ledgers import Chain as Told
from tests.ledgers import Landed
from tests.world import OPERATOR, Cast, World, a_policy, a_session
from waiaas import app, paths
from waiaas.chains.evm import abi, build
from waiaas.chains.evm.build import Call, Payment
from waiaas.domain.chain import Chain, Network
from waiaas.domain.event import Actor
from waiaas.domain.policy import Policy, PolicyType, parse_rules
from waiaas.domain.request import Approve, Batch, ContractCall, Token, TokenTransfer, Transfer
from waiaas.domain.session import Session
from waiaas.domain.transaction import AttemptStatus, Status, Transaction
from waiaas.errors import Transient
from waiaas.keystore.master import open_master
from waiaas.localnet import open_evm
from waiaas.pipeline.registry import agents as agent_steps
from waiaas.pipeline.registry import policies as policy_steps
from waiaas.pipeline.registry import sessions as session_steps
from waiaas.pipeline.requests.submit import Accepted, submit
from waiaas.pipeline.signing.replace import speed_up
from waiaas.repositories import ledger, policies, queue, transactions

ETHER, GWEI = 10**18, 10**9
CHAIN_ID = 31_337
EVM = Network.ETHEREUM_LOCALNET
CONTRACTS = json.loads((Path(__file__).parents[1] / "fixtures" / "evm" / "contracts.json").read_text())
#: seconds after which bytes are sent again, and after which they count as stuck
AGAIN, STUCK = 2, 6
RPC = {"solana_default_network": "localnet", "evm_default_network": "ethereum-localnet"}
CONFIRMED = Status.CONFIRMED
STRANGER = "0x00000000000000000000000000000000DeaDBeef"
SPENDER = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
EXPORT = "UPDATE agents SET key_exported_at = :now WHERE id = :id"


class EvmCast(Cast, frozen=True, kw_only=True):
    """What else there is: a token of which Alice has a million, and a contract with ways to fail."""

    token: Token
    probe: str


class Node:
    """The chain past the wallet."""

    def __init__(self, chain: ASGIApp) -> None:
        self._http = httpx.AsyncClient(transport=httpx.ASGITransport(chain), base_url="http://node")

    async def call(self, method: str, *params: Any) -> Any:
        reply = (
            await self._http.post("/", json={"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
        ).json()
        assert "error" not in reply, reply["error"]
        return reply["result"]

    async def number(self, method: str, *params: Any) -> int:
        return int(await self.call(method, *params), 16)

    async def hold(self) -> None:
        """No block is made until `mine`."""
        await self.call("evm_setAutomine", False)

    async def mine(self, blocks: int = 1) -> None:
        for _ in range(blocks):
            await self.call("evm_mine")

    async def drop(self, sent: str) -> None:
        """The node forgets what it has taken."""
        assert await self.call("anvil_dropTransaction", sent) == sent

    async def nonce(self, address: str) -> int:
        return await self.number("eth_getTransactionCount", address, "latest")

    async def balance(self, address: str) -> int:
        return await self.number("eth_getBalance", address, "latest")

    async def view(self, to: str, selector: bytes, *arguments: int | str) -> int:
        """The number that a contract answers."""
        call = {"to": to, "data": "0x" + abi.call(selector, *arguments).hex()}
        return await self.number("eth_call", call, "latest")


class EvmWorld(World):
    """Steps of the pipeline by hand on an EVM chain."""

    network = EVM

    def __init__(self, data: paths.DataDir, cast: EvmCast, clock: ManualClock, chain: ASGIApp) -> None:
        super().__init__(data, cast, clock, chain)
        self.token, self.probe = cast.token, cast.probe
        self.node = Node(chain)
        self.endowed: dict[str, int] = {}
        #: what Alice's key signed elsewhere
        self.strange: list[bytes] = []

    def transports(self) -> dict[Network, httpx.AsyncBaseTransport]:
        return {EVM: httpx.ASGITransport(app=self.faults), Network.LOCALNET: httpx.MockTransport(_nobody)}

    # --- what callers do ----------------------------------------------------------------------------

    async def want(self, request: Any, **how: Any) -> Transaction:
        """Any request of Alice's, accepted."""
        return (await self.try_(request, **how)).tx

    async def try_(
        self, request: Any, *, key: str | None = None, distinct: bool = True, session: Session | None = None
    ) -> Accepted:
        session = session or self.session
        actor = Actor(f"session:{session.id}")
        return await submit(
            self.core, self.alice, session, request, key=key, distinct=distinct, provenance=None, actor=actor
        )

    def pay(self, amount: int = 1000, to: str | None = None, memo: str | None = None) -> Transfer:  # type: ignore[override]
        return Transfer(to or self.bob.public_key, str(amount), memo)

    def pay_token(self, amount: int = 5, decimals: int = 6) -> TokenTransfer:
        return TokenTransfer(STRANGER, str(amount), msgspec.structs.replace(self.token, decimals=decimals))

    def approve(self, amount: int = 5, spender: str = SPENDER) -> Approve:
        return Approve(spender, self.token, str(amount))

    def call(self, signature: str, *arguments: int | str, value: int = 0) -> ContractCall:
        """A call of the probe."""
        data = abi.call(keccak(signature.encode())[:4], *arguments)
        return ContractCall(to=self.probe, calldata="0x" + data.hex(), value=str(value))

    def batch(self, *items: Any) -> Batch:
        return Batch(items)

    async def allow(self, kind: str, **rules: Any) -> Policy:
        """One more policy of Alice's."""
        parsed = parse_rules(PolicyType(kind), rules, chain=Chain.ETHEREUM)
        policy = a_policy(parsed, self.alice.id, self.clock.now(), type=PolicyType(kind))
        return await policy_steps.create(self.core, policy, OPERATOR)

    async def limit_native(self, **rules: str) -> Policy:
        """One more SPENDING_LIMIT for native money; amounts are digit strings."""
        return await self.allow("SPENDING_LIMIT", limits={"native:ethereum": rules})

    async def policies(self) -> list[Policy]:
        return await policies.page(self.core.db)

    async def forget(self, policy: Policy) -> None:
        await policy_steps.delete(self.core, policy.id, OPERATOR)

    async def allow_tokens(self) -> None:
        await self.allow("ALLOWED_TOKENS", tokens=[{"address": self.token.address}])

    async def allow_approvals(self) -> None:
        await self.allow("APPROVED_SPENDERS", spenders=[{"address": SPENDER}, {"address": STRANGER}])
        await self.allow("APPROVE_AMOUNT_LIMIT", maxAmount=str(10**9), blockUnlimited=True)
        await self.allow("APPROVE_TIER_OVERRIDE", tier="INSTANT")

    async def allow_calls(self) -> None:
        """All methods of the probe that tests call."""
        await self.allow("CONTRACT_WHITELIST", contracts=[{"address": self.probe}])
        names = ("store(uint256)", "reason()", "log()")
        selectors = ["0x" + keccak(name.encode())[:4].hex() for name in names]
        await self.allow("METHOD_WHITELIST", methods=[{"contractAddress": self.probe, "selectors": selectors}])

    async def sped_up(self, tx: Transaction, *, cancel: bool = False, fees: Any = None) -> Any:
        return await speed_up(self.core, tx.id, self.alice.id, cancel=cancel, fees=fees, actor=OPERATOR)

    # --- what happens elsewhere ---------------------------------------------------------------------

    async def spend_elsewhere(
        self, nonce: int, *, tip: int = 50 * GWEI, to: str = STRANGER, value: int = 7, data: bytes = b""
    ) -> str:
        """Alice's key signs in another program, and dearer; the hash."""
        pay = Payment(CHAIN_ID, nonce, tip, 100 * GWEI, 100_000, Call(to, value, data))
        raw = build.signed(pay, self.core.keystore.sign(self.alice.id, build.digest(pay)))
        self.strange.append(raw)
        sent = str(await self.node.call("eth_sendRawTransaction", "0x" + raw.hex()))
        # unless blocks are held back, it is in one when the node has been asked for it
        await self.node.call("eth_getTransactionReceipt", sent)
        return sent

    async def maker(self) -> "Maker":
        """Whoever made the contracts, now."""
        maker = Maker(self.node)
        maker.nonce = await self.node.nonce(maker.address)
        return maker

    async def let_be_drained(self) -> None:
        """Alice's key lets the maker take tokens; it is allowed to act elsewhere."""
        await self.export()
        data = abi.call(abi.APPROVE, (await self.maker()).address, 10**9)
        await self.spend_elsewhere(
            await self.node.nonce(self.alice.public_key), to=self.token.address, value=0, data=data
        )

    async def drain(self, amount: int) -> None:
        """The maker takes Alice's tokens, in front of all that is sent from now on."""
        maker = await self.maker()
        data = abi.call(bytes.fromhex("23b872dd"), self.alice.public_key, maker.address, amount)
        await maker.send(self.token.address, data)

    async def export(self) -> None:
        """The operator has taken the key out: it may be used elsewhere."""
        await self.by_hand(EXPORT, id=self.alice.id, now=self.clock.now(), touches=f"agent:{self.alice.id}")

    @asynccontextmanager
    async def reorganised(self) -> AsyncIterator[None]:
        """What is mined inside is not final, and is in no block any more afterwards."""
        snapshot = await self.node.call("evm_snapshot")
        self.not_final()
        yield
        assert await self.node.call("evm_revert", snapshot)

    def not_final(self, times: int = 1000) -> None:
        """From now on the node calls nothing final but its first block."""

        async def act(exchange: Any) -> None:
            replies = {reply["id"]: reply for reply in await exchange.forward()}
            first = {"number": "0x0", "hash": "0x" + "00" * 32, "baseFeePerGas": "0x1"}
            for call in exchange.calls:
                if call["method"] == "eth_getBlockByNumber" and call["params"][0] == "finalized":
                    replies[call["id"]]["result"] = first

        self.faults.on("eth_getBlockByNumber", act, times=times)

    # --- what there is ------------------------------------------------------------------------------

    async def children(self, tx: Transaction) -> list[Transaction]:
        return await transactions.children(self.core.db, tx.id)

    async def said(self, *txs: Transaction) -> list[tuple[str, str | None]]:
        """Status and code of each, as it is now."""
        rows = [await self.row(tx) for tx in txs]
        return [(row.status.value, row.error_code) for row in rows]

    async def rows_of(self, tx: Transaction) -> list[tuple[str, str, str, int]]:
        """Kind, asset's last part, state, and what was settled or else is set aside."""
        return sorted(
            (
                row.kind.value,
                row.asset.split(":")[-1],
                row.state.value,
                row.reserved if row.settled is None else row.settled,
            )
            for row in await ledger.of_transaction(self.core.db, tx.id)
        )

    async def states(self, tx: Transaction) -> list[tuple[str, AttemptStatus]]:
        return [(one.kind.value, one.status) for one in await self.attempts(tx)]

    async def nonces(self, *txs: Transaction) -> list[int | None]:
        """Of the newest attempt of each."""
        return [(await self.attempts(tx))[-1].nonce for tx in txs]

    async def all_done(self, rounds: int = 12) -> None:
        """Workers go on until nothing moves any more."""
        for _ in range(rounds):
            await self.work()
            rows = await self.rows()
            if all(row.finished_at for row in rows):
                break
        await self.confirm()

    async def work(self) -> None:
        """What the execute worker would take, once; then one look at the chain."""
        rows, _ = await queue.to_execute(self.core.db, self.network, after="", limit=100)
        for tx in rows:
            await self.execute(tx)
        await self.confirm()

    async def work_some(self) -> None:
        """One round of a worker that is not stopped by what has to wait."""
        rows, _ = await queue.to_execute(self.core.db, self.network, after="", limit=100)
        for tx in rows:
            with suppress(Transient):
                await self.execute(tx)
        await self.confirm()

    def time_passes(self) -> None:
        """From now on every look at the chain takes a moment."""
        self.faults.listeners.append(
            lambda methods: self.clock.move(0.5) if "eth_getTransactionReceipt" in methods else 0
        )

    async def verify(self) -> None:
        """Every invariant, from the file and from the chain's own word."""
        books = invariants.read_books(self.data.data / "waiaas.db")
        told = await self._told()
        broken = list(invariants.breaches(books, {"ethereum": told}, tampered=self.tampered))
        assert not broken, "\n".join(broken)

    async def _told(self) -> Told:
        known = {one.hash: one for one in map(signed.evm, {*self.faults.sent, *self.strange})}
        landed = [one async for one in self._landed(known)]
        addresses = [self.alice.public_key, self.bob.public_key]
        balances = {address.lower(): await self.node.balance(address) for address in addresses}
        return Told(tuple(landed), balances, self.endowed, frozenset(signed.evm(raw).hash for raw in self.strange))

    async def _landed(self, known: dict[str, Any]) -> AsyncIterator[Landed]:
        head = await self.node.number("eth_blockNumber")
        for number in range(head + 1):
            block = await self.node.call("eth_getBlockByNumber", hex(number), False)
            for key in block["transactions"]:
                if key in known:
                    receipt = await self.node.call("eth_getTransactionReceipt", key)
                    fee = int(receipt["gasUsed"], 16) * int(receipt["effectiveGasPrice"], 16)
                    ok = receipt["status"] == "0x1"
                    yield Landed(known[key], ok, fee, known[key].value if ok else 0, block=number)


def _nobody(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("there is no Solana here")


def proxy(url: str) -> ASGIApp:
    """A node on a socket, as an application."""

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        body = bytearray()
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        async with httpx.AsyncClient(trust_env=False) as http:
            reply = await http.post(url, content=bytes(body), headers={"content-type": "application/json"})
        await send({"type": "http.response.start", "status": reply.status_code, "headers": []})
        await send({"type": "http.response.body", "body": reply.content})

    return application


class Maker:
    """Whoever made the contracts."""

    def __init__(self, node: Node) -> None:
        self.node, self.key, self.nonce = node, PrivateKey(b"\x11" * 32), 0
        public = self.key.public_key.format(compressed=False)
        self.address = "0x" + keccak(public[1:])[-20:].hex()

    async def land(self, to: str, data: bytes) -> dict[str, Any]:
        sent = await self.send(to, data)
        while not (receipt := await self.node.call("eth_getTransactionReceipt", sent)):
            await asyncio.sleep(0.01)
        assert receipt["status"] == "0x1"
        return dict(receipt)

    async def send(self, to: str, data: bytes) -> str:
        fields = [CHAIN_ID, self.nonce, GWEI, 20 * GWEI, 2_000_000, bytes.fromhex(to[2:]), 0, data, []]
        signature = self.key.sign_recoverable(keccak(b"\x02" + rlp.encode(fields)), hasher=None)
        r, s = (int.from_bytes(part, "big") for part in (signature[:32], signature[32:64]))
        raw = b"\x02" + rlp.encode([*fields, signature[64], r, s])
        self.nonce += 1
        return str(await self.node.call("eth_sendRawTransaction", "0x" + raw.hex()))

    async def deploy(self, name: str, arguments: bytes = b"") -> str:
        made = await self.land("", bytes.fromhex(CONTRACTS[name]["bytecode"][2:]) + arguments)
        return build.address(made["contractAddress"])

    async def token(self, owner: str) -> Token:
        head = [128, 192, 6, 10**12]
        arguments = b"".join(one.to_bytes(32, "big") for one in head) + b"".join(
            len(text).to_bytes(32, "big") + text.encode().ljust(32, b"\0") for text in ("Test", "TKN")
        )
        address = await self.deploy("Token", arguments)
        await self.land(address, abi.call(abi.TRANSFER, owner, 1_000_000))
        return Token(address, 6, "TKN")


async def make_evm_cast(data: paths.DataDir, chain: ASGIApp, clock: ManualClock) -> EvmCast:
    """A wallet with Alice and Bob in a new directory, and the contracts on the chain."""
    paths.create(data)
    await app.initialise(data, settings(), PASSWORD, clock=clock)
    opened = open_master(data.keystore, PASSWORD.encode())
    nobody: Any = None
    draft = EvmCast(nobody, nobody, nobody, opened, 0, token=Token("", 6, "TKN"), probe="")
    world = EvmWorld(data, draft, clock, chain)
    async with world.open_core(settings(rpc=RPC)) as core:
        alice, bob = [
            await agent_steps.create(core, name=name, chain=Chain.ETHEREUM, network=EVM, actor=OPERATOR)
            for name in ("alice", "bob")
        ]
        session = await session_steps.issue(core, a_session(alice.id, clock.now()), OPERATOR)
        maker = Maker(world.node)
        await world.node.call("anvil_setBalance", maker.address, hex(10 * ETHER))
        token, probe = await maker.token(alice.public_key), await maker.deploy("Probe")
        return EvmCast(alice, bob, session, opened, clock.wall(), token=token, probe=probe)


async def _open(world: EvmWorld) -> AsyncIterator[EvmWorld]:
    for agent in (world.alice, world.bob):
        world.endowed[agent.public_key.lower()] = await world.node.balance(agent.public_key)
    yield world
    world.faults.heal()
    await world.verify()


@asynccontextmanager
async def open_evm_world(template: Path, cast: EvmCast, directory: Path) -> AsyncIterator[EvmWorld]:
    """A copy of the template's wallet and chain; the invariants are checked when the test is over."""
    shutil.copytree(template, directory)
    data, clock = paths.DataDir(directory), ManualClock(cast.now + 10)
    async with open_evm(data.localnet, clock) as chain:
        async for world in _open(EvmWorld(data, cast, clock, chain)):
            yield world


@asynccontextmanager
async def open_anvil_world(url: str, directory: Path) -> AsyncIterator[EvmWorld]:
    """The same wallet beside a real node."""
    data, clock, chain = paths.DataDir(directory), ManualClock(), proxy(url)
    cast = await make_evm_cast(data, chain, clock)
    clock.move(10)
    async for world in _open(EvmWorld(data, cast, clock, chain)):
        yield world
