"""The same nonce again, dearer: when bytes are stuck, when somebody asks, or to cancel; one lands and settles once."""

import pytest

from tests.pipeline.ethereum import AGAIN, CONFIRMED, ETHER, GWEI, STUCK
from tests.pipeline.market import Market, rise, watch_market
from tests.world import Between
from waiaas.chains.base import Fees
from waiaas.chains.evm import build
from waiaas.domain.agent import AgentStatus
from waiaas.domain.transaction import AttemptStatus
from waiaas.errors import AlreadyProcessed, FeeAboveCap, KeyUnreadable, Permanent, StaleState, StorageBusy
from waiaas.pipeline.landing import follow
from waiaas.pipeline.signing.gate import Stopped
from waiaas.repositories import attempts

DEAD, LANDED, LIVE, REPLACED = AttemptStatus.DEAD, AttemptStatus.LANDED, AttemptStatus.LIVE, AttemptStatus.REPLACED


@pytest.fixture
async def held(eth):
    """A payment that the node has taken and puts into no block."""
    await eth.node.hold()
    return await eth.execute(await eth.want(eth.pay(1000)))


@pytest.fixture
def market(eth):
    """The node's own fee history, until its base fee is set."""
    return watch_market(eth, Market(0, 0))


async def fees(eth, tx):
    """Of every attempt, oldest first."""
    paid = [build.read(attempt.raw)[0] for attempt in await eth.attempts(tx)]
    return [(one.max_fee_per_gas, one.max_priority_fee_per_gas) for one in paid]


# --- stuck ----------------------------------------------------------------------------------------


async def test_bytes_nobody_has_seen_for_long_are_replaced_by_dearer_ones(eth, held, market):
    rise(market)
    await eth.confirm(AGAIN)
    assert await eth.states(held) == [("SEND", LIVE)]
    await eth.confirm(STUCK - AGAIN)
    assert await eth.states(held) == [("SEND", REPLACED), ("SPEED_UP", LIVE)]
    first, second = await fees(eth, held)
    assert second == (30 * GWEI, 10 * GWEI)
    assert all(new * 8 >= old * 9 for old, new in zip(first, second, strict=True))
    one, two = await eth.attempts(held)
    assert (one.nonce, (await eth.row(held)).tx_hash) == (two.nonce, two.tx_hash)
    assert await eth.rows_of(held) == [
        ("AMOUNT", "ethereum", "RESERVED", 1000),
        ("FEE", "ethereum", "RESERVED", two.max_fee),
    ]
    await eth.node.mine()
    await eth.confirm()
    assert await eth.states(held) == [("SEND", DEAD), ("SPEED_UP", LANDED)]
    assert await eth.said(held) == [("CONFIRMED", None)]
    assert (await eth.audited(held)).count("TX_CONFIRMED") == 1


