"""Every refusal that EVM nodes are known for, and what it means here; the words are theirs."""

import pytest

from tests.chains.conftest import refuse
from tests.chains.evm.conftest import ETHER, GWEI, KeySigner, call, history, make, pay, pay_token, stub
from waiaas.chains.evm import abi, build
from waiaas.chains.reading import reading
from waiaas.domain.request import Batch, ContractCall
from waiaas.errors import (
    ChainRejected,
    FeeAboveCap,
    InsufficientBalance,
    InsufficientForFee,
    NodeRefused,
    Permanent,
    SimulationFailed,
    Stale,
    TokenMismatch,
    TransactionTooLarge,
    Transient,
)

TOKEN = "0xdAC17F958D2ee523a2206206994597C13D831ec7"
SENDING = [
    # geth
    ("nonce too low: next nonce 5, tx nonce 4", Stale),
    ("replacement transaction underpriced", Stale),
    ("transaction underpriced: tip needed 1000000, tip permitted 1", Stale),
    ("max fee per gas less than block base fee: address 0x00, maxFeePerGas: 1, baseFee: 7", ChainRejected),
    ("insufficient funds for gas * price + value: balance 0, tx cost 1, overshot 1", InsufficientBalance),
    ("intrinsic gas too low: gas 20999, minimum needed 21000", ChainRejected),
    ("insufficient gas for floor data gas cost", ChainRejected),
    ("exceeds block gas limit", ChainRejected),
    ("transaction gas limit too high (cap: 16777216, tx: 16777217)", ChainRejected),
    ("tx fee (1.20 ether) exceeds the configured cap (1.00 ether)", ChainRejected),
    ("oversized data: transaction size 131073, limit 131072", ChainRejected),
    ("transaction size exceeds", ChainRejected),
    ("invalid sender", ChainRejected),
    ("invalid chain id for signer: have 1 want 5", ChainRejected),
    ("max priority fee per gas higher than max fee per gas", ChainRejected),
    ("transaction type not supported", ChainRejected),
    ("rlp: expected input list for types.DynamicFeeTx", ChainRejected),
    ("txpool is full", Transient),
    ("nonce too high: tx nonce 9, gapped", Transient),
    ("address already reserved", Transient),
    # nethermind
    ("FeeTooLow, MaxFeePerGas too low. MaxFeePerGas: 1", Stale),
    ("InsufficientFunds, Account balance: 0, cumulative cost: 21000", InsufficientBalance),
    # erigon, reth, besu
    ("fee cap less than block base fee", ChainRejected),
    ("Gas price below configured minimum gas price", Stale),
    ("Upfront cost exceeds account balance", InsufficientBalance),
    # hardhat
    ("Nonce too low. Expected nonce to be 5 but got 4.", Stale),
    ("Sender doesn't have enough funds to send tx.", InsufficientBalance),
    # nobody
    ("the operator had a bad night", Transient),
]


@pytest.mark.parametrize(("words", "kind"), SENDING)
async def test_a_refusal_of_signed_bytes_has_its_class(make_evm, signer, words, kind):
    chain = make_evm(stub(eth_sendRawTransaction=refuse(-32000, words)))
    signed = await make(chain, signer, pay())
    with pytest.raises(kind) as refused:
        await chain.broadcast(signed.raw, signed.hash)
    assert type(refused.value) is kind
    assert chain.rpc.endpoints[0].failures == 0


@pytest.mark.parametrize(
    "words", ["already known", "known transaction: 0x12", "Transaction already imported", "ALREADY KNOWN"]
)
async def test_bytes_that_are_known_already_are_accepted(make_evm, signer, words):
    chain = make_evm(stub(eth_sendRawTransaction=refuse(-32000, words)))
    signed = await make(chain, signer, pay())
    assert await chain.broadcast(signed.raw, signed.hash) == "a"


def error_string(text: str) -> str:
    """Error(string) as a contract reverts with it."""
    return "0x" + abi.call_bytes(abi.ERROR, text.encode()).hex()


SIMULATING = [
    (3, "execution reverted: because", error_string("because"), SimulationFailed, "because"),
    (3, "execution reverted", abi.call(abi.PANIC, 0x11).hex(), SimulationFailed, "overflow"),
    (3, "execution reverted", abi.call(abi.PANIC, 0x99).hex(), SimulationFailed, "panic 0x99"),
    (3, "execution reverted", "0xdeadbeef01", SimulationFailed, "custom error 0xdeadbeef"),
    (3, "execution reverted", None, SimulationFailed, "execution reverted"),
    (3, "execution reverted", error_string("x" * 500), SimulationFailed, "x" * 200),
    (3, "execution reverted", abi.ERROR.hex() + "ff" * 64, SimulationFailed, "cannot be read"),
    (-32015, "VM execution error.", "Reverted " + error_string("parity"), SimulationFailed, "parity"),
    (
        -32603,
        "Error: VM Exception while processing transaction",
        {"data": error_string("hat")},
        SimulationFailed,
        "hat",
    ),
    (-32000, "gas required exceeds allowance (0)", None, SimulationFailed, "gas required"),
    (-32000, "invalid opcode: INVALID", None, SimulationFailed, "invalid opcode"),
    (-32000, "out of gas", None, SimulationFailed, "out of gas"),
    (-32003, "EVM error InvalidFEOpcode", None, SimulationFailed, "InvalidFEOpcode"),
    (-32000, "insufficient funds for transfer", None, InsufficientBalance, "insufficient"),
    (-32000, "header not found", None, Transient, "header"),
    (-32000, "missing trie node 00 (path 00)", None, Transient, "trie"),
    (-32602, "invalid argument 0", None, Transient, "argument"),
    (-32601, "the method does not exist", None, Transient, "method"),
]


