"""Everything an agent holds goes to its owner: what is moved, in which order, and what stops it."""

import asyncio

import msgspec
import pytest

from tests.chains.conftest import KeySigner
from tests.chains.tokens import NON_TRANSFERABLE, instruction
from tests.pipeline.solana import open_bank
from tests.world import LOCALNET, OPERATOR, Between
from waiaas.chains.solana.programs import TOKEN, TOKEN_2022
from waiaas.chains.solana.tokens import associated
from waiaas.domain.transaction import Status, TransactionOrigin
from waiaas.errors import (
    AgentIsTerminated,
    FeeNotCovered,
    IdempotencyConflict,
    InsufficientForFee,
    KillSwitchActive,
    NoOwner,
    PolicyDenied,
    Reconciling,
    Transient,
    WithdrawLockedOnly,
)
from waiaas.pipeline.requests import withdraw as steps
from waiaas.pipeline.signing.replace import speed_up
from waiaas.pipeline.waiting.cancel import cancel
from waiaas.repositories import queue, transactions

CONFIRMED, PENDING = Status.CONFIRMED, Status.PENDING
LOCK = "UPDATE agents SET owner_address = :owner, owner_verified = :verified WHERE id = :id"
GWEI = 10**9
TRANSFER_GAS, TRANSFER_FEE = 21_000, 5000


async def own(world, owner: str | None, *, verified: bool = True):
    """Alice has this owner, who has signed or not."""
    await world.by_hand(LOCK, id=world.alice.id, owner=owner, verified=int(verified), touches=f"agent:{world.alice.id}")
    return owner


async def withdraw(world, scope: str = "all", key: str | None = None, tokens=()):
    return await steps.withdraw(world.core, world.alice.id, scope, tokens=tokens, key=key, actor=OPERATOR)


async def done(world, withdrawal):
    """The rows once workers have done what they can."""
    for _ in range(6):
        rows, _ = await queue.to_execute(world.core.db, world.network, after="", limit=100)
        for tx in rows:
            await world.execute(tx)
        await world.confirm()
    return [await world.row(tx) for tx in withdrawal.rows]


def told(rows):
    return [(row.type.value, row.amount, row.status, row.error_code) for row in rows]


@pytest.fixture
async def bank(world, core):
    return await open_bank(world)


@pytest.fixture
async def owner(world, core):
    return await own(world, KeySigner().address)


# --- Solana -----------------------------------------------------------------------------------


async def test_native_money_goes_to_the_last_lamport(world, core, owner):
    before = await world.balance(world.alice)
    accepted = await withdraw(world, "native")
    assert [(row.amount, row.status, row.session_id) for row in accepted.rows] == [(None, PENDING, None)]
    rows = await done(world, accepted)
    assert told(rows) == [("TRANSFER", str(before - TRANSFER_FEE), CONFIRMED, None)]
    assert await world.balance(world.alice) == 0
    assert await core.chains.chain(LOCALNET).balance(owner) == before - TRANSFER_FEE
    details = await world.details(accepted.rows[0], "FUND_WITHDRAWN")
    assert (details["to"], details["scope"], details["transactions"]) == (owner, "native", [accepted.rows[0].id])


@pytest.mark.parametrize("program", [TOKEN, TOKEN_2022])
async def test_tokens_go_first_and_their_rent_comes_back(world, core, bank, owner, program):
    # the invariants read no other program than the first
    world.tampered = program == TOKEN_2022
    token = await bank.token(world.alice.public_key, 1_000_000, program)
    before = await world.balance(world.alice)
    rows = await done(world, accepted := await withdraw(world))
    tokens, native = rows
    assert (accepted.left, tokens.status, tokens.amount) == ((), CONFIRMED, "1000000")
    assert await bank.held(token, owner, program) == 1_000_000
    assert await bank.account(associated(world.alice.public_key, token.address, program)) is None
    # the account that was opened cost what the one that was closed gave back
    spent = int(msgspec.json.decode(tokens.fee)["amount"]) + TRANSFER_FEE
    assert (native.status, native.amount) == (CONFIRMED, str(before - spent))
    assert await world.balance(world.alice) == 0


async def test_the_native_row_waits_until_every_token_row_is_final(world, core, bank, owner):
    for _ in range(2):
        await bank.token(world.alice.public_key, 5)
    accepted = await withdraw(world)
    *tokens, native = accepted.rows
    started, _ = await queue.to_execute(core.db, LOCALNET, after="", limit=10)
    assert [tx.id for tx in started] == [tx.id for tx in tokens]
    # its unsigned timeout begins when they have ended, however long they took
    await world.execute(tokens[0])
    await world.execute(tokens[1])
    world.clock.move(core.config.security.unsigned_timeout_seconds + 1)
    await world.expire()
    assert (await world.row(native)).status is PENDING
    await world.confirm()
    await world.expire()
    assert (await world.row(native)).status is PENDING
    world.clock.move(core.config.security.unsigned_timeout_seconds + 1)
    await world.expire()
    assert (await world.row(native)).error_code == "PENDING_TIMEOUT"


