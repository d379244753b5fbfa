"""EVM nonces: one lane per address, contiguous, healed after whatever happened to it."""

import asyncio

import pytest

from tests.pipeline.ethereum import AGAIN, CONFIRMED, ETHER, SPENDER, open_evm_world
from tests.world import Between
from waiaas.chains.base import Nonce
from waiaas.chains.evm import abi
from waiaas.domain.agent import AgentStatus
from waiaas.domain.transaction import AttemptStatus, Status
from waiaas.errors import ConstraintFailed, NonceLaneBusy, StorageBusy, Transient
from waiaas.pipeline.landing.recover import close_networks, recover
from waiaas.repositories import queue, transactions

DEAD, LANDED, LIVE = AttemptStatus.DEAD, AttemptStatus.LANDED, AttemptStatus.LIVE


async def test_sixty_four_parallel_sends_of_one_agent_have_contiguous_nonces(eth):
    txs = [await eth.want(eth.pay(amount)) for amount in range(1, 65)]
    await asyncio.gather(*(eth.execute(tx) for tx in txs))
    assert sorted(await eth.nonces(*txs)) == list(range(64))
    await eth.confirm()
    assert {row.status for row in await eth.rows()} == {CONFIRMED}
    assert await eth.balance(eth.bob) == 100 * ETHER + sum(range(1, 65))


async def test_a_failed_simulation_and_a_failed_build_waste_no_nonce(eth):
    await eth.allow_tokens()
    first = await eth.want(eth.pay())
    refused = await eth.want(eth.pay_token(5, decimals=7))
    unknown = await eth.want(eth.pay(2))
    last = await eth.want(eth.pay(3))
    await eth.execute(first)
    await eth.execute(refused)
    eth.faults.drop("eth_estimateGas")
    with pytest.raises(Transient):
        await eth.execute(unknown)
    await eth.execute(last)
    await eth.execute(unknown)
    assert await eth.nonces(first, last, unknown) == [0, 1, 2]
    assert await eth.said(refused) == [("FAILED", "TOKEN_MISMATCH")]
    assert {state for _, _, state, _ in await eth.rows_of(refused)} == {"RELEASED"}
    await eth.all_done()


async def test_a_signing_commit_that_fails_gives_its_nonce_back(eth):
    tx, other = await eth.want(eth.pay(1)), await eth.want(eth.pay(2))

    async def busy():
        raise StorageBusy("Another program holds the file.")

    eth.core.db = Between(eth.core.db, transactions.MARK_SUBMITTED, before=busy)
    with pytest.raises(StorageBusy):
        await eth.execute(tx)
    await eth.execute(other)
    await eth.execute(tx)
    assert await eth.nonces(other, tx) == [0, 1]
    await eth.all_done()


async def test_two_lanes_that_know_nothing_of_each_other_are_kept_apart_by_the_index(eth):
    """Two processes: the lock of one does not hold the other, the unique index does."""
    first, second = await eth.want(eth.pay(1)), await eth.want(eth.pay(2))
    other = eth.second_core()
    core = eth.core

    async def meanwhile():
        eth.core = other
        await eth.execute(second)
        eth.core = core

    core.db = Between(core.db, transactions.MARK_SUBMITTED, before=meanwhile)
    await eth.execute(first)
    assert await eth.nonces(second, first) == [0, 1]
    await eth.all_done()


async def test_the_index_refuses_a_nonce_that_is_held(eth):
    await eth.node.hold()
    tx = await eth.execute(await eth.want(eth.pay()))
    other = await eth.execute(await eth.want(eth.pay(2)))
    with pytest.raises(ConstraintFailed):
        await eth.by_hand("UPDATE attempts SET nonce = 0 WHERE tx_id = :id", id=other.id)
    await eth.node.mine()
    await eth.confirm()
    assert await eth.said(tx, other) == [("CONFIRMED", None)] * 2


async def test_a_gap_left_by_lost_state_is_filled_by_the_next_transaction(eth):
    """The file is older than the chain: bytes with nonce 0 are forgotten, those with nonce 1 are not."""
    await eth.node.hold()
    lost = await eth.execute(await eth.want(eth.pay(1)))
    kept = await eth.execute(await eth.want(eth.pay(2)))
    (attempt,) = await eth.attempts(lost)
    await eth.node.drop(attempt.tx_hash)
    eth.faults.sent.remove(attempt.raw)
    await eth.by_hand("DELETE FROM attempts WHERE tx_id = :id", id=lost.id)
    eth.clock.move(1)
    filler = await eth.execute(await eth.want(eth.pay(3)))
    assert await eth.nonces(kept, filler) == [1, 0]
    await eth.node.mine(2)
    await eth.confirm()
    assert await eth.said(kept, filler) == [("CONFIRMED", None)] * 2
    eth.verify = nothing_to_verify  # rows were cut out by hand


