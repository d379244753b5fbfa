"""EVM networks in the pool: opened when first asked for, told apart by chain id, their prices kept."""

import httpx
import pytest

from tests.chains.evm.conftest import GWEI, TO, history, pay, stub
from waiaas.chains.endpoint import Limits
from waiaas.chains.evm.networks import PROFILES
from waiaas.chains.pool import Pool
from waiaas.domain.chain import Chain, Network, chain_of
from waiaas.errors import NoEndpoint

LOCALNET = Network.ETHEREUM_LOCALNET


@pytest.fixture
async def make_pool(clock):
    """`make_pool(node)`: a pool whose embedded EVM is this node."""
    pools = []

    def make(node, **endpoints) -> Pool:
        pool = Pool(
            {LOCALNET: ["embedded"]} | endpoints,
            clock=clock,
            limits=Limits(),
            solana_max_priority_fee_lamports=1_000_000,
            evm_max_fee_gwei=100,
            transports={LOCALNET: httpx.MockTransport(node)},
            identities={},
        )
        pools.append(pool)
        return pool

    yield make
    for pool in pools:
        await pool.close()


def test_every_evm_network_has_a_profile():
    evm = {network for network in Network if chain_of(network) is Chain.ETHEREUM}
    assert set(PROFILES) == evm
    assert len({profile.chain_id for profile in PROFILES.values()}) == len(evm)


@pytest.mark.parametrize("network", PROFILES)
async def test_every_evm_network_can_be_opened(make_pool, network):
    pool = make_pool(stub(), **{network: ["https://node.example"]})
    assert pool.chain(network) is pool.chain(network)
    assert pool.chain(network).network == network
    assert pool.chain(network).fee_bound(pay()) >= 2 * 21_000 * 100 * GWEI


@pytest.mark.parametrize(
    ("network", "poll", "stuck"),
    [
        (Network.ETHEREUM_MAINNET, 4, 60),
        (Network.ETHEREUM_SEPOLIA, 4, 60),
        (Network.POLYGON_MAINNET, 2, 30),
        (Network.ARBITRUM_SEPOLIA, 2, 30),
        (Network.OPTIMISM_MAINNET, 2, 30),
        (Network.BASE_SEPOLIA, 2, 30),
        (LOCALNET, 0.2, 5),
    ],
)
async def test_each_network_has_its_pace(make_pool, network, poll, stuck):
    chain = make_pool(stub(), **{network: ["https://node.example"]}).chain(network)
    assert (chain.poll_seconds, chain.stuck_seconds) == (poll, stuck)


async def test_the_local_network_has_one_chain_id(make_pool):
    pool = make_pool(stub())
    with pytest.raises(NoEndpoint):
        await pool.chain(LOCALNET).balance(TO)
    assert [one.network for one in pool.take_quarantined()] == [LOCALNET]


async def test_watching_asks_networks_in_use_and_no_others(make_pool, clock):
    node = stub(eth_chainId="0x7a69", eth_feeHistory=history([GWEI], 2 * GWEI))
    pool = make_pool(node)
    chain = pool.chain(LOCALNET)
    await pool.watch()
    assert node.bodies == []
    await chain.balance(TO)
    await pool.watch()
    await chain.refresh()
    assert chain.fee_bound(pay()) == 2 * 21_000 * 5 * GWEI
    assert node.methods.count("eth_blockNumber") == 2
