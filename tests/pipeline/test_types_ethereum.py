"""Tokens, calls and approvals on an EVM chain, from the request to the ledger rows of every asset."""

import pytest

from tests.pipeline.ethereum import ETHER, SPENDER, STRANGER
from waiaas.chains.evm import abi
from waiaas.domain.request import ContractCall
from waiaas.errors import (
    ApproveAmountExceeded,
    ApproveDisabled,
    ContractCallDisabled,
    MethodNotWhitelisted,
    SpenderNotApproved,
    SpendingLimitExceeded,
    TokenNotAllowed,
    Transient,
)

DONE = ("CONFIRMED", None)


async def made(eth, request, **how):
    tx = await eth.want(request, **how)
    await eth.all_done()
    return tx


async def spent_on_gas(eth) -> int:
    return 100 * ETHER - await eth.balance(eth.alice)


async def failed(eth, request, code: str):
    """It was accepted, never signed, and nothing is set aside any more."""
    tx = await made(eth, request)
    assert await eth.said(tx) == [("FAILED", code)]
    assert await eth.attempts(tx) == []
    assert {state for _, _, state, _ in await eth.rows_of(tx)} == {"RELEASED"}
    return tx


# --- tokens ---------------------------------------------------------------------------------------


async def test_tokens_move_and_each_asset_has_its_row(eth):
    await eth.allow_tokens()
    tx = await made(eth, eth.pay_token(5))
    assert await eth.said(tx) == [DONE]
    assert await eth.node.view(eth.token.address, abi.BALANCE_OF, STRANGER) == 5
    gas = await spent_on_gas(eth)
    assert await eth.rows_of(tx) == [("AMOUNT", eth.token.address, "SPENT", 5), ("FEE", "ethereum", "SPENT", gas)]
    row = await eth.row(tx)
    assert (row.asset, row.amount, row.token_mint) == (f"ethereum:{eth.token.address}", "5", eth.token.address)


async def test_tokens_that_no_policy_allows_are_refused(eth):
    with pytest.raises(TokenNotAllowed):
        await eth.want(eth.pay_token())


async def test_tokens_with_other_decimals_are_not_sent(eth):
    await eth.allow_tokens()
    await failed(eth, eth.pay_token(5, decimals=18), "TOKEN_MISMATCH")


async def test_more_tokens_than_there_are_are_not_sent(eth):
    await eth.allow_tokens()
    await failed(eth, eth.pay_token(1_000_001), "INSUFFICIENT_TOKEN_BALANCE")


async def test_a_limit_for_a_token_counts_what_is_under_way(eth):
    await eth.allow_tokens()
    await eth.allow("SPENDING_LIMIT", limits={f"ethereum:{eth.token.address}": {"daily_total": "10"}})
    await eth.node.hold()
    tx = await eth.execute(await eth.want(eth.pay_token(6)))
    with pytest.raises(SpendingLimitExceeded):
        await eth.want(eth.pay_token(5))
    await eth.node.mine()
    await eth.confirm()
    with pytest.raises(SpendingLimitExceeded):
        await eth.want(eth.pay_token(5))
    other = await made_now(eth, eth.pay_token(4))
    assert await eth.said(tx, other) == [DONE] * 2


async def made_now(eth, request):
    await eth.node.call("evm_setAutomine", True)
    return await made(eth, request)


async def test_a_memo_for_a_contract_is_not_sent(eth):
    await failed(eth, eth.pay(1, to=eth.probe, memo="hello"), "MEMO_TO_CONTRACT")


async def test_more_money_than_there_is_is_not_sent(eth):
    await eth.limit_native(per_transaction=str(1000 * ETHER))
    (seeded, *_) = await eth.policies()
    await eth.forget(seeded)
    await failed(eth, eth.pay(101 * ETHER), "INSUFFICIENT_BALANCE")
    await failed(eth, eth.pay(100 * ETHER), "INSUFFICIENT_FOR_FEE")


# --- calls ----------------------------------------------------------------------------------------


async def test_a_call_with_value_books_its_value_and_its_gas(eth):
    await eth.allow_calls()
    tx = await made(eth, eth.call("store(uint256)", 7, value=1000))
    assert await eth.said(tx) == [DONE]
    assert await eth.node.balance(eth.probe) == 1000
    gas = await spent_on_gas(eth) - 1000
    assert await eth.rows_of(tx) == [("AMOUNT", "ethereum", "SPENT", 1000), ("FEE", "ethereum", "SPENT", gas)]
    row = await eth.row(tx)
    assert (row.contract_address, row.amount, row.to_address) == (eth.probe, None, eth.probe)


async def test_a_call_that_would_revert_is_never_signed(eth):
    await eth.allow_calls()
    tx = await failed(eth, eth.call("reason()"), "SIMULATION_FAILED")
    assert "because" in ((await eth.row(tx)).error or "")


