"""Calls and batches on the embedded Solana machine: what they cost, what leaves undeclared, all or nothing."""

from base64 import b64encode

import pytest
from solders.keypair import Keypair
from solders.transaction import VersionedTransaction

from tests.chains.calls import call, close, hand_over, open_for, system_transfer
from tests.chains.conftest import AGENT, SOL, TO, Node, give, land, make, pay, refuse
from tests.chains.tokens import DECIMALS, Bank, instruction, little
from waiaas.chains.solana import build
from waiaas.chains.solana.programs import (
    ASSOCIATED_TOKEN,
    COMPUTE_BUDGET,
    MEMO,
    PRECOMPILES,
    SYSTEM,
    TOKEN,
    TOKEN_2022,
    WRAPPED_SOL,
)
from waiaas.chains.solana.tokens import associated, read_holder
from waiaas.domain.request import AccountMeta, Approve, Batch, ContractCall, Effect, Request, Token, TokenTransfer
from waiaas.errors import (
    InsufficientBalance,
    InsufficientForFee,
    InsufficientTokenBalance,
    SimulationFailed,
    TokenMismatch,
    TransactionTooLarge,
    Transient,
)

RENT = 2_039_280
STRANGER = str(Keypair().pubkey())
NATIVE = "native:solana"


def send(token: Token, amount: int, to: str = TO, memo: str | None = None) -> TokenTransfer:
    return TokenTransfer(to, str(amount), token, memo)


@pytest.fixture
async def token(bank, funded) -> Token:
    """A token of which the agent holds 1,000,000."""
    return await bank.token(funded.address, 1_000_000)


@pytest.fixture
def holder(funded, token) -> str:
    """The agent's account of it."""
    return associated(funded.address, token.address, TOKEN)


@pytest.fixture
def undeclared(localnet, funded):
    """What leaves beyond what a request declares."""

    async def find(request: Request) -> tuple[Effect, ...]:
        return (await localnet.prepare(request, funded.address)).undeclared

    return find


# --- calls -------------------------------------------------------------------------------------


async def test_a_call_lands_as_it_was_given(localnet, clock, funded):
    request = call(MEMO, b"from a program", (), (funded.address,), funded.address)
    message = VersionedTransaction.from_bytes((await make(localnet, funded, request)).raw).message
    [*_, said] = message.instructions
    assert bytes(said.data) == b"from a program"
    assert [str(message.account_keys[at]) for at in said.accounts] == [funded.address]
    assert (await land(localnet, clock, funded, request)).ok


async def test_a_declared_transfer_is_no_further_effect(localnet, clock, funded, undeclared):
    request = system_transfer(funded.address, TO, SOL)
    assert await undeclared(request) == ()
    assert (await land(localnet, clock, funded, request)).ok
    assert await localnet.balance(TO) == SOL


async def test_nobody_but_the_agent_signs_a_call(localnet, funded):
    with pytest.raises(SimulationFailed, match="nobody but the agent"):
        await localnet.prepare(system_transfer(STRANGER, TO, 1), funded.address)


@pytest.mark.parametrize("request_", [ContractCall(to="0x00", calldata="0x00000000"), ContractCall(accounts=())])
async def test_a_call_without_a_program_is_refused(localnet, funded, request_):
    with pytest.raises(SimulationFailed):
        await localnet.prepare(request_, funded.address)


async def test_data_that_is_not_base64_is_refused(localnet, funded):
    with pytest.raises(SimulationFailed, match="base64"):
        await localnet.prepare(ContractCall(program_id=MEMO, instruction_data="###"), funded.address)


async def test_a_call_cannot_raise_the_fee(localnet, funded):
    with pytest.raises(SimulationFailed, match="DuplicateInstruction"):
        await localnet.prepare(call(COMPUTE_BUDGET, b"\x03" + little(10**9)), funded.address)


async def test_what_a_program_refuses_is_refused_before_signing(localnet, funded):
    with pytest.raises(SimulationFailed) as caught:
        await localnet.prepare(call(MEMO, b"\xff\xfe"), funded.address)
    assert caught.value.details["logs"]


