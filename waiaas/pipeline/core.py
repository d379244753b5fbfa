"""What every step needs, made once by the composition root."""

import asyncio
from collections import Counter, defaultdict

import msgspec

from waiaas.chains.pool import Pool
from waiaas.clock import Clock
from waiaas.config import Config
from waiaas.db import Database
from waiaas.db.cache import Cache
from waiaas.domain.agent import Agent
from waiaas.domain.chain import Network
from waiaas.domain.gap import Gap
from waiaas.domain.policy import Policy
from waiaas.domain.session import Session
from waiaas.domain.switch import KillSwitch
from waiaas.keystore import Keystore
from waiaas.metrics import Metrics
from waiaas.pipeline.books import Books
from waiaas.pipeline.lanes import Lanes
from waiaas.pipeline.pace import Pace
from waiaas.pipeline.watch import Watch
from waiaas.repositories import agents, policies, sessions, switch

#: looks at which a landed transaction's block is gone before its bytes are sent again
MISSES = 3


class Waiting(msgspec.Struct, frozen=True):
    """Why an accepted transaction is not signed yet; times in epoch seconds."""

    reason: str
    since: int
    next_try_at: int
    tries: int


class Core:
    """Database, keystore, chains, and the mirrors in memory that commits keep honest."""

    def __init__(self, db: Database, clock: Clock, config: Config, keystore: Keystore, chains: Pool) -> None:
        self.db = db
        self.clock = clock
        self.config = config
        self.keystore = keystore
        self.chains = chains
        self.metrics = Metrics(clock)
        self.started_at = clock.now()
        self.stopping = False
        #: for how many seconds the event loop last stood still, and when that was noticed
        self.stood_still: tuple[float, int] | None = None
        #: networks whose signed bytes were not all looked up since the start: nothing is accepted or signed there
        self.reconciling: set[Network] = set()
        #: the kill switch as it was thrown, until it is on disk: it holds from its first moment on
        self.held: KillSwitch | None = None
        #: one thing at a time: storing what is held, and lifting it
        self.switching, self.recovering = asyncio.Lock(), asyncio.Lock()
        #: what the database does not know since an older one was put in its place; None if that never was
        self.gap: Gap | None = None
        #: agents whose key cannot be used, and why
        self.quarantined: dict[str, str] = {}
        #: why rows wait, by transaction id; found out again after a restart
        self.waiting: dict[str, Waiting] = {}
        self.agents: Cache[Agent] = Cache(db, "agent", self._load_agent)
        self.sessions: Cache[Session | None] = Cache(db, "session", self._load_session)
        self.switch: Cache[KillSwitch] = Cache(db, "switch", self._load_switch)
        self.policies: Cache[tuple[int, list[Policy]]] = Cache(db, "policies", self._load_policies)
        self.books = Books(db, clock)
        self.lanes = Lanes(db)
        self.paces: dict[Network, Pace] = defaultdict(lambda: Pace(clock))
        #: landed attempts → looks in a row at which their block was gone
        self._misses: Counter[str] = Counter()
        self.watch = Watch(db)
        db.subscribe(self._on_commit)
        self.execute_soon = asyncio.Event()
        self.allowances_soon = asyncio.Event()
        self.confirm_soon: dict[Network, asyncio.Event] = defaultdict(asyncio.Event)
        self.delays_soon = asyncio.Event()
        self.approvals_soon = asyncio.Event()
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    def lock(self, agent_id: str) -> asyncio.Lock:
        """One decision of an agent at a time: races for its ledger version stay rare, and its guard decides."""
        return self._locks[agent_id]

    def wait(self, tx_id: str, reason: str, pause_seconds: int) -> None:
        """Note why a transaction does not go on, and when it is tried again."""
        now, before = self.clock.now(), self.waiting.get(tx_id)
        since, tries = (before.since, before.tries) if before else (now, 0)
        self.waiting[tx_id] = Waiting(reason, since=since, next_try_at=now + pause_seconds, tries=tries + 1)

    def vanished(self, attempt_id: str) -> bool:
        """Whether a landed attempt has now been missing often enough to be believed: one endpoint may lag."""
        self._misses[attempt_id] += 1
        return self._misses[attempt_id] >= MISSES

    def found(self, attempt_id: str) -> None:
        """A landed attempt is still where it was."""
        self._misses.pop(attempt_id, None)

    def _on_commit(self, topics: frozenset[str]) -> None:
        """What has moved does not wait any more; the execute worker says so if it does."""
        for topic in topics if self.waiting else ():
            self.waiting.pop(topic.removeprefix("tx:"), None)

    async def _load_agent(self, agent_id: str) -> Agent:
        return await agents.get(self.db, agent_id)

    async def _load_session(self, session_id: str) -> Session | None:
        return await sessions.find(self.db, session_id)

    async def _load_switch(self, _: str) -> KillSwitch:
        return self.held or await switch.get(self.db)

    def hold(self, thrown: KillSwitch | None) -> None:
        """The kill switch in memory, whatever the database says; None lets go of it."""
        self.held = thrown
        self.switch.forget("")

    async def _load_policies(self, agent_id: str) -> tuple[int, list[Policy]]:
        """The version is read first: rules newer than it make the guard on it fail, never pass."""
        version = await policies.version(self.db)
        return version, await policies.page(self.db, agent_id=agent_id, enabled=True)
