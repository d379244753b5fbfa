"""AUTO_STOP: reads what happened in the order of commits, counts, and warns of an agent or suspends it."""

import asyncio
from collections import Counter, deque
from collections.abc import Sequence

import msgspec
import structlog

from waiaas.db import Statement
from waiaas.db.cache import Cache
from waiaas.domain import request as requests
from waiaas.domain.agent import AgentStatus
from waiaas.domain.effects import effects
from waiaas.domain.event import SYSTEM, About, AuditEvent, EventType
from waiaas.domain.policy import Policy, PolicyType
from waiaas.domain.rules.times import AutoStop, AutoStopAction, Firing, fires
from waiaas.errors import CorruptRow, StaleState
from waiaas.pipeline.core import Core
from waiaas.pipeline.stops.suspend import suspension
from waiaas.repositories import agents, audit, autostop, outbox, policies, settings, transactions, unfinished
from waiaas.repositories.autostop import Counted

#: `agents.suspension_reason` of what a policy stopped
SUSPENDED_BY = "auto_stop"
HOUR = 3600
#: places of the outbox that one look goes through
PAGE = 500
#: while much happens, seconds between two looks
REST_SECONDS = 0.05

log = structlog.get_logger()


class Hour:
    """The accepted requests of one agent in the last hour, in order, and to whom they went."""

    def __init__(self) -> None:
        self._requests: deque[tuple[int, frozenset[str]]] = deque()
        self._by_destination: Counter[str] = Counter()
        #: the last event that is in it
        self.seq = 0

    def add(self, event: Counted, destinations: frozenset[str]) -> None:
        """One more request, once; those that are an hour older leave."""
        if event.seq <= self.seq:
            return
        self.seq = event.seq
        self._requests.append((event.at, destinations))
        self._by_destination.update(destinations)
        while self._requests[0][0] <= event.at - HOUR:
            self._by_destination.subtract(self._requests.popleft()[1])

    @property
    def count(self) -> int:
        return len(self._requests)

    def most(self, destinations: frozenset[str]) -> int:
        """How many went to the one of these that most went to."""
        return max((self._by_destination[one] for one in destinations), default=0)


