"""The methods of the embedded Ethereum chain, answer by answer."""

import sys

import pytest
from eth_abi import decode
from eth_utils import keccak

from tests.localnet.conftest import RpcFailed
from tests.localnet.evm.conftest import ETHER, GWEI, calldata, person, sign
from waiaas.localnet.evm import chain

NOBODY = "0x" + "00" * 20


async def refuse(node, method: str, *params) -> tuple[int, str]:
    with pytest.raises(RpcFailed) as failed:
        await node.call(method, *params)
    return failed.value.code, failed.value.message


async def test_it_says_who_it_is(node):
    assert await node.call("eth_chainId") == "0x7a69"
    assert await node.call("net_version") == "31337"
    assert await node.call("eth_syncing") is False
    assert await node.call("eth_accounts") == []
    assert await node.call("web3_clientVersion") == "waiaas-localnet/py-evm/prague"


async def test_it_holds_no_keys(node):
    assert await refuse(node, "eth_sendTransaction", {}) == (-32601, "Method not found")


async def test_a_block_is_found_by_number_tag_and_hash(node, alice):
    await node.fund(alice.address)
    sent = await node.send(sign(alice))
    await node.receipt(sent)
    block = await node.call("eth_getBlockByNumber", "0x2", False)
    assert block["transactions"] == [sent]
    (whole,) = (await node.call("eth_getBlockByNumber", "latest", True))["transactions"]
    assert whole == await node.call("eth_getTransactionByHash", sent)
    assert await node.call("eth_getBlockByHash", block["hash"], False) == block
    assert await node.call("eth_getBlockByNumber", "finalized", False) == block
    assert (await node.call("eth_getBlockByNumber", "0x1"))["hash"] == block["parentHash"]
    assert await node.call("eth_getBlockByNumber", "0x3", False) is None
    assert await node.call("eth_getBlockByNumber", hex(2**70), False) is None
    assert await node.call("eth_getBlockByHash", "0x" + "00" * 32, False) is None
    assert await node.call("eth_getBlockReceipts", "0x3") is None
    assert await node.call("eth_getTransactionReceipt", "0x" + "00" * 32) is None


async def test_a_state_is_asked_for_by_tag_number_and_hash(node, alice):
    await node.fund(alice.address, 5)
    newest = (await node.call("eth_getBlockByNumber", "latest", False))["hash"]
    for tag in ("latest", "0x1", newest, {"blockNumber": "0x1"}, {"blockHash": newest, "requireCanonical": True}):
        assert await node.balance(alice.address, tag) == 5
    assert await node.call("eth_getBalance", alice.address) == "0x5"
    assert await node.balance(alice.address, "earliest") == 0
    for tag in ("0x2", "0x" + "00" * 32, {"blockNumber": "0x2"}, {"blockHash": "0x" + "00" * 32}, {}):
        assert await refuse(node, "eth_getBalance", alice.address, tag) == (-32000, "header not found")


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("eth_getBalance", []),
        ("eth_getBalance", ["0x12"]),
        ("eth_getBalance", ["12" * 21]),
        ("eth_getBalance", ["0x" + "1g" * 20]),
        ("eth_getBalance", ["0x" + "1 " * 20]),
        ("eth_getBalance", [5]),
        ("eth_getBalance", [NOBODY, "newest"]),
        ("eth_getBalance", [NOBODY, "0x_1"]),
        ("eth_getBalance", [NOBODY, "latest", 3]),
        ("eth_getStorageAt", [NOBODY, hex(2**256)]),
        ("eth_getTransactionByHash", ["0x12"]),
        ("eth_call", [{"to": NOBODY}, "latest", {NOBODY: {}}]),
        ("eth_call", [{"to": NOBODY, "data": "0x01", "input": "0x02"}]),
        ("eth_call", [{"to": NOBODY, "value": 5}]),
        ("eth_feeHistory", ["0x1", "latest", [101]]),
        ("eth_feeHistory", ["0x1", "latest", [50, 10]]),
        ("eth_getLogs", [{"fromBlock": "0x2", "toBlock": "0x1"}]),
        ("eth_getLogs", [{"address": "0x12"}]),
        ("eth_getLogs", [{"topics": [["0x12"]]}]),
        ("eth_getLogs", [{"topics": [None] * 5}]),
        ("eth_sendRawTransaction", ["0x1"]),
        ("evm_mine", [1]),
        ("anvil_mine", ["0x2711"]),
    ],
)
async def test_params_that_do_not_fit_are_refused(node, method, params):
    assert (await refuse(node, method, *params))[0] == -32602


