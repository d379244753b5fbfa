"""What Solana nodes refuse, class by class."""

import pytest

from tests.chains.conftest import TO, Node, pay, refuse, signature
from waiaas.chains.solana import build, refusals
from waiaas.errors import (
    ChainError,
    ChainRejected,
    InsufficientBalance,
    InsufficientForFee,
    NodeRefused,
    SimulationFailed,
    Stale,
    Transient,
)

SENDER = "7K1PZmsx5irxmne1SeeKFu4eGpsbrfjnPuoDSHYnhQaS"
AT = {"slot": 5}


def rich_node(**answers) -> Node:
    """A node on which a transfer can be prepared."""
    return Node(
        getMultipleAccounts=holding(account(10**10), account(10**10)),
        getRecentPrioritizationFees=[],
        getMinimumBalanceForRentExemption=890_880,
        simulateTransaction={"context": AT, "value": {"err": None, "logs": [], "unitsConsumed": 450}},
        **answers,
    )


def holding(sender: dict, recipient: dict | None):
    """An answer to getMultipleAccounts."""
    held = {SENDER: sender, TO: recipient}
    return lambda addresses, config: {"context": AT, "value": [held[address] for address in addresses]}


def account(lamports: int) -> dict:
    return {"lamports": lamports, "owner": "11111111111111111111111111111111", "data": ["", "base64"]}


def simulated(err, units: int | None = 450) -> dict:
    return {"context": AT, "value": {"err": err, "logs": ["Program log: no"], "unitsConsumed": units}}


@pytest.mark.parametrize(
    ("err", "error"),
    [
        ("BlockhashNotFound", Stale),
        ("AccountNotFound", InsufficientBalance),
        ("InsufficientFundsForFee", InsufficientForFee),
        ({"InsufficientFundsForRent": {"account_index": 1}}, InsufficientBalance),
        ({"InstructionError": [2, {"Custom": 1}]}, InsufficientBalance),
        ({"InstructionError": [3, {"Custom": 1}]}, SimulationFailed),
        ({"InstructionError": [2, "InvalidArgument"]}, SimulationFailed),
        ({"InstructionError": [2, {"Custom": 7}]}, SimulationFailed),
        ({"InstructionError": "nonsense"}, SimulationFailed),
        (["nonsense"], SimulationFailed),
        ({"a": 1, "b": 2}, SimulationFailed),
        ("SignatureFailure", SimulationFailed),
        ("SanitizeFailure", SimulationFailed),
        ("ClusterMaintenance", Transient),
        ("WouldExceedMaxBlockCostLimit", Transient),
        ("SomethingNew", SimulationFailed),
    ],
)
async def test_a_failed_simulation_has_its_class(make_chain, err, error):
    node = rich_node()
    node.answers["simulateTransaction"] = simulated(err)
    with pytest.raises(error) as caught:
        await make_chain(node).prepare(pay(), SENDER)
    assert type(caught.value) is error


@pytest.mark.parametrize(
    ("code", "data", "error"),
    [
        (-32002, {"err": "BlockhashNotFound"}, Stale),
        (-32002, {"err": {"InstructionError": [2, {"Custom": 9}]}}, SimulationFailed),
        (-32002, None, SimulationFailed),
        (-32002, {"err": "SanitizeFailure"}, ChainRejected),
        (-32003, None, ChainRejected),
        (-32006, None, ChainRejected),
        (-32013, None, ChainRejected),
        (-32602, None, ChainRejected),
        (-32005, None, Transient),
        (-32603, None, Transient),
        (-32000, None, Transient),
    ],
)
async def test_a_refused_broadcast_has_its_class(make_chain, code, data, error):
    chain = make_chain(Node(sendTransaction=refuse(code, "no", data)))
    with pytest.raises(error):
        await chain.broadcast(b"bytes", signature(1))


async def test_only_every_endpoint_rejects_bytes_for_good(make_chain):
    no, silent, taken = refuse(-32003, "no"), refuse(-32005, "behind"), signature(1)

    async def sent_twice(*answers: object) -> str:
        chain = make_chain(*(Node(sendTransaction=answer) for answer in answers))
        try:
            await chain.broadcast(b"bytes", signature(1))
            return await chain.broadcast(b"bytes", signature(1))
        except Transient:
            with pytest.raises(ChainError) as caught:
                await chain.broadcast(b"bytes", signature(1))
            return type(caught.value).__name__

    assert await sent_twice(no, no) == "ChainRejected"
    assert await sent_twice(no, silent) == "Transient"
    assert await sent_twice(taken, no) == "a"


async def test_what_an_endpoint_will_not_even_simulate_is_not_said_to_be_signed_and_rejected(make_chain):
    node = rich_node()
    node.answers["simulateTransaction"] = refuse(-32602, "invalid transaction: failed to sanitize")
    with pytest.raises(SimulationFailed):
        await make_chain(node).prepare(pay(), SENDER)


