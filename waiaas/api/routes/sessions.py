"""The routes of sessions."""

from waiaas.api import sessions
from waiaas.api.guards import operator, renewing, session
from waiaas.api.routing import Route, route
from waiaas.errors import (
    AgentIsSuspended,
    AgentIsTerminated,
    AgentNotFound,
    RenewalLimitReached,
    RenewalTooEarly,
    SessionAbsoluteLifetimeExceeded,
    SessionLimitExceeded,
    SessionNotFound,
    SessionRenewalMismatch,
)
from waiaas.wire.sessions import (
    AttenuateRequest,
    CreateSessionRequest,
    SessionCreateResponse,
    SessionDetailResponse,
    SessionListItem,
    SessionListQuery,
    SessionRenewResponse,
    SessionRevokeResponse,
)

ROUTES: tuple[Route, ...] = (
    route(
        "POST",
        "/v1/sessions",
        sessions.create,
        guard=operator,
        tag="Sessions",
        body=CreateSessionRequest,
        answer=SessionCreateResponse,
        status=201,
        errors=(AgentNotFound, AgentIsSuspended, AgentIsTerminated, SessionLimitExceeded),
    ),
    route(
        "GET",
        "/v1/sessions",
        sessions.page,
        guard=operator,
        tag="Sessions",
        query=SessionListQuery,
        answer=list[SessionListItem],
    ),
    route(
        "GET",
        "/v1/sessions/{id}",
        sessions.get,
        guard=operator | session,
        tag="Sessions",
        answer=SessionDetailResponse,
        errors=(SessionNotFound,),
    ),
    route(
        "POST",
        "/v1/sessions/{id}/attenuate",
        sessions.attenuate,
        guard=operator | session,
        tag="Sessions",
        body=AttenuateRequest,
        answer=SessionCreateResponse,
        status=201,
        errors=(SessionNotFound, AgentIsSuspended, AgentIsTerminated, SessionLimitExceeded),
    ),
    route(
        "PUT",
        "/v1/sessions/{id}/renew",
        sessions.renew,
        guard=renewing,
        tag="Sessions",
        answer=SessionRenewResponse,
        errors=(
            SessionNotFound,
            SessionRenewalMismatch,
            RenewalLimitReached,
            SessionAbsoluteLifetimeExceeded,
            RenewalTooEarly,
        ),
    ),
    route(
        "DELETE",
        "/v1/sessions/{id}",
        sessions.revoke,
        guard=operator | session,
        tag="Sessions",
        answer=SessionRevokeResponse,
        errors=(SessionNotFound,),
    ),
)
