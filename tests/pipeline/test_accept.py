"""Accepting: one commit that holds only if everything it was decided on still holds."""

import asyncio

import pytest

from tests.world import OPERATOR, OWN, SOL, Between
from waiaas.domain.policy import Tier
from waiaas.domain.request import Transfer
from waiaas.domain.session import AssetConstraint
from waiaas.domain.transaction import Status
from waiaas.errors import (
    AgentIsSuspended,
    AgentIsTerminated,
    IdempotencyConflict,
    KeystoreLocked,
    KillSwitchActive,
    PendingLimitExceeded,
    PolicyDenied,
    Reconciling,
    SessionLimitExceeded,
    SessionRevoked,
    SpendingLimitExceeded,
)
from waiaas.pipeline.registry import policies as policy_steps
from waiaas.repositories import policies, transactions

STOPS = {
    "throw_switch": KillSwitchActive,
    "terminate": AgentIsTerminated,
    "suspend": AgentIsSuspended,
    "revoke": SessionRevoked,
}


@pytest.fixture
def meanwhile(world, core):
    """Do something between the decision and the commit that accepts, as another process would."""

    def arrange(do):
        world.core = world.second_core()
        core.db = Between(core.db, transactions.INSERT, before=do)

    return arrange


@pytest.mark.parametrize(("stop", "refusal"), STOPS.items())
async def test_what_is_stopped_before_the_decision_is_refused_and_leaves_no_row(world, core, stop, refusal):
    await getattr(world, stop)()
    with pytest.raises(refusal):
        await world.send()
    assert await world.rows() == []


@pytest.mark.parametrize(("stop", "refusal"), STOPS.items())
async def test_what_is_stopped_between_decision_and_commit_is_refused_and_leaves_no_row(
    world, core, meanwhile, stop, refusal
):
    meanwhile(getattr(world, stop))
    with pytest.raises(refusal):
        await world.send(core=core)
    assert await world.rows() == []


async def test_a_switch_thrown_and_recovered_meanwhile_makes_the_decision_anew(world, core, meanwhile):
    judged = []

    async def on_and_off():
        judged.append(await core.books.book(world.alice.id))
        await world.throw_switch()
        await world.recover_switch()

    meanwhile(on_and_off)
    tx = await world.send(core=core)
    assert (tx.status, len(judged)) == (Status.PENDING, 1)


async def test_a_policy_tightened_between_decision_and_commit_denies(world, core, meanwhile):
    meanwhile(lambda: world.limit(per_transaction="999"))
    with pytest.raises(SpendingLimitExceeded):
        await world.send(1000, core=core)
    (denied,) = await world.rows()
    assert (denied.status, denied.error_code) == (Status.CANCELLED, "SPENDING_LIMIT_EXCEEDED")


