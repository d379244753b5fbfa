"""Solana instructions of System, Token and Token-2022 are read as what they do; the rest of these is forbidden."""

import base64
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from solders.pubkey import Pubkey
from solders.system_program import (
    AssignParams,
    CreateAccountParams,
    CreateAccountWithSeedParams,
    TransferParams,
    TransferWithSeedParams,
    assign,
    create_account,
    create_account_with_seed,
    transfer,
    transfer_with_seed,
)

from waiaas.domain.chain import Chain
from waiaas.domain.effects import effects
from waiaas.domain.instruction import SYSTEM, TOKEN, TOKEN_2022, instruction_effects
from waiaas.domain.request import AccountMeta, ContractCall, Effect

SOL = "native:solana"
ME, BOB, MINT, SOURCE, TARGET = (str(Pubkey(bytes([number]) * 32)) for number in (1, 2, 3, 4, 5))
PROGRAM = str(Pubkey(b"\6" * 32))


def key(text):
    return Pubkey.from_string(text)


def built(instruction):
    """What solders made of it: data and account addresses."""
    return bytes(instruction.data), [str(meta.pubkey) for meta in instruction.accounts]


def token(tag, amount=None, tail=b""):
    return bytes([tag]) + (b"" if amount is None else struct.pack("<Q", amount)) + tail


@pytest.mark.parametrize(
    "instruction",
    [
        transfer(TransferParams(from_pubkey=key(ME), to_pubkey=key(BOB), lamports=77)),
        create_account(
            CreateAccountParams(from_pubkey=key(ME), to_pubkey=key(BOB), lamports=77, space=9, owner=key(PROGRAM))
        ),
        create_account_with_seed(
            CreateAccountWithSeedParams(
                from_pubkey=key(ME),
                to_pubkey=key(BOB),
                base=key(ME),
                seed="séed",
                lamports=77,
                space=9,
                owner=key(PROGRAM),
            )
        ),
        transfer_with_seed(
            TransferWithSeedParams(
                from_pubkey=key(SOURCE),
                from_base=key(ME),
                from_seed="x",
                from_owner=key(PROGRAM),
                to_pubkey=key(BOB),
                lamports=77,
            )
        ),
    ],
)
def test_what_the_system_program_sends_is_a_transfer(instruction):
    data, accounts = built(instruction)
    expected = (Effect("CONTRACT_CALL", SYSTEM), Effect("TRANSFER", BOB, SOL, 77))
    assert instruction_effects(SYSTEM, data, accounts) == expected
    assert instruction_effects(SYSTEM, data + b"tail", [*accounts, MINT]) == expected


@pytest.mark.parametrize("program", [TOKEN, TOKEN_2022])
@pytest.mark.parametrize(
    ("data", "accounts", "effect"),
    [
        (token(12, 9, b"\6"), [SOURCE, MINT, TARGET, ME], Effect("TOKEN_TRANSFER", TARGET, f"solana:{MINT}", 9)),
        (token(3, 9), [SOURCE, TARGET, ME], Effect("TOKEN_TRANSFER", TARGET, None, 9)),
        (token(8, 9), [SOURCE, MINT, ME], Effect("TOKEN_TRANSFER", MINT, f"solana:{MINT}", 9)),
        (token(15, 9, b"\6"), [SOURCE, MINT, ME], Effect("TOKEN_TRANSFER", MINT, f"solana:{MINT}", 9)),
        (token(13, 9, b"\6"), [SOURCE, MINT, BOB, ME], Effect("APPROVE", BOB, f"solana:{MINT}", 9)),
        (token(4, 9), [SOURCE, BOB, ME], Effect("APPROVE", BOB, None, 9)),
        (token(5), [SOURCE, ME], Effect("APPROVE", SOURCE, None, 0)),
    ],
)
def test_what_a_token_program_does_is_read(program, data, accounts, effect):
    assert instruction_effects(program, data, accounts) == (Effect("CONTRACT_CALL", program), effect)
    assert instruction_effects(program, data + b"tail", [*accounts, PROGRAM])[1] == effect


