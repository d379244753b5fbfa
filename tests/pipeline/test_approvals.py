"""Approvals, step by step: what binds them, who wins, what a crash leaves, and the fee that is signed for."""

import asyncio
import json

import pytest
from structlog.testing import capture_logs

from tests.pipeline.ethereum import AGAIN, SPENDER, STUCK
from tests.pipeline.market import Market, rise, watch_market
from tests.pipeline.owners import LOCK, OWNER, owned, say_no, say_yes, signed
from tests.world import OPERATOR, Between, Mortal
from waiaas.domain.owner import OwnerAction
from waiaas.domain.tier import Tier
from waiaas.domain.transaction import Status
from waiaas.errors import (
    AlreadyProcessed,
    ApprovalNotFound,
    ApprovalTimeout,
    FeeAboveApproved,
    InvalidSignature,
    OwnerAlreadyConnected,
    Reconciling,
    Transient,
)
from waiaas.pipeline.registry import owners
from waiaas.pipeline.signing.execute import check_approved_fee
from waiaas.pipeline.signing.gate import Stopped
from waiaas.pipeline.waiting import approve
from waiaas.pipeline.waiting.approval_text import show
from waiaas.pipeline.waiting.cancel import cancel
from waiaas.pipeline.waiting.release import Delays
from waiaas.repositories import agents, approvals, ledger

OTHER = "11111111111111111111111111111112"
EVM_OWNER = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
AUDITED = "SELECT details FROM audit_log WHERE event_type = :event ORDER BY id"
ALL_WAIT = {"instant_max": "0", "notify_max": "0", "delay_max": "0"}


@pytest.fixture
async def asked(world, core):
    """A transfer of Alice's that waits for her owner."""
    await owned(world)
    await world.limit(**ALL_WAIT, approval_timeout=600)
    return await world.send()


@pytest.fixture
async def graced(world, core):
    """A transfer that a delay holds, while the owner has not proved the key."""
    await owned(world, locked=False)
    await world.limit(**ALL_WAIT, delay_seconds=300)
    return await world.send()


# --- the decision ---------------------------------------------------------------------------------


async def test_a_yes_is_kept_with_what_was_signed_and_told_once(world, asked):
    proof = await signed(world, asked)
    await say_yes(world, asked, proof)
    stored = await approvals.find(world.core.db, asked.id)
    fee = (await world.booked(asked))["FEE"][1]
    assert (stored.approved_at, stored.closed_at, stored.max_fee) == (world.clock.now(), None, str(fee))
    await world.execute(asked)
    await world.confirm()
    assert (await world.audited(asked))[:4] == ["TX_REQUESTED", "TX_QUEUED", "TX_APPROVED", "TX_SUBMITTED"]
    assert (await world.events(asked))[:3] == ["TX_REQUESTED", "TX_APPROVAL_REQUIRED", "TX_APPROVED"]
    assert (await world.details(asked, "TX_APPROVED")) == {"bound": True, "digest": proof.digest}
    assert (await world.row(asked)).status is Status.CONFIRMED


async def test_a_no_is_told_once(world, asked):
    proof = await signed(world, asked, OwnerAction.REJECT)
    await say_no(world, asked, proof)
    assert await world.audited(asked) == ["TX_REQUESTED", "TX_QUEUED", "TX_REJECTED", "TX_CANCELLED"]
    assert (await world.details(asked, "TX_REJECTED")) == {"bound": True, "digest": proof.digest}


async def test_a_text_about_another_request_or_fee_is_no_yes(world, asked):
    proof, other = await signed(world, asked), await world.send()
    with pytest.raises(InvalidSignature):
        await say_yes(world, other, proof)
    world.tampered = True
    await world.by_hand("UPDATE spend_ledger SET reserved = '15001' WHERE tx_id = :id AND kind = 'FEE'", id=asked.id)
    with pytest.raises(InvalidSignature):
        await say_yes(world, asked, proof)
    with pytest.raises(InvalidSignature):
        await say_no(world, asked, proof)


async def test_a_request_changed_in_the_database_is_neither_shown_nor_executed(world, asked):
    proof = await signed(world, asked)
    world.tampered = True
    changed = asked.request.replace("1000", "9000")
    await world.by_hand("UPDATE transactions SET request = :request WHERE id = :id", request=changed, id=asked.id)
    with pytest.raises(InvalidSignature):
        await say_yes(world, asked, proof)
    with pytest.raises(AlreadyProcessed):
        await show(world.core, asked.id, OwnerAction.APPROVE)
    assert (await world.row(asked)).error_code == "REQUEST_CORRUPTED"


