"""Policies: create, list, look at, change, remove."""

from waiaas.api.call import AnyCall, Call
from waiaas.api.decode import Nothing
from waiaas.domain.chain import Chain
from waiaas.domain.policy import Policy, canonical_type, check_override, parse_rules
from waiaas.errors import ValidationFailed
from waiaas.ids import new_id
from waiaas.pipeline.core import Core
from waiaas.pipeline.registry import policies as life
from waiaas.repositories import policies
from waiaas.wire.policies import (
    CreatePolicyRequest,
    PolicyDeleteResponse,
    PolicyListQuery,
    PolicyResponse,
    UpdatePolicyRequest,
    policy_response,
)


async def create(call: Call[Nothing, CreatePolicyRequest]) -> PolicyResponse:
    """Judge every request from now on by one more rule."""
    core, body, now = call.core, call.body, call.core.clock.now()
    kind, override = canonical_type(body.type), bool(body.override)
    check_override(kind, agent_id=body.agent_id, override=override)
    policy = Policy(
        id=new_id(),
        agent_id=body.agent_id,
        type=kind,
        rules=parse_rules(kind, body.rules, chain=await chain_of_agent(core, body.agent_id)),
        priority=body.priority or 0,
        enabled=body.enabled is not False,
        override=override,
        version=1,
        created_at=now,
        updated_at=now,
    )
    return policy_response(await life.create(core, policy, call.caller.actor))


async def chain_of_agent(core: Core, agent_id: str | None) -> Chain | None:
    """The chain that the rules of an agent's policy are read for; None for a global one. AgentNotFound."""
    return (await core.agents.get(agent_id)).chain if agent_id is not None else None


async def page(call: Call[PolicyListQuery, None]) -> list[PolicyResponse]:
    """Policies by falling priority, as an array; with an agent its own and the global ones."""
    query = call.query
    kind = canonical_type(query.type) if query.type is not None else None
    found = await policies.page(call.core.db, agent_id=query.agent_id, type=kind, enabled=query.enabled)
    return [policy_response(policy) for policy in found]


async def get(call: AnyCall) -> PolicyResponse:
    """A policy."""
    return policy_response(await policies.get(call.core.db, call.id))


async def update(call: Call[Nothing, UpdatePolicyRequest]) -> PolicyResponse:
    """Change what is given; what is queued is judged anew before it is signed."""
    core, body = call.core, call.body
    if body == UpdatePolicyRequest():
        raise ValidationFailed(("", "must give rules, priority, enabled or override"))
    policy = await policies.get(core.db, call.id)
    if body.override is not None:
        check_override(policy.type, agent_id=policy.agent_id, override=body.override)
    rules = None
    if body.rules is not None:
        rules = parse_rules(policy.type, body.rules, chain=await chain_of_agent(core, policy.agent_id))
    changed = await life.update(
        core,
        policy.id,
        rules=rules,
        priority=body.priority,
        enabled=body.enabled,
        override=body.override,
        actor=call.caller.actor,
    )
    return policy_response(changed)


async def delete(call: AnyCall) -> PolicyDeleteResponse:
    """Remove a policy."""
    await life.delete(call.core, call.id, call.caller.actor)
    return PolicyDeleteResponse(call.id, deleted=True)
