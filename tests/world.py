"""A wallet, a chain that outlives it, a clock held in the hand, and faults in between: what the pipeline is tried in.

The chain runs beside the daemon, as a node does, so a daemon can die and be opened again on the same directory. Time
stands still until a test moves it, or until `time_passes` lets every look at the chain take a slot.
"""

import asyncio
import copy
import shutil
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
from starlette.types import ASGIApp

from tests import invariants
from tests.conftest import PASSWORD, ManualClock, settings
from tests.faults import FaultLayer
from waiaas import app, paths
from waiaas.config import Config
from waiaas.db import Statement
from waiaas.domain.agent import Agent
from waiaas.domain.chain import Chain, Network
from waiaas.domain.event import About, Actor, AuditEvent
from waiaas.domain.ledger import LedgerKind, LedgerRow
from waiaas.domain.policy import Policy, PolicyType, parse_rules
from waiaas.domain.request import Transfer
from waiaas.domain.session import Constraints, Session
from waiaas.domain.transaction import FINAL, Attempt, Status, Transaction
from waiaas.ids import new_id
from waiaas.keystore import Keystore
from waiaas.keystore.master import Opened, open_master
from waiaas.keystore.passwords import PasswordCheck
from waiaas.localnet import open_solana
from waiaas.pipeline.core import Core
from waiaas.pipeline.landing.confirm import confirm
from waiaas.pipeline.registry import agents as agent_steps
from waiaas.pipeline.registry import policies as policy_steps
from waiaas.pipeline.registry import sessions as session_steps
from waiaas.pipeline.requests.submit import Accepted, submit
from waiaas.pipeline.signing.execute import execute
from waiaas.pipeline.stops import switch as switch_steps
from waiaas.pipeline.waiting.cancel import cancel
from waiaas.pipeline.waiting.release import expire_unsigned
from waiaas.repositories import agents, attempts, audit, ledger, transactions

LOCALNET = Network.LOCALNET
OPERATOR = Actor("operator")
SOL = 10**9
#: a slot of the embedded chain, and a little
SLOT = 0.5
#: after this long a blockhash is dead: 150 slots, and the one that ends
DEATH = 61

EVENTS = "SELECT event_type FROM outbox WHERE tx_id = :id ORDER BY seq"
AUDITED = "SELECT event_type FROM audit_log WHERE tx_id = :id ORDER BY id"
DETAILS = "SELECT details FROM audit_log WHERE tx_id = :id AND event_type = :event ORDER BY id DESC LIMIT 1"
EVERY = "SELECT id FROM transactions ORDER BY id"

THROW = "UPDATE kill_switch SET state = 'ACTIVATED', generation = generation + 1 WHERE id = 1"
RECOVER = "UPDATE kill_switch SET state = 'NORMAL' WHERE id = 1"
TAMPER = "UPDATE transactions SET request = :request WHERE id = :id"
OWN = "UPDATE agents SET owner_address = 'somebody', owner_verified = 1 WHERE id = :id"


class Cast(msgspec.Struct, frozen=True):
    """Who acts: Alice has a session and 100 SOL, Bob has 100 SOL; `now` is when they were made."""

    alice: Agent
    bob: Agent
    session: Session
    opened: Opened
    now: float


