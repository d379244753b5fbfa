"""Every agent's key, read from its file: at start, and when the kill switch is lifted."""

import asyncio

import structlog

from waiaas.domain.event import SYSTEM, About, AuditEvent
from waiaas.pipeline.core import Core
from waiaas.pipeline.registry.agents import finish_creations
from waiaas.repositories import agents, audit

log = structlog.get_logger()


async def open_keys(core: Core) -> None:
    """At start: every key is read, or none while the kill switch is on, whose root key is then wiped."""
    if (await core.switch.get("")).is_on:
        core.keystore.rest()
        log.warning("started_with_the_kill_switch_on")
        await _retire(core)
    else:
        await load_keys(core)


async def load_keys(core: Core) -> None:
    """Read every agent's key, finish or undo creations, put the files of terminated agents aside. KeystoreError."""
    db, keystore, now = core.db, core.keystore, core.clock.now()
    await finish_creations(core)
    quarantined = await asyncio.to_thread(keystore.load, await agents.keys(db))
    core.quarantined = quarantined
    for agent_id, reason in quarantined.items():
        await db.commit(
            audit.record(AuditEvent.KEYSTORE_INTEGRITY_FAILURE, SYSTEM, now, About(agent_id), reason=reason)
        )
    await _retire(core)
    for agent_id in keystore.files() - set(await agents.keys(db)):
        log.warning("key_file_without_agent", agent_id=agent_id)
    await db.commit(audit.record(AuditEvent.KEYSTORE_UNLOCKED, SYSTEM, now, quarantined=sorted(quarantined)))


async def _retire(core: Core) -> None:
    for agent_id in core.keystore.files() & await agents.terminated(core.db):
        await asyncio.to_thread(core.keystore.retire, agent_id)