FORBIDDEN_TOKEN = sorted(set(range(256)) - {3, 4, 5, 8, 12, 13, 15})
FORBIDDEN_SYSTEM = [1, 4, 5, 6, 7, 8, 9, 10, 12, 13, 2**32 - 1]


@pytest.mark.parametrize("program", [TOKEN, TOKEN_2022])
def test_every_other_instruction_of_a_token_program_is_forbidden(program):
    for tag in FORBIDDEN_TOKEN:
        assert instruction_effects(program, token(tag, 9), [SOURCE, MINT, TARGET, ME]) == (
            Effect("CONTRACT_CALL", program, decoded=False),
            Effect("FORBIDDEN", program, selector=f"0x{tag:02x}", decoded=False),
        )


@pytest.mark.parametrize("tag", FORBIDDEN_SYSTEM)
def test_every_other_instruction_of_the_system_program_is_forbidden(tag):
    data = struct.pack("<IQ", tag, 9) + bytes(100)
    assert instruction_effects(SYSTEM, data, [ME, BOB, MINT])[1].kind == "FORBIDDEN"


def test_giving_the_own_account_away_is_forbidden():
    data, accounts = built(assign(AssignParams(pubkey=key(ME), owner=key(PROGRAM))))
    assert instruction_effects(SYSTEM, data, accounts)[1].kind == "FORBIDDEN"


@pytest.mark.parametrize(
    ("program", "data", "accounts"),
    [
        (SYSTEM, b"", [ME, BOB]),
        (SYSTEM, b"\2\0\0", [ME, BOB]),
        (SYSTEM, struct.pack("<IQ", 2, 9)[:-1], [ME, BOB]),
        (SYSTEM, struct.pack("<IQ", 2, 9), [ME]),
        (SYSTEM, struct.pack("<I32sQ", 3, b"", 2**64 - 1) + bytes(60), [ME, BOB]),
        (TOKEN, b"", [SOURCE, ME]),
        (TOKEN, token(12, 9)[:-1], [SOURCE, MINT, TARGET, ME]),
        (TOKEN, token(12, 9), [SOURCE, MINT]),
        (TOKEN, token(5), []),
    ],
)
def test_what_is_too_short_is_forbidden(program, data, accounts):
    assert [effect.kind for effect in instruction_effects(program, data, accounts)] == ["CONTRACT_CALL", "FORBIDDEN"]


def test_another_program_is_a_call_that_is_not_understood():
    assert instruction_effects(PROGRAM, token(12, 9), [SOURCE, MINT, TARGET, ME]) == (
        Effect("CONTRACT_CALL", PROGRAM, decoded=False),
    )


accounts = st.lists(st.sampled_from([ME, BOB, MINT, SOURCE, TARGET]), min_size=1, max_size=5)
programs = st.sampled_from([SYSTEM, TOKEN, TOKEN_2022, PROGRAM])


@settings(max_examples=200, deadline=None)
@given(
    programs,
    st.one_of(st.binary(max_size=120), st.integers(0, 15).map(lambda tag: struct.pack("<I", tag) + bytes(100))),
    accounts,
)
def test_any_instruction_has_effects_of_known_kinds_and_begins_with_its_call(program, data, named):
    metas = tuple(AccountMeta(account, False, True) for account in named)
    call = ContractCall(program_id=program, instruction_data=base64.b64encode(data).decode(), accounts=metas)
    first, *rest = effects(call, Chain.SOLANA, sender=ME)
    assert (first.kind, first.counterparty) == ("CONTRACT_CALL", program)
    assert len(rest) == (program != PROGRAM)
    for effect in rest:
        assert effect.kind == "FORBIDDEN" or 0 <= effect.amount < 2**64


@settings(max_examples=60, deadline=None)
@given(st.sampled_from([3, 4, 8, 12, 13, 15]), st.integers(0, 2**64 - 1))
def test_an_amount_is_read_as_it_was_written(tag, amount):
    assert instruction_effects(TOKEN, token(tag, amount, b"\6"), [SOURCE, MINT, TARGET, ME])[1].amount == amount
