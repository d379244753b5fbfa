"""What the embedded chain and a real node must do alike: every test runs on both."""

import asyncio

import pytest
import rlp
from eth_utils import keccak

from tests.localnet.conftest import RpcFailed
from tests.localnet.evm.conftest import CHAIN_ID, CONTRACTS, ETHER, GWEI, Node, calldata, person, sign

pytestmark = pytest.mark.timeout(300)


async def test_a_transfer_moves_money_and_burns_its_fee(ethereum, alice, bob):
    await ethereum.fund(alice.address, 10 * ETHER)
    receipt = await ethereum.land(sign(alice, to=bob.address, value=ETHER))
    block = await ethereum.call("eth_getBlockByHash", receipt["blockHash"], False)
    price = int(block["baseFeePerGas"], 16) + GWEI
    assert (receipt["status"], receipt["gasUsed"], receipt["type"]) == ("0x1", hex(21_000), "0x2")
    assert receipt["effectiveGasPrice"] == hex(price)
    assert (receipt["from"], receipt["to"]) == (alice.address.lower(), bob.address.lower())
    assert block["transactions"] == [receipt["transactionHash"]]
    assert await ethereum.balance(bob.address) == ETHER
    assert await ethereum.balance(alice.address) == 9 * ETHER - 21_000 * price
    assert await ethereum.nonce(alice.address) == 1


@pytest.mark.parametrize("kind", [0, 1, 2])
async def test_every_type_of_transaction_lands_and_is_told_as_it_was_signed(ethereum, alice, kind):
    await ethereum.fund(alice.address)
    extra = {"accessList": [{"address": "0x" + "bb" * 20, "storageKeys": ["0x" + "01" * 32]}]} if kind else {}
    raw = sign(alice, type=kind, gas=50_000, value=5, **extra)
    receipt = await ethereum.land(raw)
    assert receipt["gasUsed"] == hex(21_000 + (2_400 + 1_900 if kind else 0))
    shown = await ethereum.call("eth_getTransactionByHash", receipt["transactionHash"])
    assert receipt["transactionHash"] == "0x" + keccak(hexstr=raw).hex()
    assert (shown["type"], shown["nonce"], shown["value"], shown["gas"]) == (hex(kind), "0x0", "0x5", hex(50_000))
    assert (shown["blockHash"], shown["transactionIndex"]) == (receipt["blockHash"], "0x0")
    assert shown["gasPrice"] == receipt["effectiveGasPrice"]
    assert int(shown["chainId"], 16) == CHAIN_ID
    assert shown.get("accessList", []) == extra.get("accessList", [])


async def test_a_token_is_made_moved_and_logged(ethereum, alice, bob):
    await ethereum.fund(alice.address)
    token = await ethereum.deploy(alice, "Token", "Gold", "GLD", 6, 1000)
    receipt = await ethereum.land(
        sign(alice, 1, to=token, data=calldata("transfer(address,uint256)", bob.address, 7), gas=100_000)
    )
    assert int(await ethereum.ask(token, "balanceOf(address)", bob.address), 16) == 7
    assert int(await ethereum.ask(token, "balanceOf(address)", alice.address), 16) == 993
    (log,) = receipt["logs"]
    assert log["topics"] == [
        "0x" + keccak(text="Transfer(address,address,uint256)").hex(),
        *("0x" + each.address[2:].lower().rjust(64, "0") for each in (alice, bob)),
    ]
    assert (int(log["data"], 16), log["address"], log["logIndex"]) == (7, token, "0x0")
    found = await ethereum.call("eth_getLogs", {"address": token, "topics": [None, None, log["topics"][2]]})
    assert found == [log]


async def test_a_transaction_that_reverts_is_in_the_block_and_pays(ethereum, alice):
    await ethereum.fund(alice.address)
    probe = await ethereum.deploy(alice, "Probe")
    before = await ethereum.balance(alice.address)
    receipt = await ethereum.land(sign(alice, 1, to=probe, data=calldata("reason()"), gas=100_000))
    paid = int(receipt["gasUsed"], 16) * int(receipt["effectiveGasPrice"], 16)
    assert (receipt["status"], receipt["logs"]) == ("0x0", [])
    assert await ethereum.balance(alice.address) == before - paid
    assert await ethereum.nonce(alice.address) == 2


