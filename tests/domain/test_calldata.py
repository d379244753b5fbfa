"""EVM calldata is read as what it does, whatever its padding, wrapping or length."""

import msgspec
import pytest
from eth_abi import encode
from hypothesis import given, settings
from hypothesis import strategies as st

from waiaas.domain.calldata import MOST_CALLS, UNLIMITED, call_effects
from waiaas.domain.chain import Chain
from waiaas.domain.effects import allowances_set, effects
from waiaas.domain.request import ContractCall, Effect

DAI = "0x6B175474E89094C44Da98b954EedeAC495271d0F"
ME = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
EVE = "0xd8dA6BF26964aF9D7eEd9e03E53415D37aA96045"
BOB = "0xE592427A0AEce92De3Edee1F18E0157C05861564"
ASSET, ETH = f"ethereum:{DAI}", "native:ethereum"
HALF = 2**255 - 1


def data(selector, types, *values):
    return bytes.fromhex(selector) + encode(types, values)


def transfer(to=EVE, amount=7):
    return data("a9059cbb", ["address", "uint256"], to, amount)


def approve(spender=BOB, amount=7):
    return data("095ea7b3", ["address", "uint256"], spender, amount)


def multicall(*calls, selector="ac9650d8"):
    if selector == "ac9650d8":
        return data(selector, ["bytes[]"], calls)
    first = "uint256" if selector == "5ae401dc" else "bytes32"
    return data(selector, [first, "bytes[]"], 9 if first == "uint256" else b"\7" * 32, calls)


def read(calldata, value=0):
    return call_effects(DAI, calldata, value, ME)


def called(selector, *, decoded=True):
    return Effect("CONTRACT_CALL", DAI, selector=selector, decoded=decoded)


def permit(owner=ME, amount=7):
    types = ["address", "address", "uint256", "uint256", "uint8", "bytes32", "bytes32"]
    return data("d505accf", types, owner, BOB, amount, 99, 27, b"\1" * 32, b"\2" * 32)


@pytest.mark.parametrize(
    ("calldata", "selector", "done"),
    [
        (transfer(), "0xa9059cbb", ("TOKEN_TRANSFER", EVE, 7)),
        (
            data("23b872dd", ["address", "address", "uint256"], ME, EVE, 8),
            "0x23b872dd",
            ("TOKEN_TRANSFER", EVE, 8),
        ),
        (approve(), "0x095ea7b3", ("APPROVE", BOB, 7)),
        (approve(amount=0), "0x095ea7b3", ("APPROVE", BOB, 0)),
        (data("39509351", ["address", "uint256"], BOB, 5), "0x39509351", ("APPROVE", BOB, 5)),
        (permit(), "0xd505accf", ("APPROVE", BOB, 7)),
        (data("a22cb465", ["address", "bool"], BOB, True), "0xa22cb465", ("APPROVE", BOB, UNLIMITED)),
        (data("a22cb465", ["address", "bool"], BOB, False), "0xa22cb465", ("APPROVE", BOB, 0)),
    ],
)
def test_what_a_call_does_with_tokens_is_read_from_its_data(calldata, selector, done):
    kind, counterparty, amount = done
    assert read(calldata) == (called(selector), Effect(kind, counterparty, ASSET, amount, selector))


def test_the_value_of_a_call_is_a_transfer_to_the_contract():
    assert read(transfer(), value=3)[1] == Effect("TRANSFER", DAI, ETH, 3)
    assert [effect.kind for effect in read(transfer(), value=3)] == ["CONTRACT_CALL", "TRANSFER", "TOKEN_TRANSFER"]


@pytest.mark.parametrize(
    "calldata",
    [
        bytes.fromhex("12345678"),
        data("23b872dd", ["address", "address", "uint256"], EVE, ME, 8),
        permit(owner=EVE),
        permit(owner=EVE, amount=0),
        data("a457c2d7", ["address", "uint256"], BOB, 5),
    ],
)
def test_a_call_that_touches_no_own_tokens_as_far_as_is_known_is_not_understood(calldata):
    assert read(calldata) == (called(f"0x{calldata[:4].hex()}", decoded=False),)


@pytest.mark.parametrize("calldata", [data("39509351", ["address", "uint256"], BOB, 0), permit(amount=0)])
def test_nothing_granted_is_not_taken_for_a_revocation(calldata):
    assert read(calldata) == (called(f"0x{calldata[:4].hex()}"),)


def test_only_an_approval_proper_leaves_exactly_its_amount():
    assert allowances_set(read(approve())) == [Effect("APPROVE", BOB, ASSET, 7, "0x095ea7b3")]
    assert allowances_set([Effect("APPROVE", BOB, ASSET, 0)]) == [Effect("APPROVE", BOB, ASSET, 0)]
    for calldata in (
        data("39509351", ["address", "uint256"], BOB, 5),
        permit(),
        data("a22cb465", ["address", "bool"], BOB, False),
        transfer(),
    ):
        assert allowances_set(read(calldata)) == []
    assert allowances_set([Effect("APPROVE", BOB, None, 0)]) == []


def test_an_approval_in_a_multicall_is_not_believed_to_have_happened():
    """A contract with a fallback (WETH9 has one) takes a multicall that it does not know, and does nothing of it."""
    assert allowances_set(read(multicall(approve(amount=0)))) == []
    assert allowances_set(read(multicall(multicall(approve(amount=0))))) == []
    beside = Effect("APPROVE", BOB, ASSET, 0, index=1)
    wrapped = [msgspec.structs.replace(one, index=0) for one in read(multicall(approve(amount=0)))]
    assert allowances_set([*wrapped, beside]) == [beside]