async def test_a_call_that_cannot_be_simulated_waits(eth):
    """C02: no answer is no refusal."""
    await eth.allow_calls()
    tx = await eth.want(eth.call("store(uint256)", 7))
    eth.faults.refuse("eth_call", -32005, "limit exceeded")
    with pytest.raises(Transient):
        await eth.execute(tx)
    assert await eth.said(tx) == [("EXECUTING", None)]
    eth.clock.move(6)
    await eth.all_done()
    assert await eth.said(tx) == [DONE]


async def test_calls_that_no_policy_allows_are_refused(eth):
    with pytest.raises(ContractCallDisabled):
        await eth.want(eth.call("store(uint256)", 7))
    await eth.allow_calls()
    with pytest.raises(MethodNotWhitelisted):
        await eth.want(eth.call("silent()"))


async def test_a_transfer_of_tokens_inside_a_call_is_booked_as_one(eth):
    await eth.allow_tokens()
    await eth.allow("CONTRACT_WHITELIST", contracts=[{"address": eth.token.address}])
    data = abi.call(abi.TRANSFER, STRANGER, 9)
    tx = await made(eth, ContractCall(to=eth.token.address, calldata="0x" + data.hex()))
    assert await eth.said(tx) == [DONE]
    assert ("AMOUNT", eth.token.address, "SPENT", 9) in await eth.rows_of(tx)


async def test_an_approval_inside_a_call_ends_the_older_one_and_a_revoke_both(eth):
    await eth.allow_approvals()
    await eth.allow("CONTRACT_WHITELIST", contracts=[{"address": eth.token.address}])
    first = await made(eth, eth.approve(5))
    again, revoke = (
        ContractCall(to=eth.token.address, calldata="0x" + abi.call(abi.APPROVE, SPENDER, amount).hex())
        for amount in (3, 0)
    )
    second = await made(eth, again)
    assert await eth.said(first, second) == [DONE] * 2
    assert ("ALLOWANCE", eth.token.address, "RELEASED", 5) in await eth.rows_of(first)
    assert ("ALLOWANCE", eth.token.address, "RESERVED", 3) in await eth.rows_of(second)
    third = await made(eth, revoke)
    assert await eth.said(third) == [DONE]
    assert ("ALLOWANCE", eth.token.address, "RELEASED", 3) in await eth.rows_of(second)


# --- approvals ------------------------------------------------------------------------------------


async def test_an_allowance_stays_set_aside_after_it_landed(eth):
    await eth.allow_approvals()
    tx = await made(eth, eth.approve(5))
    gas = await spent_on_gas(eth)
    assert await eth.said(tx) == [DONE]
    assert await eth.rows_of(tx) == [("ALLOWANCE", eth.token.address, "RESERVED", 5), ("FEE", "ethereum", "SPENT", gas)]
    assert await eth.node.view(eth.token.address, abi.ALLOWANCE, eth.alice.public_key, SPENDER) == 5


async def test_an_open_allowance_counts_against_the_tokens_limit(eth):
    await eth.allow_approvals()
    await eth.allow_tokens()
    await eth.allow("SPENDING_LIMIT", limits={f"ethereum:{eth.token.address}": {"daily_total": "10"}})
    await made(eth, eth.approve(6))
    with pytest.raises(SpendingLimitExceeded):
        await eth.want(eth.pay_token(5))
    await made(eth, eth.approve(0))
    assert await eth.said(await made(eth, eth.pay_token(5))) == [DONE]


async def test_an_approval_that_waits_is_not_released_by_another_that_landed(eth):
    """It may land yet: what it lets the spender take stays set aside."""
    await eth.allow("APPROVED_SPENDERS", spenders=[{"address": SPENDER}])
    await eth.allow("APPROVE_AMOUNT_LIMIT", maxAmount="100")
    waiting = await eth.want(eth.approve(50))
    assert waiting.status.value == "QUEUED"
    await eth.allow("APPROVE_TIER_OVERRIDE", tier="INSTANT")
    await made(eth, eth.approve(5))
    assert ("ALLOWANCE", eth.token.address, "RESERVED", 50) in await eth.rows_of(waiting)
    await eth.cancel(waiting)


async def test_approvals_that_no_policy_allows_are_refused(eth):
    with pytest.raises(ApproveDisabled):
        await eth.want(eth.approve(5))
    await eth.allow("APPROVED_SPENDERS", spenders=[{"address": STRANGER}])
    with pytest.raises(SpenderNotApproved):
        await eth.want(eth.approve(5))
    await eth.allow("APPROVE_AMOUNT_LIMIT", maxAmount="100")
    with pytest.raises(ApproveAmountExceeded):
        await eth.want(eth.approve(101, STRANGER))


async def test_a_reverted_approval_lets_nobody_take_anything(eth):
    await eth.allow_approvals()
    await eth.node.hold()
    tx = await eth.execute(await eth.want(eth.approve(5)))
    await eth.sped_up(tx, cancel=True)
    await eth.node.mine()
    await eth.confirm()
    booked = {kind: state for kind, _, state, _ in await eth.rows_of(tx)}
    assert booked == {"ALLOWANCE": "RELEASED", "FEE": "SPENT"}