@pytest.mark.parametrize("method", ["eth_estimateGas", "eth_call"])
@pytest.mark.parametrize(("number", "words", "data", "kind", "why"), SIMULATING)
async def test_a_refused_simulation_has_its_class_and_reason(make_evm, signer, method, number, words, data, kind, why):
    chain = make_evm(stub(**{method: refuse(number, words, data)}))
    with pytest.raises(kind, match=why) as refused:
        await chain.prepare(pay(), signer.address)
    assert type(refused.value) is kind
    assert len(refused.value.message) < 300


async def test_a_token_that_answers_false_refuses(make_evm, signer):
    def answer(question, tag):
        data = question["data"]
        if data.startswith("0x" + abi.TRANSFER.hex()):
            return "0x" + "00" * 32
        return "0x" + (6).to_bytes(32, "big").hex()

    chain = make_evm(stub(eth_call=answer))
    with pytest.raises(SimulationFailed, match="false"):
        await chain.prepare(pay_token(TOKEN), signer.address)


@pytest.mark.parametrize("returned", ["0x", "0x" + "00" * 31 + "01"])
async def test_a_token_that_answers_true_or_nothing_agrees(make_evm, signer, returned):
    def answer(question, tag):
        own = question["data"].startswith("0x" + abi.TRANSFER.hex())
        return returned if own else "0x" + (6).to_bytes(32, "big").hex()

    assert await make_evm(stub(eth_call=answer)).prepare(pay_token(TOKEN), signer.address)


@pytest.mark.parametrize("returned", ["0x", "0x01", "0x" + "ff" * 32])
async def test_decimals_that_are_none_make_no_token(make_evm, signer, returned):
    with pytest.raises(TokenMismatch):
        await make_evm(stub(eth_call=returned)).prepare(pay_token(TOKEN), signer.address)


async def test_a_node_that_cannot_ask_the_token_says_nothing_about_it(make_evm, signer):
    with pytest.raises(Transient):
        await make_evm(stub(eth_call=refuse(-32000, "header not found"))).prepare(pay_token(TOKEN), signer.address)


@pytest.mark.parametrize(("estimate", "fits"), [(13_981_013, True), (13_981_014, False)])
async def test_the_gas_limit_is_a_fifth_more_and_at_most_what_a_transaction_may_use(make_evm, signer, estimate, fits):
    chain = make_evm(stub(eth_estimateGas=hex(estimate)))
    if fits:
        assert (await chain.prepare(pay(1), signer.address)).gas_limit == 16_777_216
    else:
        with pytest.raises(TransactionTooLarge):
            await chain.prepare(pay(1), signer.address)


@pytest.mark.parametrize(("size", "fits"), [(build.LARGEST_DATA, True), (build.LARGEST_DATA + 1, False)])
async def test_no_more_data_is_signed_than_nodes_take(make_evm, signer, size, fits):
    chain = make_evm(stub(eth_estimateGas=hex(6_000_000)))
    request = ContractCall(to=TOKEN, calldata="0x" + "ff" * size)
    if fits:
        assert len((await make(chain, signer, request)).raw) <= 128 * 1024
    else:
        with pytest.raises(TransactionTooLarge):
            await chain.prepare(request, signer.address)


@pytest.mark.parametrize("estimate", ["0x0", hex(20_999), "21000", None, "0x", -1])
async def test_an_estimate_that_cannot_be_true_is_no_answer(make_evm, signer, estimate):
    with pytest.raises(Transient):
        await make_evm(stub(eth_estimateGas=estimate)).prepare(pay(), signer.address)


async def test_gas_above_the_ceiling_is_not_signed_but_waited_for(make_evm, signer):
    prices = history([GWEI] * 5, 25 * GWEI)
    with pytest.raises(FeeAboveCap) as refused:
        await make_evm(stub(eth_feeHistory=prices), cap=50).prepare(pay(), signer.address)
    assert isinstance(refused.value, Transient)
    assert (refused.value.code, refused.value.waiting) == ("FEE_CAP", "FEE_CAP")
    assert await make_evm(stub(eth_feeHistory=prices), cap=51).prepare(pay(), signer.address)


async def test_the_balance_must_cover_value_and_the_highest_fee(make_evm, signer):
    fee = 25_200 * 21 * GWEI
    exact = make_evm(stub(eth_getBalance=hex(ETHER + fee)))
    assert (await exact.prepare(pay(), signer.address)).max_fee == fee
    with pytest.raises(InsufficientForFee):
        await make_evm(stub(eth_getBalance=hex(ETHER + fee - 1))).prepare(pay(), signer.address)
    with pytest.raises(InsufficientBalance):
        await make_evm(stub(eth_getBalance=hex(ETHER - 1))).prepare(pay(), signer.address)


async def test_a_missing_balance_is_told_before_what_the_simulation_says_of_it(make_evm, signer):
    refused = refuse(-32000, "insufficient funds for gas * price + value")
    chain = make_evm(stub(eth_getBalance="0x0", eth_estimateGas=refused, eth_call=refused))
    with pytest.raises(InsufficientBalance) as error:
        await chain.prepare(pay(), signer.address)
    assert error.value.details == {"held": "0", "amount": str(ETHER)}


def test_a_refused_read_tells_nothing():
    with pytest.raises(Transient), reading():
        raise NodeRefused(3, "execution reverted")


async def test_a_call_without_a_contract_is_not_built(make_evm, signer):
    for request in (ContractCall(calldata="0x"), Batch((pay(), call(KeySigner().address, "f()")))):
        with pytest.raises(Permanent):
            await make_evm(stub()).prepare(request, signer.address)
