"""Prices are known before the first send: what is set aside for a fee is what it may cost, not what it never does."""

import asyncio

import pytest

from tests.pipeline.ethereum import ETHER, GWEI, RPC, open_evm_world
from tests.world import OPERATOR
from waiaas.domain.transaction import Status
from waiaas.errors import Denied
from waiaas.pipeline.landing import recover
from waiaas.pipeline.landing.recover import first_prices, refresh_prices
from waiaas.pipeline.registry import agents
from waiaas.workers import staff


async def test_a_small_limit_does_not_deny_the_first_send_for_want_of_a_price(eth):
    await eth.limit_native(daily_total=str(ETHER // 1000))
    with pytest.raises(Denied):
        await eth.want(eth.pay())
    await first_prices(eth.core)
    tx = await eth.want(eth.pay())
    await eth.all_done()
    assert (await eth.row(tx)).status is Status.CONFIRMED


async def test_a_daemon_knows_prices_before_it_takes_a_request(evm_template, tmp_path, monkeypatch):
    async def late(core):
        """The worker has not come round yet."""

    monkeypatch.setattr(staff, "refresh_prices", late)
    world = open_evm_world(*evm_template, tmp_path / "wallet")
    async with world as eth, eth.open_daemon(eth.settings(rpc=RPC)) as daemon:
        chain = daemon.core.chains.chain(eth.network)
        assert chain.fee_bound(eth.pay()) < 2 * 21_000 * 10 * GWEI


async def test_a_silent_node_delays_the_start_by_a_moment_and_no_more(eth, monkeypatch):
    monkeypatch.setattr(recover, "PRICES_SECONDS", 0.05)
    gate = eth.faults.hold("eth_feeHistory")
    async with asyncio.timeout(2):
        await first_prices(eth.core)
    gate.open()


async def test_a_node_that_fails_fails_no_start_and_is_asked_again(eth):
    eth.faults.refuse("eth_feeHistory", -32000, times=1)
    eth.faults.drop("eth_maxPriorityFeePerGas")
    await first_prices(eth.core)
    await refresh_prices(eth.core)
    assert eth.core.chains.chain(eth.network).fee_bound(eth.pay()) < 2 * 21_000 * 10 * GWEI


async def test_networks_without_an_agent_that_may_act_are_not_asked(eth):
    for agent in (eth.alice, eth.bob):
        await agents.terminate(eth.core, agent.id, OPERATOR)
    eth.faults.seen.clear()
    await refresh_prices(eth.core)
    assert not eth.faults.seen
