"""Policy writes: rule, version and audit row in one commit, so that no decision misses one."""

from typing import Any

import msgspec

from waiaas.domain.event import About, Actor, AuditEvent
from waiaas.domain.policy import Policy, Rules, rules_to_wire
from waiaas.errors import AgentNotFound, ConstraintFailed, StaleState, StorageBusy
from waiaas.pipeline.core import Core
from waiaas.repositories import audit, policies, settings

#: how often a change is composed anew when the policy is written meanwhile
ROUNDS = 10


async def create(core: Core, policy: Policy, actor: Actor) -> Policy:
    """Store a new policy; AgentNotFound."""
    now = policy.created_at
    told = audit.record(AuditEvent.POLICY_CREATED, actor, now, About(policy.agent_id), **_shown(policy))
    try:
        await core.db.commit(policies.create(policy), settings.raise_policy_version(now), told)
    except ConstraintFailed as error:
        if "FOREIGN KEY" not in error.name:
            raise
        raise AgentNotFound() from None
    return policy


async def update(
    core: Core,
    policy_id: str,
    *,
    rules: Rules | None = None,
    priority: int | None = None,
    enabled: bool | None = None,
    override: bool | None = None,
    actor: Actor,
) -> Policy:
    """Change what is given, keep the rest; PolicyNotFound."""
    given = {"rules": rules, "priority": priority, "enabled": enabled, "override": override}
    changes = {name: value for name, value in given.items() if value is not None}
    for _ in range(ROUNDS):
        before = await policies.get(core.db, policy_id)
        now = core.clock.now()
        after = msgspec.structs.replace(before, **changes, version=before.version + 1, updated_at=now)
        told = audit.record(
            AuditEvent.POLICY_UPDATED, actor, now, About(before.agent_id), was=_shown(before), **_shown(after)
        )
        try:
            await core.db.commit(
                policies.update(after, was=before.version, now=now), settings.raise_policy_version(now), told
            )
        except StaleState:
            continue
        return after
    raise StorageBusy("The policy kept changing: nothing was done.")


async def delete(core: Core, policy_id: str, actor: Actor) -> None:
    """Remove a policy; PolicyNotFound."""
    for _ in range(ROUNDS):
        policy = await policies.get(core.db, policy_id)
        now = core.clock.now()
        told = audit.record(AuditEvent.POLICY_DELETED, actor, now, About(policy.agent_id), **_shown(policy))
        try:
            await core.db.commit(policies.delete(policy), settings.raise_policy_version(now), told)
        except StaleState:
            continue
        return
    raise StorageBusy("The policy kept changing: nothing was done.")


def _shown(policy: Policy) -> dict[str, Any]:
    return {
        "policyId": policy.id,
        "type": policy.type,
        "version": policy.version,
        "rules": rules_to_wire(policy.rules),
        "priority": policy.priority,
        "enabled": policy.enabled,
        "override": policy.override,
    }