async def test_frozen_and_unsupported_tokens_stay_and_are_named(world, core, bank, owner):
    frozen = await bank.token(world.alice.public_key, 5)
    holder = associated(world.alice.public_key, frozen.address, TOKEN)
    await bank.land(instruction(TOKEN, bytes([10]), [holder], [frozen.address, bank.address], bank.address))
    bound = await bank.token(world.alice.public_key, 5, TOKEN_2022, NON_TRANSFERABLE)
    accepted = await withdraw(world)
    assert {(one.asset, one.reason) for one in accepted.left} == {
        (f"solana:{frozen.address}", "frozen"),
        (f"solana:{bound.address}", "unsupported"),
    }
    assert told(await done(world, accepted))[0][2:] == (CONFIRMED, None)


async def test_money_that_cannot_pay_its_fee_is_refused(world, core, owner):
    await done(world, await withdraw(world, "native"))
    with pytest.raises(FeeNotCovered) as refusal:
        await withdraw(world)
    assert refusal.value.details["address"] == world.alice.public_key


async def test_what_is_withdrawn_is_charged_to_no_window(world, core, owner):
    await done(world, await withdraw(world, "native"))
    book = await core.books.book(world.alice.id)
    assert book.used("native:solana", 86400, core.clock.now()) == 0
    assert await core.db.fetch_all("SELECT * FROM spend_ledger") == []


async def test_a_failed_sweep_ends_with_its_fee_and_books_nothing(world, core, owner):
    """Somebody gives a little between signature and landing: the chain lets no account keep so little."""
    accepted = await withdraw(world, "native")
    world.time_passes()
    world.faults.drop("sendTransaction")
    signed = await world.execute(accepted.rows[0])
    assert signed.status is Status.SUBMITTED
    await core.chains.chain(LOCALNET).faucet(world.alice.public_key, 1)
    await world.confirm(3)
    await world.confirm()
    row = await world.row(signed)
    assert (row.status, row.error_code) == (Status.FAILED, "ONCHAIN_FAILURE")
    assert told(await done(world, await withdraw(world, "native")))[0][2] is CONFIRMED


# --- who may, and when ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "error"), [(None, NoOwner), ("9B5XszUGdMaxCZ7uSQhPzdks5ZQSmWxrmzCSvtJ6Ns6g", WithdrawLockedOnly)]
)
async def test_only_an_owner_who_has_signed_gets_money(world, core, address, error):
    await own(world, address, verified=False)
    with pytest.raises(error):
        await withdraw(world)
    assert await world.rows() == []


@pytest.mark.parametrize("stop", ["suspend", "terminate"])
async def test_a_stopped_agents_money_goes_home(world, core, owner, stop):
    if stop == "terminate":
        await world.execute(await world.send())
    await getattr(world, stop)()
    rows = await done(world, await withdraw(world, "native"))
    assert rows[0].status is CONFIRMED


async def test_a_stop_meanwhile_does_not_cancel_it(world, core, owner):
    accepted = await withdraw(world, "native")
    await world.terminate()
    assert (await done(world, accepted))[0].status is CONFIRMED


async def test_a_terminated_agents_key_is_gone(world, core, owner):
    await world.terminate()
    with pytest.raises(AgentIsTerminated):
        await withdraw(world)


async def test_the_kill_switch_stops_it(world, core, owner):
    accepted = await withdraw(world, "native")
    await world.throw_switch()
    with pytest.raises(KillSwitchActive):
        await withdraw(world, "native")
    row = await world.execute(accepted.rows[0])
    assert (row.status, row.error_code) == (Status.CANCELLED, "KILL_SWITCH")


async def test_a_network_under_recovery_withdraws_nothing(world, core, owner):
    core.reconciling.add(world.network)
    with pytest.raises(Reconciling):
        await withdraw(world, "native")


async def test_the_kill_switch_thrown_while_it_is_prepared_leaves_no_row(world, core, owner):
    core.db = Between(core.db, transactions.INSERT, before=world.throw_switch)
    with pytest.raises(KillSwitchActive):
        await withdraw(world, "native")
    assert await world.rows() == []


@pytest.mark.parametrize("started", [False, True])
async def test_an_owner_who_changes_meanwhile_stops_it(world, core, owner, started):
    accepted = await withdraw(world, "native")
    tx = accepted.rows[0]
    if started:
        world.faults.drop("simulateTransaction")
        with pytest.raises(Transient):
            await world.execute(tx)
    await own(world, KeySigner().address)
    row = await world.execute(tx)
    assert (row.status, row.error_code) == (Status.FAILED if started else Status.CANCELLED, "OWNER_CHANGED")
    assert await world.attempts(tx) == []


