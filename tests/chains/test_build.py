"""Signed bytes are read back by code that believes nothing of how they were built."""

import msgspec
import pytest
from solders.hash import Hash
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.message import Message as LegacyMessage
from solders.message import MessageV0, to_bytes_versioned
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

from tests.chains.conftest import TO
from waiaas.chains.solana import build
from waiaas.chains.solana.programs import COMPUTE_BUDGET, MEMO, SYSTEM, TOKEN, TOKEN_2022
from waiaas.chains.solana.read import READERS, read
from waiaas.chains.solana.steps import Allow, Call, Close, Memo, Message, Move, Open, Revoke, Send, Step, written
from waiaas.errors import TransactionTooLarge

KEY = Keypair()
SENDER = str(KEY.pubkey())
MINT, SOURCE, TARGET, OTHER, PROGRAM = (str(Keypair().pubkey()) for _ in range(5))
STEPS = (
    Move(TO, 5),
    Open(TOKEN_2022, TO, MINT, TARGET),
    Send(TOKEN_2022, SOURCE, MINT, TARGET, 7, 6),
    Allow(TOKEN, SOURCE, MINT, OTHER, 2**64 - 1, 255),
    Revoke(TOKEN, SOURCE),
    Close(TOKEN, SOURCE),
    Memo("여우 🦊"),
    Call(PROGRAM, b"\x01\x02", (OTHER, SENDER, TO, OTHER)),
)


def message(*steps: Step, units: int = 540, unit_price: int = 3) -> Message:
    writable = frozenset([SENDER, *(key for step in steps for key in written(step))])
    return Message(SENDER, steps, writable, units, unit_price, TO)


def signed(compiled: MessageV0) -> bytes:
    return build.wire(compiled, KEY.sign_message(to_bytes_versioned(compiled)))


def read_as(raw: bytes, *steps: Step) -> Message:
    return read(raw, [type(step) for step in steps])[0]


def parts(wanted: Message) -> list[Instruction]:
    """The instructions of a message, to be taken apart."""
    compiled = build.compiled(wanted)
    keys = compiled.account_keys
    return [
        Instruction(
            keys[one.program_id_index],
            bytes(one.data),
            [
                AccountMeta(keys[at], is_signer=at == 0, is_writable=str(keys[at]) in wanted.writable)
                for at in one.accounts
            ],
        )
        for one in compiled.instructions
    ]


def compiled(*instructions: Instruction) -> MessageV0:
    return MessageV0.try_compile(KEY.pubkey(), instructions, [], Hash.from_string(TO))


@pytest.mark.parametrize("steps", [STEPS, *((step,) for step in STEPS), (Memo(""),), (STEPS[0], STEPS[0]), ()])
def test_what_was_built_is_read_back(steps):
    wanted = message(*steps)
    raw = signed(build.compiled(wanted))
    said, signature = read(raw, [type(step) for step in steps])
    assert said == wanted
    assert signature == str(KEY.sign_message(to_bytes_versioned(build.compiled(wanted))))


def test_there_is_a_reader_for_every_kind_of_step():
    assert set(READERS) == {type(step) for step in STEPS}


#: (step, one field, another value): bytes that say so must not pass for bytes that say the step
CHANGES = [
    (step, field, other)
    for step in STEPS
    for field, other in {
        "to": OTHER,
        "lamports": 6,
        "program": TOKEN if getattr(step, "program", "") == TOKEN_2022 else TOKEN_2022,
        "owner": OTHER,
        "mint": OTHER,
        "holder": OTHER,
        "source": TARGET,
        "target": SOURCE,
        "delegate": TO,
        "amount": 8,
        "decimals": 7,
        "text": "other",
        "data": b"\x01",
        "accounts": (OTHER, SENDER, TO),
    }.items()
    if field in step.__struct_fields__
]


@pytest.mark.parametrize(
    ("step", "field", "other"), CHANGES, ids=[f"{type(step).__name__}-{field}" for step, field, _ in CHANGES]
)
def test_every_field_of_every_step_is_read(step, field, other):
    changed = msgspec.structs.replace(step, **{field: other})
    assert read_as(signed(build.compiled(message(changed))), step) != message(step)


def payment() -> list[Instruction]:
    return parts(message(Move(TO, 5)))


def with_accounts(instruction: Instruction, *accounts: AccountMeta) -> Instruction:
    return Instruction(instruction.program_id, instruction.data, list(accounts))


def with_data(instruction: Instruction, data: bytes) -> Instruction:
    return Instruction(instruction.program_id, data, instruction.accounts)


LIMIT, PRICE, MOVE = payment()
FOREIGN = [AccountMeta(Pubkey.from_string(TO), False, True), AccountMeta(KEY.pubkey(), True, True)]


