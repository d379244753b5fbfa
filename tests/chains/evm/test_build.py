"""What is signed is what was asked for, byte for byte, and nothing else is ever handed on."""

import subprocess
import sys

import msgspec
import pytest
import rlp
from coincurve import PrivateKey

from tests.chains.conftest import AGENT
from tests.chains.evm.conftest import ETHER, GWEI, SPENDER, TO, KeySigner, approve, call, make, pay, pay_token, stub
from waiaas.chains.base import Nonce
from waiaas.chains.evm import abi, build
from waiaas.domain import request as requests
from waiaas.domain.request import ContractCall
from waiaas.errors import MemoToContract, SignedBytesMismatch

TOKEN = "0xdAC17F958D2ee523a2206206994597C13D831ec7"
KNOWN_HASH = "0x078d6244aaf9ad70e9a24184072943f02cb39e8ae9518cb181c7d25a103629df"
KNOWN_RAW = (
    "02f876010284b2d05e0084ee6b28008262709400000000000000000000000000000000deadbeef880de0b6b3a7640000846d"
    "656d6fc080a0406c28f22a247eaa7232560cb4f8ff3b9a51adab670465d660481aac2e6493e2a00d5323d6febffe87fac6b9"
    "2895a7f36953b9959a98b35b14fe746de096e846f2"
)
PAYMENT = build.Payment(1, 2, 3 * GWEI, 4 * GWEI, 25_200, build.Call(TO, ETHER, b"memo"))


def word(value: int) -> str:
    return f"{value:064x}"


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (pay(), build.Call(TO, ETHER, b"")),
        (pay(memo="hé"), build.Call(TO, ETHER, b"h\xc3\xa9")),
        (pay(to=TO.lower()), build.Call(TO, ETHER, b"")),
        (pay_token(TOKEN, 7), build.Call(TOKEN, 0, bytes.fromhex("a9059cbb" + word(int(TO, 16)) + word(7)))),
        (approve(TOKEN, 7), build.Call(TOKEN, 0, bytes.fromhex("095ea7b3" + word(int(SPENDER, 16)) + word(7)))),
        (
            approve(TOKEN, 2**256 - 1),
            build.Call(TOKEN, 0, bytes.fromhex("095ea7b3" + word(int(SPENDER, 16)) + "f" * 64)),
        ),
        (ContractCall(to=TO, calldata="0xABcd", value="3"), build.Call(TO, 3, b"\xab\xcd")),
        (ContractCall(to=TO), build.Call(TO, 0, b"")),
    ],
)
def test_a_request_is_one_call(request_, expected):
    stored = requests.decode(requests.canonical(request_))
    assert build.call_of(stored) == expected


def test_a_memo_with_tokens_is_refused():
    with pytest.raises(MemoToContract):
        build.call_of(msgspec.structs.replace(pay_token(TOKEN), memo="x"))


def test_signed_bytes_are_read_as_they_were_built():
    signer = KeySigner()
    raw = build.signed(PAYMENT, signer.sign(AGENT, build.digest(PAYMENT)))
    assert build.read(raw) == (PAYMENT, signer.address)


def test_the_bytes_and_their_hash_are_those_of_other_implementations():
    """Made with eth-account 0.14 from the same fields and key."""
    key = PrivateKey(bytes(31) + b"\x07")
    raw = build.signed(PAYMENT, key.sign_recoverable(build.digest(PAYMENT), hasher=None))
    assert raw.hex() == KNOWN_RAW
    assert build.hash_of(raw) == KNOWN_HASH


def signed_fields() -> list:
    return rlp.decode(build.signed(PAYMENT, KeySigner().sign(AGENT, build.digest(PAYMENT)))[1:])


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (0, b"\x00\x01"),
        (1, b"\x00" * 33),
        (5, b"\x01" * 19),
        (5, []),
        (7, []),
        (8, b""),
        (8, [b"\x01"]),
        (9, b"\x02"),
        (10, b""),
        (10, b"\xff" * 32),
        (11, (build.ORDER // 2 + 1).to_bytes(32, "big")),
        (11, b"\xff" * 33),
    ],
)
def test_bytes_with_a_field_that_cannot_be_are_not_read(place, value):
    fields = signed_fields()
    fields[place] = value
    with pytest.raises(ValueError):
        build.read(build.TYPE + rlp.encode(fields))


def test_the_other_spelling_of_a_signature_is_not_read():
    fields = signed_fields()
    fields[11] = (build.ORDER - int.from_bytes(fields[11], "big")).to_bytes(32, "big").lstrip(b"\0")
    fields[9] = b"" if fields[9] else b"\x01"
    with pytest.raises(ValueError, match="spelling"):
        build.read(build.TYPE + rlp.encode(fields))


@pytest.mark.parametrize(
    "raw",
    [b"", b"\x02", b"\x02\xc0", b"\x01\xc0", b"\x02\xf8", build.TYPE + rlp.encode(b"x" * 12), rlp.encode([b""] * 12)],
)
def test_other_bytes_are_not_read(raw):
    with pytest.raises(ValueError):
        build.read(raw)


