"""The pool of the embedded Ethereum chain: whom it refuses, in geth's words, and what shares a block."""

import asyncio
import contextlib

import pytest
from eth_utils import keccak
from hypothesis import given
from hypothesis import strategies as st

from tests.localnet.conftest import RpcFailed
from tests.localnet.evm.conftest import ETHER, GWEI, person, sign
from waiaas.errors import RpcRefusal

FULL_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


async def refuse(node, raw: str) -> str:
    """Why it is refused, in geth's words."""
    with pytest.raises(RpcFailed) as failed:
        await node.send(raw)
    assert failed.value.code == -32000
    return failed.value.message


@pytest.fixture
async def held(node, alice):
    """The chain with a rich alice, making no blocks by itself."""
    await node.fund(alice.address)
    await node.call("evm_setAutomine", False)
    return node


async def test_the_same_bytes_are_known_and_later_too_low(node, alice):
    await node.fund(alice.address)
    await node.call("evm_setAutomine", False)
    raw = sign(alice)
    sent = await node.send(raw)
    assert await refuse(node, raw) == "already known"
    await node.call("evm_mine")
    assert await refuse(node, raw) == "nonce too low: next nonce 1, tx nonce 0"
    assert (await node.receipt(sent))["status"] == "0x1"


@pytest.mark.parametrize(("cap", "tip"), [(11, 1.0), (10, 1.1), (10.9, 1.09), (10.99, 2), (20, 1.09)])
async def test_a_replacement_must_pay_a_tenth_more_of_both_fees(held, alice, cap, tip):
    await held.send(sign(alice))
    low = sign(alice, value=1, maxFeePerGas=int(cap * GWEI), maxPriorityFeePerGas=int(tip * GWEI))
    assert await refuse(held, low) == "replacement transaction underpriced"
    enough = sign(alice, value=2, maxFeePerGas=11 * GWEI, maxPriorityFeePerGas=11 * GWEI // 10)
    sent = await held.send(enough)
    await held.call("evm_mine")
    assert (await held.receipt(sent))["status"] == "0x1"


async def test_money_must_last_for_all_that_waits(held, bob):
    cost = 21_000 * 10 * GWEI
    await held.fund(bob.address, 2 * cost + 5)
    assert await refuse(held, sign(bob, value=2 * cost)) == (
        f"insufficient funds for gas * price + value: balance {2 * cost + 5}, tx cost {3 * cost}, overshot {cost - 5}"
    )
    await held.send(sign(bob, 0))
    await held.send(sign(bob, 1, value=5))
    assert await refuse(held, sign(bob, 2)) == (
        f"insufficient funds for gas * price + value: balance {2 * cost + 5}, queued cost {2 * cost + 5}, "
        f"tx cost {cost}, overshot {cost}"
    )


async def test_who_can_no_longer_pay_is_dropped_and_the_next_ones_wait(held, alice):
    first, second = [await held.send(sign(alice, nonce)) for nonce in range(2)]
    await held.fund(alice.address, 1)
    await held.call("evm_mine")
    assert await held.call("eth_getTransactionByHash", first) is None
    assert await held.call("txpool_status") == {"pending": "0x0", "queued": "0x1"}
    await held.fund(alice.address)
    await held.call("evm_setAutomine", True)
    assert (await held.land(sign(alice, 0, value=1)))["status"] == "0x1"
    assert (await held.receipt(second))["status"] == "0x1"


async def test_a_cap_below_the_base_fee_waits_until_the_base_fee_has_fallen(node, alice):
    await node.fund(alice.address)
    base = int((await node.call("eth_feeHistory", 1, "latest"))["baseFeePerGas"][1], 16)
    sent = await node.send(sign(alice, maxFeePerGas=base - 1, maxPriorityFeePerGas=0))
    assert await node.call("eth_getTransactionReceipt", sent) is None
    assert await node.call("txpool_status") == {"pending": "0x1", "queued": "0x0"}
    await node.call("evm_mine")
    assert (await node.receipt(sent))["status"] == "0x1"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"gas": 20_999}, "intrinsic gas too low: gas 20999, minimum needed 21000"),
        (
            {"gas": 22_600, "data": "0x" + "01" * 100},
            "insufficient gas for floor data gas cost: gas 22600, minimum needed 25000",
        ),
        (
            {"gas": 53_200, "to": None, "data": "0x" + "00" * 64},
            "intrinsic gas too low: gas 53200, minimum needed 53260",
        ),
        ({"gas": 30_000_001}, "exceeds block gas limit"),
        ({"to": None, "data": "0x" + "00" * 49_153, "gas": 10**7}, "max initcode size exceeded"),
        ({"data": "0x" + "01" * 131_072, "gas": 10**7}, "oversized data: transaction size 131"),
        ({"maxPriorityFeePerGas": 11 * GWEI}, "max priority fee per gas higher than max fee per gas"),
        ({"chainId": 1}, "invalid sender: invalid chain id for signer: have 1 want 31337"),
        ({"type": 0, "chainId": 1}, "invalid sender: invalid chain id for signer: have 1 want 31337"),
        ({"nonce": 2**64 - 1}, "nonce has max value"),
        ({"value": 2**256 - 1}, "insufficient funds for gas * price + value: balance"),
    ],
)
async def test_what_no_block_may_hold_is_refused(held, alice, fields, message):
    assert (await refuse(held, sign(alice, **fields))).startswith(message)