async def test_of_two_sends_that_race_for_the_last_of_a_limit_one_passes(world, core, meanwhile):
    await world.limit(daily_total=str(10 * SOL))
    await world.pay(8 * SOL - 3_000_000)
    meanwhile(lambda: world.send(SOL))
    with pytest.raises(SpendingLimitExceeded):
        await world.send(SOL + SOL // 2, core=core)
    assert await world.statuses() == {"CONFIRMED": 1, "PENDING": 1, "CANCELLED": 1}


async def test_what_is_set_aside_counts_until_it_is_given_back(world, core):
    await world.limit(daily_total=str(SOL))
    first = await world.send(SOL // 2)
    with pytest.raises(SpendingLimitExceeded):
        await world.send(SOL // 2)
    await world.cancel(first)
    assert (await world.send(SOL // 2)).status is Status.PENDING


async def test_a_limit_can_be_used_up_to_its_last_lamport_and_no_further(world, core):
    most = core.config.rpc.solana_max_priority_fee_lamports + 5000
    await world.limit(daily_total=str(5000 + most))
    with pytest.raises(SpendingLimitExceeded):
        await world.send(5001)
    assert (await world.send(5000)).status is Status.PENDING


async def test_twenty_sends_at_once_never_pass_the_limit(world, core):
    most = core.config.rpc.solana_max_priority_fee_lamports + 5000
    await world.limit(daily_total=str(5 * (1000 + most)))
    others = [world.second_core() for _ in range(4)]
    asked = [world.ask(1000, core=others[number % 4]) for number in range(20)]
    outcomes = await asyncio.gather(*asked, return_exceptions=True)
    assert sum(not isinstance(outcome, Exception) for outcome in outcomes) == 5
    assert {type(outcome) for outcome in outcomes if isinstance(outcome, Exception)} == {SpendingLimitExceeded}


async def test_without_a_limit_in_scope_nothing_is_allowed(world, core):
    (seeded,) = await policies.page(core.db)
    await policy_steps.delete(core, seeded.id, world.operator)
    with pytest.raises(PolicyDenied) as refused:
        await world.send()
    (denied,) = await world.rows()
    assert refused.value.details["transactionId"] == denied.id
    assert await world.audited(denied) == ["TX_REQUESTED", "POLICY_VIOLATION"]
    assert await world.events(denied) == ["TX_REQUESTED", "POLICY_VIOLATION", "TX_CANCELLED"]
    assert await world.ledger(denied) == {}


async def test_a_session_spends_no_more_than_it_was_given(world, core):
    session = await world.issue(max_total_amount="3000", max_transactions=3)
    await world.send(2000, session=session)
    with pytest.raises(SessionLimitExceeded):
        await world.send(1001, session=session)
    await world.send(1000, session=session)
    await world.send(0, session=session)
    with pytest.raises(SessionLimitExceeded):
        await world.send(0, session=session, memo="the fourth that would be accepted")
    by_asset = await world.issue(limits={"native:solana": AssetConstraint(max_total_amount="3000")})
    await world.send(2000, session=by_asset)
    with pytest.raises(SessionLimitExceeded):
        await world.send(1001, session=by_asset)


async def test_two_sends_of_a_session_race_for_its_last_transaction(world, core, meanwhile):
    session = await world.issue(max_transactions=1)
    meanwhile(lambda: world.send(session=session))
    with pytest.raises(SessionLimitExceeded):
        await world.send(session=session, core=core)


async def test_the_room_that_waiting_needs_must_fit_too(world, core):
    bound = core.chains.chain(world.network).fee_bound(Transfer(world.bob.public_key, "1000"))
    cap = await world.limit(instant_max="0", notify_max="0", delay_max="5000", daily_total=str(1000 + bound))
    with pytest.raises(SpendingLimitExceeded):
        await world.send(1000)
    await policy_steps.delete(core, cap.id, OPERATOR)
    await world.limit(instant_max="0", notify_max="0", delay_max="5000", daily_total=str(1000 + -(-bound * 3 // 2)))
    assert (await world.send(1000)).status is Status.QUEUED


# --- idempotency ----------------------------------------------------------------------------------


async def test_the_same_key_and_request_is_the_same_transaction(world, core):
    first = await world.ask(1000, key="k")
    again = await world.ask(1000, key="k")
    assert (first.replayed, again.replayed, again.tx.id) == (False, True, first.tx.id)
    assert len(await world.rows()) == 1


async def test_the_same_key_for_another_request_is_a_conflict(world, core):
    first = await world.send(1000, key="k")
    with pytest.raises(IdempotencyConflict) as refused:
        await world.send(1001, key="k")
    assert refused.value.details["transactionId"] == first.id
    assert len(await world.rows()) == 1


async def test_a_key_is_replayed_even_when_nothing_more_is_accepted(world, core):
    first = await world.send(1000, key="k")
    await world.throw_switch()
    assert (await world.send(1000, key="k")).id == first.id


async def test_twenty_sends_with_one_key_are_one_transaction(world, core):
    cores = [core, *(world.second_core() for _ in range(3))]
    answers = await asyncio.gather(*(world.ask(1000, key="k", core=cores[number % 4]) for number in range(20)))
    assert sum(not answer.replayed for answer in answers) == 1
    assert len({answer.tx.id for answer in answers}) == len(await world.rows()) == 1


async def test_a_key_taken_between_look_and_commit_is_replayed(world, core, meanwhile):
    meanwhile(lambda: world.send(1000, key="k"))
    assert (await world.ask(1000, key="k", core=core)).replayed


async def test_a_key_taken_just_after_the_look_is_replayed(world, core):
    """The other one is in the ledger's version that is read next: only the index on keys can tell."""
    world.core = world.second_core()
    core.db = Between(core.db, transactions.BY_KEY, after=lambda: world.send(1000, key="k"))
    assert (await world.ask(1000, key="k", core=core)).replayed
    assert len(await world.rows()) == 1


async def test_a_denial_binds_no_key(world, core):
    limit = await world.limit(per_transaction="10")
    with pytest.raises(SpendingLimitExceeded):
        await world.send(1000, key="k")
    await policy_steps.delete(core, limit.id, world.operator)
    assert (await world.send(1000, key="k")).status is Status.PENDING


# --- tiers and queues -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("amount", "tier", "status"),
    [
        (SOL, Tier.INSTANT, Status.PENDING),
        (SOL + 1, Tier.NOTIFY, Status.PENDING),
        (10 * SOL, Tier.NOTIFY, Status.PENDING),
        (10 * SOL + 1, Tier.DELAY, Status.QUEUED),
        (50 * SOL, Tier.DELAY, Status.QUEUED),
    ],
)
async def test_the_seeded_limit_sets_the_tier(world, core, amount, tier, status):
    tx = await world.send(amount)
    assert (tx.tier, tx.status, await world.row(tx)) == (tier, status, tx)
    assert tx.due_at == (tx.created_at + 300 if tier is Tier.DELAY else None)


async def test_splitting_a_payment_does_not_lower_its_tier(world, core):
    await world.send(SOL // 2 + 1)
    assert (await world.send(SOL // 2)).tier is Tier.NOTIFY


async def test_without_an_owner_an_approval_becomes_a_delay(world, core):
    await world.limit(instant_max="0", notify_max="0", delay_max="0", delay_seconds=30)
    tx = await world.send(60 * SOL)
    assert (tx.status, tx.tier, tx.due_at) == (Status.QUEUED, Tier.DELAY, tx.created_at + 300)
    assert await world.audited(tx) == ["TX_REQUESTED", "TX_DOWNGRADED"]
    assert await world.events(tx) == ["TX_REQUESTED", "TX_DOWNGRADED_DELAY"]


async def test_with_an_owner_who_has_signed_an_approval_stays_one(world, core):
    await world.by_hand(OWN, id=world.alice.id, touches=f"agent:{world.alice.id}")
    tx = await world.send(60 * SOL)
    assert (tx.status, tx.tier, tx.due_at) == (Status.QUEUED, Tier.APPROVAL, tx.created_at + 3600)
    assert await world.audited(tx) == ["TX_REQUESTED", "TX_QUEUED"]


async def test_an_agent_has_only_so_many_queued_transactions(world):
    async with world.open_core(world.settings(security={"max_pending_tx": 2})):
        await world.send(11 * SOL)
        second = await world.send(11 * SOL)
        with pytest.raises(PendingLimitExceeded):
            await world.send(11 * SOL)
        assert len(await world.rows()) == 2
        await world.cancel(second)
        assert (await world.send(11 * SOL)).status is Status.QUEUED


async def test_queueing_races_for_the_last_place(world):
    async with world.open_core(world.settings(security={"max_pending_tx": 1})) as core:
        world.core = world.second_core()
        core.db = Between(core.db, transactions.INSERT, before=lambda: world.send(11 * SOL))
        with pytest.raises(PendingLimitExceeded):
            await world.send(12 * SOL, core=core)
        assert len(await world.rows()) == 1


# --- what else keeps a send out -------------------------------------------------------------------


async def test_a_network_under_recovery_accepts_nothing(world, core):
    core.reconciling.add(world.alice.network)
    with pytest.raises(Reconciling):
        await world.send()
    assert await world.rows() == []


async def test_an_agent_whose_key_cannot_be_read_accepts_nothing(world):
    (world.data.keystore / f"{world.alice.id}.json").write_text("{}")
    async with world.open_core():
        with pytest.raises(KeystoreLocked):
            await world.send()
        assert await world.rows() == []
