"""An EVM approval over an allowance that is not 0: set to 0 first, by a child, and only then to what was asked."""

import pytest

from tests.pipeline.ethereum import AGAIN, SPENDER, STRANGER
from waiaas.chains.evm import abi
from waiaas.domain.transaction import Status
from waiaas.errors import Transient
from waiaas.pipeline.family import end_orphans
from waiaas.repositories import queue

DONE = ("CONFIRMED", None)


@pytest.fixture
async def approved(eth):
    """The spender may take 5 already, and nobody here asked for it: its key was used elsewhere."""
    await eth.allow_approvals()
    first = await eth.want(eth.approve(5))
    await eth.all_done()
    assert await eth.said(first) == [DONE]
    return first


async def allowance(eth, spender: str = SPENDER) -> int:
    return await eth.node.view(eth.token.address, abi.ALLOWANCE, eth.alice.public_key, spender)


async def test_the_reset_lands_first(eth, approved):
    tx = await eth.want(eth.approve(7))
    await eth.work()
    (child,) = await eth.children(tx)
    assert (child.amount, child.batch_index, await eth.said(tx)) == ("0", 0, [("EXECUTING", None)])
    await eth.work()
    assert (await eth.said(tx, child), await allowance(eth)) == ([("EXECUTING", None), DONE], 0)
    await eth.work()
    assert (await eth.said(tx), await allowance(eth)) == ([DONE], 7)
    assert await eth.nonces(child, tx) == [1, 2]


async def test_the_fee_is_split_and_the_sum_set_aside_stays(eth, approved):
    tx = await eth.want(eth.approve(7))
    ((_, _, _, before),) = [row for row in await eth.rows_of(tx) if row[0] == "FEE"]
    await eth.execute(tx)
    (child,) = await eth.children(tx)
    parts = [amount for one in (tx, child) for kind, *_, amount in await eth.rows_of(one) if kind == "FEE"]
    assert (len(parts), sum(parts)) == (2, before)
    await eth.all_done()
    assert await eth.said(tx, child) == [DONE, DONE]
    assert {kind: state for kind, _, state, _ in await eth.rows_of(child)} == {"FEE": "SPENT"}


async def test_the_older_allowance_is_no_longer_booked(eth, approved):
    assert ("ALLOWANCE", eth.token.address, "RESERVED", 5) in await eth.rows_of(approved)
    tx = await eth.want(eth.approve(7))
    await eth.execute(tx)
    assert ("ALLOWANCE", eth.token.address, "RESERVED", 5) in await eth.rows_of(approved)
    await eth.all_done()
    assert ("ALLOWANCE", eth.token.address, "RELEASED", 5) in await eth.rows_of(approved)
    assert ("ALLOWANCE", eth.token.address, "RESERVED", 7) in await eth.rows_of(tx)


async def test_a_reset_that_fails_fails_the_approval(eth, approved):
    tx = await eth.want(eth.approve(7))
    await eth.work()
    (child,) = await eth.children(tx)
    await eth.node.hold()
    await eth.execute(child)
    await eth.sped_up(child, cancel=True)
    await eth.node.mine()
    await eth.confirm()
    assert await eth.said(tx, child) == [("FAILED", "CANCELLED_ON_CHAIN")] * 2
    assert {state for _, _, state, _ in await eth.rows_of(tx)} == {"RELEASED"}
    assert await allowance(eth) == 5


@pytest.mark.parametrize("stop", ["revoke", "terminate"])
async def test_a_stop_that_cancels_the_reset_leaves_no_approval_without_an_end(eth, approved, stop):
    tx = await eth.want(eth.approve(7))
    await eth.execute(tx)
    await getattr(eth, stop)()
    await eth.all_done(rounds=1)
    await end_orphans(eth.core)
    (child,) = await eth.children(tx)
    (code,) = {code for _, code in await eth.said(tx, child)}
    assert [status for status, _ in await eth.said(tx, child)] == ["FAILED", "CANCELLED"]
    assert code in ("SESSION_REVOKED", "AGENT_TERMINATED")


async def test_the_time_of_the_reset_does_not_count_and_no_more_than_that(eth, approved):
    tx = await eth.want(eth.approve(7))
    await eth.work()
    (child,) = await eth.children(tx)
    await eth.node.hold()
    await eth.execute(child)
    eth.clock.move(5000)
    await eth.expire()
    assert await eth.said(tx) == [("EXECUTING", None)]
    await eth.node.mine()
    await eth.confirm()
    eth.clock.move(800)
    await eth.expire()
    assert await eth.said(tx, child) == [("EXECUTING", None), DONE]
    eth.clock.move(101)
    await eth.expire()
    assert await eth.said(tx) == [("FAILED", "PENDING_TIMEOUT")]


