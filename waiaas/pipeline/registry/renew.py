"""A session lives on: a new token in the place of the present one, within its renewals and its absolute end."""

import msgspec

from waiaas.auth.sessions import token_hash
from waiaas.auth.tokens import Tokens
from waiaas.db import Statement
from waiaas.domain.event import Actor, AuditEvent, EventType
from waiaas.domain.session import Session
from waiaas.errors import (
    RenewalLimitReached,
    RenewalTooEarly,
    SessionAbsoluteLifetimeExceeded,
    SessionNotFound,
    SessionRenewalMismatch,
    SessionRevoked,
    StaleState,
)
from waiaas.pipeline.core import Core
from waiaas.repositories import audit, outbox, sessions

#: so few renewals, or seconds of absolute life, left after a renewal are told of, once
FEW_RENEWALS = 3
SHORT_LIFE_SECONDS = 86400


async def renew(core: Core, tokens: Tokens, session_id: str, presented: str, actor: Actor) -> tuple[Session, str]:
    """The renewed session and its token; `presented`, whose hash the row must hold, is dead when this returns.

    SessionRenewalMismatch, RenewalLimitReached, SessionAbsoluteLifetimeExceeded, RenewalTooEarly, SessionRevoked.
    """
    presented_hash = token_hash(presented)
    # the half of its life that it must have lived may be more than its secret has left
    passing = tokens.is_passing(presented)
    session = await _renewable(core, session_id, presented_hash, passing=passing)
    now = core.clock.now()
    expires_at = min(now + _length(session), session.absolute_expires_at)
    token = tokens.issue(session.id, session.agent_id, now=now, expires_at=expires_at)
    hashed = token_hash(token)
    try:
        await core.db.commit(
            sessions.renew(session.id, was=presented_hash, token_hash=hashed, expires_at=expires_at, now=now),
            *_told(session, expires_at, now, actor),
        )
    except StaleState:
        # it was renewed or revoked meanwhile, or told of by somebody: with its present row the checks say which
        await _renewable(core, session_id, presented_hash, passing=passing)
        raise SessionRenewalMismatch() from None
    count = session.renewal_count + 1
    renewed = msgspec.structs.replace(
        session, token_hash=hashed, expires_at=expires_at, renewal_count=count, last_renewed_at=now
    )
    return renewed, token


async def _renewable(core: Core, session_id: str, presented_hash: str, *, passing: bool) -> Session:
    """The session as it is on disk, if this token may renew it now; the checks in the order of docs/sessions.md.

    A `passing` token, whose secret was replaced, may do so before half of its life.
    """
    session, now = await sessions.find(core.db, session_id), core.clock.now()
    if session is None:
        raise SessionNotFound()
    if session.revoked_at is not None:
        raise SessionRevoked()
    if session.token_hash != presented_hash:
        raise SessionRenewalMismatch()
    if session.renewal_count >= session.max_renewals:
        raise RenewalLimitReached()
    if now >= session.absolute_expires_at:
        raise SessionAbsoluteLifetimeExceeded()
    if not passing and (early := _since(session) + _length(session) // 2 - now) > 0:
        raise RenewalTooEarly(retry_after=early)
    return session


def _since(session: Session) -> int:
    """When the present token was made."""
    return session.created_at if session.last_renewed_at is None else session.last_renewed_at


def _length(session: Session) -> int:
    """How long the present token lives in all, in seconds."""
    return session.expires_at - _since(session)


def _told(session: Session, expires_at: int, now: int, actor: Actor) -> list[Statement]:
    """The rows that tell of the renewal, and once that there will not be many more."""
    count = session.renewal_count + 1
    remaining = session.max_renewals - count
    told = [
        audit.record(AuditEvent.SESSION_RENEWED, actor, now, session.about, renewalCount=count, expiresAt=expires_at),
        outbox.emit(EventType.SESSION_RENEWED, now, session.about, renewalCount=count),
    ]
    is_last = remaining <= FEW_RENEWALS or session.absolute_expires_at - now <= SHORT_LIFE_SECONDS
    if not is_last or session.expiring_noted_at is not None:
        return told
    soon = {"remainingRenewals": remaining, "absoluteExpiresAt": session.absolute_expires_at}
    return [
        *told,
        sessions.note_expiring(session.id, now),
        outbox.emit(EventType.SESSION_EXPIRING_SOON, now, session.about, **soon),
    ]
