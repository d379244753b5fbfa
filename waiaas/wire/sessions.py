"""Sessions on the wire."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from waiaas.domain.session import Constraints, Session
from waiaas.domain.usage import Used
from waiaas.wire.body import Body, Digits, Id, Name, Seconds, StrictBody

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


class AttenuateRequest(StrictBody, frozen=True):
    """A child of a session: what is not given is as its parent's; without `ttl` it lives as long."""

    constraints: dict[str, Any] | None = None
    ttl: Annotated[int, Meta(ge=60, le=604800)] | None = None
    name: Name | None = None


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


class AssetUsage(Body, frozen=True):
    """What is set aside and what is spent of one asset, fees not counted."""

    asset: str
    reserved: Digits
    spent: Digits


class SessionUsage(Body, frozen=True):
    """What a session and all below it have used."""

    transactions: int
    amounts: list[AssetUsage]


class SessionDetailResponse(SessionListItem, frozen=True):
    """A session, how many live children it has, and what it and all below it have used."""

    child_count: int
    usage: SessionUsage


class SessionRenewResponse(Body, frozen=True):
    """The renewed session's token, which is shown this once; the one before is dead."""

    id: Id
    token: str
    expires_at: Seconds
    renewal_count: int
    max_renewals: int
    absolute_expires_at: Seconds


class RotateSecretResponse(Body, frozen=True):
    """Tokens are signed with another secret from now on."""

    rotated_at: Seconds
    message: str


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


def session_renewed(session: Session, token: str) -> SessionRenewResponse:
    """The answer to a renewal."""
    return SessionRenewResponse(
        id=session.id,
        token=token,
        expires_at=session.expires_at,
        renewal_count=session.renewal_count,
        max_renewals=session.max_renewals,
        absolute_expires_at=session.absolute_expires_at,
    )


def session_detail(
    session: Session, now: int, *, children: int, transactions: int, used: Mapping[str, Used]
) -> SessionDetailResponse:
    """The session by itself."""
    amounts = [AssetUsage(asset, str(one.reserved), str(one.spent)) for asset, one in sorted(used.items()) if one.total]
    item = session_item(session, now)
    usage = SessionUsage(transactions, amounts)
    return SessionDetailResponse(**msgspec.structs.asdict(item), child_count=children, usage=usage)


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