class World:
    """One wallet and its chain; the steps of the pipeline by hand, or a whole daemon."""

    operator = OPERATOR
    settings = staticmethod(settings)
    network = LOCALNET

    def __init__(self, data: paths.DataDir, cast: Cast, clock: ManualClock, chain: ASGIApp) -> None:
        self.data = data
        self.alice, self.bob, self.session, self._opened = cast.alice, cast.bob, cast.session, cast.opened
        self.clock = clock
        self.faults = FaultLayer(chain)
        #: the stored request was changed by hand, so that what lands is not what the row asks for
        self.tampered = False
        #: signatures of what an agent's key did elsewhere
        self.strangers: list[str] = []
        self.core: Core

    # --- the daemon, and its parts ----------------------------------------------------------------

    @asynccontextmanager
    async def open_core(self, config: Config | None = None) -> AsyncIterator[Core]:
        """Everything but workers and HTTP: nothing happens that the test does not do."""
        keystore = self.unlock()
        async with app.open_core(
            self.data, config or settings(), keystore, clock=self.clock, transports=self.transports()
        ) as core:
            await app.open_keys(core)
            self.core = core
            yield core
        keystore.lock()

    @asynccontextmanager
    async def open_daemon(self, config: Config | None = None) -> AsyncIterator[app.Daemon]:
        """The whole of it, workers running."""
        keystore = self.unlock()
        async with app.open_daemon(
            self.data,
            config or settings(),
            keystore,
            clock=self.clock,
            options=app.Options(),
            transports=self.transports(),
        ) as daemon:
            self.core = daemon.core
            yield daemon

    def unlock(self) -> Keystore:
        """The keystore as `Keystore.unlock` gives it; the password was stretched once for all tests."""
        opened = copy.deepcopy(self._opened)
        return Keystore(self.data.keystore, opened, PasswordCheck(PASSWORD.encode()))

    def transports(self) -> dict[Network, httpx.AsyncBaseTransport]:
        return {self.network: httpx.ASGITransport(app=self.faults)}

    def second_core(self) -> Core:
        """Another process, as far as locks in memory go: what it does races with what `core` does."""
        core = self.core
        return Core(core.db, core.clock, core.config, core.keystore, core.chains)

    def time_passes(self) -> None:
        """From now on every look at the chain takes a slot."""
        self.faults.listeners.append(lambda methods: self.clock.move(SLOT) if "getSignatureStatuses" in methods else 0)

    def check(self) -> None:
        """Every invariant, from the files alone."""
        strangers = frozenset(self.strangers)
        database = self.data.data / "waiaas.db"
        invariants.check(database, self.data.localnet, tampered=self.tampered, strangers=strangers)

    # --- what callers do ----------------------------------------------------------------------------

    async def send(self, amount: int = 1000, **how: Any) -> Transaction:
        """A transfer from Alice to Bob, accepted; keyword arguments as of `ask`."""
        accepted: Accepted = await self.ask(amount, **how)
        return accepted.tx

    def ask(
        self,
        amount: int = 1000,
        *,
        to: str | None = None,
        memo: str | None = None,
        key: str | None = None,
        session: Session | None = None,
        core: Core | None = None,
    ) -> Awaitable[Accepted]:
        request = Transfer(to or self.bob.public_key, str(amount), memo)
        session = session or self.session
        actor = Actor(f"session:{session.id}")
        return submit(
            core or self.core, self.alice, session, request, key=key, distinct=True, provenance=None, actor=actor
        )

    async def cancel(self, tx: Transaction) -> Transaction:
        return await cancel(self.core, tx.id, self.alice.id, OPERATOR)

    async def issue(self, **constraints: Any) -> Session:
        """Another session of Alice's."""
        given = Constraints(**constraints) if constraints else None
        session = a_session(self.alice.id, self.clock.now(), constraints=given)
        return await session_steps.issue(self.core, session, OPERATOR)

    async def limit(self, agent_id: str | None = None, **rules: Any) -> Policy:
        """One more SPENDING_LIMIT; amounts are digit strings."""
        parsed = parse_rules(PolicyType.SPENDING_LIMIT, rules, chain=Chain.SOLANA)
        policy = a_policy(parsed, agent_id or self.alice.id, self.clock.now())
        return await policy_steps.create(self.core, policy, OPERATOR)

    async def revoke(self) -> None:
        await session_steps.revoke(self.core, self.session.id, OPERATOR)

    async def terminate(self) -> None:
        await agent_steps.terminate(self.core, self.alice.id, OPERATOR)

    async def suspend(self) -> None:
        now = self.clock.now()
        await self.core.db.commit(
            agents.mark_suspended(self.alice.id, "operator", now),
            audit.record(AuditEvent.AGENT_SUSPENDED, OPERATOR, now, About(self.alice.id), reason="operator"),
        )

    async def throw_switch(self) -> None:
        await self.by_hand(THROW, touches="switch")

    async def activate(self, reason: str | None = None) -> switch_steps.Activation:
        """The kill switch, with all that goes with it."""
        return await switch_steps.activate(self.core, OPERATOR, reason)

    async def recover(self) -> switch_steps.Waiting | switch_steps.Recovered:
        return await switch_steps.recover(self.core, PASSWORD.encode(), OPERATOR)

    async def recover_switch(self) -> None:
        await self.by_hand(RECOVER, touches="switch")

    async def by_hand(self, sql: str, touches: str | None = None, **params: Any) -> None:
        """A commit that no step of this version makes yet, or none ever should."""
        await self.core.db.commit(Statement(sql, params, touches=touches))

    # --- what workers do ----------------------------------------------------------------------------

    async def execute(self, tx: Transaction) -> Transaction:
        """One try of the execute worker, on the row as it is now."""
        await execute(self.core, await self.row(tx))
        return await self.row(tx)

    async def execute_row(self, tx: Transaction) -> None:
        """One try on a row as it was once read."""
        await execute(self.core, tx)

    async def expire(self) -> None:
        await expire_unsigned(self.core)

    async def confirm(self, seconds: float = SLOT) -> None:
        """The confirm worker's next look, some seconds later."""
        self.clock.move(seconds)
        await confirm(self.core, self.network)

    async def work(self) -> None:
        """Everything that is PENDING or EXECUTING is tried once, and then looked up."""
        for tx in await self.rows():
            if tx.status in (Status.PENDING, Status.EXECUTING):
                await self.execute(tx)
        await self.confirm()

    async def pay(self, amount: int = 1000, **how: Any) -> Transaction:
        """A transfer from its acceptance to its end."""
        tx = await self.execute(await self.send(amount, **how))
        await self.confirm()
        return await self.row(tx)

    # --- what there is ------------------------------------------------------------------------------

    async def row(self, tx: Transaction) -> Transaction:
        return await transactions.get(self.core.db, tx.id)

    async def rows(self) -> list[Transaction]:
        return [await transactions.get(self.core.db, row["id"]) for row in await self.core.db.fetch_all(EVERY)]

    async def height(self) -> int:
        """The chain's block height at this moment."""
        chain: Any = self.core.chains.chain(self.network)
        return int(await chain.rpc.call("getBlockHeight", [], msgspec.json.decode))

    def stored_bytes(self) -> list[bytes]:
        """Every signed byte string that the file holds at this moment."""
        return [attempt["raw"] for attempt in invariants.read_books(self.data.data / "waiaas.db").attempts]

    async def attempts(self, tx: Transaction) -> list[Attempt]:
        return await attempts.of_transaction(self.core.db, tx.id)

    async def ledger(self, tx: Transaction) -> dict[LedgerKind, LedgerRow]:
        return {row.kind: row for row in await ledger.of_transaction(self.core.db, tx.id)}

    async def booked(self, tx: Transaction) -> dict[str, tuple[str, int]]:
        """Kind → state, and what was settled or else is set aside."""
        found = await self.ledger(tx)
        return {
            kind.value: (row.state.value, row.reserved if row.settled is None else row.settled)
            for kind, row in found.items()
        }

    async def audited(self, tx: Transaction) -> list[str]:
        return [row["event_type"] for row in await self.core.db.fetch_all(AUDITED, {"id": tx.id})]

    async def events(self, tx: Transaction) -> list[str]:
        return [row["event_type"] for row in await self.core.db.fetch_all(EVENTS, {"id": tx.id})]

    async def details(self, tx: Transaction, event: str) -> dict[str, Any]:
        """What the newest audit row of that kind says."""
        row = await self.core.db.fetch_one(DETAILS, {"id": tx.id, "event": event})
        assert row is not None, f"no {event}"
        return msgspec.json.decode(row["details"], type=dict[str, Any])

    async def balance(self, agent: Agent) -> int:
        return await self.core.chains.chain(self.network).balance(agent.public_key)

    async def agent(self) -> Agent:
        return await agents.get(self.core.db, self.alice.id)

    async def until(self, there: Callable[[Agent], bool], *, within_seconds: float = 20) -> Agent:
        """Alice as workers have left her; TimeoutError if they do not bring her there."""
        async with asyncio.timeout(within_seconds):
            while not there(agent := await self.agent()):
                await asyncio.sleep(0.02)
            return agent

    async def ended(self, tx: Transaction, *, within_seconds: float = 20) -> Transaction:
        """The row once workers have brought it to its end."""
        return await self.reached(tx, lambda row: row.status in FINAL, within_seconds=within_seconds)

    async def reached(
        self, tx: Transaction, there: Callable[[Transaction], bool], *, within_seconds: float = 20
    ) -> Transaction:
        """The row once it is as asked; AssertionError if workers do not bring it there."""
        event = self.core.watch.listen(tx.id)
        assert event is not None
        try:
            while not there(row := await self.row(tx)):
                assert await self.core.watch.moved(tx.id, event, within_seconds), f"still {row.status}"
            return row
        finally:
            self.core.watch.leave(tx.id, event)

    async def statuses(self) -> Counter[str]:
        return Counter(row.status.value for row in await self.rows())


