"""An agent stops for a while: what is not signed is cancelled in that commit; only the operator lets it go on."""

from collections.abc import Sequence

import msgspec

from waiaas.db import Statement
from waiaas.domain.agent import Agent, AgentStatus, check_running
from waiaas.domain.event import About, Actor, AuditEvent, EventType
from waiaas.domain.switch import KillSwitchState
from waiaas.domain.transaction import InFlight, Reason, Transaction
from waiaas.errors import (
    AgentIsTerminated,
    AgentNotSuspended,
    KillSwitchActive,
    StaleState,
    StorageBusy,
)
from waiaas.pipeline.core import Core
from waiaas.pipeline.end import cancel_all
from waiaas.pipeline.stops import restored
from waiaas.repositories import agents, audit, outbox, switch, unfinished

#: `agents.suspension_reason` of what the operator stopped
MANUAL = "manual"
#: how often a stop is composed anew when a transaction moves under it
ROUNDS = 10


class Suspended(msgspec.Struct, frozen=True):
    """What a suspension took with it, and (id, hash) of what may still land."""

    agent: Agent
    cancelled: int
    in_flight: list[InFlight]


async def suspend(core: Core, agent_id: str, actor: Actor, *, note: str | None = None) -> Suspended:
    """ACTIVE → SUSPENDED by the operator, whose `note` is kept in the audit log.

    AgentNotFound, AgentIsSuspended, AgentIsTerminated. PENDING and QUEUED are cancelled, EXECUTING meets the gate.
    """
    for _ in range(ROUNDS):
        check_running(await agents.get(core.db, agent_id))
        try:
            cancelled = await _stop(core, agent_id, actor, note)
        except StaleState:
            continue
        in_flight = await unfinished.in_flight(core.db, agent_id)
        return Suspended(await agents.get(core.db, agent_id), cancelled, in_flight)
    raise StorageBusy("The agent's transactions kept moving: nothing was done.")


async def _stop(core: Core, agent_id: str, actor: Actor, note: str | None) -> int:
    """Under the lock, so that nothing is accepted meanwhile; how many were cancelled."""
    async with core.lock(agent_id):
        now = core.clock.now()
        rows = await unfinished.open_of_agent(core.db, agent_id)
        await core.db.commit(*suspension(agent_id, rows, MANUAL, now, actor, note=note))
        return len(rows)


def suspension(
    agent_id: str, open_rows: Sequence[Transaction], reason: str, now: int, actor: Actor, **details: object
) -> list[Statement]:
    """ACTIVE → SUSPENDED with all that is not signed; stale if the agent or one of the rows has moved."""
    about = About(agent_id)
    given = {name: value for name, value in details.items() if value is not None}
    return [
        agents.mark_suspended(agent_id, reason, now),
        *cancel_all(open_rows, Reason.AGENT_SUSPENDED, now, actor),
        audit.record(
            AuditEvent.AGENT_SUSPENDED, actor, now, about, reason=reason, cancelled=[tx.id for tx in open_rows], **given
        ),
        outbox.emit(EventType.AGENT_SUSPENDED, now, about, reason=reason),
    ]


async def resume(core: Core, agent_id: str, actor: Actor) -> Agent:
    """SUSPENDED → ACTIVE, whatever it was suspended for; what AUTO_STOP counts begins anew with this event.

    For an agent that a restored database stopped, the audit row names the gap that is accepted with it.

    AgentNotFound, AgentNotSuspended, AgentIsTerminated, KillSwitchActive; StorageBusy if the reason changed meanwhile.
    """
    kill_switch = await core.switch.get("")
    agent = await agents.get(core.db, agent_id)
    if agent.is_ended:
        raise AgentIsTerminated()
    if agent.status is not AgentStatus.SUSPENDED:
        raise AgentNotSuspended()
    now, about, gap = core.clock.now(), About(agent_id), restored.gap_of(core, agent)
    lost = {} if gap is None else {"lostFrom": gap.lost_from, "lostTo": gap.lost_to}
    try:
        await core.db.commit(
            switch.is_off(kill_switch.generation),
            agents.mark_resumed(agent_id, agent.suspension_reason, now),
            audit.record(AuditEvent.AGENT_RESUMED, actor, now, about, was=agent.suspension_reason, **lost),
            outbox.emit(EventType.AGENT_RESUMED, now, about, reason=agent.suspension_reason),
        )
    except StaleState:
        if (found := await core.switch.get("")).state is not KillSwitchState.NORMAL:
            raise KillSwitchActive(activatedAt=found.activated_at) from None
        if (after := await agents.get(core.db, agent_id)).status is AgentStatus.SUSPENDED:
            # a theft found this moment, say: whoever resumes has to know of it
            raise StorageBusy(f"By now it is suspended for {after.suspension_reason}: look, and ask again.") from None
        raise AgentNotSuspended() from None
    core.execute_soon.set()
    return await agents.get(core.db, agent_id)