@pytest.mark.parametrize(
    ("call", "message", "output"),
    [
        (calldata("reason()"), "execution reverted: because", calldata("Error(string)", "because")),
        (calldata("custom()"), "execution reverted", calldata("Custom(uint256)", 7)),
        (calldata("panic(uint256)", 0), "execution reverted", calldata("Panic(uint256)", 0x12)),
        (calldata("silent()"), "execution reverted", "0x"),
    ],
)
@pytest.mark.parametrize("method", ["eth_call", "eth_estimateGas"])
async def test_a_revert_is_refused_with_its_reason(ethereum, alice, method, call, message, output):
    await ethereum.fund(alice.address)
    probe = await ethereum.deploy(alice, "Probe")
    with pytest.raises(RpcFailed) as failed:
        await ethereum.call(method, {"from": alice.address, "to": probe, "data": call})
    assert (failed.value.code, failed.value.data) == (3, output)
    assert failed.value.message.startswith(message)


async def test_what_was_is_still_known_at_its_block(ethereum, alice, bob):
    await ethereum.fund(alice.address)
    probe = await ethereum.deploy(alice, "Probe")
    blocks = []
    for nonce in range(1, 4):
        raw = sign(alice, nonce, to=probe, value=1, data=calldata("store(uint256)", nonce), gas=100_000)
        blocks.append((await ethereum.land(raw))["blockNumber"])
    for nonce, block in enumerate(blocks, 1):
        assert await ethereum.nonce(alice.address, block) == nonce + 1
        assert await ethereum.balance(probe, block) == nonce
        assert int(await ethereum.ask(probe, "stored()", tag=block), 16) == nonce
        assert int(await ethereum.call("eth_getStorageAt", probe, "0x0", block), 16) == nonce
    assert await ethereum.nonce(alice.address, "earliest") == 0
    for tag in ("latest", "pending", "safe", "finalized"):
        assert await ethereum.balance(probe, tag) >= 0


async def test_nonces_behind_a_gap_wait_for_it(ethereum, alice, bob):
    await ethereum.fund(alice.address)
    later = [await ethereum.send(sign(alice, nonce, to=bob.address, value=nonce)) for nonce in (2, 1)]
    assert await ethereum.call("txpool_status") == {"pending": "0x0", "queued": "0x2"}
    assert await ethereum.nonce(alice.address, "pending") == 0
    shown = await ethereum.call("eth_getTransactionByHash", later[0])
    assert (shown["blockHash"], shown["blockNumber"], shown["transactionIndex"]) == (None, None, None)
    first = await ethereum.land(sign(alice, 0, to=bob.address))
    receipts = [await ethereum.receipt(each) for each in reversed(later)]
    places = [(int(each["blockNumber"], 16), int(each["transactionIndex"], 16)) for each in (first, *receipts)]
    assert places == sorted(places)
    assert await ethereum.balance(bob.address) == 3
    assert await ethereum.call("txpool_status") == {"pending": "0x0", "queued": "0x0"}


async def test_held_transactions_are_pending_until_a_block_is_asked_for(ethereum, alice, bob):
    await ethereum.fund(alice.address)
    await ethereum.call("evm_setAutomine", False)
    hashes = [await ethereum.send(sign(alice, nonce, to=bob.address, value=1)) for nonce in range(3)]
    assert (await ethereum.nonce(alice.address), await ethereum.nonce(alice.address, "pending")) == (0, 3)
    assert await ethereum.call("eth_getTransactionReceipt", hashes[0]) is None
    assert await ethereum.call("anvil_dropTransaction", hashes[2]) == hashes[2]
    await ethereum.call("evm_mine")
    receipts = [await ethereum.receipt(each) for each in hashes[:2]]
    assert [each["transactionIndex"] for each in receipts] == ["0x0", "0x1"]
    assert [each["cumulativeGasUsed"] for each in receipts] == [hex(21_000), hex(42_000)]
    assert await ethereum.call("eth_getBlockReceipts", receipts[0]["blockNumber"]) == receipts
    assert await ethereum.call("eth_getTransactionByHash", hashes[2]) is None
    assert await ethereum.balance(bob.address) == 2