class AutoStopping:
    """Judges every event once: what it does about one is in the commit that moves on behind it."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._policies: Cache[tuple[int, list[Policy]]] = Cache(core.db, "policies", self._load)
        #: set when there may be something to judge
        self.soon = asyncio.Event()
        #: up to here there was no policy to judge by
        self._passed = 0
        self._idle = False
        self._hours: dict[str, Hour] = {}
        core.db.subscribe(self._on_commit)

    async def tick(self) -> float | None:
        """Judge what has happened since the last look."""
        # the newest event is read first: a policy that is not there yet is younger than all that is passed over
        last = await autostop.newest(self._core.db)
        version, found = await self._policies.get("")
        self._idle = not found
        if not found:
            self._passed = last
            return None
        stored = await autostop.cursor(self._core.db)
        begin = max(stored or 0, self._passed)
        last = min(last, begin + PAGE)
        if last <= begin:
            return None
        try:
            await self._judge_all(await autostop.after(self._core.db, begin, last), stored, last, version, found)
        except StaleState:
            # an agent, a row or a policy moved meanwhile: nothing was done, and it is judged again
            log.info("judged_again")
        return REST_SECONDS

    async def _judge_all(
        self, events: Sequence[Counted], cursor: int | None, last: int, version: int, found: Sequence[Policy]
    ) -> None:
        core = self._core
        for event in events:
            if firings := await self._judge_readable(event, found):
                async with core.lock(event.agent_id):
                    done = await self._consequences(event, firings)
                    here = autostop.move_on(cursor, event.seq, core.clock.now())
                    await core.db.commit(here, settings.policy_version_is(version), *done)
                cursor = event.seq
        if cursor is None or cursor < last:
            await core.db.commit(autostop.move_on(cursor, last, core.clock.now()))

    async def _judge_readable(self, event: Counted, found: Sequence[Policy]) -> list[tuple[Policy, AutoStop, Firing]]:
        """As `_judge`; a row that does not decode is passed over, for it would keep all others from being judged."""
        try:
            return await self._judge(event, found)
        except CorruptRow as error:
            log.error("not_judged", seq=event.seq, error=error.message)
            return []

    async def _judge(self, event: Counted, found: Sequence[Policy]) -> list[tuple[Policy, AutoStop, Firing]]:
        """The policies in scope that fire, each with the rule that does; a policy judges nothing older than itself."""
        rules = [
            (policy, policy.rules)
            for policy in found
            if isinstance(policy.rules, AutoStop)
            and policy.agent_id in (None, event.agent_id)
            and event.at >= policy.created_at
        ]
        failures = hourly = same = 0
        if event.event is EventType.AGENT_RESUMED:
            self._hours.pop(event.agent_id, None)
        elif event.event is EventType.TX_FAILED:
            failures = await self._failures(
                event, max((rule.consecutive_failures or 0 for _, rule in rules), default=0)
            )
        elif event.event is EventType.TX_REQUESTED and any(counts_requests(rule) for _, rule in rules):
            hourly, same = await self._requests(event)
        judged = [(policy, rule, fires(rule, failures, hourly, same)) for policy, rule in rules]
        return [(policy, rule, firing) for policy, rule, firing in judged if firing is not None]

    async def _failures(self, event: Counted, most: int) -> int:
        """Failures in a row up to this one, since the last success and since it was resumed."""
        ends = await autostop.ends_before(self._core.db, event.agent_id, event.seq + 1, most)
        row = [end.event is EventType.TX_FAILED for end in ends]
        return row.index(False) if False in row else len(row)

    async def _requests(self, event: Counted) -> tuple[int, int]:
        """Requests of the hour up to this one: all, and those to the counterparty of it that most went to."""
        destinations = await self._destinations(event)
        if (hour := self._hours.get(event.agent_id)) is None:
            hour = self._hours[event.agent_id] = await self._load_hour(event)
        hour.add(event, destinations)
        return hour.count, hour.most(destinations)

    async def _load_hour(self, event: Counted) -> Hour:
        """As it was before this event, read backwards until it was resumed or an hour is full."""
        found: list[Counted] = []
        page = [event]
        while page:
            page = await autostop.before(self._core.db, event.agent_id, page[-1].seq, PAGE)
            for one in page:
                if one.event is EventType.AGENT_RESUMED or one.at <= event.at - HOUR:
                    page = []
                    break
                if one.event is EventType.TX_REQUESTED:
                    found.append(one)
        hour = Hour()
        for one in reversed(found):
            hour.add(one, await self._destinations(one))
        return hour

    async def _destinations(self, event: Counted) -> frozenset[str]:
        """Everybody that the request pays, lets spend or calls."""
        assert event.tx_id is not None
        tx = await transactions.get(self._core.db, event.tx_id)
        agent = await self._core.agents.get(event.agent_id)
        try:
            request = requests.decode(tx.request)
        except msgspec.MsgspecError:
            log.exception("request_does_not_decode", tx_id=tx.id)
            return frozenset()
        return frozenset(effect.counterparty for effect in effects(request, tx.chain, sender=agent.public_key))

    async def _consequences(
        self, event: Counted, firings: Sequence[tuple[Policy, AutoStop, Firing]]
    ) -> list[Statement]:
        """Warnings, one per policy and hour, and one suspension of an agent that is not stopped yet."""
        core, now, about = self._core, self._core.clock.now(), About(event.agent_id, None, event.tx_id)
        is_active = (await agents.get(core.db, event.agent_id)).status is AgentStatus.ACTIVE
        done: list[Statement] = []
        stopped_by: list[str] = []
        for policy, rules, firing in firings:
            stops = rules.action is AutoStopAction.SUSPEND
            if stops and not is_active:
                continue
            if not stops and await autostop.has_warned(core.db, policy.id, event.agent_id, now - HOUR):
                continue
            told = {"policyId": policy.id, "action": rules.action, **msgspec.to_builtins(firing)}
            done += [
                autostop.fired(policy.id, event.agent_id, firing, stops=stops, now=now),
                audit.record(AuditEvent.AUTO_STOP_TRIGGERED, SYSTEM, now, about, **told),
                outbox.emit(EventType.AUTO_STOP_TRIGGERED, now, about, **told),
            ]
            stopped_by += [policy.id] if stops else []
        if stopped_by:
            rows = await unfinished.open_of_agent(core.db, event.agent_id)
            done += suspension(event.agent_id, rows, SUSPENDED_BY, now, SYSTEM, policies=stopped_by)
        return done

    async def _load(self, _: str) -> tuple[int, list[Policy]]:
        """The version is read first: the guard on it then fails rather than let a changed policy act."""
        version = await policies.version(self._core.db)
        return version, await policies.page(self._core.db, type=PolicyType.AUTO_STOP, enabled=True)

    def _on_commit(self, topics: frozenset[str]) -> None:
        if "policies" in topics:
            self._hours.clear()
            self.soon.set()
        elif not self._idle:
            self.soon.set()


def counts_requests(rules: AutoStop) -> bool:
    """Whether it has a rule about requests."""
    return rules.max_per_hour is not None or rules.max_same_destination_per_hour is not None