async def test_an_owner_who_changes_while_it_is_prepared_gets_it(world, core, owner):
    """The commit is refused and all is looked at again: the new owner, who has signed too, gets it."""
    other = KeySigner().address
    world.faults.after("simulateTransaction", lambda: own(world, other))
    accepted = await withdraw(world, "native")
    assert (accepted.to, accepted.rows[0].to_address) == (other, other)


async def test_an_owner_who_changes_between_gate_and_signature_stops_it(world, core, owner):
    tx = (await withdraw(world, "native")).rows[0]
    world.faults.after("getLatestBlockhash", lambda: own(world, KeySigner().address))
    row = await world.execute(tx)
    assert (row.status, row.error_code) == (Status.FAILED, "OWNER_CHANGED")
    assert await world.attempts(tx) == []


async def test_what_is_signed_meanwhile_makes_it_wait(world, core, owner):
    tx, sent = (await withdraw(world, "native")).rows[0], await world.send(1000)
    core.db = Between(core.db, queue.IS_ALONE, before=lambda: world.execute(sent))
    row = await world.execute(tx)
    assert (row.status, await world.attempts(tx)) == (Status.EXECUTING, [])
    await world.confirm()
    assert (await world.execute(tx)).status is Status.SUBMITTED


async def test_a_session_cannot_take_it_back_and_the_operator_can(world, core, owner):
    tx = (await withdraw(world, "native")).rows[0]
    with pytest.raises(PolicyDenied):
        await cancel(core, tx.id, world.alice.id, OPERATOR)
    assert (await cancel(core, tx.id, None, OPERATOR)).status is Status.CANCELLED


async def test_it_waits_for_what_is_signed_and_sweeps_what_is_left(world, core, owner):
    sent = await world.execute(await world.send(1000))
    accepted = await withdraw(world, "native")
    assert (await queue.to_execute(core.db, LOCALNET, after="", limit=10))[0] == []
    rows = await done(world, accepted)
    assert ((await world.row(sent)).status, rows[0].status) == (CONFIRMED, CONFIRMED)
    assert await world.balance(world.alice) == 0


# --- once -------------------------------------------------------------------------------------


async def test_a_key_makes_one_withdrawal(world, core, bank, owner):
    await bank.token(world.alice.public_key, 5)
    first, second = await asyncio.gather(withdraw(world, key="k"), withdraw(world, key="k"))
    assert [row.id for row in first.rows] == [row.id for row in second.rows]
    assert sorted([first.replayed, second.replayed]) == [False, True]
    assert len(await world.rows()) == 2
    with pytest.raises(IdempotencyConflict):
        await withdraw(world, "native", key="k")
    sent = await world.send(key="other")
    with pytest.raises(IdempotencyConflict) as conflict:
        await withdraw(world, key="other")
    assert conflict.value.details["transactionId"] == sent.id


async def test_its_trace_holds_one_built_in_rule(world, core, owner):
    accepted = await withdraw(world, "native")
    tx = accepted.rows[0]
    decision = msgspec.json.decode(tx.decision)
    assert [(rule["type"], rule["policyId"], rule["outcome"]) for rule in decision["rules"]] == [
        ("withdraw", None, "pass")
    ]
    assert tx.origin is TransactionOrigin.WITHDRAW
    details = await world.details(tx, "FUND_WITHDRAWN")
    assert (details["to"], details["scope"], details["transactions"]) == (owner, "native", [tx.id])


# --- Ethereum ---------------------------------------------------------------------------------


async def test_on_evm_tokens_go_first_and_native_money_but_for_the_highest_fee(eth):
    owner = await own(eth, "0x00000000000000000000000000000000DeaDBeef")
    given = await eth.node.balance(owner)
    accepted = await withdraw(eth, tokens=[eth.token.address])
    tokens, native = await done(eth, accepted)
    assert told([tokens]) == [("TOKEN_TRANSFER", "1000000", CONFIRMED, None)]
    assert (native.status, await eth.node.balance(owner) - given) == (CONFIRMED, int(native.amount or 0))
    [attempt] = await eth.attempts(native)
    left = await eth.node.balance(eth.alice.public_key)
    # what of the highest fee was not used stays behind
    assert left == attempt.max_fee - attempt.fee
    assert attempt.max_fee % TRANSFER_GAS == 0


async def test_on_evm_a_sweep_cannot_be_made_dearer_but_can_be_cancelled(eth):
    await own(eth, "0x00000000000000000000000000000000DeaDBeef")
    await eth.node.hold()
    tx = await eth.execute((await withdraw(eth, "native")).rows[0])
    with pytest.raises(PolicyDenied):
        await eth.sped_up(tx, cancel=True)
    by_operator = {"fees": None, "actor": OPERATOR}
    with pytest.raises(InsufficientForFee):
        await speed_up(eth.core, tx.id, None, cancel=False, **by_operator)
    await speed_up(eth.core, tx.id, None, cancel=True, **by_operator)
    await eth.node.mine()
    await eth.confirm()
    assert await eth.said(tx) == [("FAILED", "CANCELLED_ON_CHAIN")]
