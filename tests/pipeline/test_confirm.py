"""After the signature only the chain decides: seen, failed, lost and sent again, or proven dead."""

import asyncio

import pytest
from structlog.testing import capture_logs

from tests.world import DEATH, SOL, Between
from waiaas.domain.transaction import AttemptStatus, Status
from waiaas.errors import Transient
from waiaas.pipeline.core import MISSES
from waiaas.pipeline.registry import policies as policy_steps
from waiaas.repositories import attempts, policies, transactions

FAILED = {"InstructionError": [2, {"Custom": 1}]}


def seen(**changed):
    """One answer of getSignatureStatuses."""
    status = {"slot": 1, "confirmations": None, "err": None, "confirmationStatus": "finalized"}
    return {"context": {"slot": 1}, "value": [status | changed]}


@pytest.fixture
async def submitted(world, core):
    """Signed and sent; the chain has it in its present block."""
    return await world.execute(await world.send())


@pytest.fixture
async def lost(world, core):
    """Signed, and no endpoint has taken it."""
    world.faults.drop("sendTransaction")
    return await world.execute(await world.send())


async def status(world, tx) -> str:
    return (await world.row(tx)).status.value


# --- seen -----------------------------------------------------------------------------------------


async def test_what_is_only_processed_is_not_confirmed(world, core, submitted):
    world.faults.answer("getSignatureStatuses", seen(confirmations=0, confirmationStatus="processed"))
    await world.confirm()
    assert await status(world, submitted) == "SUBMITTED"
    (attempt,) = await world.attempts(submitted)
    assert attempt.last_seen_at == world.clock.now()
    await world.confirm()
    assert await status(world, submitted) == "CONFIRMED"


async def test_what_is_confirmed_is_watched_until_it_is_final(world, core, submitted):
    world.faults.answer("getSignatureStatuses", seen(confirmations=5, confirmationStatus="confirmed"))
    await world.confirm()
    (attempt,) = await world.attempts(submitted)
    assert await status(world, submitted) == "CONFIRMED"
    assert (attempt.status, attempt.confirmations, attempt.finished_at) == (AttemptStatus.LANDED, 5, None)
    assert "TX_FINALIZED" not in await world.events(submitted)
    await world.confirm()
    (attempt,) = await world.attempts(submitted)
    assert attempt.finished_at == world.clock.now()
    assert (await world.events(submitted))[-2:] == ["TX_CONFIRMED", "TX_FINALIZED"]
    world.faults.seen.clear()
    await world.confirm()
    assert world.faults.seen == {}


async def test_what_moved_to_another_block_is_told_of_and_landed_again(world, core, submitted):
    for _ in range(1 + MISSES):
        # the receipt names the block that it is in, and then every look another
        world.faults.answer("getSignatureStatuses", seen(confirmations=5, confirmationStatus="confirmed"))
        await world.confirm()
    assert await status(world, submitted) == "CONFIRMED"
    assert "TX_REORGED" in await world.audited(submitted)
    assert "TX_REORGED" in await world.events(submitted)
    await world.confirm()
    (attempt,) = await world.attempts(submitted)
    assert (attempt.status, attempt.finished_at) == (AttemptStatus.LANDED, world.clock.now())


async def test_without_its_receipt_nothing_is_settled(world, core, submitted):
    world.faults.answer("getTransaction", None)
    await world.confirm()
    assert await status(world, submitted) == "SUBMITTED"
    await world.confirm()
    assert await status(world, submitted) == "CONFIRMED"


async def test_a_silent_node_changes_nothing(world, core, submitted):
    world.faults.drop("getSignatureStatuses")
    with pytest.raises(Transient):
        await world.confirm()
    assert await status(world, submitted) == "SUBMITTED"


async def test_a_block_of_many_is_looked_up_with_one_request(world, core):
    sent = [await world.execute(await world.send(amount)) for amount in range(1, 31)]
    world.faults.seen.clear()
    await world.confirm()
    assert world.faults.seen == {"getSignatureStatuses": 1, "getTransaction": 30}
    assert {await status(world, tx) for tx in sent} == {"CONFIRMED"}


async def test_one_that_cannot_be_settled_stops_no_other(world, core):
    first, second = await world.send(1), await world.send(2)
    await world.execute(first)
    await world.execute(second)
    await world.by_hand("UPDATE attempts SET network = 'devnet' WHERE tx_id = :id", id=second.id)
    await world.by_hand("UPDATE attempts SET network = 'localnet', max_fee = 'x' WHERE tx_id = :id", id=second.id)
    with capture_logs() as logs:
        await world.confirm()
    assert (await status(world, first), await status(world, second)) == ("CONFIRMED", "SUBMITTED")
    assert "row_does_not_decode" in {line["event"] for line in logs}
    await world.by_hand("UPDATE attempts SET max_fee = '5000' WHERE tx_id = :id", id=second.id)
    await world.confirm()