async def test_json_of_absurd_depth_is_an_error_and_not_a_crash(node):
    # opening the chain has put back what importing py-evm, or anything else of this process, had raised
    assert sys.getrecursionlimit() == 1000
    reply = await node.http.post("/", content=b"[" * 100_000, headers={"content-type": "application/json"})
    assert reply.json() == {"jsonrpc": "2.0", "error": {"code": -32700, "message": "Parse error"}, "id": None}


async def test_contracts_call_each_other_to_the_bottom_of_their_gas_and_the_interpreter_is_as_before(
    node, alice, monkeypatch
):
    monkeypatch.setattr(chain, "CALL_SECONDS", 30)
    await node.fund(alice.address)
    probe = await node.deploy(alice, "Probe")
    before = sys.getrecursionlimit()
    assert int(await node.ask(probe, "dive(uint256)", 0), 16) > 400
    assert sys.getrecursionlimit() == before == 1000


async def test_a_call_sees_its_block_and_pays_nothing(node, alice):
    await node.fund(alice.address)
    probe = await node.deploy(alice, "Probe")
    block = await node.call("eth_getBlockByNumber", "latest", False)
    seen = await node.ask(probe, "surroundings()", **{"from": alice.address})
    number, time, chain, fee, parent, sender, price = decode(
        ["uint256"] * 4 + ["bytes32", "address", "uint256"], bytes.fromhex(seen[2:])
    )
    assert (number, time) == (int(block["number"], 16), int(block["timestamp"], 16))
    assert (chain, fee, price) == (31337, 0, 0)
    assert ("0x" + parent.hex(), sender) == (block["parentHash"], alice.address.lower())


async def test_a_call_leaves_no_trace(node, alice):
    await node.fund(alice.address)
    probe = await node.deploy(alice, "Probe")
    await node.ask(probe, "store(uint256)", 5, value="0x1", **{"from": alice.address})
    assert int(await node.ask(probe, "stored()"), 16) == 0
    assert await node.balance(probe) == 0


async def test_a_call_of_more_money_than_there_is_is_refused(node, alice):
    await node.fund(alice.address, 5)
    wanted = {"from": alice.address, "to": NOBODY, "value": "0x6"}
    message = f"insufficient funds for gas * price + value: address {alice.address.lower()} have 5 want 6"
    assert await refuse(node, "eth_call", wanted) == (-32000, message)
    assert await refuse(node, "eth_estimateGas", wanted) == (-32000, message)


@pytest.mark.parametrize(("function", "message"), [("invalid()", "invalid opcode: INVALID"), ("burn()", "out of gas")])
async def test_a_call_that_fails_without_a_revert_says_why(node, alice, function, message):
    await node.fund(alice.address)
    probe = await node.deploy(alice, "Probe")
    wanted = {"to": probe, "data": calldata(function), "gas": "0x186a0"}
    assert await refuse(node, "eth_call", wanted) == (-32000, message)
    estimated = {"out of gas": "gas required exceeds allowance (100000)"}.get(message, message)
    assert await refuse(node, "eth_estimateGas", wanted) == (-32000, estimated)


async def test_an_estimate_reckons_with_what_the_sender_can_pay(node, alice):
    await node.fund(alice.address)
    probe = await node.deploy(alice, "Probe")
    await node.fund(alice.address, 30_000 * GWEI)
    wanted = {"from": alice.address, "to": probe, "data": calldata("store(uint256)", 5)}
    assert await node.number("eth_estimateGas", wanted) > 40_000
    for fee in ("maxFeePerGas", "gasPrice"):
        refused = await refuse(node, "eth_estimateGas", wanted | {fee: hex(GWEI)})
        assert refused == (-32000, "gas required exceeds allowance (30000)")


async def test_a_panic_is_told_in_words(node, alice):
    await node.fund(alice.address)
    probe = await node.deploy(alice, "Probe")
    refused = await refuse(node, "eth_call", {"to": probe, "data": calldata("panic(uint256)", 0)})
    assert refused == (3, "execution reverted: division or modulo by zero")


