"""Strangers: what an agent's key signed elsewhere is found at recovery and while running, and told of once."""

import asyncio

import pytest
from solders.hash import Hash
from solders.keypair import Keypair
from solders.message import MessageV0, to_bytes_versioned
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.system_program import TransferParams, transfer
from solders.transaction import VersionedTransaction

from tests.pipeline.ethereum import ETHER, RPC, open_evm_world
from tests.world import open_world
from waiaas.chains.evm import spent
from waiaas.domain.agent import AgentStatus
from waiaas.errors import AgentIsSuspended
from waiaas.pipeline.elsewhere import strangers
from waiaas.pipeline.elsewhere.strangers import Strangers
from waiaas.pipeline.landing.recover import close_networks, recover

TOLD = "SELECT agent_id, details FROM audit_log WHERE event_type = 'UNKNOWN_SPEND' ORDER BY id"
EVENTS = "SELECT event_type FROM outbox WHERE event_type IN ('UNKNOWN_SPEND', 'AGENT_SUSPENDED') ORDER BY seq"
IMPORT = "UPDATE agents SET key_exported_at = created_at WHERE id = :id"


async def told(world):
    """What UNKNOWN_SPEND said of Alice, and the events beside it."""
    rows = await world.core.db.fetch_all(TOLD)
    assert {row["agent_id"] for row in rows} <= {world.alice.id}
    return [row["details"] for row in rows], [row["event_type"] for row in await world.core.db.fetch_all(EVENTS)]


async def looked(world):
    await Strangers(world.core).tick()


# --- EVM --------------------------------------------------------------------------------------------


async def test_a_nonce_that_no_attempt_explains_suspends_the_agent_and_is_told_of_once(eth):
    await eth.execute(await eth.want(eth.pay()))
    await eth.confirm()
    await looked(eth)
    assert await told(eth) == ([], [])
    await eth.spend_elsewhere(1)
    waiting = await eth.want(eth.pay(2 * ETHER))
    for _ in range(2):
        await looked(eth)
    assert await told(eth) == (['{"network":"ethereum-localnet","nonce":1}'], ["UNKNOWN_SPEND", "AGENT_SUSPENDED"])
    agent = await eth.agent()
    assert (agent.status, agent.suspension_reason) == (AgentStatus.SUSPENDED, "unknown_spend")
    assert await eth.said(waiting) == [("CANCELLED", "AGENT_SUSPENDED")]
    with pytest.raises(AgentIsSuspended):
        await eth.want(eth.pay())


async def test_every_further_nonce_of_the_stranger_is_told_of_too(eth):
    for nonce in range(3):
        await eth.spend_elsewhere(nonce)
        await looked(eth)
    details, events = await told(eth)
    assert len(details) == 3
    assert events.count("AGENT_SUSPENDED") == 1


async def test_more_nonces_than_one_look_takes_are_all_told_of(eth, monkeypatch):
    monkeypatch.setattr(strangers, "MOST", 2)
    monkeypatch.setattr(spent, "MOST", 3)
    for nonce in range(5):
        await eth.spend_elsewhere(nonce)
    for _ in range(4):
        await looked(eth)
    assert len((await told(eth))[0]) == 5


async def test_a_key_that_was_exported_is_told_of_and_goes_on(eth):
    await eth.export()
    await eth.spend_elsewhere(0)
    await looked(eth)
    assert (await told(eth))[1] == ["UNKNOWN_SPEND"]
    assert (await eth.agent()).status is AgentStatus.ACTIVE


async def test_what_an_imported_key_did_before_is_not_told_of(eth):
    await eth.by_hand(IMPORT, id=eth.alice.id, touches=f"agent:{eth.alice.id}")
    await eth.spend_elsewhere(0)
    await looked(eth)
    assert await told(eth) == ([], [])
    await eth.spend_elsewhere(1)
    await looked(eth)
    assert await told(eth) == (['{"network":"ethereum-localnet","nonce":1}'], ["UNKNOWN_SPEND"])


async def test_an_endpoint_that_counts_too_much_suspends_nobody_alone(eth):
    """The count is asked twice, and the second time of each witness; one that changes its mind is not believed."""
    eth.faults.answer("eth_getTransactionCount", "0x9")
    await looked(eth)
    assert await told(eth) == ([], [])
    await eth.spend_elsewhere(0)
    await looked(eth)
    assert (await told(eth))[0] == ['{"network":"ethereum-localnet","nonce":0}']


async def test_a_nonce_lost_under_live_bytes_is_told_of_once(eth):
    await eth.node.hold()
    tx = await eth.execute(await eth.want(eth.pay()))
    await eth.spend_elsewhere(0)
    await eth.node.mine()
    await looked(eth)
    await eth.confirm(2)
    await looked(eth)
    assert await eth.said(tx) == [("FAILED", "NONCE_CONSUMED")]
    assert await told(eth) == (['{"network":"ethereum-localnet","nonce":0}'], ["UNKNOWN_SPEND", "AGENT_SUSPENDED"])


