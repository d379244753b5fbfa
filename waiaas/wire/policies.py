"""Policies on the wire."""

from typing import Annotated, Any

from msgspec import Meta

from waiaas.domain.policy import Policy, PolicyType, rules_to_wire
from waiaas.wire.body import Body, Id, Seconds

Priority = Annotated[int, Meta(ge=-1000, le=1000)]


class CreatePolicyRequest(Body, frozen=True):
    """A new policy; without `agentId` it is for every agent. Rule keys in snake_case or camelCase."""

    type: str
    rules: dict[str, Any]
    agent_id: Id | None = None
    priority: Priority | None = None
    enabled: bool | None = None
    override: bool | None = None


class UpdatePolicyRequest(Body, frozen=True):
    """What changes; at least one of them."""

    rules: dict[str, Any] | None = None
    priority: Priority | None = None
    enabled: bool | None = None
    override: bool | None = None


class PolicyListQuery(Body, frozen=True):
    """Which policies: with an agent its own and the global ones."""

    agent_id: Id | None = None
    type: str | None = None
    enabled: bool | None = None


class PolicyResponse(Body, frozen=True):
    """A policy; amounts in its rules are decimal digits in base units."""

    id: Id
    agent_id: Id | None
    type: PolicyType
    rules: dict[str, Any]
    priority: int
    enabled: bool
    created_at: Seconds
    updated_at: Seconds
    override: bool


class PolicyDeleteResponse(Body, frozen=True):
    """Gone."""

    id: Id
    deleted: bool


def policy_response(policy: Policy) -> PolicyResponse:
    """The policy as it is shown."""
    return PolicyResponse(
        id=policy.id,
        agent_id=policy.agent_id,
        type=policy.type,
        rules=rules_to_wire(policy.rules),
        priority=policy.priority,
        enabled=policy.enabled,
        created_at=policy.created_at,
        updated_at=policy.updated_at,
        override=policy.override,
    )
