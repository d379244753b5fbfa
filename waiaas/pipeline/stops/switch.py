"""The kill switch: thrown in one commit with all that it stops, held in memory until that is on disk, and lifted."""

import asyncio
from collections.abc import Sequence

import msgspec
import structlog

from waiaas.db import Statement
from waiaas.domain.event import Actor, AuditEvent, EventType
from waiaas.domain.switch import KillSwitch, KillSwitchState
from waiaas.domain.transaction import InFlight, Reason
from waiaas.errors import (
    KeystoreError,
    KeystoreLocked,
    KillSwitchActive,
    KillSwitchNotActive,
    RecoveryWaitRequired,
    StaleState,
    StorageBusy,
    StorageClosed,
    StorageCorrupt,
    StorageFull,
)
from waiaas.pipeline.core import Core
from waiaas.pipeline.end import cancel_all
from waiaas.pipeline.registry.unlock import load_keys
from waiaas.repositories import agents, audit, outbox, sessions, switch, unfinished

#: `agents.suspension_reason` of those that the switch has stopped
SUSPENDED_BY = "kill_switch"
#: how often the cascade is composed anew. Nothing new is accepted or started meanwhile, so each time fewer can move
ROUNDS = 100
#: the disk does not take it: what is held in memory is tried again
UNWRITABLE = (StorageBusy, StorageFull, StorageClosed, StorageCorrupt)

log = structlog.get_logger()


class Counts(msgspec.Struct, frozen=True):
    """What the commit of an activation stopped."""

    sessions_revoked: int = 0
    transactions_cancelled: int = 0
    agents_suspended: int = 0


class Activation(msgspec.Struct, frozen=True):
    """The switch is on; `stored` tells whether it would be after a restart. `in_flight` may still land."""

    activated_at: int
    stored: bool
    counts: Counts
    in_flight: list[InFlight]


class Waiting(msgspec.Struct, frozen=True):
    """Recovery has begun and can be finished from `eligible_at` on."""

    eligible_at: int
    seconds: int


class Recovered(msgspec.Struct, frozen=True):
    """The switch is off."""

    at: int
    agents_resumed: int


async def activate(core: Core, actor: Actor, reason: str | None = None) -> Activation:
    """Throw it: nothing is signed or sent from here on. KillSwitchActive if it is on: its reason and actor stay.

    It holds in memory at once. If the disk takes nothing it stays so, and a worker stores it when the disk does. Any
    other failure has done nothing. A caller that goes away does not stop it.
    """
    return await asyncio.shield(_activate(core, actor, reason))


async def _activate(core: Core, actor: Actor, reason: str | None) -> Activation:
    found = await core.switch.get("")
    # another call may have been faster while this one was reading
    if (before := core.held or found).state is KillSwitchState.ACTIVATED:
        raise KillSwitchActive(activatedAt=before.activated_at)
    now = core.clock.now()
    core.hold(KillSwitch(KillSwitchState.ACTIVATED, before.generation, now, reason, actor.name))
    try:
        counts = await _store(core, actor)
    except UNWRITABLE as error:
        log.critical("kill_switch_held_in_memory", error=error.message)
        counts = Counts()
    except BaseException:
        core.hold(None)
        raise
    core.keystore.rest()
    return Activation(now, core.held is None, counts, await unfinished.in_flight(core.db))


async def store_held(core: Core) -> None:
    """Put on disk what is only held in memory; StorageBusy, StorageFull and the like while the disk takes nothing."""
    if core.held is not None:
        await _store(core, Actor(core.held.activated_by or ""))


async def try_to_store(core: Core) -> None:
    """As `store_held`, by a worker that looks again."""
    try:
        await store_held(core)
    except UNWRITABLE as error:
        log.error("kill_switch_only_in_memory", error=error.message)


async def _store(core: Core, actor: Actor) -> Counts:
    """The one commit, whatever moves meanwhile, unless it was made by then. It is held in memory no longer."""
    async with core.switching:
        for _ in range(ROUNDS):
            if core.held is None:
                return Counts()
            try:
                counts = await _cascade(core, core.held, actor)
            except StaleState:
                stored = await switch.get(core.db)
                if stored.state is KillSwitchState.ACTIVATED:
                    core.hold(None)
                    raise KillSwitchActive(activatedAt=stored.activated_at) from None
            else:
                core.hold(None)
                return counts
    raise StorageBusy("Transactions kept moving while the kill switch was thrown.")