async def test_a_replacement_pays_an_eighth_more_at_least(eth, held, market):
    ((most, tip),) = await fees(eth, held)
    market.base, market.tip = 1, tip + 1
    await eth.confirm(STUCK)
    _, (dearer, dearer_tip) = await fees(eth, held)
    assert (dearer, dearer_tip) == (-(-most * 9 // 8), max(tip + 1, -(-tip * 9 // 8)))


async def test_bytes_that_pay_the_present_price_are_sent_again_and_not_replaced(eth, held):
    for _ in range(5):
        await eth.confirm(STUCK)
    assert await eth.states(held) == [("SEND", LIVE)]
    assert len(set(eth.faults.sent)) == 1
    assert len(eth.faults.sent) == 6
    await eth.node.mine()
    await eth.confirm()


async def test_the_old_bytes_may_land_after_all_and_settle_once(eth, held, market):
    (attempt,) = await eth.attempts(held)
    rise(market)
    eth.faults.drop("eth_sendRawTransaction", times=9)
    await eth.confirm(STUCK)
    assert await eth.states(held) == [("SEND", REPLACED), ("SPEED_UP", LIVE)]
    await eth.node.mine()
    await eth.confirm()
    assert await eth.states(held) == [("SEND", LANDED), ("SPEED_UP", DEAD)]
    row = await eth.row(held)
    assert (row.status, row.tx_hash) == (CONFIRMED, attempt.tx_hash)
    assert await eth.balance(eth.bob) == 100 * ETHER + 1000


async def test_again_and_again_while_the_price_rises(eth, held, market):
    for times in (10, 20, 40):
        rise(market, times)
        await eth.confirm(STUCK)
    assert [kind for kind, _ in await eth.states(held)] == ["SEND", "SPEED_UP", "SPEED_UP", "SPEED_UP"]
    assert [status for _, status in await eth.states(held)] == [REPLACED, REPLACED, REPLACED, LIVE]
    await eth.node.mine()
    await eth.confirm()
    assert [status for _, status in await eth.states(held)] == [DEAD, DEAD, DEAD, LANDED]


async def test_above_the_ceiling_nothing_is_signed_until_it_falls(eth, market):
    rise(market, 2000)
    tx = await eth.want(eth.pay())
    with pytest.raises(FeeAboveCap):
        await eth.execute(tx)
    assert (await eth.row(tx)).status.value == "EXECUTING"
    market.base = 0
    eth.clock.move(3)
    await eth.execute(tx)
    await eth.confirm()
    assert await eth.said(tx) == [("CONFIRMED", None)]


async def test_a_replacement_above_the_ceiling_waits_and_the_same_bytes_go_on(eth, held, market):
    rise(market, 2000)
    await eth.confirm(STUCK)
    assert (eth.core.waiting[held.id].reason, await eth.states(held)) == ("FEE_CAP", [("SEND", LIVE)])
    assert len(eth.faults.sent) == 2
    rise(market, 20)
    await eth.confirm(STUCK)
    assert await eth.states(held) == [("SEND", REPLACED), ("SPEED_UP", LIVE)]
    assert held.id not in eth.core.waiting
    await eth.node.mine()
    await eth.confirm()


async def test_a_replacement_that_would_pass_a_limit_waits(eth, held, market):
    (attempt,) = await eth.attempts(held)
    await eth.limit_native(daily_total=str(1000 + attempt.max_fee))
    rise(market)
    await eth.confirm(STUCK)
    assert (eth.core.waiting[held.id].reason, await eth.states(held)) == ("FEE_BUDGET", [("SEND", LIVE)])
    await eth.node.mine()
    await eth.confirm()
    assert await eth.said(held) == [("CONFIRMED", None)]


async def test_a_replacement_that_the_balance_does_not_cover_waits(eth, market):
    await eth.node.hold()
    await eth.limit_native(per_transaction=str(100 * ETHER))
    tx = await eth.execute(await eth.want(eth.pay(10**16)))
    await eth.node.call("anvil_setBalance", eth.alice.public_key, hex(10**16 + 10**14))
    eth.endowed[eth.alice.public_key.lower()] = 10**16 + 10**14
    rise(market, 100)
    await eth.confirm(STUCK)
    assert (eth.core.waiting[tx.id].reason, await eth.states(tx)) == ("FEE_BUDGET", [("SEND", LIVE)])
    await eth.node.mine()
    await eth.confirm()
    assert await eth.said(tx) == [("CONFIRMED", None)]


@pytest.mark.parametrize(("stop", "code"), [("suspend", "AGENT_SUSPENDED"), ("revoke", "SESSION_REVOKED")])
async def test_what_is_stuck_and_stopped_is_sent_again_and_not_signed_again(eth, held, market, stop, code):
    await getattr(eth, stop)()
    rise(market)
    await eth.confirm(STUCK)
    assert (await eth.states(held), len(eth.faults.sent)) == ([("SEND", LIVE)], 2)
    assert eth.core.waiting[held.id].reason == code
    await eth.node.mine()
    await eth.confirm()
    assert await eth.said(held) == [("CONFIRMED", None)]


async def test_a_key_that_cannot_be_used_does_not_stop_the_bytes_there_are(eth, held, market):
    def unreadable(agent_id, payload):
        raise KeyUnreadable()

    eth.core.keystore.sign = unreadable
    rise(market)
    await eth.confirm(STUCK)
    assert eth.core.waiting[held.id].reason == "KEYSTORE_LOCKED"
    assert (await eth.states(held), len(eth.faults.sent)) == ([("SEND", LIVE)], 2)
    await eth.node.mine()
    await eth.confirm()
    assert await eth.said(held) == [("CONFIRMED", None)]


async def test_bytes_that_every_node_refuses_are_replaced_too(eth, market):
    """A base fee that has risen: nodes do not even keep them."""
    await eth.node.hold()
    eth.faults.refuse("eth_sendRawTransaction", -32000, "max fee per gas less than block base fee", times=3)
    tx = await eth.execute(await eth.want(eth.pay()))
    (attempt,) = await eth.attempts(tx)
    assert (attempt.broadcasts, attempt.first_broadcast_at, attempt.error is None) == (0, None, False)
    rise(market)
    await eth.confirm(AGAIN)
    await eth.confirm(AGAIN)
    await eth.confirm(AGAIN)
    assert await eth.states(tx) == [("SEND", REPLACED), ("SPEED_UP", LIVE)]
    await eth.node.mine()
    await eth.confirm()
    assert await eth.said(tx) == [("CONFIRMED", None)]


async def test_bytes_refused_for_their_gas_are_corrected_once_and_then_told_of_as_stuck(eth):
    await eth.node.hold()
    eth.faults.refuse("eth_sendRawTransaction", -32000, "exceeds block gas limit", times=4)
    tx = await eth.execute(await eth.want(eth.pay()))
    await eth.confirm(AGAIN)
    assert await eth.states(tx) == [("SEND", REPLACED), ("SPEED_UP", LIVE)]
    assert "TX_STUCK" not in await eth.events(tx)
    for _ in range(2):
        await eth.confirm(AGAIN)
    assert await eth.states(tx) == [("SEND", REPLACED), ("SPEED_UP", LIVE)]
    assert (await eth.events(tx)).count("TX_STUCK") == 1
    assert eth.core.waiting[tx.id].reason == "CHAIN_REJECTED"
    first, second = await eth.attempts(tx)
    assert (first.nonce, len(set(eth.faults.sent)), len(eth.faults.sent)) == (second.nonce, 2, 4)
    await eth.confirm(AGAIN)
    await eth.node.mine()
    await eth.confirm()
    assert (await eth.said(tx), await eth.states(tx)) == ([("CONFIRMED", None)], [("SEND", DEAD), ("SPEED_UP", LANDED)])


async def test_a_correction_takes_the_gas_limit_that_the_chain_estimates_now(eth):
    await eth.node.hold()
    eth.faults.answer("eth_estimateGas", hex(10_000_000))
    eth.faults.refuse("eth_sendRawTransaction", -32000, "exceeds block gas limit")
    tx = await eth.execute(await eth.want(eth.pay()))
    await eth.confirm(AGAIN)
    assert [build.read(one.raw)[0].gas_limit for one in await eth.attempts(tx)] == [12_000_000, 25_200]
    await eth.node.mine()
    await eth.confirm()
    assert await eth.said(tx) == [("CONFIRMED", None)]


async def test_a_speed_up_of_bytes_refused_for_their_gas_corrects_it_too(eth):
    await eth.node.hold()
    eth.faults.answer("eth_estimateGas", hex(10_000_000))
    eth.faults.refuse("eth_sendRawTransaction", -32000, "exceeds block gas limit")
    tx = await eth.execute(await eth.want(eth.pay()))
    await eth.sped_up(tx)
    assert [build.read(one.raw)[0].gas_limit for one in await eth.attempts(tx)] == [12_000_000, 25_200]
    await eth.node.mine()
    await eth.confirm()
    assert await eth.said(tx) == [("CONFIRMED", None)]


async def test_a_correction_needs_the_gate_and_stays_under_the_limits(eth, market):
    await eth.node.hold()
    eth.faults.refuse("eth_sendRawTransaction", -32000, "exceeds block gas limit", times=3)
    tx = await eth.execute(await eth.want(eth.pay()))
    rise(market, 2000)
    await eth.confirm(AGAIN)
    assert (eth.core.waiting[tx.id].reason, await eth.states(tx)) == ("FEE_CAP", [("SEND", LIVE)])
    await eth.suspend()
    market.base = 0
    await eth.confirm(AGAIN)
    assert (eth.core.waiting[tx.id].reason, await eth.states(tx)) == ("AGENT_SUSPENDED", [("SEND", LIVE)])
    await eth.confirm(AGAIN)
    await eth.node.mine()
    await eth.confirm()
    assert await eth.said(tx) == [("CONFIRMED", None)]


async def test_what_nobody_has_seen_for_ten_minutes_is_told_of_once(eth, held):
    for _ in range(5):
        await eth.confirm(300)
    assert (await eth.events(held)).count("TX_STUCK") == 1
    await eth.node.mine()
    await eth.confirm(15)
    assert await eth.said(held) == [("CONFIRMED", None)]


# --- by request -----------------------------------------------------------------------------------


async def test_somebody_speeds_it_up(eth, held):
    fresh = await eth.sped_up(held)
    assert (fresh.kind.value, fresh.status, fresh.nonce) == ("SPEED_UP", LIVE, 0)
    (most, tip), (dearer, dearer_tip) = await fees(eth, held)
    assert (dearer, dearer_tip) >= (-(-most * 9 // 8), -(-tip * 9 // 8))
    await eth.node.mine()
    await eth.confirm()
    assert await eth.states(held) == [("SEND", DEAD), ("SPEED_UP", LANDED)]
    assert await eth.balance(eth.bob) == 100 * ETHER + 1000


async def test_fees_that_nodes_would_not_take_change_nothing(eth, held):
    ((most, tip),) = await fees(eth, held)
    with pytest.raises(Permanent):
        await eth.sped_up(held, fees=Fees(most + 1, tip + 1))
    assert await eth.states(held) == [("SEND", LIVE)]
    await eth.sped_up(held, fees=Fees(2 * most, 2 * tip))
    assert (await fees(eth, held))[1] == (2 * most, 2 * tip)
    await eth.node.mine()
    await eth.confirm()


async def test_a_speed_up_of_what_has_landed_lands_nothing(eth, held):
    """The block was made, and this wallet has not looked yet."""
    await eth.node.mine()
    await eth.sped_up(held)
    assert await eth.states(held) == [("SEND", REPLACED), ("SPEED_UP", LIVE)]
    await eth.confirm()
    assert await eth.states(held) == [("SEND", LANDED), ("SPEED_UP", DEAD)]
    assert await eth.balance(eth.bob) == 100 * ETHER + 1000
    with pytest.raises(AlreadyProcessed):
        await eth.sped_up(held)


async def test_a_cancel_that_lands_gives_the_amount_back_and_costs_its_fee(eth, held):
    await eth.sped_up(held, cancel=True)
    await eth.node.mine()
    await eth.confirm()
    assert await eth.said(held) == [("FAILED", "CANCELLED_ON_CHAIN")]
    assert await eth.states(held) == [("SEND", DEAD), ("CANCEL", LANDED)]
    spent = 100 * ETHER - await eth.balance(eth.alice)
    assert await eth.rows_of(held) == [("AMOUNT", "ethereum", "RELEASED", 1000), ("FEE", "ethereum", "SPENT", spent)]
    assert await eth.balance(eth.bob) == 100 * ETHER


async def test_a_payment_that_was_faster_than_its_cancel_is_confirmed(eth, held):
    (attempt,) = await eth.attempts(held)
    await eth.node.mine()
    await eth.sped_up(held, cancel=True)
    await eth.confirm()
    row = await eth.row(held)
    assert (row.status, row.tx_hash, await eth.states(held)) == (
        CONFIRMED,
        attempt.tx_hash,
        [("SEND", LANDED), ("CANCEL", DEAD)],
    )
    assert await eth.balance(eth.bob) == 100 * ETHER + 1000


async def test_what_ended_failed_is_not_told_of_as_final(eth, held):
    """Nothing of a cancelled payment is confirmed, so nothing of it becomes final to those who listen."""
    await eth.sped_up(held, cancel=True)
    await eth.node.mine()
    await eth.confirm()
    await eth.by_hand("UPDATE attempts SET finished_at = NULL WHERE status = 'LANDED'")
    await eth.confirm()
    assert all(one.finished_at for one in await eth.attempts(held))
    assert await eth.said(held) == [("FAILED", "CANCELLED_ON_CHAIN")]
    assert "TX_FINALIZED" not in await eth.events(held)


async def test_what_a_cheap_cancel_leaves_set_aside_still_covers_the_payment(eth):
    """A call may cost far more than its cancel, and either may land."""
    await eth.allow_calls()
    await eth.node.hold()
    tx = await eth.execute(await eth.want(eth.call("store(uint256)", 7)))
    (first,) = await eth.attempts(tx)
    cancel = await eth.sped_up(tx, cancel=True)
    assert cancel.max_fee < first.max_fee
    assert await eth.rows_of(tx) == [("FEE", "ethereum", "RESERVED", first.max_fee)]
    await eth.node.mine()
    await eth.confirm()


async def test_a_cancel_that_is_not_final_gives_nothing_back(eth, held):
    """A reorganisation could still bring the payment in its place."""
    await eth.sped_up(held, cancel=True)
    eth.not_final()
    await eth.node.mine()
    await eth.confirm()
    assert await eth.said(held) == [("SUBMITTED", None)]
    assert {state for _, _, state, _ in await eth.rows_of(held)} == {"RESERVED"}
    eth.faults.heal()
    await eth.confirm()
    assert await eth.said(held) == [("FAILED", "CANCELLED_ON_CHAIN")]


async def test_a_cancel_works_for_a_suspended_agent_and_a_speed_up_does_not(eth, held):
    await eth.suspend()
    with pytest.raises(Stopped) as stopped:
        await eth.sped_up(held)
    assert stopped.value.code == "AGENT_SUSPENDED"
    await eth.sped_up(held, cancel=True)
    await eth.node.mine()
    await eth.confirm()
    assert await eth.said(held) == [("FAILED", "CANCELLED_ON_CHAIN")]
    assert (await eth.agent()).status is AgentStatus.SUSPENDED


@pytest.mark.parametrize("cancel", [False, True])
async def test_while_the_switch_is_on_nothing_is_replaced(eth, held, market, cancel):
    await eth.throw_switch()
    rise(market)
    with pytest.raises(Stopped) as stopped:
        await eth.sped_up(held, cancel=cancel)
    assert stopped.value.code == "KILL_SWITCH"
    await eth.confirm(STUCK)
    assert (await eth.states(held), len(eth.faults.sent)) == ([("SEND", LIVE)], 1)
    await eth.node.mine()
    await eth.confirm()
    assert await eth.said(held) == [("CONFIRMED", None)]


async def test_a_stuck_cancel_is_made_dearer_and_stays_a_cancel(eth, held, market):
    await eth.sped_up(held, cancel=True)
    rise(market)
    await eth.confirm(STUCK)
    await eth.sped_up(held)
    assert [kind for kind, _ in await eth.states(held)] == ["SEND", "CANCEL", "CANCEL", "CANCEL"]
    await eth.node.mine()
    await eth.confirm()
    assert await eth.said(held) == [("FAILED", "CANCELLED_ON_CHAIN")]


async def test_a_speed_up_and_a_landing_at_once_settle_once(eth, held):
    """Between reading and the commit of the replacement the confirm worker sees the landing."""
    core, other = eth.core, eth.second_core()

    async def meanwhile():
        eth.core = other
        await eth.node.mine()
        await eth.confirm()
        eth.core = core

    core.db = Between(core.db, attempts.REPLACE, before=meanwhile)
    with pytest.raises(AlreadyProcessed):
        await eth.sped_up(held)
    assert (await eth.said(held), await eth.states(held)) == ([("CONFIRMED", None)], [("SEND", LANDED)])


async def test_what_is_sped_up_while_its_first_bytes_are_proven_dead_is_not_buried_with_them(eth, held):
    """The new bytes are signed after the look has read its attempts, and land in a block that is final at once."""
    chain = eth.core.chains.chain(eth.network)

    async def meanwhile(followed):
        await eth.sped_up(held)
        await eth.node.mine()
        return await type(chain).deaths(chain, followed)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chain, "deaths", meanwhile)
        await eth.confirm(AGAIN)
    assert (await eth.said(held), (await eth.agent()).status) == ([("SUBMITTED", None)], AgentStatus.ACTIVE)
    await eth.confirm()
    assert await eth.states(held) == [("SEND", DEAD), ("SPEED_UP", LANDED)]
    assert await eth.said(held) == [("CONFIRMED", None)]


@pytest.mark.parametrize("cancel", [False, True])
async def test_a_lost_race_is_gone_through_again_and_is_no_landing(eth, held, cancel):
    """Meanwhile the agent's ledger has moved: another payment of it was signed."""
    other = await eth.want(eth.pay(5))
    eth.core.db = Between(eth.core.db, attempts.REPLACE, before=lambda: eth.limit_native(per_transaction=str(ETHER)))
    fresh = await eth.sped_up(held, cancel=cancel)
    assert (fresh.nonce, (await eth.states(held))[0]) == (0, ("SEND", REPLACED))
    await eth.execute(other)
    await eth.node.mine(2)
    await eth.confirm()
    ended = ("FAILED", "CANCELLED_ON_CHAIN") if cancel else ("CONFIRMED", None)
    assert await eth.said(held, other) == [ended, ("CONFIRMED", None)]


async def test_limits_that_never_stop_changing_are_not_called_a_landing(eth, held):
    class Restless:
        """A policy changes before each commit of a replacement."""

        def __init__(self, db):
            self._db = db

        def __getattr__(self, name):
            return getattr(self._db, name)

        async def commit(self, *statements):
            if any(statement.sql == attempts.REPLACE for statement in statements):
                await eth.limit_native(per_transaction=str(ETHER))
            await self._db.commit(*statements)

    eth.core.db, quiet = Restless(eth.core.db), eth.core.db
    with pytest.raises(StorageBusy):
        await eth.sped_up(held)
    eth.core.db = quiet
    assert await eth.states(held) == [("SEND", LIVE)]
    await eth.node.mine()
    await eth.confirm()


async def test_a_race_lost_by_the_worker_does_not_keep_the_bytes_back(eth, held, market):
    rise(market)

    async def lose(*_):
        raise StaleState

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(follow, "replace", lambda *_, **__: lose())
        await eth.confirm(STUCK)
    assert (await eth.states(held), len(eth.faults.sent)) == ([("SEND", LIVE)], 2)
    await eth.node.mine()
    await eth.confirm()
