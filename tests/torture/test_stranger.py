"""What befalls agents from outside: their keys used elsewhere, blocks that go, blocks that fill up."""

import asyncio

import pytest
from eth_account import Account
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from waiaas.cli.torture import evm, solana
from waiaas.cli.torture.exchange import NodeRefused, ask
from waiaas.cli.torture.forks import Fork
from waiaas.cli.torture.hosts import LeapingClock, open_evm, open_solana, within
from waiaas.cli.torture.pauses import pause
from waiaas.cli.torture.stranger import pay_ether, pay_lamports
from waiaas.cli.torture.turmoil import EMPTY_BLOCKS, Turmoil

KEY = bytes(range(1, 33))
SINK = "0x" + "11" * 20
ETHER = 10**18


@pytest.fixture
async def fork(tmp_path):
    """An embedded EVM chain on which an agent's key has an ether."""
    async with open_evm(tmp_path, LeapingClock()) as app:
        fork = Fork(within(app))
        await ask(fork, ("anvil_setBalance", [Account.from_key(KEY).address, hex(ETHER)]))
        yield fork


async def base_fee(node) -> int:
    (block,) = await ask(node, ("eth_getBlockByNumber", ["latest", False]))
    return int(block["baseFeePerGas"], 16)


async def test_a_stranger_takes_the_next_nonce_of_an_agent(fork):
    await evm.hold(fork, True)
    signed = await pay_ether(fork, KEY, SINK, 7)
    await ask(fork, signed.call)
    assert (await pay_ether(fork, KEY, SINK, 8)).mark == signed.mark == "0"
    await evm.hold(fork, False)
    assert await evm.landed(fork, [signed.hash]) == {signed.hash}
    assert (await pay_ether(fork, KEY, SINK, 8)).mark == "1"
    with pytest.raises(NodeRefused):
        await ask(fork, signed.call)


async def test_a_stranger_pays_with_an_agents_key_on_solana(tmp_path):
    clock = LeapingClock()
    async with open_solana(tmp_path, clock) as app:
        node, agent, to = within(app), str(Keypair.from_seed(KEY).pubkey()), str(Pubkey.new_unique())
        await ask(node, ("requestAirdrop", [agent, 10**9]))
        clock.leap(2)
        signed = await pay_lamports(node, KEY, to, 1_000_000)
        assert (await ask(node, signed.call)) == [signed.hash]
        clock.leap(2)
        truth = await solana.truth(node, "localnet", [agent], to)
    (landed,) = (one for one in truth.landed.values() if one.hash == signed.hash)
    assert (landed.signer, [effect.amount for effect in landed.effects]) == (agent, [1_000_000])


async def test_blocks_of_a_branch_are_not_final_and_go_with_all_that_was_in_them(fork):
    (before,) = await ask(fork, ("eth_blockNumber", []))
    await fork.open()
    signed = await pay_ether(fork, KEY, SINK, 7)
    await ask(fork, signed.call)
    assert await evm.landed(fork, [signed.hash]) == {signed.hash}
    final, latest = await ask(
        fork, ("eth_getBlockByNumber", ["finalized", False]), ("eth_getBlockByNumber", ["latest", False])
    )
    assert (final["number"], int(latest["number"], 16)) == (before, int(before, 16) + 1)
    assert await fork.close() == [signed.hash]
    assert await evm.landed(fork, [signed.hash]) == set()
    (final,) = await ask(fork, ("eth_getBlockByNumber", ["finalized", False]))
    assert final["number"] == before
    await ask(fork, signed.call)
    assert await evm.landed(fork, [signed.hash]) == {signed.hash}


async def test_a_crowd_makes_the_price_jump_and_it_comes_down_again(fork, monkeypatch):
    seen: list[int] = []

    sleep = asyncio.sleep

    async def look(seconds: float) -> None:
        # long enough for the chain to make its blocks
        await sleep(0.02)
        seen.append(await base_fee(fork))

    class Alone(Turmoil):
        def __init__(self) -> None:
            self._crowd, self.jumps = Account.from_key(KEY[::-1]), 0

    before = await base_fee(fork)
    monkeypatch.setattr("waiaas.cli.torture.turmoil.asyncio.sleep", look)
    await Alone().raise_price(fork)
    monkeypatch.setattr("waiaas.cli.torture.turmoil.asyncio.sleep", sleep)
    assert len(seen) == EMPTY_BLOCKS
    assert max(seen) > 6 * before
    assert await base_fee(fork) < 2 * before


async def test_a_pause_ends_when_somebody_is_told_to_stop():
    stop = asyncio.Event()
    assert await pause(stop, 0.001) is False
    stop.set()
    assert await pause(stop, 60) is True
