"""The life of an agent: made with its key or not at all, renamed, funded on a localnet, ended."""

import asyncio

import structlog

from waiaas.domain.agent import Agent, AgentStatus
from waiaas.domain.chain import LOCALNETS, Chain, Network, native_of
from waiaas.domain.event import SYSTEM, About, Actor, AuditEvent, EventType
from waiaas.domain.transaction import InFlight, Reason
from waiaas.errors import AgentIsTerminated, ChainError, KeystoreError, StaleState, StorageBusy
from waiaas.ids import new_id
from waiaas.pipeline.core import Core
from waiaas.pipeline.end import cancel_all
from waiaas.repositories import agents, audit, outbox, sessions, unfinished

#: what a new agent on a localnet starts with, and what the faucet gives, in whole units
GIFT = 100
#: how often a stop is composed anew when a transaction moves under it
ROUNDS = 10

log = structlog.get_logger()


async def create(core: Core, *, name: str, chain: Chain, network: Network, actor: Actor) -> Agent:
    """A key, its row and its file; ACTIVE when this returns. ChainNotSupported for a network without endpoints.

    The row is CREATING until the file has been read back, so a crash leaves something the next start can decide on.
    """
    core.chains.chain(network)
    key = core.keystore.generate(chain)
    now = core.clock.now()
    agent = Agent(
        id=new_id(),
        name=name,
        chain=chain,
        network=network,
        public_key=key.public_key,
        status=AgentStatus.CREATING,
        owner_address=None,
        owner_verified=False,
        key_exported_at=None,
        ledger_version=0,
        suspended_at=None,
        suspension_reason=None,
        created_at=now,
        updated_at=now,
    )
    created = audit.record(
        AuditEvent.AGENT_CREATED, actor, now, About(agent.id), name=name, network=network, publicKey=key.public_key
    )
    await core.db.commit(agents.create(agent), created)
    try:
        await asyncio.to_thread(core.keystore.store, agent.id, network, key, now=now)
    except KeystoreError:
        await undo_creation(core, agent.id)
        raise
    await activate(core, agent.id, actor)
    if network in LOCALNETS:
        await _welcome(core, agent)
    return await agents.get(core.db, agent.id)


async def activate(core: Core, agent_id: str, actor: Actor) -> None:
    """CREATING → ACTIVE: its key file is sound."""
    now = core.clock.now()
    activated = audit.record(AuditEvent.AGENT_ACTIVATED, actor, now, About(agent_id))
    await core.db.commit(agents.activate(agent_id, now), activated)


async def undo_creation(core: Core, agent_id: str) -> None:
    """No sound key file: file and row go, nobody has seen the address."""
    await asyncio.to_thread(core.keystore.forget, agent_id)
    failed = audit.record(AuditEvent.AGENT_CREATION_FAILED, SYSTEM, core.clock.now(), About(agent_id))
    await core.db.commit(agents.undo_creation(agent_id), failed)


async def finish_creations(core: Core) -> None:
    """At start: what a crash left CREATING is finished if its key file is sound, and undone otherwise."""
    for agent in await agents.creating(core.db):
        if await asyncio.to_thread(core.keystore.load, {agent.id: agent.public_key}):
            await undo_creation(core, agent.id)
        else:
            await activate(core, agent.id, SYSTEM)


async def _welcome(core: Core, agent: Agent) -> None:
    try:
        await core.chains.chain(agent.network).faucet(agent.public_key, _gift(agent.network))
    except ChainError as error:
        log.warning("welcome_gift_failed", agent_id=agent.id, error=error.message)


def _gift(network: Network) -> int:
    return int(GIFT * 10 ** native_of(network).decimals)


async def faucet(core: Core, agent_id: str, amount: int | None) -> tuple[Agent, int, int]:
    """Give base units (100 whole ones if None) on a localnet: agent, amount, balance once the chain shows it.

    AgentNotFound, AgentIsTerminated, ChainNotSupported (not a localnet), Transient.
    """
    agent = await agents.get(core.db, agent_id)
    if agent.status is AgentStatus.TERMINATED:
        raise AgentIsTerminated()
    chain = core.chains.chain(agent.network)
    amount = _gift(agent.network) if amount is None else amount
    await chain.faucet(agent.public_key, amount)
    return agent, amount, await chain.balance(agent.public_key)


async def rename(core: Core, agent_id: str, name: str, actor: Actor) -> Agent:
    """AgentNotFound, AgentIsTerminated."""
    before = await agents.get(core.db, agent_id)
    now = core.clock.now()
    updated = audit.record(AuditEvent.AGENT_UPDATED, actor, now, About(agent_id), was=before.name, name=name)
    try:
        await core.db.commit(agents.rename(agent_id, name, now), updated)
    except StaleState:
        raise AgentIsTerminated() from None
    return await agents.get(core.db, agent_id)


async def terminate(core: Core, agent_id: str, actor: Actor) -> tuple[Agent, list[InFlight]]:
    """End an agent: sessions revoked, what is not signed cancelled, in one commit; what may still land is returned.

    TERMINATED at once if nothing is in flight, else TERMINATING until the chain has spoken. AgentIsTerminated when it
    was called before.
    """
    for _ in range(ROUNDS):
        agent = await agents.get(core.db, agent_id)
        if agent.is_ended:
            raise AgentIsTerminated()
        try:
            await _stop(core, agent_id, actor)
        except StaleState:
            continue
        await end_terminating(core)
        return await agents.get(core.db, agent_id), await unfinished.in_flight(core.db, agent_id)
    raise StorageBusy("The agent's transactions kept moving: nothing was done.")


async def _stop(core: Core, agent_id: str, actor: Actor) -> None:
    """→ TERMINATING with everything that goes with it; under the lock, so that nothing is accepted meanwhile."""
    async with core.lock(agent_id):
        now = core.clock.now()
        rows = await unfinished.open_of_agent(core.db, agent_id)
        live = await sessions.not_revoked(core.db, agent_id)
        told = {"cancelled": [tx.id for tx in rows], "sessionsRevoked": live}
        await core.db.commit(
            agents.mark_terminating(agent_id, now),
            sessions.revoke_all_of(agent_id, Reason.AGENT_TERMINATED, now, count=len(live)),
            *cancel_all(rows, Reason.AGENT_TERMINATED, now, actor),
            audit.record(AuditEvent.AGENT_TERMINATING, actor, now, About(agent_id), **told),
        )


async def end_terminating(core: Core) -> None:
    """TERMINATING → TERMINATED for every agent of which nothing can land any more; its key file is put aside."""
    for agent_id in await agents.ending(core.db):
        now = core.clock.now()
        try:
            await core.db.commit(
                agents.mark_terminated(agent_id, now),
                audit.record(AuditEvent.AGENT_TERMINATED, SYSTEM, now, About(agent_id)),
                outbox.emit(EventType.AGENT_TERMINATED, now, About(agent_id)),
            )
        except StaleState:
            continue
        await asyncio.to_thread(core.keystore.retire, agent_id)
