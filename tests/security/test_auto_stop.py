"""AUTO_STOP: K08, K09, K10."""

import asyncio
import json
from typing import Any

import pytest

from tests.api.client import Api, Caller, code, issues
from tests.world import SOL, Between, World, a_policy
from waiaas.db import Database
from waiaas.domain.agent import AgentStatus
from waiaas.domain.gap import Gap
from waiaas.domain.policy import Policy, PolicyType, parse_rules
from waiaas.domain.transaction import Reason, Status
from waiaas.errors import AgentIsSuspended, Transient
from waiaas.pipeline.core import Core
from waiaas.pipeline.registry import policies as policy_steps
from waiaas.pipeline.stops import restored
from waiaas.pipeline.stops import suspend as steps
from waiaas.pipeline.stops.autostop import AutoStopping
from waiaas.repositories import agents, autostop

DELAYED = 11 * SOL
TRIGGERED = "SELECT payload, agent_id FROM outbox WHERE event_type = 'AUTO_STOP_TRIGGERED' ORDER BY seq"


async def rule(world: World, agent_id: str | None = None, *, enabled: bool = True, **rules: Any) -> Policy:
    """An AUTO_STOP, of every agent unless one is named."""
    parsed = parse_rules(PolicyType.AUTO_STOP, rules, chain=None)
    policy = a_policy(parsed, agent_id, world.clock.now(), type=PolicyType.AUTO_STOP, enabled=enabled)
    return await policy_steps.create(world.core, policy, world.operator)


async def judge(core: Core, stopping: AutoStopping | None = None) -> None:
    """What the worker does; without one, what it does in a daemon that was started this moment and knows nothing."""
    stopping = stopping or AutoStopping(core)
    while await stopping.tick() is not None:
        pass


async def triggered(core: Core) -> list[dict[str, Any]]:
    return [json.loads(row["payload"]) for row in await core.db.fetch_all(TRIGGERED)]


async def fail(world: World) -> None:
    """A transfer that the node's simulation refuses: FAILED."""
    tx = await world.send(1)
    world.faults.answer("simulateTransaction", REFUSED)
    assert (await world.execute(tx)).status is Status.FAILED


REFUSED = {"context": {"slot": 1}, "value": {"err": {"InstructionError": [0, {"Custom": 1}]}, "logs": []}}


async def status(world: World) -> AgentStatus:
    await judge(world.core)
    return (await world.agent()).status


async def test_k08_failures_in_a_row_suspend(world: World, core: Core) -> None:
    policy = await rule(world, consecutive_failures=3)
    for _ in range(2):
        await fail(world)
        assert await status(world) is AgentStatus.ACTIVE
    await fail(world)
    assert await status(world) is AgentStatus.SUSPENDED
    assert (await world.agent()).suspension_reason == "auto_stop"
    told = {"rule": "consecutive_failures", "observed": 3, "limit": 3, "action": "SUSPEND", "policyId": policy.id}
    assert await triggered(core) == [told]
    (audited,) = await core.db.fetch_all("SELECT details FROM audit_log WHERE event_type = 'AUTO_STOP_TRIGGERED'")
    assert json.loads(audited["details"]) == told
    with pytest.raises(AgentIsSuspended):
        await world.send(1)
    await judge(core)
    assert len(await triggered(core)) == 1


async def test_k08_a_success_between_begins_the_row_anew(world: World, core: Core) -> None:
    await rule(world, consecutive_failures=2)
    await rule(world, consecutive_failures=9, action="WARN")
    await fail(world)
    assert (await world.pay()).status is Status.CONFIRMED
    await fail(world)
    assert await status(world) is AgentStatus.ACTIVE
    await fail(world)
    assert await status(world) is AgentStatus.SUSPENDED


async def test_k08_what_was_denied_cancelled_or_stopped_is_no_failure(world: World, core: Core) -> None:
    await rule(world, consecutive_failures=1)
    await world.cancel(await world.send(1))
    session = await world.issue(max_amount_per_tx="1")
    with pytest.raises(Exception, match="session"):
        await world.ask(2, session=session)
    tx = await world.send(3)
    world.faults.drop("simulateTransaction")
    with pytest.raises(Transient):
        await world.execute(tx)
    await world.revoke()
    assert (await world.execute(tx)).error_code == Reason.SESSION_REVOKED
    assert await status(world) is AgentStatus.ACTIVE