async def _cascade(core: Core, thrown: KillSwitch, actor: Actor) -> Counts:
    """Switch, sessions, transactions and agents at once; stale if any of them has moved since it was read."""
    now = core.clock.now()
    rows, unreadable = await unfinished.open_everywhere(core.db)
    live, active = await sessions.not_revoked(core.db), await agents.active_ids(core.db)
    await core.db.commit(
        switch.activate(reason=thrown.reason, by=actor.name, at=thrown.activated_at or now, now=now),
        sessions.revoke_these(live, Reason.KILL_SWITCH, now),
        sessions.none_live(),
        *cancel_all(rows, Reason.KILL_SWITCH, now, actor),
        unfinished.so_many_open(unreadable),
        agents.suspend_these(active, SUSPENDED_BY, now),
        agents.none_active(),
        *_told(thrown, actor, now, live, [tx.id for tx in rows], active),
    )
    return Counts(len(live), len(rows), len(active))


def _told(
    thrown: KillSwitch, actor: Actor, now: int, revoked: Sequence[str], cancelled: Sequence[str], stopped: Sequence[str]
) -> list[Statement]:
    """The ids for the audit log, their numbers for whoever is told."""
    ids = {"sessionsRevoked": revoked, "transactionsCancelled": cancelled, "agentsSuspended": stopped}
    counts = {name: len(found) for name, found in ids.items()}
    return [
        audit.record(AuditEvent.KILL_SWITCH_ACTIVATED, actor, now, reason=thrown.reason, **ids),
        outbox.emit(EventType.KILL_SWITCH_ACTIVATED, now, by=actor.name, reason=thrown.reason, **counts),
    ]


async def recover(core: Core, password: bytes, actor: Actor) -> Waiting | Recovered:
    """Lift it, at once or after `security.kill_switch_recovery_cooldown`; the finishing call's password opens the keys.

    KillSwitchNotActive, RecoveryWaitRequired, KillSwitchActive (thrown again meanwhile), KeystoreLocked (the keys
    cannot be read). Exactly the agents that it suspended act again; sessions stay revoked.
    """
    return await asyncio.shield(_recover(core, password, actor))


async def _recover(core: Core, password: bytes, actor: Actor) -> Waiting | Recovered:
    async with core.recovering:
        await store_held(core)
        found, now = await core.switch.get(""), core.clock.now()
        if not found.is_on:
            raise KillSwitchNotActive()
        cooldown = core.config.security.kill_switch_recovery_cooldown
        if found.state is KillSwitchState.ACTIVATED and cooldown:
            return await _begin(core, found, actor, now, now + cooldown)
        if found.eligible_at is not None and found.eligible_at > now:
            raise RecoveryWaitRequired(retry_after=found.eligible_at - now, eligibleAt=found.eligible_at)
        return await _finish(core, found, password, actor)


async def _begin(core: Core, found: KillSwitch, actor: Actor, now: int, eligible_at: int) -> Waiting:
    started = audit.record(AuditEvent.KILL_SWITCH_RECOVERY_STARTED, actor, now, eligibleAt=eligible_at)
    await core.db.commit(switch.begin_recovery(found, eligible_at=eligible_at, now=now), started)
    return Waiting(eligible_at, eligible_at - now)


async def _finish(core: Core, found: KillSwitch, password: bytes, actor: Actor) -> Recovered:
    """Keys first: a switch that is off with keys that cannot be used would be a lie. They rest again if it fails."""
    try:
        await asyncio.to_thread(core.keystore.wake, password)
        await load_keys(core)
        recovered = await _lift(core, found, actor)
    except (StaleState, KeystoreLocked):
        # thrown again meanwhile, be it that this holds in memory alone
        core.keystore.rest()
        raise KillSwitchActive(activatedAt=(await core.switch.get("")).activated_at) from None
    except KeystoreError as error:
        core.keystore.rest()
        raise KeystoreLocked(f"The keys cannot be read, the kill switch stays on: {error.message}") from error
    except BaseException:
        core.keystore.rest()
        raise
    core.execute_soon.set()
    core.delays_soon.set()
    return recovered


async def _lift(core: Core, found: KillSwitch, actor: Actor) -> Recovered:
    now = core.clock.now()
    resumed = await agents.suspended_for(core.db, SUSPENDED_BY)
    if core.held is not None:
        raise StaleState()
    await core.db.commit(
        switch.recover(found, now),
        agents.resume_these(resumed, SUSPENDED_BY, now),
        audit.record(AuditEvent.KILL_SWITCH_RECOVERED, actor, now, agentsResumed=resumed),
        outbox.emit(EventType.KILL_SWITCH_RECOVERED, now, by=actor.name, agentsResumed=len(resumed)),
    )
    return Recovered(now, len(resumed))
