"""A child session: inside its parent's constraints and life, spending for every ancestor, dead when one of them is."""

from waiaas.domain.event import Actor, AuditEvent, EventType
from waiaas.domain.session import Session
from waiaas.errors import SessionLimitExceeded, SessionNotFound, StaleState
from waiaas.pipeline.core import Core
from waiaas.pipeline.registry.sessions import check_agent
from waiaas.pipeline.requests.judge import ancestors
from waiaas.repositories import audit, outbox, sessions

#: live children of one session
MOST_CHILDREN = 20
#: sessions above one: a session that the operator issued has none
MOST_ANCESTORS = 5
#: sessions below one that the operator issued, dead ones too: a decision and a revocation go through all of them
MOST_DESCENDANTS = 1000


async def attenuate(core: Core, child: Session, parent: Session, actor: Actor) -> Session:
    """Store a child; its end must not be after its parent's.

    AgentIsSuspended, AgentIsTerminated, SessionLimitExceeded, SessionNotFound (the parent has ended).
    """
    now = child.created_at
    limits = {
        "most_children": MOST_CHILDREN,
        "most_ancestors": MOST_ANCESTORS,
        "most_descendants": MOST_DESCENDANTS,
    }
    told = {"expiresAt": child.expires_at}
    try:
        await core.db.commit(
            sessions.attenuate(child, issued_by=actor.name, **limits),
            audit.record(AuditEvent.SESSION_ISSUED, actor, now, child.about, **told, parentSessionId=parent.id),
            outbox.emit(EventType.SESSION_CREATED, now, child.about, **told),
        )
    except StaleState:
        await check_agent(core, child.agent_id)
        raise await _refused(core, parent, now) from None
    return child


async def _refused(core: Core, parent: Session, now: int) -> SessionLimitExceeded | SessionNotFound:
    above = [parent, *await ancestors(core, parent)]
    if len(above) > MOST_ANCESTORS:
        message = f"A session may have {MOST_ANCESTORS} sessions above it."
        return SessionLimitExceeded(message, constraint="depth", limit=MOST_ANCESTORS)
    if await sessions.live_children(core.db, parent.id, now) >= MOST_CHILDREN:
        message = f"The session has {MOST_CHILDREN} live children, which is its limit."
        return SessionLimitExceeded(message, constraint="children", limit=MOST_CHILDREN)
    if len(await sessions.tree(core.db, above[-1].id)) > MOST_DESCENDANTS:
        message = f"{MOST_DESCENDANTS} sessions were made below the one that the operator issued, which is its limit."
        return SessionLimitExceeded(message, constraint="descendants", limit=MOST_DESCENDANTS)
    return SessionNotFound("The parent session has ended.")