async def test_k08_what_a_restored_database_ends_is_no_failure(world: World, core: Core) -> None:
    await rule(world, consecutive_failures=1, action="WARN")
    tx = await world.send(3)
    world.faults.drop("simulateTransaction")
    with pytest.raises(Transient):
        await world.execute(tx)
    await restored.void(core.db, Gap("rows_missing", 0, 1, world.clock.now()))
    assert (await world.row(tx)).error_code == Reason.RESTORED
    await judge(core)
    assert await triggered(core) == []


async def test_k08_what_was_before_the_resume_does_not_count(world: World, core: Core) -> None:
    await rule(world, consecutive_failures=2, max_per_hour=2)
    await fail(world)
    await fail(world)
    assert await status(world) is AgentStatus.SUSPENDED
    await steps.resume(core, world.alice.id, world.operator)
    assert await status(world) is AgentStatus.ACTIVE
    await fail(world)
    assert await status(world) is AgentStatus.ACTIVE
    await fail(world)
    assert await status(world) is AgentStatus.SUSPENDED
    assert [one["rule"] for one in await triggered(core)] == ["consecutive_failures"] * 2


async def test_k08_a_warning_is_given_once_an_hour_and_stops_nothing(world: World, core: Core) -> None:
    await rule(world, consecutive_failures=1, action="WARN")
    for _ in range(3):
        await fail(world)
        assert await status(world) is AgentStatus.ACTIVE
    assert [one["action"] for one in await triggered(core)] == ["WARN"]
    world.clock.move(3600)
    await fail(world)
    await judge(core)
    assert len(await triggered(core)) == 2


async def test_k08_a_policy_made_while_the_events_are_looked_at_passes_none_over(
    world: World, core: Core, monkeypatch: pytest.MonkeyPatch
) -> None:
    newest = autostop.newest

    async def made_meanwhile(db: Database) -> int:
        monkeypatch.setattr(autostop, "newest", newest)
        await rule(world, consecutive_failures=1)
        await fail(world)
        return await newest(db)

    monkeypatch.setattr(autostop, "newest", made_meanwhile)
    stopping = AutoStopping(core)
    for _ in range(3):
        await stopping.tick()
    assert (await world.agent()).status is AgentStatus.SUSPENDED


async def test_k08_each_policy_counts_for_each_agent_by_itself(world: World, core: Core) -> None:
    await rule(world, world.bob.id, consecutive_failures=1)
    await rule(world, world.alice.id, consecutive_failures=1, enabled=False)
    deleted = await rule(world, world.alice.id, consecutive_failures=1)
    await policy_steps.delete(core, deleted.id, world.operator)
    await rule(world, world.alice.id, consecutive_failures=2, action="WARN")
    await fail(world)
    assert await status(world) is AgentStatus.ACTIVE
    await rule(world, consecutive_failures=2)
    await fail(world)
    assert await status(world) is AgentStatus.SUSPENDED
    assert sorted(one["action"] for one in await triggered(core)) == ["SUSPEND", "WARN"]


async def test_k08_a_policy_judges_nothing_that_was_before_it(world: World, core: Core) -> None:
    await fail(world)
    world.clock.move(1)
    await rule(world, consecutive_failures=1)
    assert await status(world) is AgentStatus.ACTIVE


async def test_k08_a_row_that_does_not_decode_keeps_no_other_from_being_judged(world: World, core: Core) -> None:
    await rule(world, consecutive_failures=1, max_same_destination_per_hour=100)
    broken = await world.send(1)
    await fail(world)
    await world.by_hand("UPDATE transactions SET created_at = 'never' WHERE id = :id", id=broken.id)
    assert await status(world) is AgentStatus.SUSPENDED
    now = world.clock.now()
    await world.by_hand("UPDATE transactions SET created_at = :now WHERE id = :id", id=broken.id, now=now)
    await world.execute(broken)


