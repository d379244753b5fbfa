"""Strangers: what an agent's key signed elsewhere and landed, found by what no attempt explains.

The last mark that was looked at is kept per agent (`landed:<id>` in key_value_store) and moves in the commit that tells
of a stranger, so each is told of once, whatever dies in between. A nonce lost under live bytes is for `follow.py` to
tell of.
"""

from collections.abc import Mapping, Sequence

import structlog

from waiaas.chains.base import Chain, Mark
from waiaas.db import Statement
from waiaas.domain.agent import Agent, AgentStatus
from waiaas.domain.chain import Network
from waiaas.domain.event import SYSTEM, About, AuditEvent, EventType
from waiaas.errors import StaleState
from waiaas.pipeline.core import Core
from waiaas.pipeline.each import each
from waiaas.pipeline.stops.restored import RESTORED
from waiaas.pipeline.stops.suspend import suspension as suspended
from waiaas.repositories import agents, attempts, audit, outbox, settings, unfinished

#: `agents.suspension_reason` of an agent whose key acted elsewhere
SUSPENDED_BY = "unknown_spend"
#: agents of one network looked at together
AT_ONCE = 100
#: marks of one agent that are asked about in one look
MOST = 100
#: how often a suspension is composed anew when a transaction moves under it
ROUNDS = 10

log = structlog.get_logger()


class Strangers:
    """Looks at every agent of a network in turn, a bounded number at once."""

    def __init__(self, core: Core) -> None:
        self._core = core
        #: the agent after which the next look begins
        self._after: dict[Network, str] = {}

    async def tick(self) -> None:
        """One look at each open network on which an agent may act."""
        core = self._core
        there = await agents.networks(core.db) & set(core.chains.networks())
        await each(*(self._look_on(network) for network in there - core.reconciling))

    async def _look_on(self, network: Network) -> None:
        found = await look(self._core, network, after=self._after.get(network, ""))
        self._after[network] = found[-1].id if len(found) == AT_ONCE else ""


async def look_at_all(core: Core, network: Network) -> None:
    """Every agent of a network, page after page; who cannot be looked at now is logged, and left to the next look."""
    found = await look(core, network, after="")
    while len(found) == AT_ONCE:
        found = await look(core, network, after=found[-1].id)


async def look(core: Core, network: Network, *, after: str) -> list[Agent]:
    """One page of agents: what has landed for them since the last look, and who signed it."""
    page = await agents.watched(core.db, network, after=after, limit=AT_ONCE)
    chain = core.chains.chain(network)
    await each(*(_look_at(core, chain, agent) for agent in page))
    return page


async def _look_at(core: Core, chain: Chain, agent: Agent) -> None:
    key = f"landed:{agent.id}"
    last: Mark | None = await settings.find(core.db, key)
    landed = await chain.landed_since(agent.public_key, last)
    if not landed:
        return
    if last is None and agent.key_exported_at == agent.created_at:
        # what an imported key did before it came here is nobody's business
        await core.db.commit(settings.put(key, landed[-1], core.clock.now()))
        return
    # read after the chain has answered: bytes are durable before they are sent
    explained = await attempts.explained(core.db, agent.network, agent.public_key, landed)
    strange = [mark for mark in landed if mark not in explained][:MOST]
    signed = await chain.signed_by(agent.public_key, strange) if strange else {}
    seen = _passed(landed, explained, signed)
    moved = [settings.put(key, seen[-1], core.clock.now())] if seen else []
    await _tell(core, agent, [mark for mark in strange if signed.get(mark)], moved)


def _passed(landed: Sequence[Mark], explained: set[Mark], signed: Mapping[Mark, bool]) -> Sequence[Mark]:
    """The marks in front of the first about which nothing is known yet."""
    unknown = (place for place, mark in enumerate(landed) if mark not in explained and mark not in signed)
    return landed[: next(unknown, None)]


async def _tell(core: Core, agent: Agent, strange: Sequence[Mark], moved: list[Statement]) -> None:
    """UNKNOWN_SPEND for each that was not told of before, and the end of the agent's freedom, in one commit."""
    told = await audit.strangers(core.db, agent.id) if strange else set()
    fresh = [mark for mark in strange if mark not in told]
    if not fresh:
        await core.db.commit(*moved)
        return
    log.error("unknown_spend", agent_id=agent.id, network=agent.network, marks=fresh)
    about = About(agent.id)
    for _ in range(ROUNDS):
        now = core.clock.now()
        try:
            async with core.lock(agent.id):
                agent = await agents.get(core.db, agent.id)
                stop = await suspension(core, agent, now) if agent.key_exported_at is None else []
                rows = [row for mark in fresh for row in unknown_spend(agent.network, mark, about, now)]
                await core.db.commit(*moved, *rows, *stop)
        except StaleState:
            continue
        core.execute_soon.set()
        return
    raise StaleState


def unknown_spend(network: Network, mark: Mark, about: About, now: int) -> list[Statement]:
    """The key acted elsewhere: audit and event. `mark` is a nonce or a signature."""
    told = {"network": network, "nonce" if isinstance(mark, int) else "txHash": mark}
    return [
        audit.record(AuditEvent.UNKNOWN_SPEND, SYSTEM, now, about, **told),
        outbox.emit(EventType.UNKNOWN_SPEND, now, about, **told),
    ]


async def suspension(core: Core, agent: Agent, now: int, *, but_items_of: str | None = None) -> list[Statement]:
    """A key that was never exported nor imported acted elsewhere: that is theft, and the agent stops.

    `but_items_of`: a batch whose items end with it. Stale if a transaction moves meanwhile.
    """
    if agent.status is AgentStatus.SUSPENDED and agent.suspension_reason not in (SUSPENDED_BY, RESTORED):
        # by the kill switch, say, which lets go on whom it has stopped itself; what is in a gap is strange in any case
        return [
            agents.mark_suspended_for(agent.id, SUSPENDED_BY, now),
            audit.record(AuditEvent.AGENT_SUSPENDED, SYSTEM, now, About(agent.id), reason=SUSPENDED_BY, cancelled=[]),
            outbox.emit(EventType.AGENT_SUSPENDED, now, About(agent.id), reason=SUSPENDED_BY),
        ]
    if agent.status is not AgentStatus.ACTIVE:
        return []
    rows = await unfinished.open_of_agent(core.db, agent.id)
    others = [row for row in rows if row.parent_id is None or row.parent_id != but_items_of]
    return suspended(agent.id, others, SUSPENDED_BY, now, SYSTEM)