# --- landed and failed ----------------------------------------------------------------------------


@pytest.fixture
async def reverting(world, core):
    """Two payments that the balance covers one by one and not together; the second fails on chain."""
    (seeded,) = await policies.page(core.db)
    await policy_steps.delete(core, seeded.id, world.operator)
    await world.limit(per_transaction=str(100 * SOL))
    first, second = [await world.send(60 * SOL) for _ in range(2)]
    await world.execute(first)
    return await world.execute(second)


async def test_what_lands_and_fails_costs_its_fee_and_frees_the_rest(world, reverting):
    await world.confirm()
    row = await world.row(reverting)
    assert (row.status, row.error_code, row.fee) == (
        Status.FAILED,
        "ONCHAIN_FAILURE",
        '{"amount":"5000","asset":"native:solana"}',
    )
    assert await world.booked(reverting) == {"AMOUNT": ("RELEASED", 60 * SOL), "FEE": ("SPENT", 5000)}
    assert (await world.audited(reverting))[-1] == (await world.events(reverting))[-1] == "TX_FAILED"
    assert await world.balance(world.alice) == 40 * SOL - 10_000


async def test_a_failure_that_is_not_final_frees_nothing(world, core, submitted):
    world.faults.answer("getSignatureStatuses", seen(err=FAILED, confirmations=3, confirmationStatus="confirmed"))
    await world.confirm()
    assert await status(world, submitted) == "SUBMITTED"
    assert {state for state, _ in (await world.booked(submitted)).values()} == {"RESERVED"}
    await world.confirm()
    assert await status(world, submitted) == "CONFIRMED"


# --- not seen: the same bytes again -----------------------------------------------------------------


async def test_a_lost_reply_sends_the_same_bytes_and_has_one_effect(world, core):
    world.faults.lose_reply("sendTransaction")
    tx = await world.execute(await world.send(1000))
    await world.confirm()
    assert (await status(world, tx), await world.balance(world.bob)) == ("CONFIRMED", 100 * SOL + 1000)
    assert len(await world.attempts(tx)) == 1


async def test_bytes_that_never_arrived_are_sent_again(world, lost):
    (attempt,) = await world.attempts(lost)
    assert (attempt.broadcasts, attempt.last_broadcast_at) == (0, world.clock.now())
    await world.confirm(2)
    assert world.faults.sent[0] == attempt.raw
    await world.confirm()
    assert await status(world, lost) == "CONFIRMED"
    (attempt,) = await world.attempts(lost)
    assert (attempt.broadcasts, set(world.faults.sent)) == (1, {attempt.raw})


async def test_bytes_are_sent_again_every_two_seconds_until_they_are_seen(world, core, submitted):
    for _ in range(4):
        world.faults.answer("getSignatureStatuses", {"context": {"slot": 1}, "value": [None]})
        await world.confirm(1)
    assert len(world.faults.sent) == 3
    assert len(set(world.faults.sent)) == 1
    await world.confirm()
    assert await status(world, submitted) == "CONFIRMED"
    assert await world.balance(world.bob) == 100 * SOL + 1000


@pytest.mark.parametrize("code", [-32002, -32005, -32602, -32003])
async def test_no_refusal_of_signed_bytes_ends_a_transaction(world, core, code):
    world.faults.refuse("sendTransaction", code, "no", {"err": "AccountNotFound"})
    tx = await world.execute(await world.send())
    (attempt,) = await world.attempts(tx)
    assert (tx.status, attempt.status, attempt.broadcasts) == (Status.SUBMITTED, AttemptStatus.LIVE, 0)
    assert attempt.error
    world.clock.move(10)
    await world.confirm(2)
    await world.confirm()
    assert await status(world, tx) == "CONFIRMED"


async def test_bytes_refused_for_good_end_once_they_are_dead_and_not_before(world, core):
    world.faults.refuse("sendTransaction", -32003, "signature verification failure", times=100)
    tx = await world.execute(await world.send())
    for _ in range(3):
        await world.confirm(2)
    (attempt,) = await world.attempts(tx)
    assert (await status(world, tx), attempt.status, attempt.rejected_at) == (
        "SUBMITTED",
        AttemptStatus.LIVE,
        attempt.created_at,
    )
    world.clock.move(DEATH)
    await world.confirm(2)
    row = await world.row(tx)
    assert (row.status, row.error_code, len(await world.attempts(tx))) == (Status.FAILED, "CHAIN_REJECTED", 1)
    assert "signature verification failure" in row.error
    assert {state for state, _ in (await world.booked(tx)).values()} == {"RELEASED"}
    assert "lastValidBlockHeight" in (await world.details(tx, "TX_FAILED"))


