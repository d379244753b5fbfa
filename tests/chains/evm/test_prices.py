"""What gas costs: asked, kept for a moment, raised for replacements, and bounded for reservations."""

import pytest

from tests.chains.conftest import refuse
from tests.chains.evm.conftest import ETHER, GWEI, TO, approve, call, history, make, pay, pay_token, stub
from waiaas.chains.base import Fees, Nonce
from waiaas.chains.evm import abi, build
from waiaas.chains.evm.prepare import L1_FEE_ORACLE
from waiaas.domain.chain import Network
from waiaas.domain.request import Batch
from waiaas.errors import FeeAboveCap, InsufficientForFee, Permanent, Transient

TOKEN = "0xdAC17F958D2ee523a2206206994597C13D831ec7"


async def fees(chain, signer) -> tuple[int, int]:
    """Fee and tip per gas, in gwei."""
    prepared = await chain.prepare(pay(1), signer.address)
    return prepared.max_fee_per_gas / GWEI, prepared.max_priority_fee_per_gas / GWEI


@pytest.mark.parametrize(
    ("tips", "tip"), [([1, 2, 3, 4, 5], 3), ([9, 0, 0, 0, 9], 0.001), ([7], 7), ([5, 1], 5), ([0], 0.001)]
)
async def test_the_tip_is_the_median_and_the_fee_leaves_room_for_the_base_to_double(make_evm, signer, tips, tip):
    node = stub(eth_feeHistory=history([one * GWEI for one in tips], 10 * GWEI))
    assert await fees(make_evm(node), signer) == (20 + tip, tip)
    [asked] = [
        one["params"]
        for body in node.bodies
        if isinstance(body, list)
        for one in body
        if one["method"] == "eth_feeHistory"
    ]
    assert asked == ["0x5", "latest", [50]]


async def test_polygon_takes_no_tip_below_30_gwei(make_evm, signer):
    assert await fees(make_evm(stub(), network=Network.POLYGON_AMOY), signer) == (50, 30)


@pytest.mark.parametrize("answer", [refuse(-32601), {"baseFeePerGas": ["0x1"], "reward": None}, history([], 1)])
async def test_without_a_fee_history_the_nodes_suggestion_counts(make_evm, signer, answer):
    node = stub(eth_feeHistory=answer, eth_maxPriorityFeePerGas=hex(3 * GWEI))
    assert await fees(make_evm(node), signer) == (23, 3)


async def test_without_any_suggestion_the_tip_is_a_gwei(make_evm, signer):
    node = stub(eth_feeHistory=refuse(-32601), eth_maxPriorityFeePerGas=refuse(-32601))
    assert await fees(make_evm(node), signer) == (21, 1)


@pytest.mark.parametrize("answer", [{"baseFeePerGas": []}, {"baseFeePerGas": ["x"]}, {"reward": []}, "0x1"])
async def test_a_fee_history_that_cannot_be_read_is_no_price(make_evm, signer, answer):
    with pytest.raises(Transient):
        await make_evm(stub(eth_feeHistory=answer)).prepare(pay(), signer.address)


async def test_a_network_without_base_fee_has_no_price(make_evm, signer):
    old = {"number": "0x1", "hash": "0x" + "00" * 32}
    node = stub(eth_feeHistory=refuse(-32601), eth_maxPriorityFeePerGas="0x1", eth_getBlockByNumber=old)
    with pytest.raises(Transient):
        await make_evm(node).prepare(pay(), signer.address)


async def test_a_price_is_shared_for_two_seconds(make_evm, signer, clock):
    node = stub()
    chain = make_evm(node)
    for seconds, asked in ((0, 1), (1.9, 1), (0.2, 2)):
        clock.seconds += seconds
        await chain.prepare(pay(), signer.address)
        assert node.methods.count("eth_feeHistory") == asked


# --- replacements ------------------------------------------------------------------------------


async def replaced(chain, signer, fees: Fees | None, *, cancel: bool = False, clock=None) -> Fees:
    old = await make(chain, signer, pay(1), 0)
    prepared = await chain.replacement(old.raw, pay(1), signer.address, cancel=cancel, fees=fees)
    return Fees(prepared.max_fee_per_gas, prepared.max_priority_fee_per_gas)