async def nothing_to_verify() -> None:
    pass


async def test_evicted_bytes_are_sent_again_as_they_are(eth):
    await eth.node.hold()
    tx = await eth.execute(await eth.want(eth.pay()))
    (attempt,) = await eth.attempts(tx)
    await eth.node.drop(attempt.tx_hash)
    await eth.confirm(AGAIN)
    assert eth.faults.sent == [attempt.raw, attempt.raw]
    await eth.node.mine()
    await eth.confirm()
    assert (await eth.said(tx), await eth.states(tx)) == ([("CONFIRMED", None)], [("SEND", LANDED)])


async def test_an_evicted_head_holds_nobody_up_for_good(eth):
    """Nonces 1 and 2 wait behind 0, which the node has forgotten; with 0 again all three land."""
    await eth.node.hold()
    txs = [await eth.execute(await eth.want(eth.pay(amount))) for amount in (1, 2, 3)]
    await eth.node.drop((await eth.attempts(txs[0]))[0].tx_hash)
    await eth.node.mine()
    await eth.confirm()
    assert {status for status, _ in await eth.said(*txs)} == {"SUBMITTED"}
    await eth.confirm(AGAIN)
    await eth.node.mine()
    await eth.confirm()
    assert await eth.said(*txs) == [("CONFIRMED", None)] * 3


async def test_the_lane_goes_on_after_a_restart(evm_template, tmp_path):
    async with open_evm_world(*evm_template, tmp_path / "wallet") as eth:
        async with eth.open_core():
            await eth.node.hold()
            first = await eth.execute(await eth.want(eth.pay(1)))
        async with eth.open_core() as core:
            await close_networks(core)
            assert await recover(core, eth.network)
            second = await eth.execute(await eth.want(eth.pay(2)))
            assert await eth.nonces(first, second) == [0, 1]
            await eth.node.mine()
            await eth.confirm()
            assert await eth.said(first, second) == [("CONFIRMED", None)] * 2


# --- the key used elsewhere -----------------------------------------------------------------------


async def lost_to_a_stranger(eth, request=None):
    """Signed, and then another transaction of the same key takes its nonce."""
    await eth.node.hold()
    tx = await eth.execute(await eth.want(request or eth.pay()))
    (nonce,) = await eth.nonces(tx)
    await eth.spend_elsewhere(nonce)
    await eth.node.mine()
    await eth.node.call("evm_setAutomine", True)
    return tx


async def test_a_nonce_spent_by_a_stranger_ends_it_and_suspends_the_agent(eth):
    tx = await lost_to_a_stranger(eth)
    waiting, delayed = await eth.want(eth.pay(5)), await eth.want(eth.pay(2 * ETHER))
    await eth.confirm(AGAIN)
    assert await eth.said(tx, waiting, delayed) == [
        ("FAILED", "NONCE_CONSUMED"),
        ("CANCELLED", "AGENT_SUSPENDED"),
        ("CANCELLED", "AGENT_SUSPENDED"),
    ]
    agent = await eth.agent()
    assert (agent.status, agent.suspension_reason) == (AgentStatus.SUSPENDED, "unknown_spend")
    assert {"UNKNOWN_SPEND", "TX_FAILED"} <= set(await eth.audited(tx))
    assert "UNKNOWN_SPEND" in await eth.events(tx)
    proof = await eth.details(tx, "TX_FAILED")
    assert (proof["nonce"], proof["transactionCount"]) == (0, 1)
    assert {state for _, _, state, _ in await eth.rows_of(tx)} == {"RELEASED"}


async def test_several_nonces_spent_by_a_stranger_leave_nothing_behind(eth):
    await eth.node.hold()
    txs = [await eth.execute(await eth.want(eth.pay(amount))) for amount in (1, 2, 3)]
    for nonce in range(3):
        await eth.spend_elsewhere(nonce)
    await eth.node.mine()
    for _ in range(3):
        await eth.confirm(AGAIN)
    assert await eth.said(*txs) == [("FAILED", "NONCE_CONSUMED")] * 3
    assert (await eth.agent()).status is AgentStatus.SUSPENDED