async def test_a_replacement_lands_in_place_of_the_first(ethereum, alice, bob):
    await ethereum.fund(alice.address)
    await ethereum.call("evm_setAutomine", False)
    first = await ethereum.send(sign(alice, to=bob.address, value=1))
    better = sign(alice, to=bob.address, value=2, maxFeePerGas=12 * GWEI, maxPriorityFeePerGas=2 * GWEI)
    second = await ethereum.send(better)
    await ethereum.call("evm_mine")
    assert (await ethereum.receipt(second))["status"] == "0x1"
    assert await ethereum.call("eth_getTransactionReceipt", first) is None
    assert await ethereum.call("eth_getTransactionByHash", first) is None
    assert await ethereum.balance(bob.address) == 2


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"nonce": 0}, "nonce too low"),
        ({"nonce": 1, "value": 2000 * ETHER}, "insufficient funds for gas"),
        ({"nonce": 1, "gas": 20_000}, "intrinsic gas too low"),
        ({"nonce": 1, "maxPriorityFeePerGas": 11 * GWEI}, "max priority fee per gas higher than max fee per gas"),
    ],
)
async def test_what_cannot_be_is_refused_at_once(ethereum, alice, fields, message):
    await ethereum.fund(alice.address)
    await ethereum.land(sign(alice))
    with pytest.raises(RpcFailed) as failed:
        await ethereum.send(sign(alice, **fields))
    assert failed.value.code in (-32000, -32003, -32602)
    assert message in failed.value.message.lower()


async def test_the_price_of_the_next_block_follows_from_how_full_this_one_is(ethereum, alice):
    await ethereum.fund(alice.address)
    await ethereum.land(sign(alice))
    await ethereum.call("evm_mine")
    history = await ethereum.call("eth_feeHistory", "0x2", "latest", [50])
    base = [int(fee, 16) for fee in history["baseFeePerGas"]]
    assert history["gasUsedRatio"] == [21_000 / 30_000_000, 0]
    assert [int(reward, 16) for (reward,) in history["reward"]] == [GWEI, 0]
    assert base[1] == base[0] - base[0] * (15_000_000 - 21_000) // 15_000_000 // 8
    assert base[2] == base[1] - base[1] // 8
    newest = await ethereum.call("eth_getBlockByNumber", "latest", False)
    assert (newest["baseFeePerGas"], newest["number"]) == (hex(base[1]), hex(int(history["oldestBlock"], 16) + 1))
    assert await ethereum.number("eth_gasPrice") == base[2] + await ethereum.number("eth_maxPriorityFeePerGas")


async def test_the_hash_of_a_block_is_the_hash_of_what_it_says(ethereum, alice):
    await ethereum.fund(alice.address)
    receipt = await ethereum.land(sign(alice))
    block = await ethereum.call("eth_getBlockByHash", receipt["blockHash"], False)
    assert "0x" + keccak(rlp.encode([field(block, *each) for each in HEADER])).hex() == receipt["blockHash"]


#: the header in its order (EIP-4895, 4844, 4788, 7685), and whether a field is a number
HEADER = [
    *((name, False) for name in ("parentHash", "sha3Uncles", "miner", "stateRoot", "transactionsRoot", "receiptsRoot")),
    ("logsBloom", False),
    *((name, True) for name in ("difficulty", "number", "gasLimit", "gasUsed", "timestamp")),
    *((name, False) for name in ("extraData", "mixHash", "nonce")),
    ("baseFeePerGas", True),
    ("withdrawalsRoot", False),
    *((name, True) for name in ("blobGasUsed", "excessBlobGas")),
    *((name, False) for name in ("parentBeaconBlockRoot", "requestsHash")),
]


def field(block: dict, name: str, is_number: bool) -> bytes:
    value = block[name]
    return rlp.sedes.big_endian_int.serialize(int(value, 16)) if is_number else bytes.fromhex(value[2:])


