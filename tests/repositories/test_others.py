"""Agents, policies, the switch, nonces and single facts."""

import msgspec
import pytest

from tests.repositories.make import NOW
from waiaas.domain.agent import AgentStatus
from waiaas.domain.approval import Approval
from waiaas.domain.switch import KillSwitchState
from waiaas.domain.transaction import FINAL, Status
from waiaas.errors import (
    AgentNotFound,
    ConstraintFailed,
    CorruptRow,
    PolicyNotFound,
    StaleState,
    StorageCorrupt,
)
from waiaas.repositories import agents, approvals, nonces, policies, settings, switch

#: each step of an agent's life, and the statuses it starts from
STEPS = {
    "activate": (agents.activate, {AgentStatus.CREATING}),
    "terminating": (agents.mark_terminating, {AgentStatus.ACTIVE, AgentStatus.SUSPENDED}),
    "terminated": (agents.mark_terminated, {AgentStatus.TERMINATING}),
    "suspended": (lambda agent_id, now: agents.mark_suspended(agent_id, "why", now), {AgentStatus.ACTIVE}),
    "rename": (
        lambda agent_id, now: agents.rename(agent_id, "new", now),
        {AgentStatus.CREATING, AgentStatus.ACTIVE, AgentStatus.SUSPENDED},
    ),
    "undo": (lambda agent_id, now: agents.undo_creation(agent_id), {AgentStatus.CREATING}),
    "is active": (lambda agent_id, now: agents.is_active(agent_id), {AgentStatus.ACTIVE}),
}


@pytest.mark.parametrize("name", STEPS)
async def test_a_step_of_an_agent_starts_from_where_it_says(db, rows, name):
    step, origins = STEPS[name]
    for status in AgentStatus:
        agent = await rows.agent(status)
        if status in origins:
            await db.commit(step(agent.id, NOW))
        else:
            with pytest.raises(StaleState):
                await db.commit(step(agent.id, NOW))
            assert await agents.find(db, agent.id) == agent


@pytest.mark.parametrize("status", Status)
async def test_an_agent_ends_only_when_nothing_of_it_can_land(db, rows, status):
    agent = await rows.agent()
    await rows.transaction(agent, status=status)
    await db.commit(agents.mark_terminating(agent.id, NOW))
    over = status in FINAL
    assert await agents.ending(db) == ([agent.id] if over else [])
    if over:
        await db.commit(agents.mark_terminated(agent.id, NOW))
    else:
        with pytest.raises(StaleState):
            await db.commit(agents.mark_terminated(agent.id, NOW))


OWNERS = [(None, False), ("mine", False), ("mine", True), ("theirs", False), ("theirs", True)]
#: each step about an owner who is mine and has not signed, and from which owner it starts
OWNER_STEPS = {
    "set": (lambda agent: agents.set_owner(agent, "new", NOW), ("mine", False)),
    "remove": (lambda agent: agents.remove_owner(agent, NOW), ("mine", False)),
    "verify": (lambda agent: agents.verify_owner(agent.id, "mine", NOW), ("mine", False)),
    "owner is": (agents.owner_is, ("mine", False)),
    "may withdraw": (lambda agent: agents.may_withdraw(agent.id, "mine"), ("mine", True)),
}


@pytest.mark.parametrize("name", OWNER_STEPS)
async def test_a_step_of_an_owner_starts_from_where_it_says(db, rows, name):
    step, origin = OWNER_STEPS[name]
    for address, verified in OWNERS:
        agent = await rows.agent()
        await rows.run(
            "UPDATE agents SET owner_address = :address, owner_verified = :verified WHERE id = :id",
            id=agent.id,
            address=address,
            verified=int(verified),
        )
        statement = step(msgspec.structs.replace(agent, owner_address="mine", owner_verified=False))
        if (address, verified) == origin:
            await db.commit(statement)
        else:
            with pytest.raises(StaleState):
                await db.commit(statement)