async def test_a_transaction_for_any_chain_is_refused(held, alice):
    fields = {"nonce": 0, "gas": 21_000, "gasPrice": 10 * GWEI, "to": b"\xaa" * 20, "value": 0, "data": b""}
    raw = alice.sign_transaction(fields).raw_transaction.to_0x_hex()
    assert await refuse(held, raw) == "only replay-protected (EIP-155) transactions allowed over RPC"


@pytest.mark.parametrize("raw", ["0x", "0x00", "0x02", "0x0200", "0xc0", "0x05c0", "0xf8", "0x02c0", "0xffffffffffff"])
async def test_what_is_no_transaction_is_refused(held, raw):
    assert (await refuse(held, raw)).startswith("rlp: ")


@pytest.mark.parametrize("kind", ["03", "04"])
async def test_blobs_and_delegations_are_not_served(held, kind):
    assert await refuse(held, f"0x{kind}c0") == "transaction type not supported"


async def test_a_signature_in_the_upper_half_or_of_nobody_is_refused(held, alice):
    raw = bytes.fromhex(sign(alice)[2:])
    s = int.from_bytes(raw[-32:])
    for twisted in (FULL_ORDER - s, FULL_ORDER, 0):
        bad = raw[:-32] + twisted.to_bytes(32)
        assert (await refuse(held, "0x" + bad.hex())).startswith(("invalid sender", "rlp"))


@given(st.data())
def test_bytes_that_went_wrong_are_refused_and_nothing_else_happens(data):
    from waiaas.localnet.evm.transactions import read

    raw = bytearray.fromhex(sign(person(7), type=data.draw(st.integers(0, 2)))[2:])
    at = data.draw(st.integers(0, len(raw) - 1))
    raw[at] ^= data.draw(st.integers(1, 255))
    with contextlib.suppress(RpcRefusal):
        assert read(bytes(raw)).hash == keccak(raw)


async def test_what_is_sent_at_one_time_shares_a_block_in_the_order_of_arrival(node):
    people = [person(number) for number in range(1, 9)]
    for each in people:
        await node.fund(each.address)
    before = await node.number("eth_blockNumber")
    raws = [sign(each, nonce) for nonce in range(2) for each in people]
    hashes = await asyncio.gather(*map(node.send, raws))
    receipts = [await node.receipt(each) for each in hashes]
    assert {each["blockNumber"] for each in receipts} == {hex(before + 1)}
    assert [int(each["transactionIndex"], 16) for each in receipts] == list(range(16))


async def test_a_block_is_made_though_nobody_asks(node, alice):
    await node.fund(alice.address)
    before = await node.number("eth_blockNumber")
    await node.send(sign(alice))
    for _ in range(200):
        if await node.number("eth_blockNumber") == before + 1:
            return
        await asyncio.sleep(0.01)
    raise AssertionError("no block was made")


async def test_a_block_holds_no_more_gas_than_its_limit(held, alice):
    data = "0x" + "00" * 100
    hashes = [await held.send(sign(alice, nonce, gas=12_000_000, data=data)) for nonce in range(3)]
    await held.call("evm_mine")
    full = await held.call("eth_getBlockByNumber", "latest", False)
    # a transaction is counted with the gas it may take before it is run, and with what it took afterwards
    assert full["transactions"] == hashes
    assert int(full["gasUsed"], 16) < 30_000_000
    hashes = [await held.send(sign(alice, nonce, gas=29_990_000)) for nonce in range(3, 5)]
    await held.call("evm_setAutomine", True)
    receipts = [await held.receipt(each) for each in hashes]
    assert [each["transactionIndex"] for each in receipts] == ["0x0", "0x0"]


async def test_an_exact_balance_is_enough(node, alice, bob):
    cost = 21_000 * 10 * GWEI
    await node.fund(bob.address, cost + ETHER)
    receipt = await node.land(sign(bob, to=alice.address, value=ETHER))
    assert await node.balance(bob.address) == cost - 21_000 * int(receipt["effectiveGasPrice"], 16)
