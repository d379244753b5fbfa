"""Sessions: issue, attenuate, show, list, renew, revoke; and the secret behind their tokens."""

from typing import Any

from waiaas.api.call import AnyCall, Call
from waiaas.api.chain import chain_of
from waiaas.api.check import Issues
from waiaas.api.decode import Nothing
from waiaas.auth.sessions import bearer, token_hash
from waiaas.domain.agent import Agent
from waiaas.domain.narrowing import narrowed
from waiaas.domain.session import Constraints, Session, parse_constraints
from waiaas.errors import SessionNotFound, ValidationFailed
from waiaas.ids import new_id
from waiaas.pipeline.core import Core
from waiaas.pipeline.registry import attenuate as children
from waiaas.pipeline.registry import renew as renewal
from waiaas.pipeline.registry import secret
from waiaas.pipeline.registry import sessions as life
from waiaas.pipeline.requests.judge import ancestors, made_by, used_by
from waiaas.repositories import sessions
from waiaas.wire.sessions import (
    AttenuateRequest,
    CreateSessionRequest,
    RotateSecretResponse,
    SessionCreateResponse,
    SessionDetailResponse,
    SessionListItem,
    SessionListQuery,
    SessionRenewResponse,
    SessionRevokeResponse,
    session_created,
    session_detail,
    session_item,
    session_renewed,
)


async def create(call: Call[Nothing, CreateSessionRequest]) -> SessionCreateResponse:
    """Issue a token with which a program acts for an agent; it is shown this once."""
    core, body = call.core, call.body
    security, now = core.config.security, core.clock.now()
    ttl, name = _ttl(body, security.session_ttl), _name(body.name)
    agent = await core.agents.get(body.agent_id)
    constraints = _constraints(core, agent, body.constraints)
    renewals = constraints.max_renewals if constraints else None
    absolute = now + security.session_absolute_lifetime
    session, token = _make(
        call,
        agent.id,
        now=now,
        expires_at=min(now + ttl, absolute),
        absolute_expires_at=absolute,
        max_renewals=security.default_max_renewals if renewals is None else renewals,
        constraints=constraints,
        name=name,
    )
    await life.issue(core, session, call.caller.actor)
    return session_created(session, token)


async def attenuate(call: Call[Nothing, AttenuateRequest]) -> SessionCreateResponse:
    """Issue a child of a session, which may do no more than its parent and dies with it."""
    core, body, now = call.core, call.body, call.core.clock.now()
    parent = await _own(call)
    name = _name(body.name)
    agent = await core.agents.get(parent.agent_id)
    given = _constraints(core, agent, body.constraints) or Constraints()
    if parent.revoked_at is not None or parent.expires_at <= now:
        await life.check_agent(core, agent.id)
        raise SessionNotFound("The session has ended.")
    expires_at = parent.expires_at if body.ttl is None else min(now + body.ttl, parent.expires_at)
    child, token = _make(
        call,
        agent.id,
        now=now,
        expires_at=expires_at,
        absolute_expires_at=expires_at,
        max_renewals=0,
        constraints=narrowed(given, parent.constraints, agent.chain, renewals=parent.max_renewals),
        name=name,
        parent_id=parent.id,
    )
    await children.attenuate(core, child, parent, call.caller.actor)
    return session_created(child, token)


def _make(call: AnyCall, agent_id: str, *, now: int, expires_at: int, **fields: Any) -> tuple[Session, str]:
    """The row and its token."""
    session_id = new_id()
    token = call.services.tokens.issue(session_id, agent_id, now=now, expires_at=expires_at)
    session = Session(
        id=session_id,
        agent_id=agent_id,
        parent_id=fields.pop("parent_id", None),
        token_hash=token_hash(token),
        expires_at=expires_at,
        renewal_count=0,
        last_renewed_at=None,
        revoked_at=None,
        created_at=now,
        **fields,
    )
    return session, token


def _ttl(body: CreateSessionRequest, default: int) -> int:
    if body.ttl is not None and body.expires_in is not None and body.ttl != body.expires_in:
        raise ValidationFailed(("expiresIn", "is another name of ttl and must be equal to it"))
    return body.ttl or body.expires_in or default


def _name(given: str | None) -> str | None:
    issues = Issues()
    name = issues.name("name", given) if given is not None else None
    issues.settle()
    return name


def _constraints(core: Core, agent: Agent, given: dict[str, Any] | None) -> Constraints | None:
    if given is None:
        return None
    return parse_constraints(given, agent.chain, chain_of(core, agent).address)


async def _own(call: AnyCall) -> Session:
    """The session of the path: any for the operator, itself for a session; SessionNotFound."""
    session = await call.core.sessions.get(call.id)
    own = call.caller.session
    if session is None or (own is not None and own.id != session.id):
        raise SessionNotFound()
    return session


async def _own_or_below(call: AnyCall) -> Session:
    """The session of the path: any for the operator, itself or a descendant for a session; SessionNotFound."""
    session = await call.core.sessions.get(call.id)
    if session is None:
        raise SessionNotFound()
    own = call.caller.session
    if own is not None and own.id not in [each.id for each in (session, *await ancestors(call.core, session))]:
        raise SessionNotFound()
    return session


async def get(call: AnyCall) -> SessionDetailResponse:
    """A session with its children counted and what it and all below it have used."""
    core, now = call.core, call.core.clock.now()
    session = await _own_or_below(call)
    return session_detail(
        session,
        now,
        children=await sessions.live_children(core.db, session.id, now),
        transactions=await made_by(core, session),
        used=await used_by(core, session),
    )


async def page(call: Call[SessionListQuery, None]) -> list[SessionListItem]:
    """Sessions, newest first, as an array."""
    query, now = call.query, call.core.clock.now()
    found = await sessions.page(
        call.core.db, now=now, limit=query.limit, agent_id=query.agent_id, status=query.status, cursor=query.cursor
    )
    return [session_item(session, now) for session in found]


async def renew(call: AnyCall) -> SessionRenewResponse:
    """A new token for the session, in the place of the one that is presented."""
    if call.session.id != call.id:
        raise SessionNotFound()
    presented = bearer(call.headers[b"authorization"])
    session, token = await renewal.renew(call.core, call.services.tokens, call.id, presented, call.caller.actor)
    return session_renewed(session, token)


async def revoke(call: AnyCall) -> SessionRevokeResponse:
    """End a session and all below it at once, with what they sent and is not signed."""
    session = await _own_or_below(call)
    if await life.revoke(call.core, session.id, call.caller.actor):
        return SessionRevokeResponse(session.id, "REVOKED")
    return SessionRevokeResponse(session.id, "REVOKED", "The session had been revoked before.")


async def rotate_secret(call: AnyCall) -> RotateSecretResponse:
    """Sign tokens with a new secret; those of the one before are good for five more minutes."""
    rotated_at = await secret.rotate(call.core, call.services.tokens, call.caller.actor)
    return RotateSecretResponse(rotated_at, "JWT secret rotated. Old tokens valid for 5 minutes.")
