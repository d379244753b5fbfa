"""Blocks that go: the same bytes again, and what is told as done stays done."""

import asyncio

import pytest

from tests.pipeline.ethereum import AGAIN, ETHER, RPC, open_evm_world
from tests.world import OPERATOR
from waiaas.chains.evm import abi
from waiaas.domain.agent import AgentStatus
from waiaas.domain.transaction import AttemptStatus, Status
from waiaas.errors import StaleState
from waiaas.pipeline.registry import agents as life
from waiaas.pipeline.stops.suspend import suspend
from waiaas.repositories import agents

LANDED, LIVE = AttemptStatus.LANDED, AttemptStatus.LIVE
LOOKS = 3


async def test_what_is_confirmed_is_watched_until_it_is_final(eth):
    eth.not_final()
    tx = await eth.execute(await eth.want(eth.pay()))
    await eth.confirm()
    assert await eth.said(tx) == [("CONFIRMED", None)]
    (attempt,) = await eth.attempts(tx)
    assert (attempt.status, attempt.finished_at, attempt.block_hash is None) == (LANDED, None, False)
    assert "TX_FINALIZED" not in await eth.events(tx)
    eth.faults.heal()
    await eth.confirm()
    (attempt,) = await eth.attempts(tx)
    assert attempt.finished_at is not None
    assert (await eth.events(tx))[-2:] == ["TX_CONFIRMED", "TX_FINALIZED"]


async def test_a_block_that_vanishes_takes_the_bytes_and_not_the_word(eth):
    async with eth.reorganised():
        tx = await eth.execute(await eth.want(eth.pay()))
        await eth.confirm()
        booked = await eth.rows_of(tx)
        assert {state for _, _, state, _ in booked} == {"SPENT"}
    for _ in range(LOOKS):
        assert await eth.states(tx) == [("SEND", LANDED)]
        await eth.confirm()
    assert await eth.states(tx) == [("SEND", LIVE)]
    assert (await eth.said(tx), await eth.rows_of(tx)) == ([("CONFIRMED", None)], booked)
    assert "TX_REORGED" in await eth.audited(tx)
    assert "TX_REORGED" in await eth.events(tx)
    eth.faults.heal()
    await eth.confirm(AGAIN)
    await eth.confirm()
    assert await eth.states(tx) == [("SEND", LANDED)]
    assert len(set(eth.faults.sent)) == 1
    assert (await eth.said(tx), await eth.rows_of(tx)) == ([("CONFIRMED", None)], booked)
    assert (await eth.audited(tx)).count("TX_CONFIRMED") == 1
    assert await eth.balance(eth.bob) == 100 * ETHER + 1000


async def test_what_a_fork_has_undone_may_land_and_every_stop_says_so(eth):
    async with eth.reorganised():
        tx = await eth.execute(await eth.want(eth.pay()))
        await eth.confirm()
    for _ in range(LOOKS):
        await eth.confirm()
    assert (await eth.said(tx), await eth.states(tx)) == ([("CONFIRMED", None)], [("SEND", LIVE)])
    suspended = await suspend(eth.core, eth.alice.id, OPERATOR)
    thrown = await eth.activate()
    ended, in_flight = await life.terminate(eth.core, eth.alice.id, OPERATOR)
    for told in (suspended.in_flight, thrown.in_flight, in_flight):
        assert [each.id for each in told] == [tx.id]
    await life.end_terminating(eth.core)
    assert (await eth.agent()).status is ended.status is AgentStatus.TERMINATING
    with pytest.raises(StaleState):
        await eth.core.db.commit(agents.mark_terminated(eth.alice.id, eth.clock.now()))
    eth.faults.heal()
    # the switch is on: the wallet sends nothing, somebody else may
    (attempt,) = await eth.attempts(tx)
    await eth.node.call("eth_sendRawTransaction", f"0x{attempt.raw.hex()}")
    await eth.confirm()
    assert await eth.states(tx) == [("SEND", LANDED)]
    await life.end_terminating(eth.core)
    assert (await eth.agent()).status is AgentStatus.TERMINATED


async def test_bytes_that_land_again_in_another_block_are_told_of_with_that_block(eth):
    async with eth.reorganised():
        tx = await eth.execute(await eth.want(eth.pay()))
        await eth.confirm()
    (before,) = await eth.attempts(tx)
    await eth.node.mine()
    await eth.node.call("eth_sendRawTransaction", f"0x{before.raw.hex()}")
    for _ in range(LOOKS + 1):
        await eth.confirm()
    (after,) = await eth.attempts(tx)
    assert (after.status, after.block_number) == (LANDED, before.block_number + 1)
    assert after.block_hash != before.block_hash
    assert "TX_REORGED" in await eth.audited(tx)


async def test_a_node_that_lags_for_a_look_reorganises_nothing(eth):
    eth.not_final()
    tx = await eth.execute(await eth.want(eth.pay()))
    await eth.confirm()
    for _ in range(LOOKS - 1):
        eth.faults.answer("eth_getTransactionReceipt", None)
        await eth.confirm()
    await eth.confirm()
    assert (await eth.states(tx), "TX_REORGED" in await eth.audited(tx)) == ([("SEND", LANDED)], False)


