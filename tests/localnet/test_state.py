"""What the embedded chain keeps through a stop, a crash and a refusing disk."""

import shutil
import sqlite3
import stat

import pytest
from solders.keypair import Keypair

from tests.localnet.conftest import SOL, Node, RpcFailed, open_node
from waiaas.errors import LocalnetUnusable
from waiaas.localnet.solana import open_solana, store


async def identity(node: Node) -> tuple[str, int]:
    return await node.call("getGenesisHash"), await node.call("getSlot")


async def test_balances_statuses_genesis_and_slot_survive_a_restart(directory, clock):
    payer, to = Keypair(), Keypair().pubkey()
    async with open_node(directory, clock) as node:
        await node.fund(payer.pubkey())
        transaction = await node.transfer(payer, to, SOL)
        status = await node.land(transaction)
        before = await identity(node)
    async with open_node(directory, clock) as node:
        assert await identity(node) == before
        assert await node.balance(to) == SOL
        assert await node.status(str(transaction.signatures[0])) == status
        with pytest.raises(RpcFailed, match="already been processed"):
            await node.send(transaction)
        assert (await node.land(await node.transfer(payer, to, SOL)))["err"] is None
        assert await node.balance(to) == 2 * SOL


async def test_time_passes_while_the_chain_is_stopped(directory, clock):
    async with open_node(directory, clock) as node:
        slot = await node.call("getSlot")
    clock.pass_slots(5000)
    async with open_node(directory, clock) as node:
        assert await node.call("getSlot") == slot + 5000


async def test_a_restart_with_the_clock_set_back_stays_at_the_last_block(directory, clock):
    async with open_node(directory, clock) as node:
        clock.pass_slots(100)
        await node.fund(Keypair().pubkey())
        last = await node.call("getSlot") - 1
    clock.seconds -= 3600
    async with open_node(directory, clock) as node:
        assert await node.call("getSlot") == last
        await node.fund(Keypair().pubkey())
        assert await node.call("getSlot") == last + 1


async def test_a_stop_in_good_order_loses_nothing_that_was_accepted(directory, clock):
    to = Keypair().pubkey()
    async with open_node(directory, clock) as node:
        signature = await node.call("requestAirdrop", str(to), SOL)
    async with open_node(directory, clock) as node:
        assert (await node.status(signature))["err"] is None
        assert await node.balance(to) == SOL


async def test_a_crash_loses_what_was_in_no_block_and_the_same_bytes_can_still_land(node, directory, clock, tmp_path):
    payer, to = Keypair(), Keypair().pubkey()
    await node.fund(payer.pubkey())
    landed = await node.transfer(payer, to, SOL)
    assert (await node.land(landed))["err"] is None
    clock.pass_slots(3)
    lost = await node.transfer(payer, to, 2 * SOL)
    await node.send(lost)
    # the files as a killed process leaves them
    shutil.copytree(directory, tmp_path / "crashed")
    clock.pass_slots(1)
    async with open_node(tmp_path / "crashed", clock) as again:
        assert await again.balance(to) == SOL
        assert await again.status(str(landed.signatures[0])) is not None
        assert await again.status(str(lost.signatures[0])) is None
        assert (await again.land(lost))["err"] is None
        assert await again.balance(to) == 3 * SOL


async def test_nothing_is_told_of_a_block_that_the_disk_refused(node, payer, monkeypatch):
    to = Keypair().pubkey()
    signature = await node.send(await node.transfer(payer, to, SOL))
    node.clock.pass_slots(1)
    save = store.Store.save

    def refuse(self, block):
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(store.Store, "save", refuse)
    for _ in range(2):
        with pytest.raises(RpcFailed) as failed:
            await node.status(signature)
        assert (failed.value.code, failed.value.message) == (-32603, "Internal error")
    monkeypatch.setattr(store.Store, "save", save)
    assert (await node.status(signature))["err"] is None
    assert await node.balance(to) == SOL


async def test_the_state_is_for_its_owner_alone(node, payer, directory):
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in directory.iterdir()}
    assert set(modes.values()) == {0o600}
    assert "solana.sqlite" in modes
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700


async def test_two_processes_cannot_have_one_chain(node, directory, clock):
    with pytest.raises(LocalnetUnusable, match="locked"):
        async with open_solana(directory, clock):
            pass


async def test_a_damaged_file_is_told(directory, clock):
    directory.mkdir()
    (directory / "solana.sqlite").write_bytes(b"this is no database" * 1000)
    with pytest.raises(LocalnetUnusable, match="not a database"):
        async with open_solana(directory, clock):
            pass


async def test_a_file_of_another_version_is_left_alone(directory, clock):
    async with open_solana(directory, clock):
        pass
    connection = sqlite3.connect(directory / "solana.sqlite")
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(LocalnetUnusable, match="another version"):
        async with open_solana(directory, clock):
            pass


def test_every_statement_fits_the_schema(directory):
    """Each SQL constant of the store is prepared; parameters are bound to NULL."""
    statements = {name: text for name, text in vars(store).items() if isinstance(text, str) and is_statement(text)}
    assert len(statements) == 13
    with store.open_store(directory) as opened:
        for text in statements.values():
            names = dict.fromkeys(store_parameters(text))
            opened._connection.execute(f"EXPLAIN {text}", names).fetchall()


def is_statement(text: str) -> bool:
    return text.split(maxsplit=1)[:1] in (["SELECT"], ["INSERT"], ["UPDATE"], ["DELETE"])


def store_parameters(text: str) -> list[str]:
    return [word.strip(":,();") for word in text.replace("(:", " :").split() if word.startswith(":")]