@pytest.mark.parametrize(
    "instructions",
    [
        [LIMIT, PRICE],
        [LIMIT, PRICE, MOVE, MOVE],
        [LIMIT, PRICE, MOVE, Instruction(Pubkey.from_string(MEMO), b"more", [])],
        [PRICE, LIMIT, MOVE],
        [LIMIT, MOVE, PRICE],
        [LIMIT, PRICE, with_accounts(MOVE, *FOREIGN)],
        [LIMIT, PRICE, with_accounts(MOVE, *MOVE.accounts, AccountMeta(Pubkey.from_string(SYSTEM), False, False))],
        [LIMIT, PRICE, with_data(MOVE, bytes(MOVE.data) + b"x")],
        [LIMIT, PRICE, with_data(MOVE, bytes(MOVE.data)[:8])],
        [LIMIT, PRICE, with_data(MOVE, b"\x0b" + bytes(MOVE.data)[1:])],
        [LIMIT, PRICE, Instruction(Pubkey.from_string(PROGRAM), MOVE.data, MOVE.accounts)],
        [with_data(LIMIT, bytes(LIMIT.data) + b"\0"), PRICE, MOVE],
        [LIMIT, with_data(PRICE, bytes(PRICE.data)[:5]), MOVE],
        [LIMIT, Instruction(Pubkey.from_string(COMPUTE_BUDGET), b"\x04" + bytes(8), []), MOVE],
    ],
)
def test_anything_but_one_payment_is_refused(instructions):
    with pytest.raises(ValueError):
        read_as(signed(compiled(*instructions)), Move(TO, 5))


def stranger(one: AccountMeta) -> AccountMeta:
    """Another in the sender's place."""
    return AccountMeta(Pubkey.from_string(OTHER), False, True) if one.pubkey == KEY.pubkey() else one


@pytest.mark.parametrize(
    "step", [step for step in STEPS if not isinstance(step, Memo | Call)], ids=lambda s: type(s).__name__
)
def test_whatever_another_authorises_is_refused(step):
    limit, price, one = parts(message(step))
    with pytest.raises(ValueError):
        read_as(signed(compiled(limit, price, with_accounts(one, *map(stranger, one.accounts)))), step)


@pytest.mark.parametrize("step", [step for step in STEPS if not isinstance(step, Call)], ids=lambda s: type(s).__name__)
def test_an_instruction_with_an_account_too_many_is_refused(step):
    limit, price, one = parts(message(step))
    more = with_accounts(one, *one.accounts, AccountMeta(Pubkey.from_string(OTHER), False, False))
    with pytest.raises(ValueError):
        read_as(signed(compiled(limit, price, more)), step)


@pytest.mark.parametrize(
    "step", [step for step in STEPS if not isinstance(step, Memo | Call)], ids=lambda s: type(s).__name__
)
def test_an_instruction_with_more_data_is_refused(step):
    limit, price, one = parts(message(step))
    with pytest.raises(ValueError):
        read_as(signed(compiled(limit, price, with_data(one, bytes(one.data) + b"\0"))), step)


def test_a_memo_that_is_no_text_is_refused():
    with pytest.raises(ValueError):
        read_as(signed(compiled(LIMIT, PRICE, Instruction(Pubkey.from_string(MEMO), b"\xff", []))), Memo(""))


def test_an_account_that_may_be_written_is_told_from_one_that_may_not():
    call = Call(PROGRAM, b"", (OTHER, TO))
    wanted = msgspec.structs.replace(message(call), writable=frozenset([SENDER, OTHER]))
    said = read_as(signed(build.compiled(wanted)), call)
    assert said == wanted
    assert said != msgspec.structs.replace(wanted, writable=frozenset([SENDER, TO]))


def test_bytes_behind_the_transaction_are_refused():
    with pytest.raises(ValueError):
        read_as(signed(build.compiled(message(Move(TO, 5)))) + b"x", Move(TO, 5))


def test_a_foreign_signature_is_refused():
    made = build.compiled(message(Move(TO, 5)))
    with pytest.raises(ValueError):
        read_as(build.wire(made, Keypair().sign_message(to_bytes_versioned(made))), Move(TO, 5))


def test_a_second_signer_is_refused():
    other = Keypair()
    memo = Instruction(Pubkey.from_string(MEMO), b"hi", [AccountMeta(other.pubkey(), True, False)])
    with pytest.raises(ValueError):
        read_as(bytes(VersionedTransaction(compiled(*payment(), memo), [KEY, other])), Move(TO, 5), Memo("hi"))


def test_a_legacy_message_is_refused():
    legacy = LegacyMessage.new_with_blockhash(payment(), KEY.pubkey(), Hash.from_string(TO))
    with pytest.raises(ValueError):
        read_as(bytes(VersionedTransaction(legacy, [KEY])), Move(TO, 5))


def test_more_accounts_than_fit_are_refused_before_they_are_compiled():
    call = Call(PROGRAM, b"", tuple(str(Keypair().pubkey()) for _ in range(300)))
    with pytest.raises(TransactionTooLarge, match="300 accounts"):
        build.compiled(message(call))


@pytest.mark.parametrize(
    ("units", "price", "signatures", "lamports"),
    [(540, 0, 1, 5000), (540, 1, 1, 5001), (540, 2_000_000, 1, 6080), (540, 2_000_000, 3, 16_080)],
)
def test_the_limit_is_paid_for_and_rounded_up(units, price, signatures, lamports):
    assert build.fee(units, price, signatures) == lamports