async def test_after_a_reorganisation_the_nonce_stays_its_own(eth):
    async with eth.reorganised():
        tx = await eth.execute(await eth.want(eth.pay()))
        await eth.confirm()
    for _ in range(LOOKS):
        await eth.confirm()
    other = await eth.execute(await eth.want(eth.pay(2)))
    assert await eth.nonces(tx, other) == [0, 1]
    await eth.confirm(AGAIN)
    await eth.confirm()
    assert await eth.states(other) == [("SEND", LANDED)]


async def test_a_payment_that_vanished_and_was_overtaken_by_a_stranger_stays_as_it_was_told(eth):
    async with eth.reorganised():
        tx = await eth.execute(await eth.want(eth.pay()))
        await eth.confirm()
    for _ in range(LOOKS):
        await eth.confirm()
    eth.faults.heal()
    await eth.spend_elsewhere(0)
    for _ in range(2):
        await eth.confirm(AGAIN)
    assert (await eth.states(tx), await eth.said(tx)) == ([("SEND", AttemptStatus.DEAD)], [("CONFIRMED", None)])
    assert "UNKNOWN_SPEND" in await eth.audited(tx)
    assert (await eth.agent()).status.value == "SUSPENDED"


async def test_a_revert_is_a_failure_only_when_it_is_final(eth):
    """C01: the second payment of tokens reverts; it could still succeed in another block."""
    await eth.allow_tokens()
    await eth.node.hold()
    first = await eth.execute(await eth.want(eth.pay_token(600_000)))
    second = await eth.execute(await eth.want(eth.pay_token(700_000)))
    eth.not_final()
    await eth.node.mine()
    for _ in range(3):
        await eth.confirm()
    assert await eth.said(first, second) == [("CONFIRMED", None), ("SUBMITTED", None)]
    assert {state for _, _, state, _ in await eth.rows_of(second)} == {"RESERVED"}
    eth.faults.heal()
    await eth.confirm()
    assert await eth.said(second) == [("FAILED", "ONCHAIN_FAILURE")]
    booked = {(kind, asset): state for kind, asset, state, _ in await eth.rows_of(second)}
    assert booked == {("AMOUNT", eth.token.address): "RELEASED", ("FEE", "ethereum"): "SPENT"}


async def test_a_revert_that_becomes_a_success_in_another_block_is_a_success(eth):
    await eth.allow_tokens()
    await eth.node.hold()
    snapshot = await eth.node.call("evm_snapshot")
    eth.not_final()
    first = await eth.execute(await eth.want(eth.pay_token(600_000)))
    second = await eth.execute(await eth.want(eth.pay_token(700_000)))
    await eth.node.mine()
    await eth.confirm()
    assert await eth.said(second) == [("SUBMITTED", None)]
    assert await eth.node.call("evm_revert", snapshot)
    # in the other history somebody gives Alice what she lacks
    await eth.node.call("evm_setAutomine", True)
    await (await eth.maker()).land(eth.token.address, abi.call(abi.TRANSFER, eth.alice.public_key, 500_000))
    eth.faults.heal()
    for _ in range(6):
        await eth.confirm(AGAIN)
    assert await eth.said(first, second) == [("CONFIRMED", None)] * 2


@pytest.mark.parametrize("looks", [1, 2])
async def test_a_receipt_that_is_missing_for_a_look_delays_the_end(eth, looks):
    tx = await eth.execute(await eth.want(eth.pay()))
    for _ in range(looks):
        eth.faults.answer("eth_getTransactionReceipt", None)
        await eth.confirm()
        assert await eth.said(tx) == [("SUBMITTED", None)]
    await eth.confirm()
    assert await eth.said(tx) == [("CONFIRMED", None)]


async def test_f07_a_running_daemon_brings_back_what_a_reorganisation_took(evm_template, tmp_path):
    """Confirmed and not final, its block goes: told of, sent again, and final in the end; its money was never free."""
    async with open_evm_world(*evm_template, tmp_path / "wallet") as eth, eth.open_daemon(eth.settings(rpc=RPC)):
        async with eth.reorganised():
            tx = await eth.want(eth.pay())
            assert (await eth.ended(tx)).status is Status.CONFIRMED
        async with asyncio.timeout(20):
            while "TX_REORGED" not in await eth.audited(tx):
                await asyncio.sleep(0.02)
        assert await eth.said(tx) == [("CONFIRMED", None)]
        assert {state for _, _, state, _ in await eth.rows_of(tx)} == {"SPENT"}
        eth.faults.heal()
        eth.clock.move(AGAIN)
        async with asyncio.timeout(20):
            while "TX_FINALIZED" not in await eth.events(tx):
                await asyncio.sleep(0.02)
        assert await eth.balance(eth.bob) == 100 * ETHER + 1000
        assert len(set(eth.faults.sent)) == 1