async def test_a_program_that_lacks_money_says_so(localnet, funded, token, holder):
    data = bytes([12]) + little(1_000_001) + bytes([DECIMALS])
    theirs = call(TOKEN, data, (holder, holder), (token.address,), funded.address)
    metas = (AccountMeta(holder, False, True), AccountMeta(token.address, False, False))
    metas += (AccountMeta(holder, False, True), AccountMeta(funded.address, True, False))
    with pytest.raises(InsufficientTokenBalance):
        await localnet.prepare(
            ContractCall(None, None, "0", None, TOKEN, theirs.instruction_data, metas), funded.address
        )
    with pytest.raises(InsufficientBalance):
        await localnet.prepare(system_transfer(funded.address, TO, 20 * SOL), funded.address)


async def test_rent_that_a_call_cannot_pay_is_missing_for_the_fee(localnet, clock, signer, bank):
    token = Token(await bank.mint(), DECIMALS, "TOK")
    await give(localnet, clock, signer.address, 1_000_000)
    with pytest.raises(InsufficientForFee):
        await localnet.prepare(open_for(signer.address, TO, token), signer.address)


def checked_signatures(*keys: Keypair) -> ContractCall:
    """Ed25519 signatures for the precompile to check (solana-ed25519-program)."""
    offsets, tail = b"", b""
    for each in keys:
        at = 2 + 14 * len(keys) + len(tail)
        offsets += b"".join(little(number, 2) for number in (at, 0xFFFF, at + 64, 0xFFFF, at + 96, 2, 0xFFFF))
        tail += bytes(each.sign_message(b"hi")) + bytes(each.pubkey()) + b"hi"
    return call(PRECOMPILES[0], bytes([len(keys), 0]) + offsets + tail)


async def test_signatures_that_a_call_has_checked_are_paid_for(localnet, clock, funded):
    request = Batch((checked_signatures(Keypair(), Keypair()), pay(SOL)))
    prepared = await localnet.prepare(request, funded.address)
    assert (prepared.fee, prepared.max_fee, prepared.undeclared) == (15_000, 15_000, ())
    assert localnet.fee_bound(request) == 15_000 + 1_000_000
    assert (await land(localnet, clock, funded, request)).ok
    assert await localnet.balance(funded.address) == 9 * SOL - 15_000


# --- undeclared outflow ------------------------------------------------------------------------


async def test_rent_that_a_program_makes_the_agent_pay_is_a_further_effect(funded, token, undeclared):
    assert await undeclared(open_for(funded.address, TO, token)) == (
        Effect("TRANSFER", ASSOCIATED_TOKEN, NATIVE, RENT),
    )


async def test_rent_of_an_own_account_does_not_leave(funded, bank, undeclared):
    fresh = Token(await bank.mint(), DECIMALS, "NEW")
    assert await undeclared(open_for(funded.address, funded.address, fresh)) == ()


async def test_an_account_that_is_handed_over_has_left_with_all_it_holds(funded, token, holder, undeclared):
    lost = (
        Effect("TRANSFER", TOKEN, NATIVE, RENT),
        Effect("TOKEN_TRANSFER", TOKEN, f"solana:{token.address}", 1_000_000),
    )
    assert await undeclared(hand_over(holder, 2, STRANGER, funded.address)) == lost
    assert await undeclared(hand_over(holder, 3, STRANGER, funded.address)) == lost
    assert await undeclared(hand_over(holder, 3, funded.address, funded.address)) == ()


async def test_lamports_of_a_closed_account_leave_unless_they_come_home(funded, bank, undeclared):
    mint = await bank.mint()
    empty = await bank.open(mint, funded.address)
    assert await undeclared(close(empty, STRANGER, funded.address)) == (Effect("TRANSFER", TOKEN, NATIVE, RENT),)
    assert await undeclared(close(empty, funded.address, funded.address)) == ()


async def test_tokens_that_a_call_moves_without_naming_them_are_named(funded, bank, token, holder, undeclared):
    theirs = await bank.open(token.address, TO)
    transfer = call(TOKEN, bytes([3]) + little(7), (holder, theirs), (funded.address,), funded.address)
    assert await undeclared(transfer) == (Effect("TOKEN_TRANSFER", TOKEN, f"solana:{token.address}", 7),)