async def test_f14_of_all_that_may_end_it_exactly_one_does(world, asked):
    """Two processes, as far as locks in memory go; the guards of the commits decide."""
    for begins in range(5):
        tx = await world.send()
        yes, no, second = await signed(world, tx), await signed(world, tx, OwnerAction.REJECT), world.second_core()
        steps = [
            say_yes(world, tx, yes),
            say_yes(world, tx, yes, core=second),
            say_no(world, tx, no, core=second),
            cancel(world.core, tx.id, None, OPERATOR),
            owners.set_owner(second, world.alice.id, OTHER, OPERATOR, signed_by=OWNER)
            if begins == 4
            else asyncio.sleep(0),
        ]
        steps = steps[begins:] + steps[:begins]
        outcomes = await asyncio.gather(*steps, return_exceptions=True)
        lost = [one for one in outcomes if isinstance(one, BaseException)]
        assert all(isinstance(one, (AlreadyProcessed, InvalidSignature)) for one in lost), lost
        decided = await world.audited(tx)
        assert sum(decided.count(name) for name in ("TX_APPROVED", "TX_CANCELLED")) == 1


async def test_f14_an_approval_at_its_deadline_expires_and_is_not_executed(world, asked):
    proof = await signed(world, asked)
    world.clock.move(600)
    outcomes = await asyncio.gather(
        say_yes(world, asked, proof),
        approve.expire(world.core),
        approve.expire(world.second_core()),
        return_exceptions=True,
    )
    assert isinstance(outcomes[0], ApprovalTimeout)
    row = await world.row(asked)
    assert (row.status, row.error_code) == (Status.EXPIRED, "APPROVAL_TIMEOUT")
    assert (await world.audited(asked)).count("TX_EXPIRED") == 1
    assert (await world.events(asked))[-1] == "TX_APPROVAL_EXPIRED"
    assert {state for state, _ in (await world.booked(asked)).values()} == {"RELEASED"}
    assert (await approvals.find(world.core.db, asked.id)).closed_at == world.clock.now()


async def test_the_worker_is_woken_when_the_next_approval_runs_out(world, asked):
    worker, soon = approve.Undecided(world.core), world.core.approvals_soon
    assert soon.is_set()
    soon.clear()
    world.clock.move(599)
    await worker.tick()
    assert (await world.row(asked)).status is Status.QUEUED
    await asyncio.wait_for(soon.wait(), 5)
    world.clock.move(1)
    await worker.tick()
    assert (await world.row(asked)).status is Status.EXPIRED
    assert (await world.audited(asked)).count("TX_EXPIRED") == 1


async def test_an_approval_is_not_run_out_a_second_before_its_time(world, asked):
    another = await world.send()
    world.clock.move(599)
    await approve.expire(world.core)
    await say_yes(world, asked)
    assert (await world.row(asked)).status is Status.EXECUTING
    world.clock.move(1)
    await approve.expire(world.core)
    assert (await world.row(another)).status is Status.EXPIRED


async def test_f14_a_yes_survives_a_crash_and_is_executed_once(world):
    async with world.open_core() as core:
        await owned(world)
        await world.limit(**ALL_WAIT)
        tx = await world.send()
        proof, mortal = await signed(world, tx), Mortal(sql=approvals.APPROVE)
        mortal.possess(core, world.faults)
        with pytest.raises(Mortal.Death):
            await say_yes(world, tx, proof)
        mortal.leave(core, world.faults)
    world.time_passes()
    async with world.open_daemon():
        ended = await world.ended(tx)
        assert (ended.status, len(await world.attempts(tx))) == (Status.CONFIRMED, 1)
        with pytest.raises(AlreadyProcessed):
            await say_yes(world, tx, proof)


async def test_a_stop_or_a_rule_made_meanwhile_cancels_it_with_its_code(world, asked):
    proof = await signed(world, asked)
    await world.limit(per_transaction="1")
    with pytest.raises(Stopped):
        await say_yes(world, asked, proof)
    row = await world.row(asked)
    assert (row.status, row.error_code) == (Status.CANCELLED, "SPENDING_LIMIT_EXCEEDED")
    assert (await approvals.find(world.core.db, asked.id)).closed_at is not None


@pytest.mark.parametrize(
    ("stop", "code"),
    [("throw_switch", "KILL_SWITCH"), ("suspend", "AGENT_SUSPENDED"), ("revoke", "SESSION_REVOKED")],
)
async def test_a_stop_between_gate_and_yes_is_seen(world, asked, stop, code):
    proof, second = await signed(world, asked), world.second_core()
    second.db = Between(world.core.db, approvals.APPROVE, before=getattr(world, stop))
    with pytest.raises((Stopped, AlreadyProcessed)):
        await say_yes(world, asked, proof, core=second)
    row = await world.row(asked)
    assert (row.status, row.error_code) == (Status.CANCELLED, code)


