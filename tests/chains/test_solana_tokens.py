"""Token transfers and approvals on the embedded Solana machine, for both token programs."""

import pytest
from solders.keypair import Keypair
from solders.system_program import CreateAccountParams, create_account
from solders.transaction import VersionedTransaction

from tests.chains.conftest import AGENT, SOL, TO, give, land
from tests.chains.tokens import DECIMALS, PROGRAMS, instruction, key, little
from waiaas.chains.solana.programs import ASSOCIATED_TOKEN, COMPUTE_BUDGET, MEMO, SYSTEM, TOKEN, TOKEN_2022, WRAPPED_SOL
from waiaas.chains.solana.tokens import CREATED_SIZE, associated, read_holder
from waiaas.domain.request import Approve, Token, TokenTransfer
from waiaas.errors import (
    InsufficientBalance,
    InsufficientForFee,
    InsufficientTokenBalance,
    SimulationFailed,
    TokenMismatch,
    TransactionTooLarge,
)

RENT = {TOKEN: 2_039_280, TOKEN_2022: 2_074_080}
SPENDER = str(Keypair().pubkey())


def send(token: Token, amount: int, to: str = TO, memo: str | None = None) -> TokenTransfer:
    return TokenTransfer(to, str(amount), token, memo)


def approve(token: Token, amount: int, spender: str = SPENDER) -> Approve:
    return Approve(spender, token, str(amount))


@pytest.fixture(params=PROGRAMS, ids=["spl-token", "token-2022"])
def program(request) -> str:
    return request.param


@pytest.fixture
async def token(bank, funded, program) -> Token:
    """A token of which the agent holds 1,000,000."""
    return await bank.token(funded.address, 1_000_000, program)


# --- transfers ---------------------------------------------------------------------------------


async def test_tokens_reach_an_owner_who_had_no_account_for_them(localnet, clock, funded, bank, token, program):
    prepared = await localnet.prepare(send(token, 400_000, memo="for lunch"), funded.address)
    assert (prepared.rent, prepared.fee, prepared.max_fee) == (RENT[program], 5000, 5000 + RENT[program])
    signed = localnet.sign(prepared, await localnet.slot(funded.address), funded, AGENT)
    assert signed.max_fee == prepared.max_fee
    await localnet.broadcast(signed.raw, signed.hash)
    clock.pass_slots(1)
    assert (await localnet.statuses([signed.hash]))[signed.hash].ok
    assert await bank.held(token, TO, program) == 400_000
    assert await bank.held(token, funded.address, program) == 600_000
    receipt = (await localnet.receipts([signed.hash]))[signed.hash]
    assert (receipt.fee, receipt.outflow) == (5000, RENT[program])
    assert await localnet.balance(funded.address) == 10 * SOL - prepared.max_fee


async def test_the_account_is_made_as_large_as_its_rent_was_asked_for(localnet, clock, funded, bank, token, program):
    await land(localnet, clock, funded, send(token, 1))
    account = await bank.account(associated(TO, token.address, program))
    assert (len(account.data), account.lamports) == (CREATED_SIZE[program], RENT[program])


async def test_an_account_that_is_there_is_not_paid_for(localnet, clock, funded, bank, token, program):
    await bank.open(token.address, TO, program)
    prepared = await localnet.prepare(send(token, 1), funded.address)
    assert (prepared.rent, prepared.max_fee) == (0, 5000)
    assert (await land(localnet, clock, funded, send(token, 1))).ok
    assert await bank.held(token, TO, program) == 1


async def test_lamports_in_the_way_do_not_keep_tokens_from_arriving(localnet, clock, funded, bank, token, program):
    await give(localnet, clock, associated(TO, token.address, program), 1_000_000)
    prepared = await localnet.prepare(send(token, 1), funded.address)
    assert prepared.rent == RENT[program] - 1_000_000
    assert (await land(localnet, clock, funded, send(token, 1))).ok
    assert await bank.held(token, TO, program) == 1


async def test_a_transfer_says_limit_price_account_tokens_memo(localnet, funded, token, program):
    prepared = await localnet.prepare(send(token, 1, memo="hi"), funded.address)
    signed = localnet.sign(prepared, await localnet.slot(funded.address), funded, AGENT)
    message = VersionedTransaction.from_bytes(signed.raw).message
    programs = [str(message.account_keys[one.program_id_index]) for one in message.instructions]
    assert programs == [COMPUTE_BUDGET, COMPUTE_BUDGET, ASSOCIATED_TOKEN, program, MEMO]
    assert bytes(message.instructions[3].data) == b"\x0c" + little(1) + bytes([DECIMALS])
    assert message.header.num_required_signatures == 1
    assert prepared.undeclared == ()