@pytest.mark.parametrize("call", ["balance", "assets", "statuses", "receipts", "slot"])
async def test_a_refused_read_tells_nothing(make_chain, call):
    methods = ["getBalance", "getTokenAccountsByOwner", "getSignatureStatuses", "getTransaction", "getLatestBlockhash"]
    chain = make_chain(Node(**{method: refuse(-32602, "no such parameter") for method in methods}))
    argument = {"balance": (TO,), "assets": (TO,), "statuses": ([TO],), "receipts": ([TO],), "slot": (TO,)}[call]
    with pytest.raises(Transient):
        await getattr(chain, call)(*argument)


def test_an_error_is_spelled_in_256_characters():
    assert refusals.spelled({"InstructionError": [2, {"Custom": 1}]}) == '{"InstructionError":[2,{"Custom":1}]}'
    assert len(refusals.spelled("x" * 1000)) == 256
    assert len(NodeRefused(1, "x" * 10_000).message) < 300


@pytest.mark.parametrize("units", [None, 0])
async def test_a_simulation_that_says_nothing_of_its_units_could_not_run(make_chain, units):
    node = rich_node()
    node.answers["simulateTransaction"] = simulated(None, units)
    with pytest.raises(Transient):
        await make_chain(node).prepare(pay(), SENDER)


# --- funds, when the simulation sees nothing wrong ---------------------------------------------

PRIORITY = 1080


@pytest.mark.parametrize(
    ("held", "recipient", "amount", "error"),
    [
        (999, None, 1000, InsufficientBalance),
        (10**9 + 4999, account(1), 10**9, InsufficientForFee),
        (10**9 + 5000 + PRIORITY - 1, account(1), 10**9, InsufficientForFee),
        (10**9 + 5000 + PRIORITY, account(1), 10**9, None),
        (10**9 + 5000 + PRIORITY + 1, account(1), 10**9, InsufficientBalance),
        (10**9 + 5000 + PRIORITY + 890_879, account(1), 10**9, InsufficientBalance),
        (10**9 + 5000 + PRIORITY + 890_880, account(1), 10**9, None),
        (10**10, None, 890_879, InsufficientBalance),
        (10**10, None, 890_880, None),
        (10**10, account(1), 1, None),
    ],
)
async def test_funds_are_judged_with_the_fee_that_will_be_paid(make_chain, held, recipient, amount, error):
    node = rich_node()
    node.answers["getRecentPrioritizationFees"] = fees(2_000_000)
    node.answers["getMultipleAccounts"] = holding(account(held), recipient)
    chain = make_chain(node)
    if error is None:
        assert (await chain.prepare(pay(amount), SENDER)).max_fee == 5000 + PRIORITY
    else:
        with pytest.raises(error) as caught:
            await chain.prepare(pay(amount), SENDER)
        assert type(caught.value) is error


# --- the price ---------------------------------------------------------------------------------


async def price(make_chain, fees) -> tuple[int, int]:
    node = rich_node()
    node.answers["getRecentPrioritizationFees"] = fees
    prepared = await make_chain(node).prepare(pay(), SENDER)
    return prepared.unit_price, prepared.fee


def fees(*amounts: int) -> list[dict]:
    return [{"slot": slot, "prioritizationFee": amount} for slot, amount in enumerate(amounts)]


async def test_the_price_is_the_median(make_chain):
    assert await price(make_chain, fees(9_000_000, 1, 2_000_000)) == (2_000_000, 5000 + 1080)


async def test_a_fraction_of_a_lamport_is_paid_in_full(make_chain):
    assert await price(make_chain, fees(1)) == (1, 5001)


async def test_the_priority_fee_is_capped(make_chain):
    unit_price, fee = await price(make_chain, fees(10**15))
    assert fee <= 5000 + 1_000_000
    assert fee == build.fee(540, unit_price)


@pytest.mark.parametrize(
    "answer", [[], refuse(-32601), refuse(-32000), "nonsense", [{"slot": 1, "prioritizationFee": -1}]]
)
async def test_without_a_known_price_nothing_is_offered(make_chain, answer):
    node = rich_node()
    node.answers["getRecentPrioritizationFees"] = answer
    assert (await make_chain(node).prepare(pay(), SENDER)).unit_price == 0


async def test_the_price_for_the_same_accounts_is_shared_for_two_seconds(make_chain, clock):
    node = rich_node()
    chain = make_chain(node)
    for seconds, asked in ((0, 1), (1.9, 1), (0.1, 2)):
        clock.seconds += seconds
        await chain.prepare(pay(), SENDER)
        assert node.methods.count("getRecentPrioritizationFees") == asked
    await chain.prepare(pay(to=SENDER), SENDER)
    assert node.methods.count("getRecentPrioritizationFees") == 3
    assert node.methods.count("getMinimumBalanceForRentExemption") == 1
