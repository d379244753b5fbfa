"""The routes of policies."""

from waiaas.api import policies, replay
from waiaas.api.guards import operator
from waiaas.api.routing import Route, route
from waiaas.errors import AgentNotFound, PolicyNotFound
from waiaas.wire.policies import (
    CreatePolicyRequest,
    PolicyDeleteResponse,
    PolicyListQuery,
    PolicyResponse,
    UpdatePolicyRequest,
)
from waiaas.wire.replay import ReplayRequest, ReplayResponse

ROUTES: tuple[Route, ...] = (
    route(
        "POST",
        "/v1/policies",
        policies.create,
        guard=operator,
        tag="Policies",
        body=CreatePolicyRequest,
        answer=PolicyResponse,
        status=201,
        errors=(AgentNotFound,),
    ),
    route(
        "GET",
        "/v1/policies",
        policies.page,
        guard=operator,
        tag="Policies",
        query=PolicyListQuery,
        answer=list[PolicyResponse],
    ),
    route(
        "POST",
        "/v1/policies/replay",
        replay.run,
        guard=operator,
        tag="Policies",
        body=ReplayRequest,
        answer=ReplayResponse,
        errors=(PolicyNotFound, AgentNotFound),
    ),
    route(
        "GET",
        "/v1/policies/{id}",
        policies.get,
        guard=operator,
        tag="Policies",
        answer=PolicyResponse,
        errors=(PolicyNotFound,),
    ),
    route(
        "PUT",
        "/v1/policies/{id}",
        policies.update,
        guard=operator,
        tag="Policies",
        body=UpdatePolicyRequest,
        answer=PolicyResponse,
        errors=(PolicyNotFound,),
    ),
    route(
        "DELETE",
        "/v1/policies/{id}",
        policies.delete,
        guard=operator,
        tag="Policies",
        answer=PolicyDeleteResponse,
        errors=(PolicyNotFound,),
    ),
)