async def test_an_allowance_that_a_call_grants_without_naming_the_token_is_named(
    localnet, clock, funded, token, holder, undeclared
):
    def allow(amount: int) -> ContractCall:
        return call(TOKEN, bytes([4]) + little(amount), (holder,), (STRANGER, funded.address), funded.address)

    granted = (Effect("APPROVE", STRANGER, f"solana:{token.address}", 7),)
    assert await undeclared(allow(7)) == granted
    assert (await land(localnet, clock, funded, Approve(STRANGER, token, "7"))).ok
    assert await undeclared(allow(7)) == ()
    assert await undeclared(allow(6)) == ()
    assert await undeclared(allow(8)) == (Effect("APPROVE", STRANGER, f"solana:{token.address}", 8),)


async def test_what_a_call_declares_is_no_further_effect(funded, bank, token, holder, undeclared):
    theirs, rest = await bank.open(token.address, TO), (token.address, funded.address)
    moved = call(TOKEN, bytes([12]) + little(7) + bytes([DECIMALS]), (), (), funded.address)
    metas = [(holder, True), (rest[0], False), (theirs, True), (rest[1], False)]
    accounts = tuple(AccountMeta(address, address == funded.address, writes) for address, writes in metas)
    transfer = ContractCall(program_id=TOKEN, instruction_data=moved.instruction_data, accounts=accounts)
    assert await undeclared(transfer) == ()
    data = bytes([13]) + little(7) + bytes([DECIMALS])
    approve = call(TOKEN, data, (holder,), (token.address, STRANGER, funded.address), funded.address)
    assert await undeclared(approve) == ()


async def wrap(bank, owner: str) -> str:
    """An account for the owner's wrapped SOL."""
    return await bank.open(WRAPPED_SOL, owner)


async def test_wrapping_and_unwrapping_move_nothing(localnet, clock, funded, bank, undeclared):
    wrapped = await wrap(bank, funded.address)
    into = Batch((system_transfer(funded.address, wrapped, SOL), call(TOKEN, bytes([17]), (wrapped,))))
    assert await undeclared(into) == ()
    assert (await land(localnet, clock, funded, into)).ok
    assert read_holder(await bank.account(wrapped)).amount == SOL
    assert await undeclared(close(wrapped, funded.address, funded.address)) == ()
    assert await undeclared(close(wrapped, STRANGER, funded.address)) == (
        Effect("TRANSFER", TOKEN, NATIVE, SOL + RENT),
    )


async def test_a_transfer_to_oneself_hides_nothing(funded, token, undeclared):
    request = Batch((pay(SOL, to=funded.address), open_for(funded.address, TO, token)))
    assert await undeclared(request) == (Effect("TRANSFER", ASSOCIATED_TOKEN, NATIVE, RENT),)


async def test_tokens_sent_to_an_own_account_hide_nothing(funded, token, holder, undeclared):
    request = Batch((send(token, 10, funded.address), hand_over(holder, 2, STRANGER, funded.address)))
    assert Effect("TOKEN_TRANSFER", TOKEN, f"solana:{token.address}", 1_000_000) in await undeclared(request)


async def test_a_declared_payment_is_taken_off_and_the_rest_is_a_further_effect(funded, token, undeclared):
    request = Batch((pay(SOL), send(token, 5), open_for(funded.address, STRANGER, token)))
    assert await undeclared(request) == (Effect("TRANSFER", ASSOCIATED_TOKEN, NATIVE, RENT),)


async def test_what_a_call_takes_must_leave_enough_for_the_fee(localnet, clock, funded, token):
    everything = 10 * SOL - 5000
    assert (await localnet.prepare(system_transfer(funded.address, TO, everything), funded.address)).max_fee == 5000
    with pytest.raises(InsufficientBalance):
        await localnet.prepare(system_transfer(funded.address, TO, everything - 1), funded.address)


# --- a node that tells more or less than it should ----------------------------------------------

SENDER = "7K1PZmsx5irxmne1SeeKFu4eGpsbrfjnPuoDSHYnhQaS"
PROGRAM = str(Keypair().pubkey())
AT = {"slot": 5}


