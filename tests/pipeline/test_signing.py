"""Between acceptance and signature: whatever stops it, nothing signed exists and the money is given back."""

from contextlib import suppress

import pytest
from structlog.testing import capture_logs

from tests.world import SOL, TAMPER, Between
from waiaas.domain.request import digest
from waiaas.domain.transaction import Status
from waiaas.errors import KeyUnreadable, Transient
from waiaas.pipeline.registry import policies as policy_steps
from waiaas.repositories import policies, transactions

STOPS = {
    "throw_switch": "KILL_SWITCH",
    "terminate": "AGENT_TERMINATED",
    "suspend": "AGENT_SUSPENDED",
    "revoke": "SESSION_REVOKED",
}
#: where in signing something can happen: while the node simulates, at the last look at the chain, at the commit
MOMENTS = ["simulateTransaction", "getLatestBlockhash", transactions.MARK_SUBMITTED]


async def unsigned(world, tx) -> tuple[str, str | None]:
    """Status and code of a row of which nothing signed may exist, and whose money must be free again."""
    assert await world.attempts(tx) == []
    assert world.faults.sent == []
    states = {state for state, _ in (await world.booked(tx)).values()}
    row = await world.row(tx)
    assert states == ({"RELEASED"} if row.finished_at else {"RESERVED"})
    return row.status.value, row.error_code


def arrange(world, core, moment: str, do) -> None:
    """Do something at that moment of signing."""
    if moment == transactions.MARK_SUBMITTED:
        core.db = Between(core.db, moment, before=do)
    else:
        world.faults.before(moment, do)


@pytest.mark.parametrize("moment", MOMENTS, ids=["simulation", "blockhash", "commit"])
@pytest.mark.parametrize(("stop", "code"), STOPS.items())
async def test_what_is_stopped_while_it_is_signed_fails_unsigned(world, core, stop, code, moment):
    tx = await world.send()
    world.core = world.second_core()
    arrange(world, core, moment, getattr(world, stop))
    world.core = core
    await world.execute(tx)
    assert await unsigned(world, tx) == ("FAILED", code)


#: the stops that leave what is PENDING to the gate; the others cancel it themselves
LEFT_TO_THE_GATE = [(stop, code) for stop, code in STOPS.items() if stop in ("throw_switch", "suspend")]


@pytest.mark.parametrize(("stop", "code"), LEFT_TO_THE_GATE)
async def test_what_is_stopped_before_it_is_started_is_cancelled(world, core, stop, code):
    tx = await world.send()
    await getattr(world, stop)()
    await world.execute(tx)
    assert await unsigned(world, tx) == ("CANCELLED", code)


@pytest.mark.parametrize(("stop", "code"), LEFT_TO_THE_GATE)
async def test_what_is_stopped_at_the_moment_it_is_started_never_starts(world, core, stop, code):
    tx = await world.send()
    core.db = Between(core.db, transactions.MARK_EXECUTING, before=getattr(world, stop))
    await world.execute(tx)
    assert await unsigned(world, tx) == ("PENDING", None)
    await world.execute(tx)
    assert await unsigned(world, tx) == ("CANCELLED", code)


async def test_a_signature_from_before_the_switch_is_dropped_even_if_it_is_off_again(world, core):
    tx, signed = await world.send(), []

    async def on_and_off():
        signed.append(core.db)
        await world.throw_switch()
        await world.recover_switch()

    core.db = Between(core.db, transactions.MARK_SUBMITTED, before=on_and_off)
    gates = []
    core.switch.get, asked = (lambda key: gates.append(key) or asked(key)), core.switch.get
    await world.execute(tx)
    # looked at before a node is asked and before the bytes leave; in between the gate was passed at the start, before
    # the signature that was dropped, and before the one that counts
    assert (len(signed), len(gates), len(await world.attempts(tx))) == (1, 1 + 3 + 1, 1)


@pytest.mark.parametrize("moment", MOMENTS, ids=["simulation", "blockhash", "commit"])
async def test_a_policy_tightened_while_it_is_signed_fails_it(world, core, moment):
    tx = await world.send(1000)
    arrange(world, core, moment, lambda: world.limit(per_transaction="999"))
    await world.execute(tx)
    assert await unsigned(world, tx) == ("FAILED", "SPENDING_LIMIT_EXCEEDED")


async def test_a_policy_tightened_before_the_start_cancels_it(world, core):
    tx = await world.send(1000)
    await world.limit(per_transaction="999")
    await world.execute(tx)
    assert await unsigned(world, tx) == ("CANCELLED", "SPENDING_LIMIT_EXCEEDED")


async def test_a_policy_that_still_allows_it_changes_nothing(world, core):
    tx = await world.send(1000)
    arrange(world, core, transactions.MARK_SUBMITTED, lambda: world.limit(per_transaction="1000"))
    assert (await world.execute(tx)).status is Status.SUBMITTED


