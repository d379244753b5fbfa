"""P05 and C05: what a spender may still take counts, until it cannot; and no allowance is changed behind the back."""

import pytest

from tests.pipeline.conftest import eth, evm_template, template, world  # noqa: F401  fixtures
from tests.pipeline.solana import OTHER, allow, made, open_bank
from waiaas.domain.request import Approve
from waiaas.errors import SpendingLimitExceeded


async def test_p05_an_open_allowance_counts_until_its_revocation_is_confirmed(eth) -> None:  # noqa: F811
    await eth.allow_tokens()
    await eth.allow_approvals()
    asset = f"ethereum:{eth.token.address}"
    await eth.allow("SPENDING_LIMIT", limits={asset: {"daily_total": "100"}})
    await eth.want(eth.approve(100))
    await eth.all_done()
    with pytest.raises(SpendingLimitExceeded):
        await eth.want(eth.pay_token(1))
    revoke = await eth.want(eth.approve(0))
    with pytest.raises(SpendingLimitExceeded):
        await eth.want(eth.pay_token(1))
    await eth.execute(revoke)
    with pytest.raises(SpendingLimitExceeded):
        await eth.want(eth.pay_token(1))
    await eth.all_done()
    paid = await eth.want(eth.pay_token(100))
    await eth.all_done()
    assert await eth.said(revoke, paid) == [("CONFIRMED", None), ("CONFIRMED", None)]
    with pytest.raises(SpendingLimitExceeded):
        await eth.want(eth.pay_token(1))


async def test_c05_an_allowance_that_is_not_zero_is_reset_first_and_told_of(eth) -> None:  # noqa: F811
    await eth.allow_approvals()
    await eth.want(eth.approve(100))
    await eth.all_done()
    tx = await eth.want(eth.approve(40))
    await eth.all_done()
    [reset] = await eth.children(tx)
    assert await eth.said(reset, tx) == [("CONFIRMED", None), ("CONFIRMED", None)]
    first, second = await eth.nonces(reset, tx)
    assert second == first + 1
    assert (await eth.details(reset, "TX_SUBMITTED"))["notes"] == ["The spender may move 100 already."]


async def test_c05_the_delegate_that_is_replaced_is_in_the_audit_log(world) -> None:  # noqa: F811
    async with world.open_core():
        bank = await open_bank(world)
        token = await bank.token(world.alice.public_key, 1_000)
        await allow(world, "APPROVED_SPENDERS", spenders=[{"address": bank.address}, {"address": OTHER}])
        await allow(world, "APPROVE_AMOUNT_LIMIT", maxAmount=str(10**9), blockUnlimited=True)
        await allow(world, "APPROVE_TIER_OVERRIDE", tier="INSTANT")
        await made(world, Approve(bank.address, token, "100"))
        second = await made(world, Approve(OTHER, token, "40"))
        assert (await world.details(second, "TX_SUBMITTED"))["notes"] == [
            f"Replaces the allowance of {bank.address}, who may still move 100 base units."
        ]