async def test_all_one_has_can_be_sent_and_not_a_unit_more(localnet, clock, funded, bank, token, program):
    with pytest.raises(InsufficientTokenBalance) as caught:
        await localnet.prepare(send(token, 1_000_001), funded.address)
    assert caught.value.details == {"held": "1000000", "amount": "1000001"}
    assert (await land(localnet, clock, funded, send(token, 1_000_000))).ok
    assert await bank.held(token, funded.address, program) == 0
    with pytest.raises(InsufficientTokenBalance):
        await localnet.prepare(send(token, 1), funded.address)


async def test_a_token_one_never_had_is_not_covered(localnet, funded, bank, program):
    token = await bank.token(bank.address, 5, program)
    with pytest.raises(InsufficientTokenBalance) as caught:
        await localnet.prepare(send(token, 1), funded.address)
    assert caught.value.details == {"held": "0", "amount": "1"}


async def test_sending_tokens_to_oneself_is_noted_and_moves_nothing(localnet, clock, funded, bank, token, program):
    prepared = await localnet.prepare(send(token, 5, funded.address), funded.address)
    assert "itself" in prepared.notes[0]
    assert (await land(localnet, clock, funded, send(token, 5, funded.address))).ok
    assert await bank.held(token, funded.address, program) == 1_000_000


@pytest.mark.parametrize("decimals", [0, 5, 7, 18])
async def test_other_decimals_than_the_chains_are_refused(localnet, funded, token, decimals):
    wrong = Token(token.address, decimals, "TOK")
    for request in (send(wrong, 1), approve(wrong, 1), approve(wrong, 0)):
        with pytest.raises(TokenMismatch, match="6 decimals"):
            await localnet.prepare(request, funded.address)


async def test_what_is_no_token_is_refused(localnet, funded, bank, token, program):
    holder = associated(funded.address, token.address, program)
    for address in (TO, funded.address, SYSTEM, program, holder):
        with pytest.raises(TokenMismatch):
            await localnet.prepare(send(Token(address, DECIMALS, "FAKE"), 1), funded.address)


async def test_a_token_account_or_a_token_is_no_recipient(localnet, funded, bank, token, program):
    holder = await bank.open(token.address, TO, program)
    for to in (holder, token.address):
        with pytest.raises(TokenMismatch, match="owner"):
            await localnet.prepare(send(token, 1, to), funded.address)


async def test_a_multisig_may_own_tokens(localnet, clock, funded, bank, token, program):
    multisig = Keypair()
    space, address = 355, str(multisig.pubkey())
    rent = await bank.rent(space)
    create = CreateAccountParams(
        from_pubkey=key(bank.address), to_pubkey=multisig.pubkey(), lamports=rent, space=space, owner=key(program)
    )
    one_of_one = instruction(program, bytes([19, 1]), [address], [bank.address])
    await bank.land(create_account(create), one_of_one, others=[multisig])
    assert (await land(localnet, clock, funded, send(token, 1, address))).ok
    assert await bank.held(token, address, program) == 1


async def test_an_account_that_was_handed_on_is_not_the_recipients(localnet, funded, bank):
    token = await bank.token(funded.address, 5)
    holder = await bank.open(token.address, bank.address)
    # SetAuthority, AccountOwner: the account stands at the bank's address and belongs to somebody else
    handed_on = bytes([6, 2, 1]) + bytes(key(SPENDER))
    await bank.land(instruction(TOKEN, handed_on, [holder], [bank.address], bank.address))
    assert read_holder(await bank.account(holder)).owner == SPENDER
    with pytest.raises(TokenMismatch):
        await localnet.prepare(send(token, 1, bank.address), funded.address)


async def test_a_frozen_account_fails_in_the_simulation(localnet, funded, bank, token, program):
    holder = associated(funded.address, token.address, program)
    await bank.land(instruction(program, bytes([10]), [holder], [token.address, bank.address], bank.address))
    with pytest.raises(SimulationFailed) as caught:
        await localnet.prepare(send(token, 1), funded.address)
    assert any("frozen" in line for line in caught.value.details["logs"])


async def test_wrapped_sol_is_a_token_like_any_other(localnet, clock, funded, bank):
    sol = Token(WRAPPED_SOL, 9, "SOL")
    holder = await bank.open(WRAPPED_SOL, funded.address)
    await give(localnet, clock, holder, SOL)
    await bank.land(instruction(TOKEN, bytes([17]), [holder]))
    assert (await land(localnet, clock, funded, send(sol, 300_000_000))).ok
    assert await bank.held(sol, TO) == 300_000_000


# --- native money for the fee and the rent ------------------------------------------------------