def test_bytes_with_something_behind_them_are_not_read():
    with pytest.raises(ValueError):
        build.read(build.TYPE + rlp.encode(signed_fields()) + b"\0")


# --- what sign hands on ------------------------------------------------------------------------


class OtherKey:
    """A keystore that signs with a key that is not the agent's."""

    def sign(self, agent_id: str, payload: bytes) -> bytes:
        return KeySigner().sign(AGENT, payload)


class OtherHash:
    """A keystore that signs something else."""

    def __init__(self, signer: KeySigner) -> None:
        self.signer = signer

    def sign(self, agent_id: str, payload: bytes) -> bytes:
        return self.signer.sign(agent_id, bytes(32))


async def test_bytes_signed_by_another_key_or_over_another_hash_are_thrown_away(make_evm, signer):
    chain = make_evm(stub())
    prepared = await chain.prepare(pay(), signer.address)
    for keystore in (OtherKey(), OtherHash(signer)):
        with pytest.raises(SignedBytesMismatch):
            chain.sign(prepared, Nonce(0), keystore, AGENT)


@pytest.mark.parametrize(
    "change",
    [
        {"chain_id": 1},
        {"nonce": 9},
        {"max_priority_fee_per_gas": 1},
        {"max_fee_per_gas": 10**15},
        {"gas_limit": 10**6},
        {"call": build.Call(SPENDER, ETHER, b"")},
        {"call": build.Call(TO, ETHER + 1, b"")},
        {"call": build.Call(TO, ETHER, b"x")},
    ],
)
async def test_bytes_that_say_anything_else_are_thrown_away(make_evm, signer, monkeypatch, change):
    chain = make_evm(stub())
    prepared = await chain.prepare(pay(), signer.address)
    encode = build.unsigned, build.signed

    def tampered(payment: build.Payment) -> build.Payment:
        return msgspec.structs.replace(payment, **change)

    monkeypatch.setattr(build, "unsigned", lambda payment: encode[0](tampered(payment)))
    monkeypatch.setattr(build, "signed", lambda payment, signature: encode[1](tampered(payment), signature))
    with pytest.raises(SignedBytesMismatch):
        chain.sign(prepared, Nonce(5), signer, AGENT)


async def test_bytes_that_may_cost_more_than_prepared_are_thrown_away(make_evm, signer):
    chain = make_evm(stub())
    prepared = await chain.prepare(pay(), signer.address)
    with pytest.raises(SignedBytesMismatch):
        chain.sign(msgspec.structs.replace(prepared, max_fee=prepared.max_fee - 1), Nonce(5), signer, AGENT)


async def test_the_hash_is_known_before_anything_is_sent(make_evm, signer):
    node = stub()
    signed = await make(make_evm(node), signer, call(TO, "f()"))
    assert signed.hash == build.hash_of(signed.raw)
    assert "eth_sendRawTransaction" not in node.methods


# --- addresses and texts -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    ["", SPENDER[2:], SPENDER[:-1], SPENDER + "0", " " + SPENDER, SPENDER + "\n", "0X" + SPENDER[2:],
     SPENDER.swapcase(), SPENDER.replace("5", "٥"), SPENDER[:-1] + "g", "0x" + SPENDER[2:].replace("A", "a", 1)],
)  # fmt: skip
def test_what_is_no_address_is_refused(make_evm, text):
    with pytest.raises(ValueError):
        make_evm(stub()).address(text)


@pytest.mark.parametrize("text", [SPENDER, SPENDER.lower(), "0x" + SPENDER[2:].upper()])
def test_an_address_is_put_into_eip_55(make_evm, text):
    assert make_evm(stub()).address(text) == SPENDER


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"MKR".ljust(32, b"\0"), "MKR"),
        (abi.call_bytes(b"", "日本".encode()), "日本"),
        (abi.call_bytes(b"", b""), ""),
        (abi.call_bytes(b"", b"x" * 100), "x" * 100),
    ],
)
def test_texts_of_contracts_are_read(data, text):
    assert abi.text(data) == text


@pytest.mark.parametrize(
    "data",
    [b"", b"\xff" * 32, b"x" * 31, bytes(31) + b"\x20" + b"\xff" * 32, b"\xff" * 64,
     abi.call_bytes(b"", b"x" * 40)[:-32], abi.call_bytes(b"", b"\xff\xfe")],
)  # fmt: skip
def test_texts_that_are_none_are_refused(data):
    with pytest.raises(ValueError):
        abi.text(data)


def test_a_wallet_on_solana_alone_loads_none_of_it():
    """eth_account would also raise the recursion limit so far that JSON of absurd depth ends the process."""
    script = (
        "import sys, waiaas.chains.pool; before = set(sys.modules); limit = sys.getrecursionlimit();"
        "assert not {'rlp', 'eth_utils', 'eth_account'} & before;"
        "import waiaas.chains.evm.adapter;"
        "assert not {'eth_account', 'eth', 'eth_abi'} & set(sys.modules); assert sys.getrecursionlimit() == limit"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
