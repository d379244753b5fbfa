"""One request asked for twice: by its key, or by being the same while the first is still under way."""

import asyncio

import pytest

from tests.pipeline.ethereum import ETHER, open_evm_world
from waiaas.errors import Denied, IdempotencyConflict

WINDOW = 10


async def test_a_key_answers_with_what_it_made(eth):
    first = await eth.try_(eth.pay(), key="k")
    again = await eth.try_(eth.pay(), key="k")
    assert (again.tx.id, again.replayed, again.duplicate) == (first.tx.id, True, False)
    await eth.all_done()
    assert (await eth.try_(eth.pay(), key="k")).tx.id == first.tx.id
    assert await eth.balance(eth.bob) == 100 * ETHER + 1000


async def test_a_key_used_for_something_else_is_refused(eth):
    first = await eth.try_(eth.pay(), key="k")
    with pytest.raises(IdempotencyConflict) as refused:
        await eth.try_(eth.pay(1001), key="k")
    assert refused.value.details["transactionId"] == first.tx.id
    await eth.all_done()


async def test_one_key_twenty_times_at_once_makes_one_transaction(eth):
    answers = await asyncio.gather(*(eth.try_(eth.pay(), key="k") for _ in range(20)))
    assert len({answer.tx.id for answer in answers}) == 1
    assert sum(answer.replayed for answer in answers) == 19
    await eth.all_done()


async def test_two_processes_with_one_key_make_one_transaction(eth):
    """No lock in memory is shared: the unique index decides."""
    core, other = eth.core, eth.second_core()

    async def by(one):
        eth.core = one
        return await eth.try_(eth.pay(), key="k")

    answers = await asyncio.gather(by(core), by(other))
    eth.core = core
    assert len({answer.tx.id for answer in answers}) == 1
    await eth.all_done()


async def test_a_denial_binds_no_key(eth):
    await eth.limit_native(per_transaction="10")
    with pytest.raises(Denied):
        await eth.try_(eth.pay(11), key="k")
    accepted = await eth.try_(eth.pay(10), key="k")
    assert accepted.replayed is False
    await eth.all_done()


async def test_keys_survive_a_restart(evm_template, tmp_path):
    async with open_evm_world(*evm_template, tmp_path / "wallet") as eth:
        async with eth.open_core():
            first = await eth.try_(eth.pay(), key="k")
            twin = await eth.try_(eth.pay(2), distinct=False)
        async with eth.open_core():
            again = await eth.try_(eth.pay(), key="k")
            assert (again.tx.id, again.replayed) == (first.tx.id, True)
            twice = await eth.try_(eth.pay(2), distinct=False)
            assert (twice.tx.id, twice.duplicate) == (twin.tx.id, True)
            await eth.all_done()


@pytest.mark.parametrize("key", [None, "auto:1"])
async def test_the_same_request_within_the_window_is_the_same_transaction(eth, key):
    first = await eth.try_(eth.pay(), key=key, distinct=False)
    eth.clock.move(WINDOW - 1)
    again = await eth.try_(eth.pay(), key=key and "auto:2", distinct=False)
    assert (again.tx.id, again.duplicate) == (first.tx.id, True)
    await eth.all_done()


async def test_a_tools_own_key_replays_like_any_other(eth):
    first = await eth.try_(eth.pay(), key="auto:1", distinct=False)
    eth.clock.move(2 * WINDOW)
    again = await eth.try_(eth.pay(), key="auto:1", distinct=False)
    assert (again.tx.id, again.replayed, again.duplicate) == (first.tx.id, True, False)
    await eth.all_done()


async def different(eth, how: str):
    match how:
        case "distinct":
            return await eth.try_(eth.pay(), distinct=True)
        case "another key":
            return await eth.try_(eth.pay(), key="chosen", distinct=False)
        case "another session":
            return await eth.try_(eth.pay(), session=await eth.issue(), distinct=False)
        case "another amount":
            return await eth.try_(eth.pay(1001), distinct=False)
        case "later":
            eth.clock.move(WINDOW + 1)
        case "after the end":
            await eth.all_done()
    return await eth.try_(eth.pay(), distinct=False)


@pytest.mark.parametrize(
    "how", ["distinct", "another key", "another session", "another amount", "later", "after the end"]
)
async def test_what_was_meant_twice_is_made_twice(eth, how):
    first = await eth.try_(eth.pay(), distinct=False)
    second = await different(eth, how)
    assert (second.tx.id != first.tx.id, second.duplicate) == (True, False)
    await eth.all_done()


async def test_a_batch_is_replayed_by_its_key_with_the_items_it_had(eth):
    first = await eth.try_(eth.batch(eth.pay(1), eth.pay(2)), key="k")
    again = await eth.try_(eth.batch(eth.pay(1), eth.pay(2)), key="k")
    assert again.tx.id == first.tx.id
    assert len(await eth.rows()) == 3
    await eth.all_done()


async def test_a_key_lives_until_seven_days_after_the_end_and_may_then_be_bound_anew(eth):
    first = (await eth.try_(eth.pay(), key="k")).tx
    eth.clock.move(8 * 86_400)
    assert (await eth.try_(eth.pay(), key="k")).tx.id == first.id
    await eth.cancel(first)
    eth.clock.move(7 * 86_400 - 1)
    assert (await eth.try_(eth.pay(), key="k")).replayed
    eth.clock.move(1)
    session = await eth.issue()
    second = await eth.try_(eth.pay(1001), key="k", session=session)
    assert (second.replayed, second.tx.idempotency_key) == (False, "k")
    assert (await eth.row(first)).idempotency_key is None
    assert (await eth.try_(eth.pay(1001), key="k", session=session)).tx.id == second.tx.id


async def test_two_processes_that_bind_an_outlived_key_make_one_transaction(eth):
    first = (await eth.try_(eth.pay(), key="k")).tx
    await eth.cancel(first)
    eth.clock.move(7 * 86_400)
    session = await eth.issue()
    core, other = eth.core, eth.second_core()

    async def ask(mine):
        eth.core = mine
        return await eth.try_(eth.pay(), key="k", session=session)

    answers = await asyncio.gather(ask(core), ask(other))
    eth.core = core
    assert sorted(answer.replayed for answer in answers) == [False, True]
    assert answers[0].tx.id == answers[1].tx.id != first.id