async def test_its_own_reservation_does_not_count_against_it(world, core):
    limit = core.config.rpc.solana_max_priority_fee_lamports + 5000 + 1000
    await world.limit(daily_total=str(limit))
    assert (await world.pay(1000)).status is Status.CONFIRMED


async def test_a_cancel_while_it_is_prepared_comes_too_late_and_one_before_comes_in_time(world, core):
    first, second = await world.send(1), await world.send(2)
    core.db = Between(core.db, transactions.MARK_EXECUTING, before=lambda: world.cancel(first))
    await world.execute(first)
    assert await unsigned(world, first) == ("CANCELLED", "CANCELLED_BY_CALLER")
    await world.execute(second)
    assert (await world.row(second)).status is Status.SUBMITTED


async def test_a_timeout_while_it_is_signed_leaves_nothing_signed(world, core):
    tx = await world.send()

    async def expire():
        world.clock.move(901)
        await world.expire()

    core.db = Between(core.db, transactions.MARK_SUBMITTED, before=expire)
    await world.execute(tx)
    assert await unsigned(world, tx) == ("FAILED", "PENDING_TIMEOUT")


# --- what the chain refuses -----------------------------------------------------------------------


@pytest.fixture
async def generous(world, core):
    """Limits that are wider than the balance."""
    (seeded,) = await policies.page(core.db)
    await policy_steps.delete(core, seeded.id, world.operator)
    await world.limit(instant_max=str(10**12), notify_max=str(10**12), delay_max=str(10**12))


@pytest.mark.parametrize(
    ("amount", "code"),
    [
        (100 * SOL + 1, "INSUFFICIENT_BALANCE"),
        (100 * SOL, "INSUFFICIENT_FOR_FEE"),
        (100 * SOL - 5001, "INSUFFICIENT_BALANCE"),
    ],
    ids=["more than there is", "nothing left for the fee", "a rest too small to live"],
)
async def test_what_the_balance_does_not_cover_fails_unsigned(world, generous, amount, code):
    tx = await world.send(amount)
    await world.execute(tx)
    assert await unsigned(world, tx) == ("FAILED", code)


async def test_the_last_lamport_can_be_spent(world, generous):
    assert (await world.pay(100 * SOL - 5000)).status is Status.CONFIRMED
    assert await world.balance(world.alice) == 0


async def test_a_new_account_must_be_given_enough_to_live(world, core):
    tx = await world.send(1000, to="4vJ9JU1bJJE96FWSJKvHsmmFADCg4gpZQff4P3bkLKi")
    await world.execute(tx)
    assert await unsigned(world, tx) == ("FAILED", "INSUFFICIENT_BALANCE")


async def test_what_the_simulation_refuses_fails_unsigned(world, core):
    tx = await world.send()
    refusal = {"err": {"InstructionError": [2, {"Custom": 7}]}, "logs": ["no"], "unitsConsumed": 100}
    world.faults.answer("simulateTransaction", {"context": {"slot": 1}, "value": refusal})
    await world.execute(tx)
    assert await unsigned(world, tx) == ("FAILED", "SIMULATION_FAILED")
    assert await world.audited(tx) == ["TX_REQUESTED", "TX_EXECUTING", "TX_FAILED"]
    assert await world.events(tx) == ["TX_REQUESTED", "TX_FAILED"]


@pytest.mark.parametrize("err", ["BlockhashNotFound", "AccountInUse"])
async def test_a_simulation_that_tells_nothing_leaves_it_for_later(world, core, err):
    tx = await world.send()
    world.faults.answer("simulateTransaction", {"context": {"slot": 1}, "value": {"err": err}})
    with pytest.raises(Transient):
        await world.execute(tx)
    assert await unsigned(world, tx) == ("EXECUTING", None)
    assert (await world.execute(tx)).status is Status.SUBMITTED


@pytest.mark.parametrize("method", ["getMultipleAccounts", "simulateTransaction", "getLatestBlockhash"])
async def test_silence_leaves_it_for_later_unsigned(world, core, method):
    tx = await world.send()
    world.faults.drop(method)
    with pytest.raises(Transient):
        await world.execute(tx)
    assert await unsigned(world, tx) == ("EXECUTING", None)
    assert (await world.execute(tx)).status is Status.SUBMITTED


# --- the fee --------------------------------------------------------------------------------------


@pytest.fixture
async def dearer(world):
    """A send accepted when no priority fee was allowed, and a core that would pay one of a million lamports."""

    async def arrange(**limit):
        async with world.open_core(world.settings(rpc={"solana_max_priority_fee_lamports": 0})):
            if limit:
                await world.limit(**limit)
            tx = await world.send(1000)
            assert await world.booked(tx) == {"AMOUNT": ("RESERVED", 1000), "FEE": ("RESERVED", 5000)}
        world.faults.answer("getRecentPrioritizationFees", [{"slot": 1, "prioritizationFee": 10**12}], times=9)
        return tx

    return arrange