async def test_bytes_that_an_endpoint_took_after_all_were_not_refused_for_good(world, core):
    world.faults.refuse("sendTransaction", -32003, "no")
    tx = await world.execute(await world.send())
    world.faults.lose_reply("sendTransaction")
    world.faults.answer("sendTransaction", (await world.row(tx)).tx_hash)
    world.faults.drop("sendTransaction", times=100)
    (attempt,) = await world.attempts(tx)
    assert attempt.rejected_at
    await world.by_hand(attempts.SENT, id=attempt.id, endpoint="a", now=world.clock.now())
    (attempt,) = await world.attempts(tx)
    assert attempt.rejected_at is None
    world.clock.move(DEATH)
    await world.confirm(2)
    assert (await status(world, tx), len(await world.attempts(tx))) == ("SUBMITTED", 2)
    world.faults.heal()
    await world.confirm(2)
    await world.confirm()
    assert await status(world, tx) == "CONFIRMED"


async def test_bytes_known_already_are_as_good_as_sent(world, core):
    world.faults.lose_reply("sendTransaction")
    world.faults.refuse("sendTransaction", -32002, "known", {"err": "AlreadyProcessed"})
    tx = await world.execute(await world.send())
    world.faults.answer("getSignatureStatuses", {"context": {"slot": 1}, "value": [None]})
    await world.confirm(2)
    (attempt,) = await world.attempts(tx)
    assert attempt.broadcasts == 1
    await world.confirm()


async def test_a_reply_that_comes_after_the_landing_changes_nothing(world, core):
    """The confirm worker settles it while the sender still waits; what the sender hears then is of no account."""
    gate = world.faults.hold_reply("sendTransaction")
    world.faults.lose_reply("sendTransaction")
    tx = await world.send()
    sending = asyncio.create_task(world.execute(tx))
    await gate.arrived.wait()
    await world.confirm()
    assert await status(world, tx) == "CONFIRMED"
    gate.open()
    assert (await sending).status is Status.CONFIRMED


async def test_while_the_switch_is_on_nothing_is_sent_again_and_everything_is_followed(world, core, submitted, lost):
    await world.throw_switch()
    sent = len(world.faults.sent)
    await world.confirm(2)
    await world.confirm(2)
    assert (await status(world, submitted), await status(world, lost)) == ("CONFIRMED", "SUBMITTED")
    assert len(world.faults.sent) == sent


# --- dead -----------------------------------------------------------------------------------------


async def test_dead_bytes_are_replaced_once_they_are_proven_dead(world, lost):
    world.clock.move(DEATH)
    await world.confirm()
    first, second = await world.attempts(lost)
    assert (first.status, first.finished_at, second.status) == (
        AttemptStatus.DEAD,
        world.clock.now(),
        AttemptStatus.LIVE,
    )
    assert (second.number, (await world.row(lost)).tx_hash) == (2, second.tx_hash)
    assert (first.tx_hash, first.blockhash) != (second.tx_hash, second.blockhash)
    proof = await world.details(lost, "TX_REPLACED")
    assert proof["finalizedBlockHeight"] > proof["lastValidBlockHeight"] == first.last_valid_block_height
    assert (proof["dead"], proof["txHash"], proof["endpoints"]) == (first.tx_hash, second.tx_hash, "embedded")
    await world.confirm()
    assert await status(world, lost) == "CONFIRMED"
    assert await world.events(lost) == ["TX_REQUESTED", "TX_SUBMITTED", "TX_REPLACED", "TX_CONFIRMED", "TX_FINALIZED"]
    assert await world.balance(world.bob) == 100 * SOL + 1000


async def test_after_three_dead_attempts_it_expires_and_its_money_is_free(world, lost):
    for _ in range(3):
        world.faults.drop("sendTransaction", times=9)
        world.clock.move(DEATH)
        await world.confirm()
    row = await world.row(lost)
    assert (row.status, row.error_code, row.fee) == (Status.EXPIRED, "BLOCKHASH_EXPIRED", None)
    assert [attempt.status for attempt in await world.attempts(lost)] == [AttemptStatus.DEAD] * 3
    assert {state for state, _ in (await world.booked(lost)).values()} == {"RELEASED"}
    assert (await world.details(lost, "TX_EXPIRED"))["code"] == "BLOCKHASH_EXPIRED"
    assert len(world.faults.sent) == len(set(world.faults.sent)) == 3