async def test_k08_a_policy_that_changes_while_it_is_judged_does_nothing_as_it_was(world: World, core: Core) -> None:
    policy = await rule(world, consecutive_failures=1)
    await fail(world)
    stopping, lock = AutoStopping(core), core.lock(world.alice.id)
    await lock.acquire()
    judging = asyncio.create_task(stopping.tick())
    await asyncio.sleep(0.01)
    await policy_steps.update(core, policy.id, enabled=False, actor=world.operator)
    lock.release()
    await judging
    assert await status(world) is AgentStatus.ACTIVE
    assert await triggered(core) == []


async def test_k08_two_that_judge_at_once_warn_once(world: World, core: Core) -> None:
    await rule(world, consecutive_failures=1, action="WARN")
    await world.cancel(await world.send(1))
    await judge(core)
    await fail(world)
    second: Any = world.second_core()
    second.db = Between(core.db, autostop.FIRED, before=lambda: judge(core))
    await judge(second)
    assert len(await triggered(core)) == 1


async def test_k09_what_is_judged_again_counts_once(world: World, core: Core) -> None:
    await rule(world, max_per_hour=2)
    first, *_ = [await world.send(amount) for amount in range(3)]
    second: Any = world.second_core()
    second.db = Between(core.db, agents.MARK_SUSPENDED, before=lambda: world.cancel(first))
    await judge(second)
    (told,) = await triggered(core)
    assert (told["observed"], await status(world)) == (3, AgentStatus.SUSPENDED)


@pytest.mark.parametrize("name", ["max_per_hour", "max_same_destination_per_hour"])
@pytest.mark.parametrize("restarted", [False, True])
async def test_k09_a_rate_at_its_bound_one_more_and_after_the_oldest_left(
    world: World, core: Core, name: str, restarted: bool
) -> None:
    worker = None if restarted else AutoStopping(core)
    bound: dict[str, Any] = {name: 3}
    await rule(world, action="WARN", **bound)
    for amount in range(3):
        await world.send(amount)
        world.clock.move(10)
    await judge(core, worker)
    assert await triggered(core) == []
    world.clock.move(3600 - 30)
    await world.send(4)
    await judge(core, worker)
    assert await triggered(core) == []
    await world.send(5)
    await judge(core, worker)
    (told,) = await triggered(core)
    assert (told["rule"], told["observed"], told["limit"]) == (name, 4, 3)
    await world.cancel((await world.rows())[-1])


async def test_k09_destinations_are_counted_apart(world: World, core: Core) -> None:
    await rule(world, max_same_destination_per_hour=2)
    for amount in range(2):
        await world.send(amount)
        await world.send(amount, to=world.alice.public_key)
    assert await status(world) is AgentStatus.ACTIVE
    await world.send(9, to=world.alice.public_key)
    assert await status(world) is AgentStatus.SUSPENDED


async def test_k09_requests_before_the_resume_do_not_count(world: World, core: Core) -> None:
    worker = AutoStopping(core)
    await rule(world, max_per_hour=1)
    for amount in range(2):
        await world.send(amount)
    await judge(core, worker)
    await steps.resume(core, world.alice.id, world.operator)
    await world.send(3)
    await judge(core, worker)
    assert (await world.agent()).status is AgentStatus.ACTIVE
    await world.send(4)
    await judge(core, worker)
    assert (await world.agent()).status is AgentStatus.SUSPENDED


async def test_k09_what_was_denied_is_no_request(world: World, core: Core) -> None:
    await rule(world, max_per_hour=1)
    session = await world.issue(max_amount_per_tx="1")
    for _ in range(3):
        with pytest.raises(Exception, match="session"):
            await world.ask(2, session=session)
    await world.send(1)
    assert await status(world) is AgentStatus.ACTIVE
    await world.send(1)
    assert await status(world) is AgentStatus.SUSPENDED