async def test_many_agents_are_stopped_and_resumed_as_they_were_read(db, rows):
    first, second = await rows.agent(), await rows.agent()
    ids = [first.id, second.id]
    await db.commit(agents.mark_suspended(first.id, "manual", NOW))
    with pytest.raises(StaleState):
        await db.commit(agents.suspend_these(ids, "kill_switch", NOW))
    await db.commit(agents.suspend_these([second.id], "kill_switch", NOW))
    with pytest.raises(StaleState):
        await db.commit(agents.resume_these(ids, "kill_switch", NOW))
    assert (await agents.get(db, first.id)).suspension_reason == "manual"
    await db.commit(agents.resume_these([second.id], "kill_switch", NOW))


def approved(tx, now):
    return approvals.approve(tx.id, address="owner", max_fee=1, undeclared=None, now=now)


def rejected(tx, now):
    return approvals.reject(tx.id, address="owner", now=now)


@pytest.mark.parametrize("decision", [approved, rejected])
@pytest.mark.parametrize("before", [approved, rejected, lambda tx, now: approvals.close(tx.id, now)])
async def test_an_approval_is_decided_once_and_in_time(db, rows, before, decision):
    agent, ends = await rows.agent(), NOW + 60
    tx = await rows.transaction(agent)
    await db.commit(approvals.open_approval(Approval(tx.id, tx.id, ends, None, None, None, None, NOW)))
    with pytest.raises(StaleState):
        await db.commit(decision(tx, ends))
    await db.commit(before(tx, ends - 1))
    known = await approvals.find(db, tx.id)
    with pytest.raises(StaleState):
        await db.commit(decision(tx, ends - 1))
    await db.commit(approvals.close(tx.id, ends))
    assert await approvals.find(db, tx.id) == known


async def test_a_key_belongs_to_one_agent(db, rows):
    await rows.agent(public_key="same")
    with pytest.raises(ConstraintFailed, match="public_key"):
        await rows.agent(public_key="same")


async def test_agents_are_found_by_state(db, rows):
    by_status = {status: await rows.agent(status) for status in AgentStatus}
    creating, terminated = by_status[AgentStatus.CREATING], by_status[AgentStatus.TERMINATED]
    assert await agents.creating(db) == [creating]
    assert await agents.terminated(db) == {terminated.id}
    with_files = by_status.keys() - {AgentStatus.CREATING, AgentStatus.TERMINATED}
    assert await agents.keys(db) == {by_status[each].id: by_status[each].public_key for each in with_files}
    assert await agents.count(db) == 3
    for absent in (creating.id, "nobody"):
        with pytest.raises(AgentNotFound):
            await agents.get(db, absent)
    newest = [by_status[each].id for each in reversed(AgentStatus) if each is not AgentStatus.CREATING]
    assert [agent.id for agent in await agents.page(db, limit=9)] == newest
    assert [agent.id for agent in await agents.page(db, limit=1, cursor=newest[0])] == newest[1:2]
    assert [agent.id for agent in await agents.page(db, limit=9, status="ACTIVE", network="localnet")] == [newest[3]]
    assert await agents.page(db, limit=9, network="devnet") == []


# --- policies -------------------------------------------------------------------------------------


async def test_policies_in_scope_are_the_agents_and_the_global_ones_by_priority(db, rows):
    agent = await rows.agent()
    low, high = await rows.policy(agent), await rows.policy(priority=5)
    off = await rows.policy(agent, enabled=False)
    await rows.policy(await rows.agent())
    assert [policy.id for policy in await policies.page(db, agent_id=agent.id, enabled=True)] == [high.id, low.id]
    assert {policy.id for policy in await policies.page(db, agent_id=agent.id)} == {low.id, high.id, off.id}
    assert await policies.get(db, high.id) == high
    with pytest.raises(PolicyNotFound):
        await policies.get(db, "none")