async def test_at_its_last_valid_height_it_is_not_dead_yet(world, lost):
    (attempt,) = await world.attempts(lost)
    world.faults.drop("sendTransaction", times=9)
    left = attempt.last_valid_block_height - await world.height()
    world.clock.move(left * 0.4)
    assert await world.height() == attempt.last_valid_block_height
    await world.confirm(0)
    assert len(await world.attempts(lost)) == 1
    await world.confirm(2)
    assert len(await world.attempts(lost)) == 2


async def test_what_landed_just_before_its_end_is_no_corpse(world, core, submitted):
    world.clock.move(DEATH)
    world.faults.answer("getSignatureStatuses", {"context": {"slot": 1}, "value": [None]})
    await world.confirm(2)
    assert len(await world.attempts(submitted)) == 1
    await world.confirm()
    assert await status(world, submitted) == "CONFIRMED"


@pytest.mark.parametrize("method", ["getEpochInfo", "getFirstAvailableBlock"])
async def test_a_proof_that_lacks_an_answer_proves_nothing(world, lost, method):
    world.clock.move(DEATH)
    world.faults.drop("sendTransaction", times=9)
    world.faults.drop(method)
    await world.confirm()
    assert [attempt.status for attempt in await world.attempts(lost)] == [AttemptStatus.LIVE]


async def test_history_that_does_not_reach_back_proves_nothing(world, lost):
    world.clock.move(DEATH)
    world.faults.drop("sendTransaction", times=9)
    world.faults.answer("getFirstAvailableBlock", 10**9)
    await world.confirm()
    assert [attempt.status for attempt in await world.attempts(lost)] == [AttemptStatus.LIVE]


@pytest.mark.parametrize(
    "stop", ["throw_switch", "suspend", "revoke", "terminate"], ids=["switch", "suspend", "revoke", "terminate"]
)
async def test_a_dead_attempt_is_not_followed_by_another_once_it_was_stopped(world, lost, stop):
    await getattr(world, stop)()
    world.clock.move(DEATH)
    await world.confirm()
    row = await world.row(lost)
    assert (row.status, row.error_code) == (Status.EXPIRED, "BLOCKHASH_EXPIRED")
    assert len(await world.attempts(lost)) == len(world.faults.sent) == 1


@pytest.mark.parametrize("stop", ["throw_switch", "suspend", "revoke", "terminate"])
async def test_a_stop_while_it_is_signed_again_leaves_one_dead_attempt(world, core, lost, stop):
    world.clock.move(DEATH)
    world.core = world.second_core()
    core.db = Between(core.db, transactions.MARK_SIGNED_AGAIN, before=getattr(world, stop))
    world.core = core
    await world.confirm()
    assert [attempt.status for attempt in await world.attempts(lost)] == [AttemptStatus.DEAD]
    assert (await world.row(lost)).status is Status.EXPIRED
    assert len(await world.attempts(lost)) == len(world.faults.sent) == 1


async def test_a_limit_tightened_meanwhile_stops_the_next_attempt(world, lost):
    await world.limit(per_transaction="1")
    world.clock.move(DEATH)
    await world.confirm()
    assert (await world.row(lost)).status is Status.EXPIRED


async def test_a_dead_attempt_whose_key_is_gone_expires(world):
    async with world.open_core():
        world.faults.drop("sendTransaction")
        tx = await world.execute(await world.send())
    (world.data.keystore / f"{world.alice.id}.json").write_text("{}")
    async with world.open_core():
        world.clock.move(DEATH)
        await world.confirm()
        assert (await world.row(tx)).status is Status.EXPIRED


async def test_a_node_that_falls_silent_during_the_next_attempt_leaves_everything_as_it_was(world, lost):
    world.clock.move(DEATH)
    world.faults.drop("simulateTransaction")
    await world.confirm()
    assert [attempt.status for attempt in await world.attempts(lost)] == [AttemptStatus.LIVE]
    await world.confirm(2)
    assert len(await world.attempts(lost)) == 2


async def test_a_lost_reply_of_the_second_attempt_has_one_effect_all_the_same(world, lost):
    world.clock.move(DEATH)
    world.faults.lose_reply("sendTransaction")
    await world.confirm()
    await world.confirm(2)
    await world.confirm()
    assert await status(world, lost) == "CONFIRMED"
    assert await world.balance(world.bob) == 100 * SOL + 1000