async def test_a_theft_found_while_the_kill_switch_is_on_outlives_it(eth):
    await eth.node.hold()
    tx = await eth.execute(await eth.want(eth.pay()))
    await eth.spend_elsewhere(0)
    await eth.activate()
    await eth.node.mine()
    await eth.confirm(2)
    assert await eth.said(tx) == [("FAILED", "NONCE_CONSUMED")]
    await eth.recover()
    assert (await eth.agent()).suspension_reason == "unknown_spend"
    with pytest.raises(AgentIsSuspended):
        await eth.want(eth.pay())


async def test_recovery_finds_what_a_stranger_did_while_the_wallet_was_away(evm_template, tmp_path):
    async with open_evm_world(*evm_template, tmp_path / "wallet") as eth:
        async with eth.open_core():
            await eth.node.hold()
            await eth.execute(await eth.want(eth.pay()))
            await eth.node.mine()
            await eth.spend_elsewhere(1)
            await eth.node.mine()
        for _ in range(2):
            async with eth.open_core() as core:
                await close_networks(core)
                assert await recover(core, eth.network)
                assert len((await told(eth))[0]) == 1
                assert (await eth.agent()).status is AgentStatus.SUSPENDED


async def test_a_running_daemon_finds_a_stranger_and_goes_on_refusing(evm_template, tmp_path):
    async with open_evm_world(*evm_template, tmp_path / "wallet") as eth:
        async with eth.open_core():
            await eth.spend_elsewhere(0)
        async with eth.open_daemon(eth.settings(rpc=RPC)):
            agent = await eth.until(lambda agent: agent.status is AgentStatus.SUSPENDED)
            assert agent.suspension_reason == "unknown_spend"


async def test_an_agent_that_cannot_be_looked_at_stops_no_other(eth):
    await eth.spend_elsewhere(0)
    eth.faults.drop("eth_getTransactionCount")
    await looked(eth)
    assert await told(eth) == ([], [])
    await looked(eth)
    assert len((await told(eth))[0]) == 1


# --- Solana -----------------------------------------------------------------------------------------


async def spend_elsewhere(world, lamports=7):
    """Alice's key signs in another program; the signature."""
    chain = world.core.chains.chain(world.network)
    slot = await chain.slot(world.alice.public_key)
    alice, bob = (Pubkey.from_string(agent.public_key) for agent in (world.alice, world.bob))
    paid = transfer(TransferParams(from_pubkey=alice, to_pubkey=bob, lamports=lamports))
    message = MessageV0.try_compile(alice, [paid], [], Hash.from_string(slot.blockhash))
    by = Signature.from_bytes(world.core.keystore.sign(world.alice.id, to_bytes_versioned(message)))
    world.strangers.append(str(by))
    await chain.broadcast(bytes(VersionedTransaction.populate(message, [by])), str(by))
    world.clock.move(1)
    return str(by)


async def test_a_landed_signature_that_no_attempt_explains_suspends_the_agent_and_is_told_of_once(world, core):
    await world.pay()
    await looked(world)
    assert await told(world) == ([], [])
    by = await spend_elsewhere(world)
    for _ in range(2):
        await looked(world)
    assert await told(world) == ([f'{{"network":"localnet","txHash":"{by}"}}'], ["UNKNOWN_SPEND", "AGENT_SUSPENDED"])
    assert (await world.agent()).suspension_reason == "unknown_spend"


async def test_what_others_send_to_an_agent_is_nobodys_spend(world, core):
    world.time_passes()
    faucet = core.chains.chain(world.network).faucet
    await asyncio.gather(*(faucet(world.alice.public_key, amount) for amount in (1, 2)))
    payer = Keypair()
    await faucet(str(payer.pubkey()), 10**9)
    await world.pay()
    await looked(world)
    assert await told(world) == ([], [])


async def test_a_landed_transaction_that_is_not_shown_yet_is_looked_at_again(world, core):
    first, later = await spend_elsewhere(world), await spend_elsewhere(world, 8)

    async def act(exchange):
        replies = {reply["id"]: reply for reply in await exchange.forward()}
        for call in exchange.calls:
            if call["params"][0] == first:
                replies[call["id"]]["result"] = None

    world.faults.on("getTransaction", act)
    for seen in ([later], [later, first], [later, first]):
        await looked(world)
        details, _ = await told(world)
        assert [one in said for one, said in zip(seen, details, strict=True)] == [True] * len(seen)


async def test_recovery_on_solana_finds_a_stranger(template, tmp_path):
    async with open_world(*template, tmp_path / "wallet") as world:
        world.time_passes()
        async with world.open_core():
            await world.execute(await world.send())
            await spend_elsewhere(world)
        async with world.open_core() as core:
            await close_networks(core)
            assert await recover(core, world.network)
            assert len((await told(world))[0]) == 1
            assert (await world.agent()).status is AgentStatus.SUSPENDED


async def test_a_node_without_history_keeps_no_network_closed(template, tmp_path):
    async with open_world(*template, tmp_path / "wallet") as world:
        async with world.open_core():
            await world.execute(await world.send())
        async with world.open_core() as core:
            await close_networks(core)
            world.faults.refuse("getSignaturesForAddress", -32601, "method not found", times=10)
            world.clock.move(1)
            assert await recover(core, world.network)