def account(lamports: int, owner: str = SYSTEM, data: bytes = b"") -> dict:
    return {"lamports": lamports, "owner": owner, "data": [b64encode(data).decode(), "base64"]}


def node(before: list, after: list | None, *laters: list, fees: list | None = None) -> Node:
    """A node whose accounts are these before a simulation, and those in it; `laters` when they are read again."""
    states = iter([before, *(laters or [before])])
    simulated = {"err": None, "logs": [], "unitsConsumed": 500, "accounts": after}
    return Node(
        getMultipleAccounts=lambda addresses, config: {"context": AT, "value": next(states)},
        getRecentPrioritizationFees=fees or [],
        getMinimumBalanceForRentExemption=890_880,
        simulateTransaction={"context": AT, "value": simulated},
    )


ANY_CALL = call(PROGRAM, b"\1", (TO,))


async def test_lamports_that_a_program_takes_are_a_further_effect(make_chain):
    chain = make_chain(node([account(9 * SOL), None], [account(7 * SOL - 5000), account(2 * SOL)]))
    prepared = await chain.prepare(ANY_CALL, SENDER)
    assert prepared.undeclared == (Effect("TRANSFER", PROGRAM, NATIVE, 2 * SOL),)


async def test_an_account_that_is_assigned_to_a_program_has_left(make_chain):
    chain = make_chain(node([account(9 * SOL), None], [account(9 * SOL - 5000, PROGRAM), None]))
    prepared = await chain.prepare(ANY_CALL, SENDER)
    assert prepared.undeclared == (Effect("TRANSFER", PROGRAM, NATIVE, 9 * SOL - 5000),)


async def test_money_that_comes_in_is_no_effect(make_chain):
    chain = make_chain(node([account(9 * SOL), account(SOL)], [account(10 * SOL - 5000), None]))
    assert (await chain.prepare(ANY_CALL, SENDER)).undeclared == ()


async def test_accounts_that_change_meanwhile_make_the_simulation_worthless(make_chain):
    before, after = [account(9 * SOL), None], [account(9 * SOL - 5000), None]
    with pytest.raises(Transient, match="changed"):
        await make_chain(node(before, after, [account(8 * SOL), None])).prepare(ANY_CALL, SENDER)


async def test_other_peoples_accounts_may_change_meanwhile(make_chain):
    before, after = [account(9 * SOL), None], [account(9 * SOL - 5000), None]
    assert await make_chain(node(before, after, [account(9 * SOL), account(5)])).prepare(ANY_CALL, SENDER)


@pytest.mark.parametrize("after", [None, [], [account(9 * SOL)], [account(9 * SOL)] * 3, [account(-1), None]])
async def test_a_simulation_that_does_not_show_the_accounts_could_not_run(make_chain, after):
    with pytest.raises(Transient):
        await make_chain(node([account(9 * SOL), None], after)).prepare(ANY_CALL, SENDER)


async def test_a_node_that_cannot_show_accounts_is_transient(make_chain):
    broken = node([account(9 * SOL), None], [account(9 * SOL), None])
    broken.answers["getMultipleAccounts"] = refuse(-32602)
    with pytest.raises(Transient):
        await make_chain(broken).prepare(ANY_CALL, SENDER)


#: a price of 2,000,000 micro-lamports on 600 units: 1,200 lamports that the simulation did not pay
DEAR = [{"slot": 1, "prioritizationFee": 2_000_000}]


@pytest.mark.parametrize(
    ("rest", "error"),
    [(1199, InsufficientForFee), (1200, None), (1201, InsufficientBalance), (1200 + 890_880, None)],
)
async def test_what_a_call_leaves_behind_is_judged_with_the_fee_that_will_be_paid(make_chain, rest, error):
    chain = make_chain(node([account(9 * SOL), None], [account(rest), None], fees=DEAR))
    if error is None:
        assert (await chain.prepare(ANY_CALL, SENDER)).max_fee == 6200
    else:
        with pytest.raises(error):
            await chain.prepare(ANY_CALL, SENDER)


# --- batches -----------------------------------------------------------------------------------