async def test_nothing_is_decided_on_a_network_under_recovery(world, core, asked):
    proof = await signed(world, asked)
    core.reconciling.add(world.network)
    for decide in (say_yes, say_no):
        with pytest.raises(Reconciling):
            await decide(world, asked, proof)
    core.reconciling.clear()
    await say_yes(world, asked, proof)


async def test_every_end_closes_the_approval(world, core):
    await owned(world)
    await world.limit(**ALL_WAIT)

    async def closed(end) -> None:
        tx = await world.send()
        await end(tx)
        stored = await approvals.find(core.db, tx.id)
        assert (stored.closed_at, stored.approved_at) == (world.clock.now(), None)

    await closed(world.cancel)
    await closed(lambda _: world.revoke())
    world.session = await world.issue()
    await closed(lambda _: world.terminate())


# --- a delay that stands in -----------------------------------------------------------------------


async def test_approving_the_delay_runs_it_now_and_locks_the_owner_in_the_same_commit(world, graced):
    await say_yes(world, graced)
    agent = await world.agent()
    assert ((await world.row(graced)).status, agent.owner_state) == (Status.EXECUTING, "LOCKED")
    told = await world.core.db.fetch_all("SELECT event_type FROM outbox WHERE agent_id = :id", {"id": agent.id})
    assert [row["event_type"] for row in told].count("OWNER_VERIFIED") == 1
    assert len(await world.core.db.fetch_all(AUDITED, {"event": "OWNER_VERIFIED"})) == 1
    assert (await world.send()).tier is Tier.APPROVAL


async def test_a_delay_that_is_over_can_be_decided_no_more(world, graced):
    delays = Delays(world.core)
    await delays.tick()
    proof = await signed(world, graced)
    world.clock.move(300)
    with pytest.raises(ApprovalTimeout):
        await say_yes(world, graced, proof)
    assert (await world.row(graced)).status is Status.QUEUED
    await delays.tick()
    assert (await world.row(graced)).status is Status.EXECUTING
    with pytest.raises(AlreadyProcessed):
        await say_yes(world, graced, proof)
    assert (await approvals.find(world.core.db, graced.id)).closed_at == world.clock.now()


async def test_an_acceptance_judged_before_the_owner_changed_is_judged_again(world, core):
    await owned(world, locked=False)
    await world.limit(**ALL_WAIT)
    lock = world.by_hand(LOCK, id=world.alice.id, touches=f"agent:{world.alice.id}")
    between = Between(core.db, approvals.OPEN, before=lambda: lock)
    core.db, real = between, core.db
    tx = await world.send()
    core.db = real
    assert tx.tier is Tier.APPROVAL


async def test_a_delay_that_stands_in_for_nothing_is_nobodys_to_decide(world, core):
    await owned(world)
    await world.limit(instant_max="0", notify_max="0", delay_max="5000")
    tx = await world.send(1000)
    assert (tx.tier, await approvals.find(core.db, tx.id)) == (Tier.DELAY, None)
    with pytest.raises(ApprovalNotFound):
        await show(core, tx.id, OwnerAction.APPROVE)


# --- a change of owner ----------------------------------------------------------------------------


async def test_another_owner_inherits_nothing(world, graced):
    proof = await signed(world, graced)
    await owners.set_owner(world.core, world.alice.id, OWNER, OPERATOR)
    assert (await world.row(graced)).status is Status.QUEUED
    await owners.set_owner(world.core, world.alice.id, OTHER, OPERATOR)
    row = await world.row(graced)
    assert (row.status, row.error_code) == (Status.CANCELLED, "OWNER_CHANGED")
    with pytest.raises(AlreadyProcessed):
        await say_yes(world, graced, proof)
    later = await world.send()
    await owners.remove_owner(world.core, world.alice.id, OPERATOR)
    assert (await world.row(later)).error_code == "OWNER_CHANGED"


async def test_an_owner_that_is_a_contract_is_warned_of(eth):
    for address in (EVM_OWNER, eth.probe):
        with capture_logs() as logs:
            await owners.set_owner(eth.core, eth.alice.id, address, OPERATOR)
        assert ("owner_has_code" in [line["event"] for line in logs]) == (address == eth.probe)
    eth.faults.down = True
    assert (await owners.set_owner(eth.core, eth.alice.id, EVM_OWNER, OPERATOR)).owner_address == EVM_OWNER