async def test_a_reset_that_cannot_begin_in_time_ends_both(eth, approved):
    tx = await eth.want(eth.approve(7))
    await eth.execute(tx)
    eth.clock.move(901)
    await eth.expire()
    (child,) = await eth.children(tx)
    assert await eth.said(tx, child) == [("FAILED", "PENDING_TIMEOUT"), ("CANCELLED", "PENDING_TIMEOUT")]


async def test_an_allowance_that_came_back_makes_it_wait_and_not_spin(eth, approved):
    """Somebody approves elsewhere just after the reset: no second reset, and no signature over the allowance."""
    await eth.export()
    tx = await eth.want(eth.approve(7))
    await eth.work()
    await eth.work()
    await eth.spend_elsewhere(2, to=eth.token.address, value=0, data=abi.call(abi.APPROVE, SPENDER, 3))
    with pytest.raises(Transient):
        await eth.execute(tx)
    assert (len(await eth.children(tx)), await eth.attempts(tx)) == (1, [])
    await eth.spend_elsewhere(3, to=eth.token.address, value=0, data=abi.call(abi.APPROVE, SPENDER, 0))
    eth.clock.move(3)
    await eth.all_done()
    assert (await eth.said(tx), await allowance(eth)) == ([DONE], 7)


async def test_a_revoke_needs_no_reset_and_ends_what_was_booked(eth, approved):
    tx = await eth.want(eth.approve(0))
    await eth.all_done()
    assert (await eth.children(tx), await eth.said(tx), await allowance(eth)) == ([], [DONE], 0)
    assert ("ALLOWANCE", eth.token.address, "RELEASED", 5) in await eth.rows_of(approved)


async def test_approvals_for_one_spender_go_one_after_another(eth):
    """Signed side by side, the second would not see what the first leaves."""
    await eth.allow_approvals()
    one, two, other = [await eth.want(each) for each in (eth.approve(5), eth.approve(7), eth.approve(9, STRANGER))]
    rows, _ = await queue.to_execute(eth.core.db, eth.network, after="", limit=9)
    assert [row.id for row in rows] == [one.id, other.id]
    await eth.node.hold()
    await eth.execute(one)
    await eth.execute(two)
    assert await eth.said(one, two) == [("SUBMITTED", None), ("EXECUTING", None)]
    await eth.node.mine()
    await eth.node.call("evm_setAutomine", True)
    await eth.all_done()
    assert await eth.said(one, two, other) == [DONE] * 3
    assert (await allowance(eth), await allowance(eth, STRANGER)) == (7, 9)
    assert len(await eth.children(two)) == 1


async def test_an_approval_inside_a_batch_resets_first(eth, approved):
    batch = await eth.want(eth.batch(eth.pay(1), eth.approve(7), eth.pay(2)))
    waiting = await eth.want(eth.pay(9))
    for _ in range(6):
        rows, _ = await queue.to_execute(eth.core.db, eth.network, after="", limit=9)
        for tx in rows:
            if tx.id != waiting.id:
                await eth.execute(tx)
        await eth.confirm()
    assert await eth.said(batch, *await eth.children(batch)) == [DONE] * 4
    assert await allowance(eth) == 7
    await eth.all_done()


async def test_a_reset_inside_a_batch_that_fails_ends_the_batch(eth, approved):
    batch = await eth.want(eth.batch(eth.pay(1), eth.approve(7), eth.pay(2)))
    await eth.work()
    first, second, third = await eth.children(batch)
    await eth.execute(second)
    (reset,) = await eth.children(second)
    await eth.node.hold()
    await eth.execute(reset)
    await eth.sped_up(reset, cancel=True)
    await eth.node.mine()
    await eth.confirm()
    code = "CANCELLED_ON_CHAIN"
    assert await eth.said(batch, first, second, third) == [
        ("PARTIAL_FAILURE", code),
        DONE,
        ("FAILED", code),
        ("CANCELLED", "BATCH_INCOMPLETE"),
    ]


async def test_a_rate_limit_counts_an_approval_and_its_reset_as_one(eth, approved):
    eth.clock.move(100)
    await eth.allow("RATE_LIMIT", max_requests=1, window_seconds=60)
    batch = await eth.want(eth.batch(eth.approve(7), eth.pay(1)))
    await eth.all_done()
    assert await eth.said(batch) == [DONE]


async def test_the_reset_survives_eviction(eth, approved):
    tx = await eth.want(eth.approve(7))
    await eth.work()
    (child,) = await eth.children(tx)
    await eth.node.hold()
    await eth.execute(child)
    await eth.node.drop((await eth.attempts(child))[0].tx_hash)
    await eth.confirm(AGAIN)
    await eth.node.mine()
    await eth.node.call("evm_setAutomine", True)
    await eth.all_done()
    assert {row.status for row in await eth.rows()} == {Status.CONFIRMED}
