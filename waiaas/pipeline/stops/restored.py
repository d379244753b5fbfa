"""The database went back in time: in one commit nothing of what it remembers may act, for it may have acted since."""

from collections.abc import Sequence

import msgspec
import structlog

from waiaas.auth.tokens import CURRENT, PREVIOUS, ROTATED_AT
from waiaas.db import Database, Statement
from waiaas.domain.agent import Agent
from waiaas.domain.event import SYSTEM, AuditEvent, EventType
from waiaas.domain.gap import Gap
from waiaas.domain.transaction import Reason, Status, Transaction
from waiaas.pipeline.core import Core
from waiaas.pipeline.end import end_unspent
from waiaas.repositories import agents, audit, nonces, outbox, sessions, settings, unfinished

#: `agents.suspension_reason` of everyone, and `sessions.revoked_reason`
RESTORED = "restored"
#: where the newest gap is kept
GAP = "restored"
MAY_HAVE_LANDED = "The database went back in time: this may have been executed after that. Look at the chain."

log = structlog.get_logger()


async def newest_gap(db: Database) -> Gap | None:
    """The gap that the last restored database left; None if there was never one."""
    stored = await settings.find(db, GAP)
    return msgspec.convert(stored, Gap) if stored else None


def gap_of(core: Core, agent: Agent) -> Gap | None:
    """What resuming this agent accepts as unknown; None unless a restored database stopped it."""
    return core.gap if agent.suspension_reason == RESTORED else None


async def warning(core: Core) -> str | None:
    """For whoever asks how the daemon is, until the last agent is resumed."""
    if core.gap is None or not (stopped := await agents.suspended_for(core.db, RESTORED)):
        return None
    return (
        f"the database went back in time, nothing is known of {core.gap.span}: {len(stopped)} agents wait for a resume"
    )


async def void(db: Database, gap: Gap, *beginning: Statement) -> None:
    """One commit, with the `beginning` of the new epoch: before anything else runs, and harmless when done again.

    Sessions, token secrets and owners' texts end; what has no durable bytes ends, and its money is given back; every
    agent is SUSPENDED. Signed bytes are followed as ever. Kill switch and lockout stay.
    """
    now = gap.noticed_at
    rows = await unfinished.unsigned_everywhere(db)
    live, standing = await sessions.not_revoked(db), await agents.standing(db)
    await db.commit(
        *beginning,
        settings.put(GAP, gap, now),
        sessions.revoke_these(live, RESTORED, now),
        settings.forget(CURRENT, PREVIOUS, ROTATED_AT),
        nonces.void(),
        *_ended(rows, now),
        agents.suspend_all(RESTORED, now),
        *_told(gap, live, [tx.id for tx in rows], standing),
    )
    told = {"why": gap.why, "lost_from": gap.lost_from, "lost_to": gap.lost_to}
    log.critical("database_restored", **told, agents=len(standing), hint="waiaas agent resume, one by one")


def _ended(rows: Sequence[Transaction], now: int) -> list[Statement]:
    return [
        statement
        for tx in rows
        for statement in end_unspent(
            tx,
            Status.FAILED if tx.status is Status.EXECUTING else Status.CANCELLED,
            Reason.RESTORED,
            MAY_HAVE_LANDED,
            now,
        )
    ]


def _told(gap: Gap, revoked: Sequence[str], ended: Sequence[str], standing: dict[str, str | None]) -> list[Statement]:
    """The ids for the audit log, their numbers for whoever is told."""
    told = {"why": gap.why, "lostFrom": gap.lost_from, "lostTo": gap.lost_to}
    ids = {"sessionsRevoked": revoked, "transactionsEnded": ended, "agentsSuspended": list(standing)}
    were = {agent_id: reason for agent_id, reason in standing.items() if reason is not None}
    counts = {name: len(found) for name, found in ids.items()}
    return [
        audit.record(AuditEvent.DATABASE_RESTORED, SYSTEM, gap.noticed_at, **told, **ids, wereSuspended=were),
        outbox.emit(EventType.DATABASE_RESTORED, gap.noticed_at, **told, **counts),
    ]