def test_dirty_padding_short_data_and_a_tail_do_not_hide_a_transfer():
    whole = transfer(amount=256)
    dirty = whole[:4] + b"\xff" * 12 + whole[16:]
    assert read(dirty) == read(whole) == read(whole + b"tail")
    assert read(whole[:-1]) == read(whole)
    assert read(whole[:4])[1] == Effect("TOKEN_TRANSFER", "0x" + "0" * 40, ASSET, 0, "0xa9059cbb")
    assert read(data("a22cb465", ["address", "uint256"], BOB, 2**200))[1].amount == UNLIMITED


# --- multicalls --------------------------------------------------------------------------------


@pytest.mark.parametrize("selector", ["ac9650d8", "5ae401dc", "1f0464d1"])
def test_a_multicall_is_looked_through(selector):
    assert read(multicall(transfer(), approve(), b"\x12\x34\x56\x78", selector=selector)) == (
        called(f"0x{selector}"),
        called("0xa9059cbb"),
        Effect("TOKEN_TRANSFER", EVE, ASSET, 7, "0xa9059cbb"),
        called("0x095ea7b3"),
        Effect("APPROVE", BOB, ASSET, 7, "0x095ea7b3"),
        called("0x12345678", decoded=False),
    )


def test_a_call_too_short_for_a_method_inside_a_multicall_is_not_understood():
    assert read(multicall(b"", b"\1\2\3"))[1:] == (called(None, decoded=False), called(None, decoded=False))


def nested(depth, inner):
    for _ in range(depth):
        inner = multicall(inner)
    return inner


@pytest.mark.parametrize(("depth", "readable"), [(1, True), (4, True), (5, False)])
def test_multicalls_are_looked_through_four_deep(depth, readable):
    found = read(nested(depth, approve()))
    assert (found[-1] == Effect("APPROVE", BOB, ASSET, 7, "0x095ea7b3")) is readable
    assert (found[-1].kind == "FORBIDDEN") is not readable


@pytest.mark.parametrize(("calls", "readable"), [(31, True), (32, True), (33, False)])
def test_multicalls_are_looked_through_for_thirty_two_calls_in_all(calls, readable):
    flat = read(multicall(*[transfer()] * calls))
    split = read(multicall(multicall(*[transfer()] * (calls - 1))))
    for found in (flat, split):
        assert (found[-1].kind == "TOKEN_TRANSFER") is readable
        assert (found[-1].kind == "FORBIDDEN") is not readable


def word(number):
    return number.to_bytes(32)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        word(32),
        word(2**256 - 1),
        word(32) + word(1),
        word(32) + word(2**256 - 1) + word(0),
        word(32) + word(1) + word(2**255),
        word(32) + word(1) + word(32) + word(2**256 - 1),
        word(32) + word(1) + word(32) + word(1),
    ],
)
def test_a_multicall_that_leads_out_of_its_data_is_forbidden_and_its_value_still_told(body):
    selector = "0xac9650d8"
    assert read(bytes.fromhex(selector[2:]) + body, value=5) == (
        called(selector, decoded=False),
        Effect("TRANSFER", DAI, ETH, 5),
        Effect("FORBIDDEN", DAI, selector=selector, decoded=False),
    )


def test_a_multicall_of_nothing_does_nothing():
    assert read(multicall()) == (called("0xac9650d8"),)


def test_elements_that_share_their_bytes_are_each_read():
    inner = word(len(transfer())) + transfer().ljust(96, b"\0")
    body = word(32) + word(2) + word(64) + word(64) + inner
    assert len([each for each in read(bytes.fromhex("ac9650d8") + body) if each.kind == "TOKEN_TRANSFER"]) == 2


# --- properties --------------------------------------------------------------------------------

addresses = st.integers(0, 2**160 - 1).map(lambda number: f"0x{number:040x}")
amounts = st.integers(0, 2**256 - 1)
trees = st.recursive(
    st.tuples(addresses, amounts), lambda inner: st.lists(inner, min_size=1, max_size=3), max_leaves=12
)


def encoded(tree):
    return multicall(*map(encoded, tree)) if isinstance(tree, list) else transfer(*tree)


def leaves(tree):
    return [leaf for branch in tree for leaf in leaves(branch)] if isinstance(tree, list) else [tree]


def depth(tree):
    return 1 + max(map(depth, tree)) if isinstance(tree, list) else 0


def size(tree):
    return sum(1 + size(branch) for branch in tree) if isinstance(tree, list) else 0


@settings(max_examples=120, deadline=None)
@given(trees)
def test_what_is_encoded_is_read_back(tree):
    found = read(encoded(tree))
    if depth(tree) > 4 or size(tree) > MOST_CALLS:
        assert found[-1].kind == "FORBIDDEN"
        return
    moved = [(each.counterparty.lower(), each.amount) for each in found if each.kind == "TOKEN_TRANSFER"]
    assert moved == leaves(tree)


selectors = st.sampled_from(
    ["a9059cbb", "23b872dd", "095ea7b3", "39509351", "d505accf", "a22cb465", "ac9650d8", "5ae401dc", "1f0464d1"]
).map(bytes.fromhex)


@settings(max_examples=200, deadline=None)
@given(st.one_of(st.binary(min_size=4, max_size=8), selectors), st.binary(max_size=300), st.integers(0, 2**70))
def test_any_calldata_has_effects_of_known_kinds_and_begins_with_its_call(head, tail, value):
    call = ContractCall(to=DAI, calldata="0x" + (head + tail).hex(), value=str(value))
    found = effects(call, Chain.ETHEREUM, sender=ME)
    assert found[0].kind == "CONTRACT_CALL"
    assert {each.kind for each in found} <= {"CONTRACT_CALL", "TRANSFER", "TOKEN_TRANSFER", "APPROVE", "FORBIDDEN"}
    assert sum(each.amount for each in found if each.kind == "TRANSFER") == value
