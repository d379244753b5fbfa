"""Signed bytes are read back by code that believes nothing of how they were built."""

import pytest
from solders.hash import Hash
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.message import Message, MessageV0, to_bytes_versioned
from solders.pubkey import Pubkey
from solders.system_program import ID as SYSTEM
from solders.transaction import VersionedTransaction

from tests.chains.conftest import TO
from waiaas.chains.solana import build

KEY = Keypair()
SENDER = str(KEY.pubkey())
WANTED = build.Payment(SENDER, TO, 5, "hi", 540, 3, TO)
#: System transfer of 5 lamports
TRANSFER = bytes([2, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0])


def signed(message) -> bytes:
    return build.wire(message, KEY.sign_message(to_bytes_versioned(message)))


def compiled(*instructions: Instruction) -> MessageV0:
    return MessageV0.try_compile(KEY.pubkey(), instructions, [], Hash.from_string(TO))


def parts(payment: build.Payment = WANTED) -> list[Instruction]:
    """The instructions of a payment, to be taken apart."""
    message = build.message(payment)
    keys = message.account_keys
    return [
        Instruction(
            keys[one.program_id_index],
            bytes(one.data),
            [AccountMeta(keys[at], is_signer=at == 0, is_writable=at < 2) for at in one.accounts],
        )
        for one in message.instructions
    ]


def test_what_was_built_is_read_back():
    said, signature = build.read(signed(build.message(WANTED)))
    assert said == WANTED
    assert signature == str(KEY.sign_message(to_bytes_versioned(build.message(WANTED))))


@pytest.mark.parametrize("memo", [None, "", "여우 🦊"])
def test_memos_are_read_back(memo):
    payment = build.Payment(SENDER, TO, 5, memo, 540, 3, TO)
    assert build.read(signed(build.message(payment)))[0] == payment


def moved_by(source: Pubkey) -> Instruction:
    accounts = [AccountMeta(source, False, True), AccountMeta(KEY.pubkey(), True, True)]
    return Instruction(SYSTEM, TRANSFER, accounts)


@pytest.mark.parametrize(
    "instructions",
    [
        [*parts(), Instruction(build.MEMO, b"more", [])],
        [*parts()[:3], parts()[2]],
        parts()[:2],
        [parts()[1], parts()[0], *parts()[2:]],
        [*parts()[:2], moved_by(Pubkey.from_string(TO))],
        [*parts()[:2], Instruction(SYSTEM, TRANSFER + b"x", parts()[2].accounts)],
        [*parts()[:2], Instruction(SYSTEM, TRANSFER[:8], parts()[2].accounts)],
        [*parts()[:2], Instruction(SYSTEM, b"\x0b" + TRANSFER[1:], parts()[2].accounts)],
        [*parts()[:2], Instruction(SYSTEM, TRANSFER, [*parts()[2].accounts, AccountMeta(SYSTEM, False, False)])],
        [*parts()[:3], Instruction(build.MEMO, b"\xff", [])],
    ],
)
def test_anything_but_one_payment_is_refused(instructions):
    with pytest.raises(ValueError):
        build.read(signed(compiled(*instructions)))


def test_bytes_behind_the_transaction_are_refused():
    with pytest.raises(ValueError):
        build.read(signed(build.message(WANTED)) + b"x")


def test_a_foreign_signature_is_refused():
    message = build.message(WANTED)
    with pytest.raises(ValueError):
        build.read(build.wire(message, Keypair().sign_message(to_bytes_versioned(message))))


def test_a_second_signer_is_refused():
    other = Keypair()
    instructions = [*parts()[:3], Instruction(build.MEMO, b"hi", [AccountMeta(other.pubkey(), True, False)])]
    with pytest.raises(ValueError):
        build.read(bytes(VersionedTransaction(compiled(*instructions), [KEY, other])))


def test_a_legacy_message_is_refused():
    message = Message.new_with_blockhash(parts(), KEY.pubkey(), Hash.from_string(TO))
    with pytest.raises(ValueError):
        build.read(bytes(VersionedTransaction(message, [KEY])))


@pytest.mark.parametrize(("units", "price", "lamports"), [(540, 0, 5000), (540, 1, 5001), (540, 2_000_000, 6080)])
def test_the_limit_is_paid_for_and_rounded_up(units, price, lamports):
    assert build.fee(units, price) == lamports
