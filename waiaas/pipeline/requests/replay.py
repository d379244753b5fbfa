"""Other policies over what was asked before: each stored request judged again at its own time; nothing is written."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

import msgspec
import structlog

from waiaas.domain.agent import Agent
from waiaas.domain.decision import Decision, Outcome, decode_decision
from waiaas.domain.effects import effects
from waiaas.domain.history import Entry, Made, Past
from waiaas.domain.ledger import KEPT_SECONDS
from waiaas.domain.policy import Policy
from waiaas.domain.request import decode as decode_request
from waiaas.domain.session import Session
from waiaas.domain.tier import Tier
from waiaas.domain.transaction import Status, Transaction
from waiaas.pipeline.core import Core
from waiaas.pipeline.requests.assess import margin
from waiaas.pipeline.requests.judge import ancestors
from waiaas.pipeline.requests.rows import due
from waiaas.policy import Facts, SessionFacts, decide, lookback
from waiaas.policy.history import History
from waiaas.repositories import ledger, requests

#: rows that are read, versions of the ledger whose rows are, and decisions that are made before others have their turn
ROWS, VERSIONS, DECISIONS = 100, 250, 4
log = structlog.get_logger()


class Judged(msgspec.Struct, frozen=True):
    """A request, as it was decided then and as it would have been."""

    tx: Transaction
    was: Decision
    now: Decision

    @property
    def flips(self) -> bool:
        """Whether outcome, tier or code would have been another."""
        return _told(self.was) != _told(self.now)


class Replayed(msgspec.Struct, frozen=True):
    """Every request that was judged again, oldest first."""

    judged: tuple[Judged, ...]

    @property
    def allowed(self) -> tuple[int, int]:
        """How many passed, and how many would have."""
        return _allowed(each.was for each in self.judged), _allowed(each.now for each in self.judged)

    @property
    def tiers(self) -> tuple[Counter[Tier], Counter[Tier]]:
        """How many passed in each tier, and how many would have."""
        return _tiers(each.was for each in self.judged), _tiers(each.now for each in self.judged)

    @property
    def flips(self) -> list[Judged]:
        """What would have been decided otherwise."""
        return [each for each in self.judged if each.flips]


async def replay(
    core: Core, policies: Sequence[Policy], *, agent_id: str | None, since: int, until: int, limit: int
) -> Replayed:
    """Judge the newest `limit` requests made from `since` to before `until` by these policies instead of those then.

    Each meets the ledger, the counts and the owner as they were, less what these policies would have refused before
    it, and plus what only they would have let pass. AUTO_STOP judges outcomes and has no say here. What each session
    is limited to has not changed since, and holds.
    """
    judged: list[Judged] = []
    for agent, found in await _by_agent(core, agent_id, since, until, limit):
        judged += await _replay_agent(core, policies, agent, found)
    return Replayed(tuple(sorted(judged, key=lambda each: each.tx.id)))


def _told(decision: Decision) -> tuple[str, str | None, str | None]:
    return decision.outcome, decision.tier, decision.code


def _allowed(decisions: Iterable[Decision]) -> int:
    return sum(decision.outcome is Outcome.ALLOW for decision in decisions)


def _tiers(decisions: Iterable[Decision]) -> Counter[Tier]:
    return Counter(decision.tier for decision in decisions if decision.tier is not None)


async def _by_agent(
    core: Core, agent_id: str | None, since: int, until: int, limit: int
) -> list[tuple[Agent, list[tuple[Transaction, Past]]]]:
    """The requests of each agent, oldest first."""
    found: defaultdict[str, list[tuple[Transaction, Past]]] = defaultdict(list)
    before, left = "", limit
    while left > 0:
        rows = await requests.judged(
            core.db, agent_id=agent_id, since=since, until=until, before=before, limit=min(left, ROWS)
        )
        for tx in rows:
            agent = await core.agents.get(tx.agent_id)
            if past := _past(tx, agent):
                found[agent.id].append((tx, past))
        if len(rows) < min(left, ROWS):
            break
        left -= len(rows)
        until, before = rows[-1].created_at, rows[-1].id
        await asyncio.sleep(0)
    return [(await core.agents.get(each), sorted(pasts, key=lambda pair: pair[0].id)) for each, pasts in found.items()]


def _past(tx: Transaction, agent: Agent) -> Past | None:
    """None, which is logged, for a row that this version cannot read."""
    try:
        request, decision = decode_request(tx.request), decode_decision(tx.decision or "")
    except msgspec.MsgspecError:
        log.exception("request_does_not_decode", tx_id=tx.id)
        return None
    gone = tx.status in (Status.CANCELLED, Status.EXPIRED)
    made = Made(tx.id, tx.session_id, tx.created_at, gone)
    return Past(made, request, effects(request, tx.chain, sender=agent.public_key), decision)


async def _replay_agent(
    core: Core, policies: Sequence[Policy], agent: Agent, found: Sequence[tuple[Transaction, Past]]
) -> list[Judged]:
    pasts = [past for _, past in found]
    lineage = await _lineage(core, pasts)
    seconds, most = lookback(policies, agent.id)
    entries = await _entries(core, agent, pasts, lineage)
    earlier = await _earlier(core, agent, pasts[0], _since(pasts[0], seconds, lineage))
    ids = {each: tuple(session.id for session in line) for each, line in lineage.items()}
    history = await asyncio.to_thread(History, agent.chain, entries, earlier, pasts, ids)
    judged = []
    for number, (tx, past) in enumerate(found):
        if number % DECISIONS == 0:
            await asyncio.sleep(0)
        history.go_to(past)
        recent = history.recent(past.decision.facts.now - seconds, most)
        decision = _decide(core, policies, agent, past, history, recent, lineage)
        judged.append(Judged(tx, past.decision, decision))
        if decision.outcome is Outcome.ALLOW:
            history.allow(past, decision)
        else:
            history.deny(past)
    return judged


def _decide(
    core: Core,
    policies: Sequence[Policy],
    agent: Agent,
    past: Past,
    history: History,
    recent: tuple[int, ...],
    lineage: dict[str, list[Session]],
) -> Decision:
    """As `assess` decides: with more room for the fee of what would wait."""
    then, security = past.decision.facts, core.config.security
    fee, waiting_fee = fees(past)
    facts = Facts(
        now=then.now,
        chain=agent.chain,
        agent_id=agent.id,
        effects=past.effects,
        fee=fee,
        book=history.book,
        recent=recent,
        sessions=tuple(
            SessionFacts(
                id=session.id,
                constraints=session.constraints,
                spent=history.spent_by(session.id),
                transactions=history.transactions_of(session.id),
            )
            for session in lineage.get(past.made.session_id or "", ())
        ),
        owner_locked=then.owner_locked,
        policy_version=past.decision.policy_version,
        default_delay_seconds=security.policy_defaults_delay_seconds,
        default_approval_timeout=security.policy_defaults_approval_timeout,
    )
    decision = decide(past.request, policies, facts)
    if due(decision, then.now) is None:
        return decision
    return decide(past.request, policies, msgspec.structs.replace(facts, fee=waiting_fee))


def fees(past: Past) -> tuple[int, int]:
    """What was set aside for the fee, or would have been: if it went on at once, and if it had to wait."""
    fee = int(past.decision.facts.fee)
    if due(past.decision, 0) is None:
        return fee, margin(fee, waits=True)
    return fee * 2 // 3, fee


async def _lineage(core: Core, pasts: Sequence[Past]) -> dict[str, list[Session]]:
    """Each session and its ancestors, where one of them is limited."""
    found = {}
    for session_id in {past.made.session_id for past in pasts if past.made.session_id is not None}:
        if (session := await core.sessions.get(session_id)) is None:
            continue
        line = [session, *await ancestors(core, session)]
        if any(each.constraints is not None for each in line):
            found[session_id] = line
    return found


def _since(first: Past, seconds: int, lineage: dict[str, list[Session]]) -> int:
    """How far back something may count: to where a window opens, and to the beginning of a limited session."""
    begun = [session.created_at for line in lineage.values() for session in line]
    return min([first.made.created_at - seconds, *begun])


async def _entries(
    core: Core, agent: Agent, pasts: Sequence[Past], lineage: dict[str, list[Session]]
) -> Iterable[Entry]:
    """The rows of the ledger, each as it stands now, whatever is written meanwhile."""
    since, until = _since(pasts[0], KEPT_SECONDS, lineage), pasts[-1].made.created_at
    found: dict[str, Entry] = {}
    after = -1
    while after < (newest := (await core.books.book(agent.id)).version):
        to = min(after + VERSIONS, newest)
        rows = await ledger.history(core.db, agent.id, after=after, to=to, since=since, until=until)
        found |= {entry.row.id: entry for entry in rows}
        after = to
        await asyncio.sleep(0)
    return found.values()


async def _earlier(core: Core, agent: Agent, first: Past, since: int) -> list[Made]:
    """The requests before the first one, oldest first."""
    found: list[Made] = []
    until, before = first.made.created_at, first.made.id
    while rows := await requests.made_earlier(
        core.db, agent.id, since=since, until=until, before=before, then=first.made.created_at, limit=ROWS
    ):
        found += rows
        until, before = rows[-1].created_at, rows[-1].id
        await asyncio.sleep(0)
    return found[::-1]