async def test_a_proved_owner_is_not_changed_without_its_signature(world, core):
    await owned(world)
    with pytest.raises(OwnerAlreadyConnected):
        await owners.set_owner(core, world.alice.id, OTHER, OPERATOR)
    with pytest.raises(OwnerAlreadyConnected):
        await owners.set_owner(core, world.alice.id, OTHER, OPERATOR, signed_by=OTHER)
    changed = await owners.set_owner(core, world.alice.id, OTHER, OPERATOR, signed_by=OWNER)
    assert (changed.owner_address, changed.owner_state) == (OTHER, "LOCKED")
    details = [json.loads(row["details"]) for row in await core.db.fetch_all(AUDITED, {"event": "OWNER_SET"})]
    assert [(one["was"], one["ownerAddress"]) for one in details] == [(None, OWNER), (OWNER, OTHER)]


async def test_a_proved_owner_is_not_changed_behind_its_back_in_a_race(world, core):
    """The operator's step has read GRACE; the first signature is committed before it."""
    await owned(world, locked=False)
    lock, second = world.by_hand(LOCK, id=world.alice.id, touches=f"agent:{world.alice.id}"), world.second_core()
    second.db = Between(core.db, agents.SET_OWNER, before=lambda: lock)
    with pytest.raises(OwnerAlreadyConnected):
        await owners.set_owner(second, world.alice.id, OTHER, OPERATOR)
    agent = await world.agent()
    assert (agent.owner_address, agent.owner_state) == (OWNER, "LOCKED")


async def test_a_yes_is_void_when_the_owner_is_changed_first(world, graced):
    proof, second = await signed(world, graced), world.second_core()
    change = owners.set_owner(world.core, world.alice.id, OTHER, OPERATOR)
    second.db = Between(world.core.db, approvals.APPROVE, before=lambda: change)
    with pytest.raises(AlreadyProcessed):
        await say_yes(world, graced, proof, core=second)
    assert ((await world.agent()).owner_state, (await world.row(graced)).error_code) == ("GRACE", "OWNER_CHANGED")


# --- the fee --------------------------------------------------------------------------------------


@pytest.fixture
async def dear(eth):
    """An EVM agent with an owner who is asked about everything, and a market that a test moves."""
    await owned(eth, EVM_OWNER)
    await eth.limit_native(**ALL_WAIT)
    # a price is known, so that not the ceiling is set aside
    await eth.core.chains.chain(eth.network).prepare(eth.pay(), eth.alice.public_key)
    return watch_market(eth, Market(0, 0))


async def test_the_text_shows_the_chains_own_bound_and_sets_it_aside(eth, dear):
    tx = await eth.want(eth.pay())
    before = await approve.set_aside(eth.core, tx)
    rise(dear, 50)
    eth.clock.move(STUCK)
    await show(eth.core, tx.id, OwnerAction.REJECT)
    assert await approve.set_aside(eth.core, tx) == before
    shown = await show(eth.core, tx.id, OwnerAction.APPROVE)
    raised = await approve.set_aside(eth.core, tx)
    assert raised > before
    assert f"({raised})" in shown.statement
    await say_yes(eth, tx)
    await eth.all_done()
    assert (await eth.row(tx)).status is Status.CONFIRMED


async def test_the_text_shows_what_is_set_aside_where_a_cap_allows_no_more_or_the_node_is_silent(eth, dear):
    tx = await eth.want(eth.pay())
    before = await approve.set_aside(eth.core, tx)
    await eth.limit_native(daily_total=str(1000 + before))
    rise(dear, 50)
    eth.clock.move(STUCK)
    assert f"({before})" in (await show(eth.core, tx.id, OwnerAction.APPROVE)).statement
    eth.faults.down = True
    eth.clock.move(STUCK)
    assert f"({before})" in (await show(eth.core, tx.id, OwnerAction.APPROVE)).statement


async def test_nothing_dearer_is_signed_than_the_owner_signed_for(eth, dear):
    tx = await eth.want(eth.pay())
    await say_yes(eth, tx)
    rise(dear, 50)
    eth.clock.move(AGAIN + 1)
    with pytest.raises(FeeAboveApproved) as raised:
        await eth.execute(tx)
    assert isinstance(raised.value, Transient)
    assert raised.value.waiting == "FEE_BUDGET"
    assert await eth.attempts(tx) == []
    dear.base = 0
    eth.clock.move(AGAIN + 1)
    await eth.execute(tx)
    (attempt,) = await eth.attempts(tx)
    assert attempt.max_fee <= int((await approvals.find(eth.core.db, tx.id)).max_fee)
    await eth.all_done()


