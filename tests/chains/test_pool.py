"""The pool opens what is configured, keeps what it learns, and tells what went wrong once."""

import httpx
import pytest

from tests.chains.conftest import TO, Node
from waiaas.chains.endpoint import Limits
from waiaas.chains.pool import Pool, names
from waiaas.domain.chain import Network
from waiaas.errors import ChainNotSupported, NoEndpoint


@pytest.fixture
async def make_pool(clock):
    """`make_pool(node)`: a pool whose embedded localnet is this node."""
    pools = []

    def make(node: Node, identities=None) -> Pool:
        pool = Pool(
            {Network.LOCALNET: ["embedded"], Network.DEVNET: []},
            clock=clock,
            limits=Limits(),
            solana_max_priority_fee_lamports=1_000_000,
            evm_max_fee_gwei=500,
            transports={Network.LOCALNET: httpx.MockTransport(node)},
            identities=identities or {},
        )
        pools.append(pool)
        return pool

    yield make
    for pool in pools:
        await pool.close()


@pytest.fixture
def node() -> Node:
    return Node(getGenesisHash="genesis", getBalance={"context": {"slot": 1}, "value": 7})


def test_only_networks_with_an_endpoint_are_there(make_pool, node):
    pool = make_pool(node)
    assert pool.networks() == (Network.LOCALNET,)
    for network in (Network.DEVNET, Network.MAINNET, Network.ETHEREUM_LOCALNET):
        with pytest.raises(ChainNotSupported, match=network):
            pool.chain(network)


def test_a_network_has_one_chain(make_pool, node):
    pool = make_pool(node)
    assert pool.chain(Network.LOCALNET) is pool.chain(Network.LOCALNET)


def test_localnet_is_polled_faster(make_pool, node):
    assert make_pool(node).chain(Network.LOCALNET).poll_seconds == 0.2


async def test_the_identity_of_a_localnet_can_be_kept(make_pool, node):
    pool = make_pool(node)
    assert pool.identities() == {}
    await pool.chain(Network.LOCALNET).balance(TO)
    assert pool.identities() == {Network.LOCALNET: "genesis"}


async def test_another_localnet_than_the_one_kept_is_refused_and_told_once(make_pool, node):
    pool = make_pool(node, {Network.LOCALNET: "before"})
    assert pool.health() == {"localnet": "ok"}
    with pytest.raises(NoEndpoint):
        await pool.chain(Network.LOCALNET).balance(TO)
    assert pool.health() == {"localnet": "down"}
    assert [(one.network, one.endpoint) for one in pool.take_quarantined()] == [("localnet", "embedded")]
    assert pool.take_quarantined() == []


async def test_watching_leaves_unused_networks_alone(make_pool, node):
    pool = make_pool(node)
    pool.chain(Network.LOCALNET)
    await pool.watch()
    assert node.bodies == []
    await pool.chain(Network.LOCALNET).balance(TO)
    node.bodies.clear()
    await pool.watch()
    assert node.methods == ["getSlot"]


async def test_a_network_recovers(make_pool, node, clock):
    pool = make_pool(node)
    chain = pool.chain(Network.LOCALNET)
    await chain.balance(TO)
    node.respond = lambda request: httpx.Response(500)
    for _ in range(5):
        await pool.watch()
    assert pool.health() == {"localnet": "down"}
    node.respond = None
    clock.seconds += 30
    await pool.watch()
    assert pool.health() == {"localnet": "ok"}
    assert await chain.balance(TO) == 7


def test_the_name_of_an_endpoint_shows_no_secret():
    urls = [
        "https://user:password@node.example:8899/path?api-key=secret",
        "https://node.example:8899/?api-key=other",
        "http://127.0.0.1:8899",
        "embedded",
    ]
    assert names(urls) == ["node.example:8899#1", "node.example:8899#2", "127.0.0.1:8899", "embedded"]


async def test_urls_are_never_logged(make_pool, node, caplog):
    caplog.set_level("DEBUG")
    await make_pool(node).chain(Network.LOCALNET).balance(TO)
    assert "http" not in caplog.text
