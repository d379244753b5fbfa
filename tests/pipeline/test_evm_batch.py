"""An EVM batch: its items one after another, and one word for all of them, whatever stops it."""

import json

import pytest

from tests.pipeline.ethereum import AGAIN, ETHER
from tests.world import Between
from waiaas.domain.transaction import Status
from waiaas.errors import AlreadyProcessed, BatchPolicyViolation, PendingLimitExceeded, Transient
from waiaas.pipeline.family import end_orphans
from waiaas.pipeline.registry import policies as policy_steps
from waiaas.pipeline.waiting.release import Delays
from waiaas.repositories import policies, queue, transactions

NEWEST = "SELECT payload FROM outbox WHERE tx_id = :id ORDER BY seq DESC LIMIT 1"
DONE, CANCELLED = ("CONFIRMED", None), ("CANCELLED", "BATCH_INCOMPLETE")


async def told_of(eth, tx):
    """The data of its newest event."""
    row = await eth.core.db.fetch_one(NEWEST, {"id": tx.id})
    return json.loads(row["payload"])


async def released(eth, *txs):
    """Nothing is set aside for any of these any more."""
    return {state for tx in txs for _, _, state, _ in await eth.rows_of(tx)} <= {"RELEASED"}


async def test_items_run_in_order_and_the_last_one_confirms_the_batch(eth):
    batch = await eth.want(eth.batch(eth.pay(1), eth.pay(2), eth.pay(3)))
    assert (await eth.rows_of(batch), len(await eth.children(batch))) == ([], 3)
    seen = []
    for _ in range(3):
        await eth.work()
        seen.append([status for status, _ in await eth.said(batch, *await eth.children(batch))])
    assert seen == [
        ["SUBMITTED", "CONFIRMED", "PENDING", "PENDING"],
        ["SUBMITTED", "CONFIRMED", "CONFIRMED", "PENDING"],
        ["CONFIRMED", "CONFIRMED", "CONFIRMED", "CONFIRMED"],
    ]
    assert await eth.nonces(*await eth.children(batch)) == [0, 1, 2]
    told = ["TX_REQUESTED", "TX_SUBMITTED", "TX_CONFIRMED"]
    assert (await eth.events(batch), await eth.audited(batch)) == (told, [told[0], "TX_EXECUTING", *told[1:]])
    paid = sum(int(json.loads(item.fee)["amount"]) for item in await eth.children(batch))
    assert await told_of(eth, batch) == {"txHash": None, "fee": {"amount": str(paid), "asset": "native:ethereum"}}
    assert await eth.balance(eth.bob) == 100 * ETHER + 6


async def test_the_second_of_three_is_refused_by_its_simulation(eth):
    await eth.allow_tokens()
    batch = await eth.want(eth.batch(eth.pay(1), eth.pay_token(10**9), eth.pay(3)))
    await eth.all_done()
    first, second, third = await eth.children(batch)
    assert await eth.said(batch, first, second, third) == [
        ("PARTIAL_FAILURE", "INSUFFICIENT_TOKEN_BALANCE"),
        DONE,
        ("FAILED", "INSUFFICIENT_TOKEN_BALANCE"),
        CANCELLED,
    ]
    assert await released(eth, second, third)
    codes = [None, "INSUFFICIENT_TOKEN_BALANCE", "BATCH_INCOMPLETE"]
    children = [
        {"id": item.id, "batchIndex": index, "errorCode": code}
        for index, (item, code) in enumerate(zip((first, second, third), codes, strict=True))
    ]
    said = await told_of(eth, batch)
    assert (said["errorCode"], said["children"]) == ("INSUFFICIENT_TOKEN_BALANCE", children)


async def test_the_first_fails_and_nothing_has_happened(eth):
    await eth.allow_tokens()
    batch = await eth.want(eth.batch(eth.pay_token(10**9), eth.pay(1)))
    await eth.all_done()
    assert await eth.said(batch, *await eth.children(batch)) == [
        ("FAILED", "INSUFFICIENT_TOKEN_BALANCE"),
        ("FAILED", "INSUFFICIENT_TOKEN_BALANCE"),
        CANCELLED,
    ]
    assert await released(eth, *await eth.children(batch))