async def test_a_replacement_stays_within_what_the_owner_signed_for(eth, dear):
    tx = await eth.want(eth.pay())
    await say_yes(eth, tx)
    await eth.node.hold()
    await eth.execute(tx)
    rise(dear, 50)
    await eth.confirm(STUCK)
    assert (eth.core.waiting[tx.id].reason, len(await eth.attempts(tx))) == ("FEE_BUDGET", 1)
    await eth.node.mine()
    await eth.confirm()


async def test_the_items_of_a_batch_share_what_the_owner_signed_for(eth, dear):
    tx = await eth.want(eth.batch(eth.pay(), eth.pay(2000)))
    shown = await show(eth.core, tx.id, OwnerAction.APPROVE)
    assert "2 items: (1) send 0.000000000000001 ETH (1000)" in shown.statement
    assert "in all send 0.000000000000003 ETH (3000) on ethereum-localnet." in shown.statement
    await say_yes(eth, tx)
    most = int((await approvals.find(eth.core.db, tx.id)).max_fee)
    await eth.all_done()
    fees = [attempt.max_fee for child in await eth.children(tx) for attempt in await eth.attempts(child)]
    assert (await eth.row(tx)).status is Status.CONFIRMED
    assert (len(fees), sum(fees) <= most) == (2, True)


async def test_not_one_unit_more_is_signed_than_an_items_share(eth, dear):
    tx = await eth.want(eth.batch(eth.pay(), eth.pay(2000)))
    await say_yes(eth, tx)
    first, second = await eth.children(tx)
    share = (await approve.set_aside(eth.core, first), await approve.set_aside(eth.core, second))
    assert sum(share) == int((await approvals.find(eth.core.db, tx.id)).max_fee)
    for item, most in zip((first, second), share, strict=True):
        await check_approved_fee(eth.core, item, most)
        with pytest.raises(FeeAboveApproved):
            await check_approved_fee(eth.core, item, most + 1)
    await eth.all_done()


async def test_a_fee_is_not_raised_over_what_somebody_else_spends_meanwhile(eth, dear):
    tx, core = await eth.want(eth.pay()), eth.core
    before = await approve.set_aside(core, tx)
    rise(dear, 50)
    eth.clock.move(STUCK)
    chain = core.chains.chain(eth.network)
    dearer = (await chain.prepare(eth.pay(), eth.alice.public_key)).max_fee
    other = 1000 + -(-chain.fee_bound(eth.pay()) * 3 // 2)
    assert dearer > before
    # either fits, and both do not
    await eth.limit_native(daily_total=str(1000 + dearer + other - 1))
    eth.core = eth.second_core()
    core.db, real = Between(core.db, ledger.SET_FEE, before=lambda: eth.want(eth.pay())), core.db
    await show(core, tx.id, OwnerAction.APPROVE)
    core.db, eth.core = real, core
    assert await approve.set_aside(core, tx) == before
    for row in await eth.rows():
        await eth.cancel(row)


async def test_a_batch_that_an_item_ends_is_decided_no_more(eth, dear):
    tx = await eth.want(eth.batch(eth.pay(), eth.pay(2000)))
    await eth.cancel((await eth.children(tx))[0])
    assert (await approvals.find(eth.core.db, tx.id)).closed_at == eth.clock.now()


async def test_a_batch_that_is_rejected_takes_its_items_along(eth, dear):
    tx = await eth.want(eth.batch(eth.pay(), eth.pay(2000)))
    await say_no(eth, tx, await signed(eth, tx, OwnerAction.REJECT, EVM_OWNER))
    children = await eth.children(tx)
    assert await eth.said(tx, *children) == [("CANCELLED", "OWNER_REJECTED")] * 3


async def test_an_approval_and_its_reset_share_what_the_owner_signed_for(eth, dear):
    await eth.allow_tokens()
    await eth.allow("APPROVED_SPENDERS", spenders=[{"address": SPENDER}])
    await eth.allow("APPROVE_AMOUNT_LIMIT", maxAmount="1000", blockUnlimited=True)
    for amount in (5, 6):
        tx = await eth.want(eth.approve(amount))
        shown = await show(eth.core, tx.id, OwnerAction.APPROVE)
        assert f"let {SPENDER} spend up to {amount} base units of token {eth.token.address}" in shown.statement
        assert ("set to 0 first" in shown.statement) == (amount == 6)
        await say_yes(eth, tx)
        await eth.all_done()
        assert await eth.said(tx, *await eth.children(tx)) == [("CONFIRMED", None)] * (amount - 4)
