"""The life of a session: issued under the agent's limit, revoked together with what it has not signed yet, run out."""

import structlog

from waiaas.db import Statement
from waiaas.domain.agent import check_running
from waiaas.domain.event import SYSTEM, About, Actor, AuditEvent, EventType
from waiaas.domain.session import Session
from waiaas.domain.transaction import Reason
from waiaas.errors import (
    SessionLimitExceeded,
    SessionNotFound,
    StaleState,
    StorageBusy,
)
from waiaas.pipeline.core import Core
from waiaas.pipeline.end import cancel_all
from waiaas.repositories import agents, audit, outbox, sessions, unfinished

#: how often a revocation is composed anew when a transaction moves under it
ROUNDS = 10

log = structlog.get_logger()


async def issue(core: Core, session: Session, actor: Actor) -> Session:
    """Store a new session; AgentNotFound, AgentIsSuspended, AgentIsTerminated, SessionLimitExceeded."""
    most = core.config.security.max_sessions_per_agent
    now = session.created_at
    try:
        await core.db.commit(
            sessions.issue(session, issued_by=actor.name, most=most),
            audit.record(AuditEvent.SESSION_ISSUED, actor, now, session.about, expiresAt=session.expires_at),
            outbox.emit(EventType.SESSION_CREATED, now, session.about, expiresAt=session.expires_at),
        )
    except StaleState:
        await check_agent(core, session.agent_id)
        raise SessionLimitExceeded(
            f"The agent has {most} live sessions, which is its limit.", constraint="maxSessionsPerAgent", limit=most
        ) from None
    return session


async def check_agent(core: Core, agent_id: str) -> None:
    """AgentNotFound, AgentIsSuspended or AgentIsTerminated unless the agent is ACTIVE."""
    check_running(await agents.get(core.db, agent_id))


async def revoke(core: Core, session_id: str, actor: Actor) -> bool:
    """Dead from this commit on, with all below it and their PENDING and QUEUED transactions; False if it was before.

    SessionNotFound.
    """
    for _ in range(ROUNDS):
        session = await sessions.find(core.db, session_id)
        if session is None:
            raise SessionNotFound()
        if session.revoked_at is not None:
            return False
        try:
            await _stop(core, session, actor)
        except StaleState:
            continue
        return True
    raise StorageBusy("The session's transactions kept moving: nothing was done.")


async def _stop(core: Core, session: Session, actor: Actor) -> None:
    """The revocation and all it takes with it; under the agent's lock, so that nothing is accepted meanwhile."""
    async with core.lock(session.agent_id):
        now = core.clock.now()
        members = await sessions.not_revoked_tree(core.db, session.id)
        if session.id not in members:
            raise StaleState()
        rows = await unfinished.open_of_session(core.db, session.id)
        await core.db.commit(
            sessions.revoke(session.id, "revoked", now, sessions=len(members)),
            *cancel_all(rows, Reason.SESSION_REVOKED, now, actor),
            unfinished.none_open_of_session(session.id),
            audit.record(AuditEvent.SESSION_REVOKED, actor, now, session.about, cancelled=[tx.id for tx in rows]),
            *_told(session, members, now, actor),
        )


def _told(session: Session, members: list[str], now: int, actor: Actor) -> list[Statement]:
    """Each session that ends is told of by itself."""
    below = [About(session.agent_id, each) for each in members if each != session.id]
    return [
        *(audit.record(AuditEvent.SESSION_REVOKED, actor, now, about, ancestor=session.id) for about in below),
        *(outbox.emit(EventType.SESSION_REVOKED, now, about, by=actor.name) for about in (session.about, *below)),
    ]


async def note_expired(core: Core) -> None:
    """Tell once of every session that has run out."""
    now = core.clock.now()
    for session_id, agent_id in await sessions.newly_expired(core.db, now):
        about = About(agent_id, session_id)
        try:
            await core.db.commit(
                sessions.note_expiry(session_id, now),
                audit.record(AuditEvent.SESSION_EXPIRED, SYSTEM, now, about),
                outbox.emit(EventType.SESSION_EXPIRED, now, about),
            )
        except StaleState:
            log.info("session_ended_otherwise", session_id=session_id)
