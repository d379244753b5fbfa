"""Policy writes: each raises the version and tells what was and what is, whoever writes at the same time."""

import asyncio
import json

import pytest

from tests.world import OPERATOR, Between
from waiaas.domain.chain import Chain
from waiaas.domain.policy import Policy, PolicyType, parse_rules
from waiaas.domain.transaction import Status
from waiaas.errors import AgentNotFound, PolicyNotFound, SpendingLimitExceeded
from waiaas.pipeline.registry import policies as steps
from waiaas.repositories import policies

RULES = parse_rules(PolicyType.SPENDING_LIMIT, {"per_transaction": "9"}, chain=Chain.SOLANA)


async def test_every_write_raises_the_version(world, core):
    version = await policies.version(core.db)
    policy = await world.limit(per_transaction="7")
    changed = await steps.update(core, policy.id, rules=RULES, priority=3, actor=OPERATOR)
    assert (changed.version, changed.priority, changed.enabled) == (2, 3, True)
    assert await policies.get(core.db, policy.id) == changed
    await steps.delete(core, policy.id, OPERATOR)
    assert await policies.version(core.db) == version + 3
    with pytest.raises(PolicyNotFound):
        await steps.delete(core, policy.id, OPERATOR)
    with pytest.raises(PolicyNotFound):
        await steps.update(core, policy.id, enabled=False, actor=OPERATOR)


async def test_the_audit_row_of_a_change_tells_every_field_before_and_after(world, core):
    policy = await world.limit(per_transaction="7")
    await steps.update(core, policy.id, rules=RULES, priority=3, enabled=False, override=True, actor=OPERATOR)
    row = await core.db.fetch_one("SELECT agent_id, details FROM audit_log WHERE event_type = 'POLICY_UPDATED'")
    after = json.loads(row["details"])
    before = after.pop("was")
    untold = {"id", "agent_id", "created_at", "updated_at"}
    told = set(Policy.__struct_fields__) - untold | {"policyId"}
    assert (row["agent_id"], set(before), set(after)) == (policy.agent_id, told, told)
    assert {name for name in told if before[name] == after[name]} == {"policyId", "type"}


async def test_writes_at_the_same_time_all_count(world, core):
    policy = await world.limit(per_transaction="7")
    changes = [{"priority": 5}, {"enabled": False}, {"rules": RULES}, {"priority": 6}]
    await asyncio.gather(*(steps.update(core, policy.id, **change, actor=OPERATOR) for change in changes))
    found = await policies.get(core.db, policy.id)
    assert (found.version, found.enabled, found.rules) == (5, False, RULES)
    assert found.priority in (5, 6)


async def test_a_delete_that_is_overtaken_deletes_what_is_there(world, core):
    policy = await world.limit(per_transaction="7")
    core.db = Between(
        core.db, policies.DELETE, before=lambda: steps.update(core, policy.id, priority=9, actor=OPERATOR)
    )
    await steps.delete(core, policy.id, OPERATOR)
    assert policy.id not in {left.id for left in await policies.page(core.db)}


async def test_rules_are_never_older_than_the_version_they_are_read_with(world, core):
    second = world.second_core()
    second.db = Between(core.db, policies.VERSION, before=lambda: world.limit(per_transaction="7"))
    with pytest.raises(SpendingLimitExceeded):
        await world.send(8, core=second)


async def test_a_policy_needs_an_agent_that_is_there(world, core):
    with pytest.raises(AgentNotFound):
        await world.limit("nobody", per_transaction="7")


async def test_a_policy_that_is_switched_off_limits_nothing(world, core):
    policy = await world.limit(per_transaction="7")
    with pytest.raises(SpendingLimitExceeded):
        await world.send(1000)
    await steps.update(core, policy.id, enabled=False, actor=OPERATOR)
    assert (await world.send(1000)).status is Status.PENDING