async def test_a_policy_is_changed_by_who_has_read_it(db, rows):
    policy = await rows.policy()
    changed = msgspec.structs.replace(policy, priority=9, enabled=False)
    await db.commit(policies.update(changed, was=1, now=NOW + 1))
    for late in (policies.update(changed, was=1, now=NOW), policies.delete(policy)):
        with pytest.raises(StaleState):
            await db.commit(late)
    now = await policies.get(db, policy.id)
    assert (now.priority, now.enabled, now.version, now.updated_at) == (9, False, 2, NOW + 1)
    await db.commit(policies.delete(now))
    assert await policies.page(db) == []


async def test_a_policy_that_does_not_decode_is_not_passed_over(db, rows):
    policy = await rows.policy()
    await rows.run("UPDATE policies SET rules = '{\"per_transaction\":7.5}' WHERE id = :id", id=policy.id)
    with pytest.raises(CorruptRow):
        await policies.page(db)


async def test_the_version_of_the_policies_is_a_guard(db):
    assert await policies.version(db) == 0
    await db.commit(settings.policy_version_is(0), settings.raise_policy_version(NOW))
    assert await policies.version(db) == 1
    with pytest.raises(StaleState):
        await db.commit(settings.policy_version_is(0))


# --- the switch, facts, nonces --------------------------------------------------------------------


async def test_the_switch_is_off_until_it_is_thrown_and_remembers_that_it_was(db, rows):
    found = await switch.get(db)
    assert (found.state, found.generation) == (KillSwitchState.NORMAL, 0)
    await db.commit(switch.is_off(0))
    for state in ("ACTIVATED", "RECOVERING"):
        await rows.run("UPDATE kill_switch SET state = :state", state=state)
        with pytest.raises(StaleState):
            await db.commit(switch.is_off(0))
    await rows.run("UPDATE kill_switch SET state = 'NORMAL', generation = 1")
    with pytest.raises(StaleState):
        await db.commit(switch.is_off(0))
    await db.commit(switch.is_off(1))


async def test_without_its_row_the_switch_is_not_off(db, rows):
    await rows.run("DELETE FROM kill_switch")
    with pytest.raises(StorageCorrupt):
        await switch.get(db)
    with pytest.raises(StaleState):
        await db.commit(switch.is_off(0))


async def test_there_is_one_switch(rows):
    with pytest.raises(ConstraintFailed):
        await rows.run("INSERT INTO kill_switch (id) VALUES (2)")


async def test_a_fact_is_what_was_written_last(db):
    assert await settings.find(db, "fact") is None
    for value in ({"a": 1}, "text", 0):
        await db.commit(settings.put("fact", value, NOW))
        assert await settings.find(db, "fact") == value


async def test_nonces_end_when_they_run_out_or_when_there_are_too_many(db, rows):
    async def left() -> list[str]:
        return [row["nonce"] for row in await rows.ask("SELECT nonce FROM nonces ORDER BY nonce")]

    for number in range(4):
        await db.commit(nonces.open_nonce(str(number), now=NOW, expires_at=NOW + number))
    await rows.run("UPDATE nonces SET action = 'approve' WHERE nonce = '0'")
    await db.commit(nonces.keep_newest(2))
    assert await left() == ["0", "2", "3"]
    await db.commit(nonces.sweep(NOW + 2))
    assert await left() == ["3"]
    with pytest.raises(ConstraintFailed):
        await db.commit(nonces.open_nonce("3", now=NOW, expires_at=NOW))


async def test_of_one_subjects_texts_the_newest_stay(db, rows):
    for number in range(5):
        subject = "other" if number == 1 else "this"
        values = {"action": "approve", "address": None, "new_address": None, "digest": None, "text_hash": None}
        text = nonces.Bound(id=str(number), subject=subject, expires_at=NOW + 300, **values)
        await db.commit(nonces.bind(text, NOW), nonces.keep_newest_of(subject, 3))
        assert await nonces.find(db, str(number)) == text
    assert [row["nonce"] for row in await rows.ask("SELECT nonce FROM nonces ORDER BY nonce")] == ["1", "2", "3", "4"]
    await db.commit(nonces.keep_newest_of("this", 1))
    assert [row["nonce"] for row in await rows.ask("SELECT nonce FROM nonces ORDER BY nonce")] == ["1", "4"]