async def test_k10_what_waits_is_cancelled_what_is_started_fails_what_is_signed_is_followed(
    world: World, core: Core
) -> None:
    await rule(world, max_per_hour=3)
    signed = await world.execute(await world.send(1))
    started, waiting, queued = await world.send(2), await world.send(3), await world.send(DELAYED)
    world.faults.drop("simulateTransaction")
    with pytest.raises(Transient):
        await world.execute(started)
    assert await status(world) is AgentStatus.SUSPENDED
    for tx in (waiting, queued):
        row = await world.row(tx)
        assert (row.status, row.error_code) == (Status.CANCELLED, "AGENT_SUSPENDED")
    row = await world.execute(started)
    assert (row.status, row.error_code) == (Status.FAILED, "AGENT_SUSPENDED")
    await world.confirm()
    assert (await world.row(signed)).status is Status.CONFIRMED


async def test_k10_the_worker_stops_an_agent_by_itself(world: World) -> None:
    async with world.open_daemon() as daemon:
        await rule(world, max_per_hour=1)
        for _ in range(2):
            await world.ask(DELAYED)
        await world.until(lambda agent: agent.status is AgentStatus.SUSPENDED, within_seconds=5)
        assert len(await triggered(daemon.core)) == 1


# --- over the API ---------------------------------------------------------------------------------


async def test_k08_the_rules_are_checked_on_create_and_update(api: Api) -> None:
    async def add(**rules: Any) -> Any:
        return await api.operator("POST", "/v1/policies", json={"type": "AUTO_STOP", "rules": rules})

    for name, most in (("consecutive_failures", 100), ("max_per_hour", 100_000)):
        for bound in (1, most):
            assert (await add(**{name: bound})).status_code == 201
        odd: tuple[Any, ...] = (0, most + 1, "1", 1.5, True)
        for value in odd:
            assert issues(await add(**{name: value})) == [f"rules.{name}"], value
    assert issues(await add()) == ["rules"]
    assert issues(await add(max_per_hour=1, action="KILL")) == ["rules.action"]
    made = (await add(maxSameDestinationPerHour=5)).json()
    assert made["rules"] == {"max_same_destination_per_hour": 5, "action": "SUSPEND"}
    answer = await api.operator("PUT", f"/v1/policies/{made['id']}", json={"rules": {"max_per_hour": 0}})
    assert issues(answer) == ["rules.max_per_hour"]


async def test_k08_a_suspended_agents_session_stays_valid_and_meets_409(caller: Caller) -> None:
    agent = caller.agent["id"]
    path = f"/v1/agents/{agent}"
    sent = (await caller.send(str(DELAYED))).json()
    stopped = (await caller.api.operator("POST", f"{path}/suspend", json={"reason": "odd"})).json()
    assert (stopped["status"], stopped["suspensionReason"], stopped["cancelled"]) == ("SUSPENDED", "manual", 1)
    assert stopped["inFlight"] == []
    shown = (await caller.request("GET", f"/v1/transactions/{sent['id']}")).json()
    assert (shown["status"], shown["errorCode"]) == ("CANCELLED", "AGENT_SUSPENDED")
    assert code(await caller.send("1")) == (409, "AGENT_SUSPENDED")
    assert code(await caller.api.operator("POST", f"{path}/suspend")) == (409, "AGENT_SUSPENDED")
    resumed = (await caller.api.operator("POST", f"{path}/resume")).json()
    assert (resumed["status"], resumed["suspendedAt"], resumed["suspensionReason"]) == ("ACTIVE", None, None)
    assert code(await caller.api.operator("POST", f"{path}/resume")) == (409, "AGENT_NOT_SUSPENDED")
    assert (await caller.send("1")).status_code == 201
    assert issues(await caller.api.operator("POST", f"{path}/suspend", json={"reason": ""})) == ["reason"]
    assert issues(await caller.api.operator("POST", f"{path}/suspend", json={"why": "x"})) == ["why"]
    await caller.api.operator("DELETE", path)
    for verb in ("suspend", "resume"):
        assert code(await caller.api.operator("POST", f"{path}/{verb}")) == (410, "AGENT_TERMINATED")
