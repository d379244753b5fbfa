"""Sessions: issue, list, revoke."""

from waiaas.api.call import AnyCall, Call
from waiaas.api.chain import chain_of
from waiaas.api.check import Issues
from waiaas.api.decode import Nothing
from waiaas.auth.sessions import token_hash
from waiaas.domain.agent import Agent
from waiaas.domain.session import Constraints, Session, parse_constraints
from waiaas.errors import SessionNotFound, ValidationFailed
from waiaas.ids import new_id
from waiaas.pipeline import sessions as life
from waiaas.pipeline.core import Core
from waiaas.repositories import sessions
from waiaas.wire.sessions import (
    CreateSessionRequest,
    SessionCreateResponse,
    SessionListItem,
    SessionListQuery,
    SessionRevokeResponse,
    session_created,
    session_item,
)


async def create(call: Call[Nothing, CreateSessionRequest]) -> SessionCreateResponse:
    """Issue a token with which a program acts for an agent; it is shown this once."""
    core, body = call.core, call.body
    ttl, name = _ttl(body, core.config.security.session_ttl), _name(body)
    agent = await core.agents.get(body.agent_id)
    session, token = _make(call, agent, ttl, name, _constraints(core, agent, body))
    await life.issue(core, session, call.caller.actor)
    return session_created(session, token)


def _make(
    call: AnyCall, agent: Agent, ttl: int, name: str | None, constraints: Constraints | None
) -> tuple[Session, str]:
    """The row and its token."""
    security, now, session_id = call.core.config.security, call.core.clock.now(), new_id()
    absolute = now + security.session_absolute_lifetime
    expires_at = min(now + ttl, absolute)
    token = call.services.tokens.issue(session_id, agent.id, now=now, expires_at=expires_at)
    renewals = constraints.max_renewals if constraints else None
    session = Session(
        id=session_id,
        agent_id=agent.id,
        parent_id=None,
        name=name,
        token_hash=token_hash(token),
        constraints=constraints,
        expires_at=expires_at,
        absolute_expires_at=absolute,
        renewal_count=0,
        max_renewals=security.default_max_renewals if renewals is None else renewals,
        last_renewed_at=None,
        revoked_at=None,
        created_at=now,
    )
    return session, token


def _ttl(body: CreateSessionRequest, default: int) -> int:
    if body.ttl is not None and body.expires_in is not None and body.ttl != body.expires_in:
        raise ValidationFailed(("expiresIn", "is another name of ttl and must be equal to it"))
    return body.ttl or body.expires_in or default


def _name(body: CreateSessionRequest) -> str | None:
    issues = Issues()
    name = issues.name("name", body.name) if body.name is not None else None
    issues.settle()
    return name


def _constraints(core: Core, agent: Agent, body: CreateSessionRequest) -> Constraints | None:
    if body.constraints is None:
        return None
    return parse_constraints(body.constraints, agent.chain, chain_of(core, agent).address)


async def page(call: Call[SessionListQuery, None]) -> list[SessionListItem]:
    """Sessions, newest first, as an array."""
    query, now = call.query, call.core.clock.now()
    found = await sessions.page(
        call.core.db, now=now, limit=query.limit, agent_id=query.agent_id, status=query.status, cursor=query.cursor
    )
    return [session_item(session, now) for session in found]


async def revoke(call: AnyCall) -> SessionRevokeResponse:
    """End a session at once, with what it sent and is not signed; a session may end itself."""
    own = call.caller.session
    if own is not None and own.id != call.id:
        raise SessionNotFound()
    if await life.revoke(call.core, call.id, call.caller.actor):
        return SessionRevokeResponse(call.id, "REVOKED")
    return SessionRevokeResponse(call.id, "REVOKED", "The session had been revoked before.")