class Between:
    """The database, and something that happens around the next commit, or look, that carries a statement."""

    def __init__(
        self,
        db: Any,
        sql: str,
        *,
        before: Callable[[], Awaitable[Any]] | None = None,
        after: Callable[[], Awaitable[Any]] | None = None,
    ) -> None:
        self._db, self._sql, self._before, self._after = db, sql, before, after

    def __getattr__(self, name: str) -> Any:
        return getattr(self._db, name)

    async def commit(self, *statements: Statement) -> None:
        act = self._db.commit(*statements)
        await (self._around(act) if any(statement.sql == self._sql for statement in statements) else act)

    async def fetch_one(self, sql: str, params: Any = None) -> Any:
        act = self._db.fetch_one(sql, params or {})
        return await (self._around(act) if sql == self._sql else act)

    async def _around(self, act: Coroutine[Any, Any, Any]) -> Any:
        before, after, self._before, self._after = self._before, self._after, None, None
        try:
            if before is not None:
                await before()
        except BaseException:
            act.close()
            raise
        result = await act
        if after is not None:
            await after()
        return result


class Mortal:
    """A daemon that can die: before or after its `act`-th act, after a commit with `sql`, or at its call of `method`.

    Acts are commits and exchanges with the node. Once dead, nothing it does reaches the outside any more.
    """

    class Death(BaseException):
        """The process is gone."""

    def __init__(
        self, act: int | None = None, *, sql: str | None = None, method: str | None = None, after: bool = False
    ) -> None:
        self._act, self._sql, self._method, self._after = act, sql, method, after
        self._db: Any = None
        self._node: Any = None
        self.acts = 0
        self.dead = False

    def possess(self, core: Core, faults: FaultLayer) -> None:
        """From now on everything that this core does to the outside passes through here."""
        self._db, core.db = core.db, self  # type: ignore[assignment]
        self._node, faults.node = faults.node, self

    def leave(self, core: Core, faults: FaultLayer) -> None:
        core.db, faults.node = self._db, self._node

    def __getattr__(self, name: str) -> Any:
        return getattr(self._db, name)

    async def commit(self, *statements: Statement) -> None:
        """One act on the database."""
        met = self._sql is not None and any(statement.sql == self._sql for statement in statements)
        await self._do(self._db.commit(*statements), dies_after=met)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """One act on the node."""
        body = (await receive())["body"]
        met = self._method is not None and self._method.encode() in body

        async def again() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        await self._do(
            self._node(scope, again, send), dies_before=met and not self._after, dies_after=met and self._after
        )

    async def _do(self, act: Coroutine[Any, Any, None], *, dies_before: bool = False, dies_after: bool = False) -> None:
        self.acts += 1
        now = self.acts == self._act
        if self.dead or dies_before or (now and not self._after):
            self.dead = True
            act.close()
            raise self.Death
        await act
        if dies_after or now:
            self.dead = True
            raise self.Death


