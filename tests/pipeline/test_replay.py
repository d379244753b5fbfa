"""The past is met exactly as it was: policies that did not change decide the same from the same sums."""

from collections.abc import Callable
from contextlib import suppress
from random import Random

import msgspec
import pytest

from tests.world import SOL, World, a_policy
from waiaas.domain.decision import Decision, decode_decision
from waiaas.domain.policy import Policy, PolicyType, parse_rules
from waiaas.errors import Denied, PendingLimitExceeded
from waiaas.pipeline.registry import policies as policy_steps
from waiaas.pipeline.requests import replay as replays
from waiaas.pipeline.waiting.release import Delays
from waiaas.repositories import policies, transactions

FOREVER = 2**40


async def again(world: World, candidate: list[Policy] | None = None) -> replays.Replayed:
    present = await policies.page(world.core.db)
    return await replays.replay(world.core, candidate or present, agent_id=None, since=0, until=FOREVER, limit=5000)


async def limit(world: World, kind: str, **rules: object) -> None:
    parsed = parse_rules(PolicyType(kind), rules, chain=None)
    policy = a_policy(parsed, world.alice.id, world.clock.now(), type=PolicyType(kind))
    await policy_steps.create(world.core, policy, world.operator)


def judged(decision: Decision) -> Decision:
    """What has to be the same: all but the number of the ledger's version."""
    facts = msgspec.structs.replace(decision.facts, ledger_version=0)
    return msgspec.structs.replace(decision, facts=facts, policy_version=0)


async def a_busy_week(world: World, seed: int, sends: int) -> None:
    """Sends of two sessions, denials, cancels, delays, failures and confirmations in any order."""
    random = Random(seed)
    sessions = [world.session, await world.issue(max_total_amount=str(20 * SOL), max_transactions=25)]
    delays = Delays(world.core)
    for _ in range(sends):
        # of what a signature changed only the second is known
        world.clock.move(1)
        amount = random.choice([1000, SOL // 10, SOL, 2 * SOL, 11 * SOL, 101 * SOL])
        with suppress(Denied, PendingLimitExceeded):
            await world.send(amount, session=random.choice(sessions), memo=random.choice([None, "x"]))
        acts: list[Callable[[], object]] = [
            world.work,
            delays.tick,
            lambda: world.clock.move(random.choice([1, 60, 4000])),
        ]
        for row in await world.rows():
            if row.status.value in ("PENDING", "QUEUED") and random.random() < 0.2:
                await world.cancel(row)
        for _ in range(random.choice([0, 0, 1, 2])):
            world.clock.move(1)
            done = random.choice(acts)()
            if done is not None:
                await done  # type: ignore[misc]


@pytest.mark.parametrize("seed", [1, 4])
async def test_every_decision_is_found_again_from_the_same_sums(world: World, core: object, seed: int) -> None:
    await world.limit(instant_max=str(SOL), notify_max=str(3 * SOL), delay_max=str(20 * SOL), hourly_total=str(9 * SOL))
    await world.limit(weekly_total=str(60 * SOL), per_transaction=str(50 * SOL))
    await limit(world, "RATE_LIMIT", max_requests=9, window_seconds=3600)
    await a_busy_week(world, seed, sends=60)
    rows = [tx for tx in await world.rows() if tx.parent_id is None]
    found = await again(world)
    assert [each.tx.id for each in found.judged] == [tx.id for tx in rows]
    for each in found.judged:
        assert judged(each.now) == judged(each.was)


async def test_a_part_of_the_past_meets_what_was_before_it(world: World, core: object) -> None:
    await limit(world, "RATE_LIMIT", max_requests=9, window_seconds=3600)
    await world.limit(daily_total=str(30 * SOL))
    await a_busy_week(world, 3, sends=40)
    present = await policies.page(world.core.db)
    for newest in (1, 7, 20):
        found = await replays.replay(world.core, present, agent_id=world.alice.id, since=0, until=FOREVER, limit=newest)
        assert (len(found.judged), found.flips) == (newest, [])


async def test_a_replay_reads_what_was_stored_and_writes_nothing(world: World, core: object) -> None:
    paid = await world.pay(SOL)
    decision = decode_decision((await world.row(paid)).decision or "")
    found = await again(
        world,
        [
            a_policy(
                parse_rules(PolicyType.WHITELIST, {"allowed_addresses": []}, chain=None),
                None,
                0,
                type=PolicyType.WHITELIST,
            )
        ],
    )
    assert [flip.was for flip in found.flips] == [decision]
    assert found.flips[0].now.code == "WHITELIST_DENIED"
    assert (await transactions.get(world.core.db, paid.id)).decision == (await world.row(paid)).decision