async def test_a_snapshot_is_gone_back_to_once(ethereum, alice, bob):
    await ethereum.fund(alice.address)
    before = await ethereum.call("eth_getBlockByNumber", "latest", False)
    snapshot = await ethereum.call("evm_snapshot")
    receipt = await ethereum.land(sign(alice, to=bob.address, value=1))
    assert await ethereum.call("evm_revert", snapshot) is True
    assert await ethereum.call("eth_getBlockByNumber", "latest", False) == before
    assert await ethereum.call("eth_getTransactionReceipt", receipt["transactionHash"]) is None
    assert (await ethereum.nonce(alice.address), await ethereum.balance(bob.address)) == (0, 0)
    assert await ethereum.call("evm_revert", snapshot) is False
    assert (await ethereum.land(sign(alice, to=bob.address, value=2)))["status"] == "0x1"


async def story(ethereum: Node) -> list:
    """One story in which gas, logs, outputs and addresses depend on nothing but the transactions."""
    alice, bob = person(1), person(2)
    await ethereum.fund(alice.address)
    token = await ethereum.deploy(alice, "Token", "Gold", "GLD", 6, 10**9)
    probe = await ethereum.deploy(alice, "Probe", nonce=1)
    steps = [
        (token, "transfer(address,uint256)", (bob.address, 5), 100_000),
        (token, "transfer(address,uint256)", (bob.address, 5), 100_000),
        (token, "transfer(address,uint256)", (bob.address, 10**10), 100_000),
        (token, "approve(address,uint256)", (bob.address, 5), 100_000),
        (token, "approve(address,uint256)", (bob.address, 0), 100_000),
        (probe, "store(uint256)", (1,), 100_000),
        (probe, "store(uint256)", (0,), 100_000),
        (probe, "log()", (), 100_000),
        (probe, "panic(uint256)", (0,), 100_000),
        (probe, "invalid()", (), 100_000),
        (probe, "burn()", (), 50_000),
        (probe, "dive(uint256)", (0,), 1_000_000),
        (probe, "nothing()", (), 100_000),
    ]
    told = [token, probe]
    for nonce, (to, signature, arguments, gas) in enumerate(steps, 2):
        data = calldata(signature, *arguments)
        receipt = await ethereum.land(sign(alice, nonce, to=to, data=data, gas=gas))
        kept = ("transactionHash", "status", "gasUsed", "logsBloom", "contractAddress", "from", "to", "type")
        logs = [(log["address"], log["topics"], log["data"], log["logIndex"]) for log in receipt["logs"]]
        told.append((signature, {name: receipt[name] for name in kept}, logs))
    for to, signature, arguments, _ in steps:
        told.append(await outcome(ethereum, to, calldata(signature, *arguments)))
    told.append(await ethereum.call("eth_getCode", probe, "latest"))
    told.append(await ethereum.call("eth_getStorageAt", token, "0x2", "latest"))
    return told


async def outcome(ethereum: Node, to: str, data: str):
    """What a call answers, or how it fails."""
    try:
        return await ethereum.call("eth_call", {"from": person(1).address, "to": to, "data": data, "gas": "0x186a0"})
    except RpcFailed as failed:
        return failed.data


async def test_gas_logs_and_outputs_are_the_same(node, real):
    ours, theirs = await asyncio.gather(story(node), story(real))
    assert ours == theirs


async def test_estimates_are_enough_and_little_more(ethereum, alice, bob):
    await ethereum.fund(alice.address)
    token = await ethereum.deploy(alice, "Token", "Gold", "GLD", 6, 1000)
    wanted = {"from": alice.address, "to": token, "data": calldata("transfer(address,uint256)", bob.address, 5)}
    gas = await ethereum.number("eth_estimateGas", wanted)
    receipt = await ethereum.land(sign(alice, 1, to=token, data=wanted["data"], gas=gas))
    assert receipt["status"] == "0x1"
    assert gas <= int(receipt["gasUsed"], 16) * 1.03
    made = {"from": alice.address, "data": CONTRACTS["Probe"]["bytecode"]}
    receipt = await ethereum.land(
        sign(alice, 2, to=None, data=made["data"], gas=await ethereum.number("eth_estimateGas", made))
    )
    assert receipt["status"] == "0x1"
    plain = {"from": alice.address, "to": bob.address, "value": "0x1"}
    assert await ethereum.number("eth_estimateGas", plain) == 21_000
