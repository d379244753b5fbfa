"""What the embedded Ethereum chain keeps through a stop, a crash and a refusing disk."""

import re
import shutil
import sqlite3
import stat
import subprocess
import sys

import pytest

from tests.localnet.conftest import RpcFailed
from tests.localnet.evm.conftest import ETHER, calldata, open_node, sign
from waiaas.errors import LocalnetUnusable
from waiaas.localnet.evm import open_evm, store

STATEMENT = re.compile(r"\s*(SELECT|INSERT|UPDATE|DELETE)\b")


async def head(node) -> dict:
    return await node.call("eth_getBlockByNumber", "latest", True)


async def test_blocks_receipts_and_state_survive_a_restart(directory, clock, alice, bob):
    async with open_node(directory, clock) as node:
        await node.fund(alice.address)
        token = await node.deploy(alice, "Token", "Gold", "GLD", 6, 1000)
        pay = calldata("transfer(address,uint256)", bob.address, 7)
        receipt = await node.land(sign(alice, 1, to=token, data=pay, gas=100_000))
        genesis = await node.call("eth_getBlockByNumber", "0x0", False)
        before = await head(node)
    clock.seconds += 3600
    async with open_node(directory, clock) as node:
        assert await node.call("eth_getBlockByNumber", "0x0", False) == genesis
        assert await head(node) == before
        assert await node.call("eth_getTransactionReceipt", receipt["transactionHash"]) == receipt
        assert await node.call("eth_getLogs", {"blockHash": receipt["blockHash"]}) == receipt["logs"]
        assert int(await node.ask(token, "balanceOf(address)", bob.address), 16) == 7
        assert await node.nonce(alice.address, "0x1") == 0
        await node.land(sign(alice, 2, to=token, data=pay, gas=100_000))
        assert int(await node.ask(token, "balanceOf(address)", bob.address), 16) == 14
        after = await head(node)
        assert int(after["timestamp"], 16) == clock.seconds
        assert after["parentHash"] == before["hash"]


async def test_two_chains_differ_from_their_genesis_on(node, clock, tmp_path):
    async with open_node(tmp_path / "other", clock) as other:
        assert (await head(node))["hash"] != (await head(other))["hash"]


async def test_a_stop_in_good_order_keeps_what_waits(directory, clock, alice, bob):
    async with open_node(directory, clock) as node:
        await node.fund(alice.address)
        made = await node.send(sign(alice, 0, to=bob.address, value=1))
        waiting = await node.send(sign(alice, 2, to=bob.address, value=1))
    async with open_node(directory, clock) as node:
        assert (await node.call("eth_getTransactionReceipt", made))["status"] == "0x1"
        assert (await node.call("eth_getTransactionByHash", waiting))["blockHash"] is None
        await node.land(sign(alice, 1, to=bob.address, value=1))
        assert (await node.receipt(waiting))["status"] == "0x1"
        assert await node.balance(bob.address) == 3


async def test_a_crash_loses_the_pool_alone_and_the_same_bytes_still_land(node, directory, clock, tmp_path, alice, bob):
    await node.fund(alice.address)
    landed = await node.land(sign(alice, 0, to=bob.address, value=ETHER))
    await node.call("evm_setAutomine", False)
    raw = sign(alice, 1, to=bob.address, value=2 * ETHER)
    lost = await node.send(raw)
    # the files as a killed process leaves them
    shutil.copytree(directory, tmp_path / "crashed")
    async with open_node(tmp_path / "crashed", clock) as again:
        assert await again.call("eth_getTransactionReceipt", landed["transactionHash"]) == landed
        assert await again.call("eth_getTransactionByHash", lost) is None
        assert await again.nonce(alice.address, "pending") == 1
        assert (await again.land(raw))["status"] == "0x1"
        assert await again.balance(bob.address) == 3 * ETHER


async def test_nothing_is_told_of_a_block_that_the_disk_refused(node, alice, bob, monkeypatch):
    await node.fund(alice.address)
    before = await head(node)
    save = store.Store.save

    def refuse(self, block):
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(store.Store, "save", refuse)
    sent = await node.send(sign(alice, to=bob.address, value=ETHER))
    for _ in range(2):
        with pytest.raises(RpcFailed) as failed:
            await node.call("eth_getTransactionReceipt", sent)
        assert (failed.value.code, failed.value.message) == (-32603, "Internal error")
        assert await head(node) == before
        assert await node.balance(bob.address) == 0
    monkeypatch.setattr(store.Store, "save", save)
    assert (await node.receipt(sent))["status"] == "0x1"
    assert await node.balance(bob.address) == ETHER


async def test_time_in_blocks_never_goes_back(node, clock):
    await node.call("evm_mine")
    before = int((await head(node))["timestamp"], 16)
    clock.seconds -= 3600
    await node.call("evm_mine")
    assert int((await head(node))["timestamp"], 16) == before


async def test_the_state_is_for_its_owner_alone(node, directory):
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in directory.iterdir()}
    assert set(modes.values()) == {0o600}
    assert "evm.sqlite" in modes
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700


async def test_two_processes_cannot_have_one_chain(node, directory, clock):
    with pytest.raises(LocalnetUnusable, match="locked"):
        async with open_evm(directory, clock):
            pass


async def test_a_damaged_file_is_told(directory, clock):
    directory.mkdir()
    (directory / "evm.sqlite").write_bytes(b"this is no database" * 1000)
    with pytest.raises(LocalnetUnusable, match="not a database"):
        async with open_evm(directory, clock):
            pass


async def test_a_file_of_another_version_is_left_alone(directory, clock):
    async with open_evm(directory, clock):
        pass
    connection = sqlite3.connect(directory / "evm.sqlite")
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(LocalnetUnusable, match="another version"):
        async with open_evm(directory, clock):
            pass


def test_every_statement_fits_the_schema(directory):
    """Each SQL constant of the store is prepared; parameters are bound to NULL."""
    statements = {name: text for name, text in vars(store).items() if isinstance(text, str) and STATEMENT.match(text)}
    assert len(statements) == 22
    with store.open_store(directory) as opened:
        for text in statements.values():
            names = dict.fromkeys(re.findall(r":(\w+)", text))
            opened._connection.execute(f"EXPLAIN {text}", names).fetchall()


WITHOUT = """
import asyncio, sys
from pathlib import Path
sys.modules["eth"] = None
from waiaas.clock import Clock
from waiaas.localnet import open_evm

async def main():
    async with open_evm(Path(sys.argv[1]), Clock()):
        pass

asyncio.run(main())
"""

LIMIT = """
import sys
import waiaas.localnet
assert "eth" not in sys.modules and "eth_abi" not in sys.modules, "heavy packages are imported before they are used"
"""


def test_without_its_extra_it_says_what_to_install(tmp_path):
    done = subprocess.run([sys.executable, "-c", WITHOUT, tmp_path], capture_output=True, text=True)
    assert "ExtraMissing: The embedded Ethereum chain needs the package eth." in done.stderr


def test_py_evm_is_not_imported_before_the_chain_is_opened():
    subprocess.run([sys.executable, "-c", LIMIT], check=True)