async def test_the_first_is_refused_by_the_gate_before_anything_has_begun(eth):
    """Limits were tightened after the acceptance: nothing is EXECUTING yet."""
    batch = await eth.want(eth.batch(eth.pay(10), eth.pay(1)))
    await eth.limit_native(per_transaction="5")
    await eth.all_done()
    assert await eth.said(batch, *await eth.children(batch)) == [
        ("CANCELLED", "SPENDING_LIMIT_EXCEEDED"),
        ("CANCELLED", "SPENDING_LIMIT_EXCEEDED"),
        CANCELLED,
    ]


@pytest.mark.parametrize(("stop", "code"), [("suspend", "AGENT_SUSPENDED"), ("throw_switch", "KILL_SWITCH")])
async def test_a_stop_between_two_items_ends_the_rest(eth, stop, code):
    batch = await eth.want(eth.batch(eth.pay(1), eth.pay(2), eth.pay(3)))
    await eth.work()
    await getattr(eth, stop)()
    await eth.all_done()
    first, second, third = await eth.children(batch)
    assert await eth.said(batch, first, second, third) == [
        ("PARTIAL_FAILURE", code),
        DONE,
        ("CANCELLED", code),
        CANCELLED,
    ]
    assert await released(eth, second, third)


@pytest.mark.parametrize(
    ("stop", "code"), [("revoke", "SESSION_REVOKED"), ("terminate", "AGENT_TERMINATED")], ids=["revoke", "terminate"]
)
async def test_a_stop_that_cancels_what_waits_leaves_no_batch_without_an_end(eth, stop, code):
    batch = await eth.want(eth.batch(eth.pay(1), eth.pay(2)))
    await eth.work()
    await getattr(eth, stop)()
    assert await eth.said(batch) == [("SUBMITTED", None)]
    await end_orphans(eth.core)
    first, second = await eth.children(batch)
    assert await eth.said(batch, first, second) == [("PARTIAL_FAILURE", code), DONE, ("CANCELLED", code)]


async def test_a_stop_while_an_item_is_in_flight_is_told_when_it_lands(eth):
    batch = await eth.want(eth.batch(eth.pay(1), eth.pay(2)))
    await eth.node.hold()
    await eth.execute((await eth.children(batch))[0])
    await eth.revoke()
    await end_orphans(eth.core)
    assert await eth.said(batch) == [("SUBMITTED", None)]
    await eth.node.mine()
    await eth.confirm()
    assert await eth.said(batch) == [("PARTIAL_FAILURE", "SESSION_REVOKED")]


async def test_a_batch_of_which_nothing_landed_before_the_stop_has_failed(eth):
    batch = await eth.want(eth.batch(eth.pay(1), eth.pay(2)))
    first, _ = await eth.children(batch)
    eth.faults.drop("eth_estimateGas")
    with pytest.raises(Transient):
        await eth.execute(first)
    await eth.revoke()
    await eth.all_done()
    await end_orphans(eth.core)
    assert await eth.said(batch, *await eth.children(batch)) == [
        ("FAILED", "SESSION_REVOKED"),
        ("FAILED", "SESSION_REVOKED"),
        ("CANCELLED", "SESSION_REVOKED"),
    ]


# --- delayed --------------------------------------------------------------------------------------


@pytest.fixture
async def delayed(eth):
    """Two times 0.8 ETH: one request above what is sent at once."""
    return await eth.want(eth.batch(eth.pay(8 * 10**17), eth.pay(8 * 10**17)))


async def test_a_batch_waits_as_one_request(eth, delayed):
    assert (delayed.status, delayed.due_at is None) == (Status.QUEUED, False)
    rows, _ = await queue.to_execute(eth.core.db, eth.network, after="", limit=9)
    assert rows == []
    eth.clock.move(901)
    await Delays(eth.core).tick()
    assert await eth.said(delayed) == [("EXECUTING", None)]
    await eth.all_done()
    assert await eth.said(delayed, *await eth.children(delayed)) == [DONE] * 3


async def test_its_own_reservation_does_not_stop_a_batch_when_its_delay_is_over(eth, delayed):
    """The limit covers it once and not twice."""
    rows = [row for child in await eth.children(delayed) for row in await eth.rows_of(child)]
    await eth.limit_native(daily_total=str(sum(amount for *_, amount in rows)))
    eth.clock.move(901)
    await Delays(eth.core).tick()
    assert await eth.said(delayed) == [("EXECUTING", None)]
    await eth.all_done()
    assert await eth.said(delayed) == [DONE]