def a_session(agent_id: str, now: int, **changed: Any) -> Session:
    """A session of an agent, good for a day."""
    session_id = new_id()
    session = Session(
        id=session_id,
        agent_id=agent_id,
        parent_id=None,
        name=None,
        token_hash=session_id,
        constraints=None,
        expires_at=now + 86400,
        absolute_expires_at=now + 86400,
        renewal_count=0,
        max_renewals=0,
        last_renewed_at=None,
        revoked_at=None,
        created_at=now,
    )
    return msgspec.structs.replace(session, **changed)


def a_policy(rules: Any, agent_id: str | None, now: int, **changed: Any) -> Policy:
    """A policy of one agent, or of all."""
    policy = Policy(new_id(), agent_id, PolicyType.SPENDING_LIMIT, rules, 0, True, False, 1, now, now)
    return msgspec.structs.replace(policy, **changed)


async def make_cast(data: paths.DataDir) -> Cast:
    """A wallet with Alice and Bob in a new directory."""
    clock = ManualClock()
    paths.create(data)
    await app.initialise(data, settings(), PASSWORD, clock=clock)
    async with open_solana(data.localnet, clock) as chain:
        nobody: Any = None
        opened = open_master(data.keystore, PASSWORD.encode())
        world = World(data, Cast(nobody, nobody, nobody, opened, 0), clock, chain)
        world.time_passes()
        async with world.open_core() as core:
            alice, bob = [
                await agent_steps.create(core, name=name, chain=Chain.SOLANA, network=LOCALNET, actor=OPERATOR)
                for name in ("alice", "bob")
            ]
            session = await session_steps.issue(core, a_session(alice.id, clock.now()), OPERATOR)
            return Cast(alice, bob, session, opened, clock.wall())


@asynccontextmanager
async def open_world(template: Path, cast: Cast, directory: Path) -> AsyncIterator[World]:
    """A copy of the template's wallet and chain; the invariants are checked when the test is over."""
    shutil.copytree(template, directory)
    data, clock = paths.DataDir(directory), ManualClock(cast.now + SLOT)
    async with open_solana(data.localnet, clock) as chain:
        world = World(data, cast, clock, chain)
        yield world
        world.check()