async def test_a_key_that_was_exported_may_spend_elsewhere_and_one_more_attempt_is_signed(eth):
    await eth.export()
    tx = await lost_to_a_stranger(eth)
    await eth.confirm(AGAIN)
    dead, fresh = await eth.attempts(tx)
    assert (dead.status, dead.nonce, fresh.status, fresh.nonce) == (DEAD, 0, LIVE, 1)
    await eth.confirm()
    assert await eth.said(tx) == [("CONFIRMED", None)]
    assert (await eth.agent()).status is AgentStatus.ACTIVE
    assert (await eth.audited(tx)).count("UNKNOWN_SPEND") == 1


async def test_a_nonce_that_was_proven_lost_is_not_taken_again_because_a_node_lags(eth):
    tx = await lost_to_a_stranger(eth)
    await eth.confirm(AGAIN)
    async with eth.core.lanes.hold(tx, (await eth.agent()).public_key, Nonce(0)) as held:
        assert held == Nonce(1)


async def test_a_node_that_falls_silent_meanwhile_tells_of_the_stranger_once(eth):
    await eth.export()
    tx = await lost_to_a_stranger(eth)
    eth.faults.drop("eth_estimateGas")
    await eth.confirm(AGAIN)
    await eth.confirm(AGAIN)
    await eth.confirm()
    assert await eth.said(tx) == [("CONFIRMED", None)]
    assert (await eth.audited(tx)).count("UNKNOWN_SPEND") == 1


async def test_a_cancelled_payment_does_not_come_back_because_a_stranger_took_the_nonce(eth):
    await eth.export()
    await eth.node.hold()
    tx = await eth.execute(await eth.want(eth.pay()))
    await eth.sped_up(tx, cancel=True)
    await eth.spend_elsewhere(0, tip=90 * 10**9)
    await eth.node.mine()
    await eth.confirm(AGAIN)
    assert await eth.said(tx) == [("FAILED", "NONCE_CONSUMED")]
    assert await eth.balance(eth.bob) == 100 * ETHER


async def test_an_approval_lost_to_a_stranger_who_approved_himself_is_not_signed_over_that(eth):
    await eth.allow_approvals()
    await eth.export()
    await eth.node.hold()
    tx = await eth.execute(await eth.want(eth.approve(5)))
    await eth.spend_elsewhere(0, to=eth.token.address, value=0, data=abi.call(abi.APPROVE, SPENDER, 3))
    await eth.node.mine()
    await eth.confirm(AGAIN)
    assert await eth.said(tx) == [("FAILED", "NONCE_CONSUMED")]


async def test_what_is_not_final_proves_no_death(eth):
    eth.not_final()
    tx = await lost_to_a_stranger(eth)
    for _ in range(3):
        await eth.confirm(AGAIN)
    assert (await eth.said(tx), (await eth.agent()).status) == ([("SUBMITTED", None)], AgentStatus.ACTIVE)
    eth.faults.heal()
    await eth.confirm(AGAIN)
    assert await eth.said(tx) == [("FAILED", "NONCE_CONSUMED")]


# --- a batch and its lane -------------------------------------------------------------------------


async def test_while_a_batch_is_under_way_nobody_else_takes_a_nonce(eth):
    batch = await eth.want(eth.batch(eth.pay(1), eth.pay(2), eth.pay(3)))
    other = await eth.want(eth.pay(9))
    first, second, third = await eth.children(batch)
    await eth.execute(first)
    with pytest.raises(NonceLaneBusy):
        await eth.execute(other)
    await eth.confirm()
    with pytest.raises(NonceLaneBusy):
        await eth.execute(other)
    await eth.execute(second)
    await eth.confirm()
    await eth.execute(third)
    await eth.confirm()
    await eth.execute(other)
    await eth.confirm()
    assert await eth.nonces(first, second, third, other) == [0, 1, 2, 3]
    assert await eth.said(batch, other) == [("CONFIRMED", None)] * 2


async def test_two_batches_of_one_agent_do_not_mix(eth):
    one = await eth.want(eth.batch(eth.pay(1), eth.pay(2)))
    two = await eth.want(eth.batch(eth.pay(3), eth.pay(4)))
    await eth.execute((await eth.children(one))[0])
    with pytest.raises(NonceLaneBusy):
        await eth.execute((await eth.children(two))[0])
    for _ in range(8):
        for tx in (await queue.to_execute(eth.core.db, eth.network, after="", limit=9))[0]:
            try:
                await eth.execute(tx)
            except NonceLaneBusy:
                continue
        await eth.confirm()
    assert await eth.nonces(*await eth.children(one), *await eth.children(two)) == [0, 1, 2, 3]
    assert await eth.said(one, two) == [("CONFIRMED", None)] * 2
    assert Status.SUBMITTED not in {row.status for row in await eth.rows()}