async def test_a_batch_lands_as_one(localnet, clock, funded, bank, token):
    request = Batch(
        (
            pay(SOL, memo="first"),
            send(token, 5),
            send(token, 6, memo="third"),
            Approve(STRANGER, token, "9"),
            call(MEMO, b"last"),
        )
    )
    prepared = await localnet.prepare(request, funded.address)
    assert (prepared.rent, prepared.max_fee, prepared.undeclared) == (RENT, 5000 + RENT, ())
    assert localnet.fee_bound(request) == 5000 + 1_000_000 + 2_074_080
    signed = localnet.sign(prepared, await localnet.slot(funded.address), funded, AGENT)
    message = VersionedTransaction.from_bytes(signed.raw).message
    programs = [str(message.account_keys[one.program_id_index]) for one in message.instructions[2:]]
    assert programs == [SYSTEM, MEMO, ASSOCIATED_TOKEN, TOKEN, TOKEN, MEMO, TOKEN, MEMO]
    await localnet.broadcast(signed.raw, signed.hash)
    clock.pass_slots(1)
    assert (await localnet.statuses([signed.hash]))[signed.hash].ok
    receipt = (await localnet.receipts([signed.hash]))[signed.hash]
    assert (receipt.fee, receipt.outflow) == (5000, SOL + RENT)
    assert await localnet.balance(TO) == SOL
    assert await bank.held(token, TO) == 11


async def test_each_token_account_is_opened_once(localnet, clock, funded, bank, token):
    other = await bank.token(funded.address, 5, TOKEN_2022)
    request = Batch((send(token, 1), send(other, 2), send(token, 3), send(token, 4, STRANGER)))
    prepared = await localnet.prepare(request, funded.address)
    assert prepared.rent == 2 * RENT + 2_074_080
    assert localnet.fee_bound(request) == 5000 + 1_000_000 + 3 * 2_074_080
    assert (await land(localnet, clock, funded, request)).ok
    assert [await bank.held(token, TO), await bank.held(token, STRANGER)] == [4, 4]
    assert await bank.held(other, TO, TOKEN_2022) == 2


async def test_a_batch_of_which_one_part_fails_moves_nothing(localnet, clock, funded, bank, token, holder):
    signed = await make(localnet, funded, Batch((pay(SOL), send(token, 900_000))))
    assert (await land(localnet, clock, funded, send(token, 200_000))).ok
    before = await localnet.balance(funded.address)
    await localnet.broadcast(signed.raw, signed.hash)
    clock.pass_slots(1)
    sighting = (await localnet.statuses([signed.hash]))[signed.hash]
    assert (sighting.confirmed, sighting.ok) == (True, False)
    receipt = (await localnet.receipts([signed.hash]))[signed.hash]
    assert (receipt.fee, receipt.outflow) == (5000, 0)
    assert await localnet.balance(TO) == 0
    assert await bank.held(token, TO) == 200_000
    assert await localnet.balance(funded.address) == before - 5000


async def test_the_sum_of_a_batch_must_be_covered(localnet, funded, token):
    with pytest.raises(InsufficientTokenBalance) as caught:
        await localnet.prepare(Batch((send(token, 600_000), send(token, 600_000, STRANGER))), funded.address)
    assert caught.value.details == {"held": "1000000", "amount": "1200000"}
    with pytest.raises(InsufficientBalance):
        await localnet.prepare(Batch((pay(6 * SOL), pay(6 * SOL, to=STRANGER))), funded.address)
    with pytest.raises(InsufficientForFee):
        await localnet.prepare(Batch((pay(5 * SOL), pay(5 * SOL, to=STRANGER))), funded.address)


async def test_small_payments_to_one_new_account_count_together(localnet, clock, funded):
    half = 890_880 // 2
    with pytest.raises(InsufficientBalance):
        await localnet.prepare(Batch((pay(half), pay(half - 1))), funded.address)
    assert (await land(localnet, clock, funded, Batch((pay(half), pay(half))))).ok


@pytest.mark.parametrize(
    "bad",
    [
        lambda token, funded: send(Token(token.address, 5, "TOK"), 1),
        lambda token, funded: send(Token(TO, 6, "FAKE"), 1),
        lambda token, funded: send(token, 1, associated(funded.address, token.address, TOKEN)),
        lambda token, funded: Approve(TO, Token(WRAPPED_SOL, 9, "SOL"), "1"),
    ],
)
async def test_one_bad_item_refuses_the_whole_batch(localnet, funded, token, bad):
    with pytest.raises(TokenMismatch):
        await localnet.prepare(Batch((pay(SOL), bad(token, funded))), funded.address)