async def poor(localnet, clock, bank, signer, lamports: int, *, opened: bool = False) -> Token:
    """A token of which somebody with little native money holds 10."""
    token = await bank.token(signer.address, 10)
    if opened:
        await bank.open(token.address, TO)
    if lamports:
        await give(localnet, clock, signer.address, lamports)
    return token


LIVING = 890_880


@pytest.mark.parametrize(
    ("lamports", "opened", "error"),
    [
        (0, True, InsufficientForFee),
        (LIVING, False, InsufficientForFee),
        (LIVING + RENT[TOKEN] + 4999, False, InsufficientBalance),
    ],
)
async def test_fee_and_rent_must_be_covered(localnet, clock, signer, bank, lamports, opened, error):
    token = await poor(localnet, clock, bank, signer, lamports, opened=opened)
    with pytest.raises(error):
        await localnet.prepare(send(token, 1), signer.address)


@pytest.mark.parametrize(("lamports", "opened"), [(LIVING + 5000, True), (LIVING + RENT[TOKEN] + 5000, False)])
async def test_what_covers_fee_and_rent_is_enough(localnet, clock, signer, bank, lamports, opened):
    token = await poor(localnet, clock, bank, signer, lamports, opened=opened)
    assert (await land(localnet, clock, signer, send(token, 1))).ok
    assert await localnet.balance(signer.address) == LIVING


async def test_the_fee_bound_counts_the_account_it_may_open(localnet, funded, token, program):
    prepared = await localnet.prepare(send(token, 1), funded.address)
    assert localnet.fee_bound(send(token, 1)) == 5000 + 1_000_000 + RENT[TOKEN_2022] >= prepared.max_fee
    assert localnet.fee_bound(approve(token, 1)) == 5000 + 1_000_000


async def test_a_transfer_with_too_long_a_memo_is_too_large(localnet, funded, token):
    with pytest.raises(TransactionTooLarge):
        await localnet.prepare(send(token, 1, memo="x" * 1200), funded.address)


# --- approvals ---------------------------------------------------------------------------------


async def test_a_delegate_may_spend_what_was_approved(localnet, clock, funded, bank, token, program):
    prepared = await localnet.prepare(approve(token, 250), funded.address)
    assert (prepared.notes, prepared.rent, prepared.undeclared) == ((), 0, ())
    assert (await land(localnet, clock, funded, approve(token, 250))).ok
    holder = read_holder(await bank.account(associated(funded.address, token.address, program)))
    assert (holder.delegate, holder.delegated) == (SPENDER, 250)


async def test_an_approval_tells_whom_it_replaces(localnet, clock, funded, bank, token, program):
    assert (await land(localnet, clock, funded, approve(token, 250))).ok
    prepared = await localnet.prepare(approve(token, 9, TO), funded.address)
    assert prepared.notes == (f"Replaces the allowance of {SPENDER}, who may still move 250 base units.",)
    assert (await land(localnet, clock, funded, approve(token, 9, TO))).ok
    holder = read_holder(await bank.account(associated(funded.address, token.address, program)))
    assert (holder.delegate, holder.delegated) == (TO, 9)


async def test_an_approval_of_nothing_revokes(localnet, clock, funded, bank, token, program):
    assert (await land(localnet, clock, funded, approve(token, 250))).ok
    prepared = await localnet.prepare(approve(token, 0), funded.address)
    assert len(prepared.notes) == 1
    assert (await land(localnet, clock, funded, approve(token, 0))).ok
    holder = read_holder(await bank.account(associated(funded.address, token.address, program)))
    assert (holder.delegate, holder.delegated) == (None, 0)


async def test_revoking_where_nobody_is_allowed_anything_lands(localnet, clock, funded, token):
    assert (await land(localnet, clock, funded, approve(token, 0))).ok


async def test_more_than_one_holds_can_be_approved(localnet, clock, funded, token):
    assert (await land(localnet, clock, funded, approve(token, 2**64 - 1))).ok


@pytest.mark.parametrize("amount", [0, 1])
async def test_without_a_token_account_there_is_nothing_to_approve(localnet, funded, bank, program, amount):
    token = await bank.token(bank.address, 5, program)
    with pytest.raises(TokenMismatch, match="no associated account"):
        await localnet.prepare(approve(token, amount), funded.address)


async def test_approving_what_was_handed_on_is_refused(localnet, clock, funded, bank):
    token = await bank.token(bank.address, 5)
    holder = associated(bank.address, token.address, TOKEN)
    handed_on = bytes([6, 2, 1]) + bytes(key(SPENDER))
    await bank.land(instruction(TOKEN, handed_on, [holder], [bank.address], bank.address))
    with pytest.raises(TokenMismatch):
        await localnet.prepare(approve(token, 1), bank.address)
    with pytest.raises(InsufficientTokenBalance):
        await localnet.prepare(send(token, 1), bank.address)