async def test_a_replacement_pays_an_eighth_more_of_both_rounded_up(make_evm, signer):
    chain = make_evm(stub(eth_feeHistory=history([GWEI + 1], 10 * GWEI)))
    assert await replaced(chain, signer, None) == Fees((21 * GWEI + 1) * 9 // 8 + 1, 1_125_000_002)


async def test_a_replacement_pays_the_present_price_where_that_is_higher(make_evm, signer, clock):
    node = stub()
    chain = make_evm(node)
    old = await make(chain, signer, pay(1), 0)
    node.answers["eth_feeHistory"] = history([5 * GWEI], 100 * GWEI)
    clock.seconds += 2
    prepared = await chain.replacement(old.raw, pay(1), signer.address, cancel=False, fees=None)
    assert (prepared.max_fee_per_gas, prepared.max_priority_fee_per_gas) == (205 * GWEI, 5 * GWEI)


LEAST = Fees(23_625_000_000, 1_125_000_000)


async def test_fees_asked_for_are_taken_as_they_are(make_evm, signer):
    assert await replaced(make_evm(stub()), signer, LEAST) == LEAST


@pytest.mark.parametrize(
    "asked",
    [
        Fees(LEAST.max_fee_per_gas - 1, LEAST.max_priority_fee_per_gas),
        Fees(LEAST.max_fee_per_gas, LEAST.max_priority_fee_per_gas - 1),
        Fees(LEAST.max_fee_per_gas, LEAST.max_fee_per_gas + 1),
    ],
)
async def test_fees_that_no_node_would_take_are_refused(make_evm, signer, asked):
    with pytest.raises(Permanent):
        await replaced(make_evm(stub()), signer, asked)


async def test_a_replacement_stays_under_the_ceiling(make_evm, signer):
    with pytest.raises(FeeAboveCap):
        await replaced(make_evm(stub(), cap=23), signer, None)
    assert await replaced(make_evm(stub(), cap=24), signer, None)


async def test_a_replacement_must_be_paid_for(make_evm, signer):
    fee = 25_200 * 21 * GWEI
    with pytest.raises(InsufficientForFee):
        await replaced(make_evm(stub(eth_getBalance=hex(1 + fee))), signer, None)


async def test_a_replacement_keeps_the_call_and_never_has_less_gas(make_evm, signer):
    node = stub(eth_estimateGas=hex(50_000))
    chain = make_evm(node)
    request = call(TO, "f()", value=1)
    old = await make(chain, signer, request, 7)
    for estimate, gas_limit in (
        (hex(40_000), 60_000),
        (hex(60_000), 72_000),
        (refuse(3, "execution reverted"), 60_000),
    ):
        node.answers["eth_estimateGas"] = estimate
        prepared = await chain.replacement(old.raw, request, signer.address, cancel=False, fees=None)
        said, _ = build.read(chain.sign(prepared, Nonce(7), signer, "agent").raw)
        assert (said.call, said.nonce, said.gas_limit) == (build.read(old.raw)[0].call, 7, gas_limit)


async def test_a_cancel_sends_nothing_to_oneself(make_evm, signer):
    node = stub(eth_estimateGas=hex(50_000))
    chain = make_evm(node)
    old = await make(chain, signer, call(TO, "f()", value=1), 7)
    node.answers["eth_estimateGas"] = hex(21_000)
    prepared = await chain.replacement(old.raw, call(TO, "f()", value=1), signer.address, cancel=True, fees=None)
    said, _ = build.read(chain.sign(prepared, Nonce(7), signer, "agent").raw)
    assert said.call == build.Call(signer.address, 0, b"")
    assert said.gas_limit == 25_200


@pytest.mark.parametrize(
    ("base", "tip", "underpriced"),
    [(10, 1, False), (10, 2, True), (20, 1, False), (21, 1, True), (200, 1, True), (5, 0, False)],
)
async def test_bytes_are_underpriced_when_the_next_block_would_rather_take_others(
    make_evm, signer, clock, base, tip, underpriced
):
    node = stub()
    chain = make_evm(node)
    signed = await make(chain, signer, pay(1), 0)
    node.answers["eth_feeHistory"] = history([tip * GWEI], base * GWEI)
    clock.seconds += 2
    assert await chain.underpriced(signed.raw) is underpriced


# --- reservations ------------------------------------------------------------------------------


def test_without_a_price_the_ceiling_is_reserved(make_evm):
    assert make_evm(stub(), cap=7).fee_bound(pay()) == 2 * 21_000 * 7 * GWEI


@pytest.mark.parametrize(
    ("request_", "units"),
    [
        (pay(), 21_000),
        (pay(memo="é"), 21_080),
        (pay_token(TOKEN), 100_000),
        (approve(TOKEN), 160_000),
        (call(TOKEN, "f()"), 500_000),
        (Batch((pay(), pay_token(TOKEN))), 121_000),
    ],
)
async def test_the_usual_gas_is_reserved_twice_at_the_known_price(make_evm, request_, units):
    chain = make_evm(stub())
    await chain.refresh()
    assert chain.fee_bound(request_) == 2 * units * 21 * GWEI


async def test_a_transfer_on_arbitrum_needs_more_gas(make_evm):
    chain = make_evm(stub(), network=Network.ARBITRUM_SEPOLIA)
    await chain.refresh()
    assert chain.fee_bound(pay()) == 2 * 300_000 * 21 * GWEI


async def test_a_price_that_cannot_be_had_changes_nothing(make_evm):
    node = stub()
    chain = make_evm(node)
    await chain.refresh()
    before = chain.fee_bound(pay())
    node.answers["eth_feeHistory"] = "nonsense"
    await chain.refresh()
    assert chain.fee_bound(pay()) == before


# --- the OP stack ------------------------------------------------------------------------------


def oracle(fee: int):
    """eth_call on an OP stack whose oracle asks this much for the data on L1."""

    def answer(question, tag):
        assert question["to"] == L1_FEE_ORACLE or question["to"] == TO
        return "0x" + fee.to_bytes(32, "big").hex() if question["to"] == L1_FEE_ORACLE else "0x"

    return answer


@pytest.mark.parametrize("network", [Network.OPTIMISM_SEPOLIA, Network.BASE_SEPOLIA])
async def test_what_l1_costs_enters_the_bound_twice(make_evm, signer, network):
    node = stub(eth_call=oracle(10**13))
    chain = make_evm(node, network=network)
    prepared = await chain.prepare(pay(1), signer.address)
    assert prepared.max_fee == 25_200 * 21 * GWEI + 2 * 10**13
    assert prepared.fee == 21_000 * 11 * GWEI + 10**13
    assert chain.sign(prepared, Nonce(0), signer, "agent").max_fee == prepared.max_fee
    assert chain.fee_bound(pay()) == 2 * (21_000 * 21 * GWEI + 2 * 10**13)


async def test_the_oracle_is_asked_for_a_transaction_at_least_as_long_as_the_signed_one(make_evm, signer):
    node = stub(eth_call=oracle(1))
    chain = make_evm(node, network=Network.BASE_SEPOLIA)
    prepared = await chain.prepare(pay(9 * ETHER), signer.address)
    asked = [one for body in node.bodies if isinstance(body, list) for one in body if one["method"] == "eth_call"]
    [data] = [bytes.fromhex(one["params"][0]["data"][2:]) for one in asked if one["params"][0]["to"] == L1_FEE_ORACLE]
    assert data[:4] == abi.GET_L1_FEE
    length = abi.number(data[36:])
    wanted = chain.sign(prepared, Nonce(3), signer, "agent")
    assert length >= len(build.unsigned(build.read(wanted.raw)[0]))


async def test_the_l1_part_must_be_covered_too(make_evm, signer):
    node = stub(eth_call=oracle(10**13), eth_getBalance=hex(25_200 * 21 * GWEI + 2 * 10**13))
    with pytest.raises(InsufficientForFee):
        await make_evm(node, network=Network.BASE_SEPOLIA).prepare(pay(1), signer.address)


async def test_an_oracle_that_gives_no_number_is_no_answer(make_evm, signer):
    with pytest.raises(Transient):
        await make_evm(stub(eth_call="0x"), network=Network.BASE_SEPOLIA).prepare(pay(), signer.address)