async def test_a_session_that_allows_it_once_still_allows_it_when_its_delay_is_over(eth):
    session = await eth.issue(max_total_amount=str(16 * 10**17))
    batch = await eth.want(eth.batch(eth.pay(8 * 10**17), eth.pay(8 * 10**17)), session=session)
    eth.clock.move(901)
    await Delays(eth.core).tick()
    await eth.all_done()
    assert await eth.said(batch) == [DONE]


async def test_a_batch_that_the_limits_no_longer_cover_is_cancelled_with_its_items(eth, delayed):
    await eth.limit_native(per_transaction=str(10**18))
    eth.clock.move(901)
    await Delays(eth.core).tick()
    assert {code for _, code in await eth.said(delayed, *await eth.children(delayed))} == {"BATCH_POLICY_VIOLATION"}
    assert await released(eth, *await eth.children(delayed))


async def test_what_waits_for_a_delay_has_half_as_much_again_set_aside_for_its_fee(eth, delayed):
    chain = eth.core.chains.chain(eth.network)
    (first, *_) = await eth.children(delayed)
    bound = chain.fee_bound(eth.pay(8 * 10**17))
    assert ("FEE", "ethereum", "RESERVED", -(-bound * 3 // 2)) in await eth.rows_of(first)
    single = await eth.want(eth.pay(2 * ETHER))
    assert ("FEE", "ethereum", "RESERVED", -(-bound * 3 // 2)) in await eth.rows_of(single)
    await eth.cancel(single)
    await eth.cancel(delayed)


async def test_cancelling_a_batch_that_waits_cancels_its_items(eth, delayed):
    await eth.cancel(delayed)
    assert {code for _, code in await eth.said(delayed, *await eth.children(delayed))} == {"CANCELLED_BY_CALLER"}
    assert await released(eth, *await eth.children(delayed))


async def test_cancelling_an_item_of_a_batch_that_waits_ends_the_batch(eth, delayed):
    first, second = await eth.children(delayed)
    await eth.cancel(second)
    assert await eth.said(delayed, first, second) == [
        ("CANCELLED", "CANCELLED_BY_CALLER"),
        CANCELLED,
        ("CANCELLED", "CANCELLED_BY_CALLER"),
    ]


async def test_a_batch_that_is_signed_cannot_be_taken_back(eth):
    batch = await eth.want(eth.batch(eth.pay(1), eth.pay(2)))
    await eth.work()
    with pytest.raises(AlreadyProcessed):
        await eth.cancel(batch)
    await eth.all_done()
    assert await eth.said(batch) == [DONE]


async def test_a_batch_counts_as_one_in_the_queue(eth):
    for _ in range(10):
        await eth.want(eth.batch(eth.pay(8 * 10**17), eth.pay(8 * 10**17)))
    with pytest.raises(PendingLimitExceeded):
        await eth.want(eth.pay(2 * ETHER))


# --- time -----------------------------------------------------------------------------------------


async def test_a_batch_that_could_not_begin_in_time_expires(eth):
    batch = await eth.want(eth.batch(eth.pay(1), eth.pay(2)))
    eth.clock.move(901)
    await eth.expire()
    first, second = await eth.children(batch)
    assert await eth.said(batch, first, second) == [
        ("EXPIRED", "PENDING_TIMEOUT"),
        ("CANCELLED", "PENDING_TIMEOUT"),
        ("CANCELLED", "PENDING_TIMEOUT"),
    ]


async def test_an_item_whose_turn_never_came_does_not_run_hours_later(eth):
    """The node fell silent after the first item: the second was never even begun."""
    batch = await eth.want(eth.batch(eth.pay(1), eth.pay(2), eth.pay(3)))
    await eth.work()
    eth.clock.move(800)
    await eth.expire()
    assert await eth.said(batch) == [("SUBMITTED", None)]
    eth.clock.move(101)
    await eth.expire()
    first, second, third = await eth.children(batch)
    assert await eth.said(batch, first, second, third) == [
        ("PARTIAL_FAILURE", "PENDING_TIMEOUT"),
        DONE,
        ("EXPIRED", "PENDING_TIMEOUT"),
        CANCELLED,
    ]


async def test_an_item_that_cannot_be_signed_in_time_fails_and_the_batch_with_it(eth):
    batch = await eth.want(eth.batch(eth.pay(1), eth.pay(2)))
    await eth.work()
    _, second = await eth.children(batch)
    eth.faults.down = True
    with pytest.raises(Transient):
        await eth.execute(second)
    eth.clock.move(901)
    await eth.expire()
    assert await eth.said(batch, second) == [("PARTIAL_FAILURE", "PENDING_TIMEOUT"), ("FAILED", "PENDING_TIMEOUT")]


async def test_the_time_an_item_is_in_flight_does_not_count(eth):
    batch = await eth.want(eth.batch(eth.pay(1), eth.pay(2)))
    await eth.node.hold()
    await eth.execute((await eth.children(batch))[0])
    eth.clock.move(5000)
    await eth.expire()
    await eth.node.mine()
    await eth.node.call("evm_setAutomine", True)
    await eth.all_done()
    assert await eth.said(batch) == [DONE]


# --- replaced, cancelled, lost ----------------------------------------------------------------------


async def test_an_item_that_is_cancelled_on_chain_ends_the_batch(eth):
    batch = await eth.want(eth.batch(eth.pay(1), eth.pay(2), eth.pay(3)))
    await eth.work()
    await eth.node.hold()
    first, second, third = await eth.children(batch)
    await eth.execute(second)
    await eth.sped_up(second, cancel=True)
    await eth.node.mine()
    await eth.confirm()
    code = "CANCELLED_ON_CHAIN"
    assert await eth.said(batch, first, second, third) == [("PARTIAL_FAILURE", code), DONE, ("FAILED", code), CANCELLED]


async def test_an_item_whose_nonce_a_stranger_took_ends_the_batch(eth):
    batch = await eth.want(eth.batch(eth.pay(1), eth.pay(2), eth.pay(3)))
    await eth.work()
    await eth.node.hold()
    first, second, third = await eth.children(batch)
    await eth.execute(second)
    await eth.spend_elsewhere(1)
    await eth.node.mine()
    await eth.confirm(AGAIN)
    code = "NONCE_CONSUMED"
    assert await eth.said(batch, first, second, third) == [("PARTIAL_FAILURE", code), DONE, ("FAILED", code), CANCELLED]
    assert (await eth.agent()).status.value == "SUSPENDED"


async def test_a_speed_up_of_an_item_lands_for_the_batch(eth):
    batch = await eth.want(eth.batch(eth.pay(1), eth.pay(2)))
    await eth.node.hold()
    first, _ = await eth.children(batch)
    await eth.execute(first)
    await eth.sped_up(first)
    await eth.node.mine()
    await eth.node.call("evm_setAutomine", True)
    await eth.all_done()
    assert await eth.said(batch) == [DONE]


async def test_a_commit_that_races_with_a_stop_ends_once(eth):
    """The last item confirms while the stop cancels nothing any more; the parent's end is told once."""
    batch = await eth.want(eth.batch(eth.pay(1), eth.pay(2)))
    await eth.node.hold()
    first, second = await eth.children(batch)
    await eth.execute(first)
    await eth.node.mine()
    eth.core.db = Between(eth.core.db, transactions.MARK_CONFIRMED, before=eth.revoke)
    await eth.confirm()
    await eth.confirm()
    await end_orphans(eth.core)
    assert await eth.said(batch, first, second) == [
        ("PARTIAL_FAILURE", "SESSION_REVOKED"),
        DONE,
        ("CANCELLED", "SESSION_REVOKED"),
    ]


async def test_a_batch_is_judged_as_one(eth):
    """P20: parts below every limit, whose sum is not."""
    (seeded,) = await policies.page(eth.core.db)
    await policy_steps.delete(eth.core, seeded.id, eth.operator)
    await eth.limit_native(per_transaction="100")
    with pytest.raises(BatchPolicyViolation):
        await eth.want(eth.batch(*(eth.pay(20) for _ in range(6))))
    tx = await eth.want(eth.batch(*(eth.pay(20) for _ in range(5))))
    await eth.all_done()
    assert await eth.said(tx) == [DONE]


async def test_the_fees_of_all_items_count_as_one(eth):
    bound = eth.core.chains.chain(eth.network).fee_bound(eth.pay())
    await eth.limit_native(daily_total=str(2 * bound + 1))
    with pytest.raises(BatchPolicyViolation):
        await eth.want(eth.batch(eth.pay(1), eth.pay(1)))
    tx = await eth.want(eth.batch(eth.pay(1), eth.pay(0)))
    await eth.all_done()
    assert await eth.said(tx) == [DONE]