async def test_tokens_that_a_call_brings_in_can_be_sent_by_a_later_item(localnet, clock, funded, undeclared):
    issuer = Bank(localnet, clock, funded)
    token = Token(await issuer.mint(), DECIMALS, "OWN")
    holder = await issuer.open(token.address, funded.address)
    issue = call(TOKEN, bytes([7]) + little(5), (token.address, holder), (funded.address,), funded.address)
    request = Batch((issue, send(token, 5)))
    assert await undeclared(request) == ()
    assert (await land(localnet, clock, funded, request)).ok
    assert await issuer.held(token, TO) == 5


async def test_what_returns_to_oneself_can_be_sent_twice(localnet, clock, funded, token):
    twice = Batch((send(token, 600_000, funded.address), send(token, 600_000, funded.address)))
    assert (await land(localnet, clock, funded, twice)).ok


async def test_what_a_call_brings_in_can_be_spent_by_a_later_item(localnet, clock, funded, bank, undeclared):
    wrapped = await wrap(bank, funded.address)
    await give(localnet, clock, wrapped, 5 * SOL)
    await bank.land(instruction(TOKEN, bytes([17]), [wrapped]))
    request = Batch((close(wrapped, funded.address, funded.address), pay(12 * SOL)))
    assert await undeclared(request) == ()
    assert (await land(localnet, clock, funded, request)).ok
    assert await localnet.balance(TO) == 12 * SOL


async def test_an_approval_in_a_batch_tells_whom_it_replaces(localnet, clock, funded, token):
    assert (await land(localnet, clock, funded, Approve(STRANGER, token, "7"))).ok
    prepared = await localnet.prepare(Batch((pay(SOL), Approve(TO, token, "1"))), funded.address)
    assert prepared.notes == (f"Replaces the allowance of {STRANGER}, who may still move 7 base units.",)


async def test_equal_batches_on_one_blockhash_both_land(localnet, clock, funded, token):
    slot = await localnet.slot(funded.address)
    prepared = await localnet.prepare(Batch((pay(SOL), send(token, 1))), funded.address)
    for _ in range(2):
        signed = localnet.sign(prepared, slot, funded, AGENT)
        await localnet.broadcast(signed.raw, signed.hash)
    clock.pass_slots(1)
    assert await localnet.balance(TO) == 2 * SOL


# --- size (B08) --------------------------------------------------------------------------------


def payment_of(size: int, token: Token) -> Request:
    return pay(SOL, memo="x" * size)


def tokens_of(size: int, token: Token) -> Request:
    return send(token, 1, memo="x" * size)


def call_of(size: int, token: Token) -> Request:
    return call(MEMO, b"x" * size)


def batch_of(size: int, token: Token) -> Request:
    return Batch((pay(SOL), send(token, 1), Approve(STRANGER, token, "1"), call(MEMO, b"x" * size)))


@pytest.mark.parametrize("sized", [payment_of, tokens_of, call_of, batch_of])
async def test_a_transaction_has_1232_bytes_and_not_one_more(localnet, clock, funded, token, sized):
    room = build.LARGEST_TRANSACTION - len((await make(localnet, funded, sized(300, token))).raw) + 300
    assert len((await make(localnet, funded, sized(room - 1, token))).raw) == 1231
    largest = await make(localnet, funded, sized(room, token))
    assert len(largest.raw) == 1232
    with pytest.raises(TransactionTooLarge, match="1233 bytes"):
        await localnet.prepare(sized(room + 1, token), funded.address)
    await localnet.broadcast(largest.raw, largest.hash)
    clock.pass_slots(1)
    assert (await localnet.statuses([largest.hash]))[largest.hash].ok


async def test_more_accounts_than_have_room_are_too_large(localnet, funded):
    many = tuple(str(Keypair().pubkey()) for _ in range(64))
    with pytest.raises(TransactionTooLarge, match="64 accounts"):
        await localnet.prepare(call(MEMO, b"", (), many), funded.address)