async def test_logs_are_found_by_address_topics_and_blocks(node, alice):
    await node.fund(alice.address)
    probe, other = [await node.deploy(alice, "Probe", nonce=nonce) for nonce in range(2)]
    sent = [(probe, 2), (other, 3), (probe, 4)]
    receipts = [await node.land(sign(alice, nonce, to=to, data=calldata("log()"), gas=100_000)) for to, nonce in sent]
    logs = [log for receipt in receipts for log in receipt["logs"]]
    four = "0x" + keccak(text="Four(uint256,uint256,uint256,bytes)").hex()
    one, two = ("0x" + hex(number)[2:].rjust(64, "0") for number in (1, 2))

    async def found(**filter) -> list:
        return await node.call("eth_getLogs", {"fromBlock": "earliest", **filter})

    assert len(logs) == 6
    assert await found() == logs
    assert await found(address=probe) == logs[:2] + logs[4:]
    assert await found(address=[probe, other.upper().replace("X", "x")], topics=[]) == logs
    assert await found(topics=[four]) == logs[::2]
    assert await found(topics=[None, one]) == await found(topics=[[four, one], None, [one, two]]) == logs[::2]
    assert await found(topics=[None] * 4) == logs[::2]
    assert await found(topics=[None, two]) == await found(topics=[one]) == []
    assert await found(fromBlock=receipts[1]["blockNumber"]) == logs[2:]
    assert await found(toBlock=receipts[0]["blockNumber"]) == logs[:2]
    assert await found(fromBlock="0x64", toBlock=hex(2**70)) == []
    assert await node.call("eth_getLogs", {"blockHash": receipts[1]["blockHash"], "address": probe}) == []
    assert await node.call("eth_getLogs", {}) == logs[4:]
    assert await refuse(node, "eth_getLogs", {"blockHash": "0x" + "00" * 32}) == (-32000, "unknown block")
    assert [log["logIndex"] for log in receipts[1]["logs"]] == ["0x0", "0x1"]


async def test_the_history_of_fees_tells_the_tips_by_the_gas_they_were_paid_for(node):
    await node.call("evm_setAutomine", False)
    for number in range(1, 5):
        await node.fund(person(number).address)
    for number in range(1, 5):
        await node.send(sign(person(number), maxPriorityFeePerGas=number * GWEI))
    await node.call("evm_mine")
    history = await node.call("eth_feeHistory", "0x1", "latest", [0, 25, 26, 50, 75, 100])
    assert [int(reward, 16) // GWEI for reward in history["reward"][0]] == [1, 1, 2, 2, 3, 4]
    assert "reward" not in await node.call("eth_feeHistory", "0x1", "latest")
    whole = await node.call("eth_feeHistory", "0x400", "latest", [])
    assert (whole["oldestBlock"], len(whole["baseFeePerGas"]), len(whole["gasUsedRatio"])) == ("0x0", 7, 6)
    assert (await node.call("eth_feeHistory", "0x0", "latest"))["gasUsedRatio"] == []
    assert (await node.call("eth_feeHistory", 2, "0x1"))["oldestBlock"] == "0x0"


async def test_many_blocks_are_made_at_once(node):
    assert await node.call("anvil_mine", "0x5") is None
    assert await node.call("anvil_mine") is None
    assert await node.number("eth_blockNumber") == 6


async def test_a_balance_is_set_in_a_block_of_its_own(node, alice):
    before = await node.number("eth_blockNumber")
    await node.call("anvil_setBalance", alice.address, hex(ETHER))
    assert await node.number("eth_blockNumber") == before + 1
    assert (await node.balance(alice.address), await node.balance(alice.address, hex(before))) == (ETHER, 0)


async def test_going_back_empties_the_pool_and_the_later_snapshots(node, alice):
    await node.fund(alice.address)
    first = await node.call("evm_snapshot")
    await node.call("evm_mine")
    second = await node.call("evm_snapshot")
    await node.call("evm_setAutomine", False)
    await node.send(sign(alice))
    assert await node.call("evm_revert", first) is True
    assert await node.call("txpool_status") == {"pending": "0x0", "queued": "0x0"}
    assert await node.call("evm_revert", second) is False


async def test_a_precompiled_contract_runs_though_it_has_no_code_and_a_plain_transfer_does_not(node, alice):
    await node.fund(alice.address)
    sha256_of_nothing = "0xe3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert await node.call("eth_call", {"to": "0x" + "00" * 19 + "02"}) == sha256_of_nothing
    assert int(await node.call("eth_estimateGas", {"to": "0x" + "00" * 19 + "02"}), 16) > 21_000
    plain = {"from": alice.address, "to": person(77).address, "value": "0x1"}
    assert await node.call("eth_call", plain) == "0x"
    assert await node.call("eth_estimateGas", plain) == hex(21_000)


async def test_what_is_known_of_accounts_follows_every_block_and_every_way_back(node, alice):
    await node.fund(alice.address, 5)
    snapshot = await node.call("evm_snapshot")
    for wei in (7, 9):
        await node.fund(alice.address, wei)
        assert await node.call("eth_getBalance", alice.address, "latest") == hex(wei)
    assert await node.call("eth_getBalance", alice.address, "0x1") == "0x5"
    assert await node.call("evm_revert", snapshot) is True
    assert await node.call("eth_getBalance", alice.address, "latest") == "0x5"
