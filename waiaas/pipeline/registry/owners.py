"""An agent's owner: registered, changed, removed; what waited for the one before is cancelled in the same commit."""

import asyncio
from collections.abc import Callable

import structlog

from waiaas.db import Statement
from waiaas.domain.agent import Agent, OwnerState
from waiaas.domain.event import About, Actor, AuditEvent, EventType
from waiaas.domain.transaction import Reason, Status
from waiaas.errors import (
    AgentIsTerminated,
    ChainError,
    ChainNotSupported,
    OwnerAlreadyConnected,
    OwnerNotConnected,
    OwnerRemovalBlocked,
    StaleState,
    StorageBusy,
)
from waiaas.pipeline import family
from waiaas.pipeline.core import Core
from waiaas.repositories import agents, audit, nonces, outbox, unfinished

#: how often a change is composed anew when a transaction moves under it
ROUNDS = 10
#: seconds that a node has to say whether a contract stands at an owner's address
CHAIN_SECONDS = 3

log = structlog.get_logger()

Change = Callable[[Agent], Statement]

CHANGED = "The agent's owner was changed before it was decided."


async def set_owner(core: Core, agent_id: str, address: str, actor: Actor, *, signed_by: str | None = None) -> Agent:
    """Register a canonical address. `signed_by` is the present owner, if that one has signed the change.

    AgentNotFound, AgentIsTerminated; OwnerAlreadyConnected if the present owner has proved the key and has not signed.
    """

    def change(agent: Agent) -> Statement:
        if agent.is_ended:
            raise AgentIsTerminated()
        if agent.owner_state is OwnerState.LOCKED and signed_by != agent.owner_address:
            raise OwnerAlreadyConnected()
        return agents.set_owner(agent, address, core.clock.now())

    agent = await _change(core, agent_id, address, change, actor)
    await _warn_of_code(core, agent, address)
    return agent


async def _warn_of_code(core: Core, agent: Agent, address: str) -> None:
    """A contract account signs nothing that counts here: its agent never gets beyond GRACE."""
    try:
        async with asyncio.timeout(CHAIN_SECONDS):
            has_code = await core.chains.chain(agent.network).has_code(address)
    except (ChainError, ChainNotSupported, TimeoutError) as error:
        log.info("owner_code_unknown", agent_id=agent.id, error=str(error))
        return
    if has_code:
        log.warning("owner_has_code", agent_id=agent.id, owner=address)


async def remove_owner(core: Core, agent_id: str, actor: Actor) -> Agent:
    """GRACE → NONE; AgentNotFound, OwnerNotConnected, OwnerRemovalBlocked (the owner has proved the key)."""

    def change(agent: Agent) -> Statement:
        if agent.owner_address is None:
            raise OwnerNotConnected()
        if agent.owner_state is OwnerState.LOCKED:
            raise OwnerRemovalBlocked()
        return agents.remove_owner(agent, core.clock.now())

    return await _change(core, agent_id, None, change, actor)


async def _change(core: Core, agent_id: str, address: str | None, change: Change, actor: Actor) -> Agent:
    async with core.lock(agent_id):
        for _ in range(ROUNDS):
            agent = await agents.get(core.db, agent_id)
            changed = change(agent)
            try:
                await core.db.commit(
                    changed,
                    *(await _cancelled(core, agent, actor) if address != agent.owner_address else []),
                    *_told(agent, address, actor, core.clock.now()),
                )
            except StaleState:
                continue
            return await agents.get(core.db, agent_id)
    raise StorageBusy("The agent's transactions kept moving: nothing was done.")


async def _cancelled(core: Core, agent: Agent, actor: Actor) -> list[Statement]:
    """What the owner before might still have decided, and every text made for that one."""
    now, found = core.clock.now(), await unfinished.awaiting_owner(core.db, agent.id)
    ends = [
        await family.ending(core.db, tx, Status.CANCELLED, Reason.OWNER_CHANGED, CHANGED, now, actor) for tx in found
    ]
    return [nonces.void_of_agent(agent.id), *(statement for end in ends for statement in end)]


def _told(agent: Agent, address: str | None, actor: Actor, now: int) -> list[Statement]:
    audited, event = AuditEvent.OWNER_SET, EventType.OWNER_SET
    if address is None:
        audited, event = AuditEvent.OWNER_REMOVED, EventType.OWNER_REMOVED
    return [
        audit.record(audited, actor, now, About(agent.id), was=agent.owner_address, ownerAddress=address),
        outbox.emit(event, now, About(agent.id), ownerAddress=address or agent.owner_address),
    ]
