"""What only a real node can play: anvil beside the wallet."""

import pytest

from tests.anvil import anvil  # noqa: F401  (a fixture)
from tests.pipeline.ethereum import AGAIN, ETHER, STUCK, open_anvil_world
from waiaas.domain.transaction import AttemptStatus

DONE = ("CONFIRMED", None)
LANDED, LIVE = AttemptStatus.LANDED, AttemptStatus.LIVE


@pytest.fixture
async def real(anvil, tmp_path):  # noqa: F811
    """A wallet beside anvil, whose chain is taken back afterwards."""
    snapshot = anvil.call("evm_snapshot")
    try:
        async with open_anvil_world(anvil.url, tmp_path / "wallet") as opened, opened.open_core():
            yield opened
    finally:
        anvil.call("evm_setAutomine", True)
        anvil.call("evm_revert", snapshot)
        # that is not taken back with the blocks
        anvil.call("anvil_setNextBlockBaseFeePerGas", hex(10**9))


async def landed(real, *txs):
    """anvil makes its block beside the answer."""
    for _ in range(40):
        await real.confirm()
        said = await real.said(*txs)
        if all(status != "SUBMITTED" for status, _ in said):
            break
    return said


async def test_a_transfer_is_confirmed_and_final_only_when_the_node_says_so(real):
    tx = await real.execute(await real.want(real.pay(1000)))
    assert await landed(real, tx) == [DONE]
    assert (await real.attempts(tx))[0].finished_at is None
    await real.node.mine(70)
    await real.confirm()
    assert (await real.attempts(tx))[0].finished_at is not None


async def test_a_reorganisation_takes_the_block_and_the_same_bytes_come_back(real):
    await real.node.mine(2)
    tx = await real.execute(await real.want(real.pay(1000)))
    assert await landed(real, tx) == [DONE]
    booked = await real.rows_of(tx)
    await real.node.call("evm_setAutomine", False)
    await real.node.call("anvil_reorg", 1, [])
    for _ in range(3):
        await real.confirm()
    assert (await real.states(tx), await real.rows_of(tx)) == ([("SEND", LIVE)], booked)
    assert "TX_REORGED" in await real.audited(tx)
    await real.confirm(AGAIN)
    await real.node.mine()
    await real.confirm()
    assert (await real.states(tx), await real.said(tx)) == ([("SEND", LANDED)], [DONE])
    assert len(set(real.faults.sent)) == 1
    assert await real.balance(real.bob) == 100 * ETHER + 1000


async def test_a_dropped_transaction_comes_back_as_it_was(real):
    await real.node.hold()
    tx = await real.execute(await real.want(real.pay(1000)))
    await real.node.drop((await real.attempts(tx))[0].tx_hash)
    await real.node.mine()
    await real.confirm()
    assert await real.said(tx) == [("SUBMITTED", None)]
    await real.confirm(AGAIN)
    await real.node.mine()
    assert await landed(real, tx) == [DONE]
    assert len(set(real.faults.sent)) == 1


async def test_a_base_fee_that_rose_above_what_was_signed_is_met_by_a_replacement(real):
    await real.node.hold()
    tx = await real.execute(await real.want(real.pay(1000)))
    await real.node.call("anvil_setNextBlockBaseFeePerGas", hex(40 * 10**9))
    await real.node.mine()
    await real.confirm(STUCK)
    assert [kind for kind, _ in await real.states(tx)] == ["SEND", "SPEED_UP"]
    await real.node.mine()
    assert await landed(real, tx) == [DONE]
    assert await real.states(tx) == [("SEND", AttemptStatus.REPLACED), ("SPEED_UP", LANDED)]


async def test_twenty_sends_of_which_one_is_cancelled_on_chain(real):
    await real.node.hold()
    txs = [await real.execute(await real.want(real.pay(amount))) for amount in range(1, 21)]
    await real.sped_up(txs[7], cancel=True)
    await real.node.mine()
    await real.node.mine(70)
    said = await landed(real, *txs)
    assert said == [DONE] * 7 + [("FAILED", "CANCELLED_ON_CHAIN")] + [DONE] * 12
    assert await real.nonces(*txs) == list(range(20))


async def test_a_stranger_is_proven_at_finality_and_not_before(real):
    await real.node.hold()
    tx = await real.execute(await real.want(real.pay(1000)))
    await real.spend_elsewhere(0)
    await real.node.mine()
    for _ in range(3):
        await real.confirm(AGAIN)
    assert await real.said(tx) == [("SUBMITTED", None)]
    await real.node.mine(70)
    for _ in range(2):
        await real.confirm(AGAIN)
    assert await real.said(tx) == [("FAILED", "NONCE_CONSUMED")]
    assert (await real.agent()).status.value == "SUSPENDED"
