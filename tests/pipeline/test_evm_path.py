"""An EVM transfer from its acceptance to its end."""

from tests.pipeline.ethereum import CONFIRMED


async def test_a_transfer_lands_and_is_settled_with_what_it_cost(eth):
    tx = await eth.execute(await eth.want(eth.pay(1000)))
    await eth.confirm()
    assert (await eth.row(tx)).status is CONFIRMED
