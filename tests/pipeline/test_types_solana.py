"""Tokens, calls, approvals and batches on Solana, from the request to the ledger rows of every asset."""

from base64 import b64encode

import pytest
from msgspec.structs import replace

from tests.pipeline.solana import OTHER, allow, booked, ended, made, open_bank, want
from tests.world import SOL
from waiaas.chains.solana.programs import TOKEN, TOKEN_2022
from waiaas.domain.request import AccountMeta, Approve, Batch, ContractCall, TokenTransfer, Transfer
from waiaas.errors import ApproveDisabled, ContractCallDisabled, TokenNotAllowed

DONE = ("CONFIRMED", None)
MEMO = "MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr"
RENT = 2_039_280


@pytest.fixture
async def bank(world, core):
    return await open_bank(world)


@pytest.fixture
async def token(world, bank):
    """Alice holds a million."""
    return await bank.token(world.alice.public_key, 1_000_000)


def pay(world, token, amount=5, **changed):
    return TokenTransfer(world.bob.public_key, str(amount), replace(token, **changed))


# --- tokens ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("program", [TOKEN, TOKEN_2022])
async def test_tokens_move_and_the_rent_of_a_new_account_is_part_of_the_fee(world, core, bank, program):
    # the invariants know accounts of the first token program alone
    world.tampered = program == TOKEN_2022
    token = await bank.token(world.alice.public_key, 1_000_000, program)
    await allow(world, "ALLOWED_TOKENS", tokens=[{"address": token.address}])
    before = await world.balance(world.alice)
    tx = await made(world, pay(world, token))
    assert ended(tx) == DONE
    cost = before - await world.balance(world.alice)
    assert cost > RENT
    assert await booked(world, tx) == [("AMOUNT", token.address, "SPENT", 5), ("FEE", "solana", "SPENT", cost)]
    assert await bank.held(token, world.bob.public_key, program) == 5
    again = await made(world, pay(world, token, 6))
    assert (ended(again), (await booked(world, again))[1][3] < RENT) == (DONE, True)


async def test_tokens_that_no_policy_allows_are_refused(world, core, token):
    with pytest.raises(TokenNotAllowed):
        await want(world, pay(world, token))


@pytest.mark.parametrize(
    ("amount", "changed", "code"),
    [(5, {"decimals": 9}, "TOKEN_MISMATCH"), (1_000_001, {}, "INSUFFICIENT_TOKEN_BALANCE")],
)
async def test_what_the_token_does_not_allow_is_never_signed(world, core, token, amount, changed, code):
    await allow(world, "ALLOWED_TOKENS", tokens=[{"address": token.address}])
    tx = await made(world, pay(world, token, amount, **changed))
    assert ended(tx) == ("FAILED", code)
    assert await world.attempts(tx) == []
    assert {state for _, _, state, _ in await booked(world, tx)} == {"RELEASED"}


# --- approvals ------------------------------------------------------------------------------------


async def test_an_allowance_stays_set_aside_until_it_is_revoked(world, core, bank, token):
    with pytest.raises(ApproveDisabled):
        await want(world, Approve(OTHER, token, "5"))
    await allow(world, "APPROVED_SPENDERS", spenders=[{"address": OTHER}])
    await allow(world, "APPROVE_AMOUNT_LIMIT", maxAmount="100")
    await allow(world, "APPROVE_TIER_OVERRIDE", tier="INSTANT")
    first = await made(world, Approve(OTHER, token, "5"))
    assert ended(first) == DONE
    assert ("ALLOWANCE", token.address, "RESERVED", 5) in await booked(world, first)
    second = await made(world, Approve(OTHER, token, "7"))
    assert ("ALLOWANCE", token.address, "RELEASED", 5) in await booked(world, first)
    assert ("ALLOWANCE", token.address, "RESERVED", 7) in await booked(world, second)
    revoke = await made(world, Approve(OTHER, token, "0"))
    assert ended(revoke) == DONE
    assert ("ALLOWANCE", token.address, "RELEASED", 7) in await booked(world, second)
    assert [kind for kind, *_ in await booked(world, revoke)] == ["FEE"]


# --- calls ----------------------------------------------------------------------------------------


def memo(world) -> ContractCall:
    return ContractCall(
        program_id=MEMO,
        instruction_data=b64encode(b"hello").decode(),
        accounts=(AccountMeta(world.alice.public_key, True, False),),
    )


async def test_a_call_costs_its_fee(world, core):
    with pytest.raises(ContractCallDisabled):
        await want(world, memo(world))
    await allow(world, "CONTRACT_WHITELIST", contracts=[{"address": MEMO}])
    tx = await want(world, memo(world))
    assert tx.status.value == "QUEUED"  # not decoded: an owner would be asked
    await world.cancel(tx)


async def test_a_call_that_is_understood_is_judged_and_booked_as_what_it_does(world, core):
    system = "11111111111111111111111111111111"
    await allow(world, "CONTRACT_WHITELIST", contracts=[{"address": system}])
    data = (2).to_bytes(4, "little") + (1000).to_bytes(8, "little")
    accounts = (AccountMeta(world.alice.public_key, True, True), AccountMeta(world.bob.public_key, False, True))
    call = ContractCall(program_id=system, instruction_data=b64encode(data).decode(), accounts=accounts)
    tx = await made(world, call)
    assert ended(tx) == DONE
    assert await booked(world, tx) == [("AMOUNT", "solana", "SPENT", 1000), ("FEE", "solana", "SPENT", 5000)]


# --- batches --------------------------------------------------------------------------------------


async def test_a_batch_is_one_transaction_with_a_row_for_each_asset(world, core, bank, token):
    await allow(world, "ALLOWED_TOKENS", tokens=[{"address": token.address}])
    before = await world.balance(world.alice)
    batch = Batch((Transfer(world.bob.public_key, "1000"), pay(world, token), pay(world, token, 6)))
    tx = await made(world, batch)
    assert ended(tx) == DONE
    assert len(await world.attempts(tx)) == 1
    cost = before - await world.balance(world.alice)
    assert await booked(world, tx) == [
        ("AMOUNT", token.address, "SPENT", 11),
        ("AMOUNT", "solana", "SPENT", 1000),
        ("FEE", "solana", "SPENT", cost - 1000),
    ]


async def test_a_batch_of_which_one_part_would_fail_does_nothing(world, core, bank, token):
    await allow(world, "ALLOWED_TOKENS", tokens=[{"address": token.address}])
    tx = await made(world, Batch((Transfer(world.bob.public_key, "1000"), pay(world, token, 10**9))))
    assert tx.status.value == "FAILED"
    assert await world.attempts(tx) == []
    assert await world.balance(world.bob) == 100 * SOL
    assert {state for _, _, state, _ in await booked(world, tx)} == {"RELEASED"}
