"""Sessions on the wire."""

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, UnsetType

from waiaas.domain.session import Constraints, Session
from waiaas.wire.body import Body, Id, Name, Seconds

Ttl = Annotated[int, Meta(ge=300, le=604800)]


class CreateSessionRequest(Body, frozen=True):
    """A new session of an agent; `expiresIn` is another name of `ttl`. Without constraints it is unlimited."""

    agent_id: Id
    ttl: Ttl | None = None
    expires_in: Ttl | None = None
    constraints: dict[str, Any] | None = None
    name: Name | None = None


class SessionListQuery(Body, frozen=True):
    """Which sessions; `all` is active and expired."""

    agent_id: Id | None = None
    status: Literal["active", "expired", "revoked", "all"] = "all"
    limit: Annotated[int, Meta(ge=1, le=1000)] = 1000
    cursor: Id | None = None


class SessionCreateResponse(Body, frozen=True):
    """A session with its token, which is shown this once."""

    id: Id
    token: str
    expires_at: Seconds
    agent_id: Id
    absolute_expires_at: Seconds
    max_renewals: int
    constraints: Constraints | None
    parent_session_id: Id | None


class SessionListItem(Body, frozen=True):
    """A session."""

    id: Id
    agent_id: Id
    status: Literal["ACTIVE", "EXPIRED", "REVOKED"]
    renewal_count: int
    max_renewals: int
    expires_at: Seconds
    absolute_expires_at: Seconds
    created_at: Seconds
    last_renewed_at: Seconds | None
    name: str | None
    parent_session_id: Id | None
    constraints: Constraints | None
    revoked_at: Seconds | None


class SessionRevokeResponse(Body, frozen=True):
    """Revoked; `message` where it had been before."""

    id: Id
    status: Literal["REVOKED"]
    message: str | UnsetType = UNSET


def session_created(session: Session, token: str) -> SessionCreateResponse:
    """The answer that carries the token."""
    return SessionCreateResponse(
        id=session.id,
        token=token,
        expires_at=session.expires_at,
        agent_id=session.agent_id,
        absolute_expires_at=session.absolute_expires_at,
        max_renewals=session.max_renewals,
        constraints=session.constraints,
        parent_session_id=session.parent_id,
    )


def session_item(session: Session, now: int) -> SessionListItem:
    """The session as lists show it."""
    return SessionListItem(
        id=session.id,
        agent_id=session.agent_id,
        status=_status(session, now),
        renewal_count=session.renewal_count,
        max_renewals=session.max_renewals,
        expires_at=session.expires_at,
        absolute_expires_at=session.absolute_expires_at,
        created_at=session.created_at,
        last_renewed_at=session.last_renewed_at,
        name=session.name,
        parent_session_id=session.parent_id,
        constraints=session.constraints,
        revoked_at=session.revoked_at,
    )


def _status(session: Session, now: int) -> Literal["ACTIVE", "EXPIRED", "REVOKED"]:
    if session.revoked_at is not None:
        return "REVOKED"
    return "ACTIVE" if session.expires_at > now else "EXPIRED"
