"""One agent stopped and resumed; termination tells which sessions went with it."""

import asyncio
import json

import pytest

from tests.world import SOL, Between
from waiaas.domain.agent import AgentStatus
from waiaas.domain.transaction import Status
from waiaas.errors import (
    AgentIsSuspended,
    AgentIsTerminated,
    AgentNotFound,
    AgentNotSuspended,
    KillSwitchActive,
    StorageBusy,
)
from waiaas.pipeline.stops import suspend as steps
from waiaas.repositories import agents

DELAYED = 11 * SOL
TOLD = "SELECT details FROM audit_log WHERE agent_id = :id AND event_type = :event ORDER BY id DESC"


def hashes(suspended):
    """What may still land: transactions and their bytes."""
    return [(each.id, each.tx_hash) for each in suspended.in_flight]


async def told(core, agent, event):
    row = await core.db.fetch_one(TOLD, {"id": agent.id, "event": event})
    return json.loads(row["details"])


def suspend(world, **how):
    return steps.suspend(world.core, world.alice.id, world.operator, **how)


async def test_what_is_not_signed_is_cancelled_what_is_signed_is_told_and_followed(world, core):
    signed = await world.execute(await world.send(1))
    gone = [await world.send(2), await world.send(DELAYED)]
    done = await suspend(world, note="odd")
    assert (done.cancelled, hashes(done)) == (2, [(signed.id, signed.tx_hash)])
    assert (done.agent.status, done.agent.suspension_reason) == (AgentStatus.SUSPENDED, "manual")
    assert done.agent.suspended_at == world.clock.now()
    for tx in gone:
        row = await world.row(tx)
        assert (row.status, row.error_code) == (Status.CANCELLED, "AGENT_SUSPENDED")
        assert {state for state, _ in (await world.booked(tx)).values()} == {"RELEASED"}
    details = await told(core, world.alice, "AGENT_SUSPENDED")
    assert details == {"reason": "manual", "note": "odd", "cancelled": [tx.id for tx in gone]}
    await world.confirm()
    assert (await world.row(signed)).status is Status.CONFIRMED


async def test_what_is_accepted_or_moves_meanwhile_does_not_get_through(world, core):
    tx = await world.send(1)
    core.db = Between(core.db, agents.MARK_SUSPENDED, before=lambda: world.execute(tx))
    assert hashes(await suspend(world)) == [(tx.id, (await world.row(tx)).tx_hash)]
    await steps.resume(core, world.alice.id, world.operator)
    asked = [world.ask(DELAYED + number) for number in range(4)]
    await asyncio.gather(*asked[:2], suspend(world), *asked[2:], return_exceptions=True)
    await world.confirm()
    assert set(await world.statuses()) <= {"CONFIRMED", "CANCELLED"}


async def test_two_stops_are_one(world, core):
    outcomes = await asyncio.gather(*(suspend(world) for _ in range(5)), return_exceptions=True)
    assert sorted(type(one).__name__ for one in outcomes) == ["AgentIsSuspended"] * 4 + ["Suspended"]


async def test_only_an_agent_that_runs_is_suspended_and_only_a_suspended_one_resumed(world, core):
    with pytest.raises(AgentNotFound):
        await steps.suspend(core, "nobody", world.operator)
    with pytest.raises(AgentNotFound):
        await steps.resume(core, "nobody", world.operator)
    with pytest.raises(AgentNotSuspended):
        await steps.resume(core, world.alice.id, world.operator)
    await suspend(world)
    with pytest.raises(AgentIsSuspended):
        await suspend(world)
    agent = await steps.resume(core, world.alice.id, world.operator)
    assert (agent.status, agent.suspended_at, agent.suspension_reason) == (AgentStatus.ACTIVE, None, None)
    assert await told(core, world.alice, "AGENT_RESUMED") == {"was": "manual"}
    await world.terminate()
    for step in (suspend(world), steps.resume(core, world.alice.id, world.operator)):
        with pytest.raises(AgentIsTerminated):
            await step


async def test_a_resume_beside_the_kill_switch_does_not_undo_it(world, core):
    await suspend(world)
    core.db = Between(core.db, agents.MARK_RESUMED, before=world.activate)
    with pytest.raises(KillSwitchActive):
        await steps.resume(core, world.alice.id, world.operator)
    assert (await world.agent()).status is AgentStatus.SUSPENDED


async def test_a_resume_that_comes_second_says_so(world, core):
    await suspend(world)
    again = agents.mark_resumed(world.alice.id, "manual", world.clock.now())
    core.db = Between(core.db, agents.MARK_RESUMED, before=lambda: core.db.commit(again))
    with pytest.raises(AgentNotSuspended):
        await steps.resume(core, world.alice.id, world.operator)


async def test_a_theft_found_while_it_is_resumed_keeps_it_suspended(world, core):
    await suspend(world)
    found = agents.mark_suspended_for(world.alice.id, "unknown_spend", world.clock.now())
    core.db = Between(core.db, agents.MARK_RESUMED, before=lambda: core.db.commit(found))
    with pytest.raises(StorageBusy, match="unknown_spend"):
        await steps.resume(core, world.alice.id, world.operator)
    assert (await world.agent()).suspension_reason == "unknown_spend"


async def test_a_resume_beside_a_termination_does_not_undo_it(world, core):
    await suspend(world)
    core.db = Between(core.db, agents.MARK_RESUMED, before=world.terminate)
    with pytest.raises(AgentNotSuspended):
        await steps.resume(core, world.alice.id, world.operator)
    assert (await world.agent()).status is not AgentStatus.ACTIVE


async def test_rows_that_keep_moving_leave_it_undone(world, core, monkeypatch):
    monkeypatch.setattr(steps, "ROUNDS", 1)
    tx = await world.send(1)
    core.db = Between(core.db, agents.MARK_SUSPENDED, before=lambda: world.cancel(tx))
    with pytest.raises(StorageBusy):
        await suspend(world)
    assert (await world.agent()).status is AgentStatus.ACTIVE


async def test_a_termination_names_the_sessions_that_went_with_it(world, core):
    other = await world.issue()
    await world.revoke()
    await world.terminate()
    assert (await told(core, world.alice, "AGENT_TERMINATING"))["sessionsRevoked"] == [other.id]