async def test_a_fee_above_its_reservation_is_set_aside_before_it_is_signed(world, dearer):
    tx = await dearer()
    async with world.open_core():
        await world.execute(tx)
        (attempt,) = await world.attempts(tx)
        assert 1_000_000 < attempt.max_fee <= 1_005_000
        assert (await world.booked(tx))["FEE"] == ("RESERVED", attempt.max_fee)
        await world.confirm()
        assert (await world.booked(tx))["FEE"] == ("SPENT", attempt.max_fee)


async def test_a_fee_above_the_limit_is_not_signed(world, dearer):
    tx = await dearer(daily_total="6000")
    async with world.open_core():
        await world.execute(tx)
        assert await unsigned(world, tx) == ("FAILED", "SPENDING_LIMIT_EXCEEDED")


async def test_a_fee_raised_while_somebody_else_spends_is_judged_again(world, dearer):
    tx = await dearer(daily_total="2002000")
    async with world.open_core() as core:
        world.core = world.second_core()
        core.db = Between(core.db, transactions.MARK_SUBMITTED, before=lambda: world.send(990_000))
        world.core = core
        await world.execute(tx)
        assert await unsigned(world, tx) == ("FAILED", "SPENDING_LIMIT_EXCEEDED")


# --- what is stored -------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ['{"amount":"9000","memo":null,"to":"%s","type":"TRANSFER"}', "{"])
@pytest.mark.parametrize("started", [False, True])
async def test_a_request_that_was_changed_is_never_signed(world, core, text, started):
    world.tampered = True
    tx = await world.send(1000)
    if started:
        world.faults.drop("simulateTransaction")
        with pytest.raises(Transient):
            await world.execute(tx)
    await world.by_hand(TAMPER, id=tx.id, request=text.replace("%s", world.bob.public_key))
    await world.execute(tx)
    assert await unsigned(world, tx) == ("FAILED" if started else "CANCELLED", "REQUEST_CORRUPTED")


async def test_a_request_that_nobody_understands_is_never_signed(world, core):
    """As after a downgrade: the hash is right, and the type is of another version."""
    world.tampered = True
    tx, text = await world.send(1000), '{"type":"SOMETHING_LATER"}'
    sql = "UPDATE transactions SET request = :request, request_hash = :hash WHERE id = :id"
    await world.by_hand(sql, id=tx.id, request=text, hash=digest(text.encode()))
    await world.execute(tx)
    assert await unsigned(world, tx) == ("CANCELLED", "REQUEST_CORRUPTED")


async def test_a_request_that_was_changed_after_it_was_signed_is_followed_to_its_end(world, core):
    world.tampered = True
    tx = await world.execute(await world.send(1000))
    await world.by_hand(TAMPER, id=tx.id, request="{")
    await world.confirm()
    assert (await world.row(tx)).status is Status.CONFIRMED


async def test_an_unreadable_key_leaves_it_for_later(world):
    async with world.open_core():
        tx = await world.send()
    (world.data.keystore / f"{world.alice.id}.json").write_text("{}")
    async with world.open_core():
        with pytest.raises(KeyUnreadable):
            await world.execute(tx)
        assert await unsigned(world, tx) == ("EXECUTING", None)


# --- no byte before it is durable -----------------------------------------------------------------


async def test_no_byte_leaves_before_it_is_durable(world, core):
    tx, stored = await world.send(), []
    world.faults.before("sendTransaction", lambda: stored.extend(world.stored_bytes()))
    await world.execute(tx)
    assert stored == world.faults.sent != []


async def test_bytes_whose_commit_fails_are_never_sent(world, core):
    tx = await world.send()

    class Cut(Exception):
        pass

    async def cut():
        raise Cut

    core.db = Between(core.db, transactions.MARK_SUBMITTED, before=cut)
    with pytest.raises(Cut):
        await world.execute(tx)
    assert await unsigned(world, tx) == ("EXECUTING", None)


async def test_a_row_that_another_step_has_moved_is_left_alone(world, core):
    tx = await world.send()
    stale = await world.row(tx)
    await world.execute(tx)
    with capture_logs() as logs:
        await world.execute_row(stale)
    assert [line["event"] for line in logs] == ["moved_by_another_step"]
    assert len(world.faults.sent) == len(await world.attempts(tx)) == 1


async def test_more_equal_payments_than_one_blockhash_tells_apart_wait_for_the_next(world, core):
    sent = [await world.send(1000) for _ in range(50)]
    for tx in sent:
        with suppress(Transient):
            await world.execute(tx)
    first = (await world.statuses())["SUBMITTED"]
    assert 0 < first < 50
    world.clock.move(2)
    await world.work()
    await world.confirm()
    assert await world.statuses() == {"CONFIRMED": 50}
    assert await world.balance(world.bob) == 100 * SOL + 50_000


async def test_equal_payments_are_told_apart_although_a_restart_has_forgotten_the_first(world, core):
    one, two = await world.send(1000), await world.send(1000)
    await world.execute(one)
    core.chains.chain(world.network)._signed.clear()
    await world.execute(two)
    hashes = {attempt.tx_hash for tx in (one, two) for attempt in await world.attempts(tx)}
    assert len(hashes) == 2
