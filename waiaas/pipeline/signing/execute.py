"""PENDING → EXECUTING → SUBMITTED: prepare, pass the gate, sign, make the bytes durable, and only then send them."""

from collections.abc import Awaitable, Callable, Sequence

import msgspec
import structlog

from waiaas.chains import base
from waiaas.db import Statement
from waiaas.domain import request as requests
from waiaas.domain.approval import is_within, read_undeclared
from waiaas.domain.event import SYSTEM, AuditEvent, EventType
from waiaas.domain.ledger import LedgerKind
from waiaas.domain.request import Approve, Request
from waiaas.domain.tier import QUEUING
from waiaas.domain.transaction import Attempt, AttemptKind, AttemptStatus, Followed, Reason, Status, Transaction
from waiaas.errors import (
    ChainError,
    ChainRejected,
    ConstraintFailed,
    FeeAboveApproved,
    KeystoreLocked,
    Permanent,
    Stale,
    StaleState,
    Transient,
)
from waiaas.ids import new_id
from waiaas.metrics import Stage
from waiaas.pipeline import family
from waiaas.pipeline.core import Core
from waiaas.pipeline.elsewhere.allowances import settle_before
from waiaas.pipeline.requests import rows as begin
from waiaas.pipeline.requests.withdrawal import amount_decided
from waiaas.pipeline.signing.gate import THROWN, Pass, Stopped, open_generation, pass_gate
from waiaas.pipeline.signing.reset import needs_reset_first
from waiaas.repositories import approvals, attempts, audit, ledger, outbox, queue, transactions

#: how often a stale slot or a lost race is tried again at once
ROUNDS = 3

log = structlog.get_logger()


async def execute(core: Core, tx: Transaction) -> None:
    """Take one PENDING or unsigned EXECUTING row as far as SUBMITTED, or end it with its reason.

    Transient is raised when nothing is known, KeystoreError or KeystoreLocked when the key cannot be used: the caller
    tries again later, with nothing signed.
    """
    try:
        # before any node is asked: while the switch is on nothing waits for a node that does not answer
        await open_generation(core)
        request = stored_request(tx)
        if tx.status is Status.PENDING:
            tx = await _start(core, tx, request)
        attempt = await _prepare_and_sign(core, tx, request)
    except Stopped as stop:
        await _end(core, tx, stop.code, stop.message)
    except KeystoreLocked:
        # thrown between gate and signature, the kill switch has taken the key away
        if not (await core.switch.get("")).is_on:
            raise
        await _end(core, tx, Reason.KILL_SWITCH, THROWN)
    except Permanent as refusal:
        await _end(core, tx, refusal.code, refusal.message)
    except Stale as stale:
        raise Transient(stale.message) from stale
    except StaleState:
        log.info("moved_by_another_step", tx_id=tx.id)
    else:
        if attempt is not None:
            await send(core, attempt)


def stored_request(tx: Transaction) -> Request:
    """The request as it was accepted; Stopped if the stored text is not what its hash says."""
    try:
        if requests.digest(tx.request.encode()) == tx.request_hash:
            return requests.decode(tx.request)
    except msgspec.MsgspecError:
        log.exception("request_does_not_decode", tx_id=tx.id)
    raise Stopped(Reason.REQUEST_CORRUPTED, "The stored request is not the one that was accepted.")


async def _start(core: Core, tx: Transaction, request: Request) -> Transaction:
    now = core.clock.now()
    gate = await pass_gate(core, tx, request, fee=await reserved_fee(core, tx))
    await core.db.commit(
        transactions.mark_executing(tx.id, now),
        *await family.started(core.db, tx, now),
        *gate.guards(),
        audit.record(AuditEvent.TX_EXECUTING, SYSTEM, now, tx.about),
    )
    core.metrics.reached(tx.id, tx.network, Stage.EXECUTING)
    return msgspec.structs.replace(tx, status=Status.EXECUTING, updated_at=now)


async def _prepare_and_sign(core: Core, tx: Transaction, request: Request) -> Attempt | None:
    """The attempt, durable; None if an allowance must be reset first. Permanent, Transient, Stopped, StaleState."""
    chain = core.chains.chain(tx.network)
    agent = await core.agents.get(tx.agent_id)
    prepared = await chain.prepare(request, agent.public_key)
    if await needs_reset_first(core, tx, request, prepared):
        return None
    await settle_before(core, agent, tx, request)

    async def move(attempt: Attempt) -> list[Statement]:
        now = attempt.created_at
        alone = [queue.is_only_approval(tx)] if isinstance(request, Approve) else []
        told: dict[str, object] = {"txHash": attempt.tx_hash, "maxFee": str(attempt.max_fee)}
        # what an approval replaces, for instance
        told |= {"notes": prepared.notes} if prepared.notes else {}
        return [
            *alone,
            transactions.mark_submitted(tx.id, tx_hash=attempt.tx_hash, now=now),
            *await family.signed(core.db, tx, now),
            *amount_decided(tx, prepared.request),
            audit.record(AuditEvent.TX_SUBMITTED, SYSTEM, now, tx.about, **told),
            outbox.emit(EventType.TX_SUBMITTED, now, tx.about, txHash=attempt.tx_hash),
        ]

    attempt = await _sign(core, tx, prepared, number=1, move=move)
    core.metrics.reached(tx.id, tx.network, Stage.SUBMITTED)
    return attempt


async def sign_again(
    core: Core, tx: Transaction, dead: Sequence[Followed], proof: base.Proof, told: Sequence[Statement] = ()
) -> Attempt:
    """A further attempt under the same id, in the commit that buries the proven dead; durable, not yet sent.

    `told` goes with it: what else that commit has to say.
    """
    prepared = await core.chains.chain(tx.network).prepare(stored_request(tx), dead[-1].signer)
    if prepared.needs_reset:
        raise Permanent("The allowance has been changed meanwhile: it would have to be reset first.")

    async def move(attempt: Attempt) -> list[Statement]:
        now = attempt.created_at
        hashes = {"dead": tx.tx_hash, "txHash": attempt.tx_hash}
        return [
            transactions.mark_signed_again(tx.id, was=tx.tx_hash or "", tx_hash=attempt.tx_hash, now=now),
            *amount_decided(tx, prepared.request),
            audit.record(AuditEvent.TX_REPLACED, SYSTEM, now, tx.about, **hashes, **proof.evidence),
            outbox.emit(EventType.TX_REPLACED, now, tx.about, kind=attempt.kind, txHash=attempt.tx_hash),
            *told,
        ]

    burials = [attempts.die(attempt.id, core.clock.now()) for attempt in dead]
    return await _sign(core, tx, prepared, number=dead[-1].number + 1, move=move, burials=burials)


async def _sign(
    core: Core,
    tx: Transaction,
    prepared: base.Prepared,
    *,
    number: int,
    move: Callable[[Attempt], Awaitable[list[Statement]]],
    burials: Sequence[Statement] = (),
) -> Attempt:
    """Gate, slot, signature and the commit that makes it durable; from the gate again if that is stale."""
    chain = core.chains.chain(tx.network)
    reserved = await reserved_fee(core, tx)
    was = tx.status
    for rounds_left in reversed(range(ROUNDS)):
        fee = max(reserved, prepared.max_fee)
        await _check_approved_outflow(core, tx, prepared.undeclared)
        gate = await pass_gate(core, tx, prepared.request, fee=fee, undeclared=prepared.undeclared)
        try:
            slot = await chain.slot(prepared.sender)
            async with core.lanes.hold(tx, prepared.sender, slot) as held:
                signed = chain.sign(prepared, held, core.keystore, tx.agent_id)
                await check_approved_fee(core, tx, signed.max_fee)
                attempt = make_attempt(core, tx, prepared.sender, signed, number, AttemptKind.SEND)
                await core.db.commit(
                    *gate.guards(),
                    *fee_statements(tx, signed.max_fee, gate, reserved, attempt.created_at, prepared.undeclared),
                    *burials,
                    attempts.insert(attempt),
                    *await move(attempt),
                )
        except Stale as stale:
            if not rounds_left:
                raise Transient(stale.message) from stale
        except ConstraintFailed as taken:
            # a nonce: somebody outside this lane was faster; a hash: equal bytes were signed before a restart
            if not rounds_left or not taken.name.endswith(("nonce", "tx_hash")):
                raise
        except StaleState:
            # a guard failed: the gate says why, unless another step has moved the row
            core.books.forget(tx.agent_id)
            if not rounds_left or (await transactions.get(core.db, tx.id)).status is not was:
                raise
        else:
            return attempt
    raise StaleState


def fee_statements(
    tx: Transaction, max_fee: int, gate: Pass, reserved: int, now: int, undeclared: Sequence[requests.Effect] = ()
) -> list[Statement]:
    """The fee reservation becomes the signed bound, undeclared outflow is booked; more needs the ledger as judged."""
    if tx.is_withdrawal:
        return [ledger.touch(tx.agent_id)]
    extra = begin.undeclared(tx, undeclared, now)
    raised = max_fee > reserved or extra
    version = gate.ledger_guard() if raised else ledger.touch(tx.agent_id)
    return [version, ledger.set_fee(tx.id, max_fee), *(ledger.reserve(row) for row in extra)]


async def reserved_fee(core: Core, tx: Transaction) -> int:
    """What the ledger has set aside for the transaction's fee, in native base units."""
    rows = (await core.books.book(tx.agent_id)).set_aside(tx.id)
    return sum(row.reserved for row in rows if row.kind is LedgerKind.FEE)


async def check_approved_fee(core: Core, tx: Transaction, max_fee: int) -> None:
    """FeeAboveApproved if an owner has signed for the transaction and bytes with this bound go beyond that."""
    if tx.tier not in QUEUING:
        return
    approval = await approvals.signed_for(core.db, tx.id)
    if approval is None or approval.max_fee is None:
        return
    if max_fee > (most := int(approval.max_fee) - await ledger.fees_beside(core.db, tx.id)):
        raise FeeAboveApproved(f"The fee may now be {max_fee}, and the owner has signed for {most} at most.")


async def _check_approved_outflow(core: Core, tx: Transaction, undeclared: Sequence[requests.Effect]) -> None:
    """Stopped if an owner has signed for the transaction and more leaves undeclared than the text said."""
    if not undeclared or tx.tier not in QUEUING:
        return
    approval = await approvals.signed_for(core.db, tx.id)
    if approval is not None and not is_within(undeclared, read_undeclared(approval.undeclared)):
        raise Stopped(Reason.OUTFLOW_NOT_APPROVED, "More would leave than the owner has signed for.")


def make_attempt(
    core: Core, tx: Transaction, signer: str, signed: base.Signed, number: int, kind: AttemptKind
) -> Attempt:
    """The row of freshly signed bytes: LIVE, not sent."""
    slot = signed.slot
    blockhash = slot if isinstance(slot, base.Blockhash) else None
    return Attempt(
        id=new_id(),
        tx_id=tx.id,
        number=number,
        kind=kind,
        network=tx.network,
        signer=signer,
        tx_hash=signed.hash,
        raw=signed.raw,
        nonce=slot.number if isinstance(slot, base.Nonce) else None,
        blockhash=blockhash.blockhash if blockhash else None,
        last_valid_block_height=blockhash.last_valid_block_height if blockhash else None,
        context_slot=blockhash.context_slot if blockhash else None,
        max_fee=signed.max_fee,
        status=AttemptStatus.LIVE,
        broadcasts=0,
        endpoint=None,
        first_broadcast_at=None,
        last_broadcast_at=None,
        last_seen_at=None,
        block_number=None,
        block_hash=None,
        confirmations=None,
        fee=None,
        error=None,
        rejected_at=None,
        created_at=core.clock.now(),
        finished_at=None,
    )


def slot_of(attempt: Followed) -> base.Slot:
    """What limits the life of stored bytes."""
    if attempt.nonce is not None:
        return base.Nonce(attempt.nonce)
    assert attempt.blockhash is not None
    assert attempt.last_valid_block_height is not None
    assert attempt.context_slot is not None
    return base.Blockhash(attempt.blockhash, attempt.last_valid_block_height, attempt.context_slot)


async def send(core: Core, attempt: Attempt) -> None:
    """Send durable bytes once; whatever the answer, only the chain ends the transaction.

    Not while the kill switch is on: what was signed just before is kept, and sent when that is lifted.
    """
    now = core.clock.now()
    if (await core.switch.get("")).is_on:
        log.warning("not_sent_while_the_kill_switch_is_on", tx_id=attempt.tx_id)
        return
    try:
        endpoint = await core.chains.chain(attempt.network).broadcast(attempt.raw, attempt.tx_hash)
    except ChainError as error:
        log.warning("broadcast_unclear", tx_id=attempt.tx_id, error=error.message)
        await _note_refusal(core, attempt, error, now)
    else:
        await core.db.commit(attempts.sent(attempt.id, endpoint, now))
    core.confirm_soon[attempt.network].set()


async def _note_refusal(core: Core, attempt: Attempt, error: ChainError, now: int) -> None:
    noted = attempts.rejected if isinstance(error, ChainRejected) else attempts.refused
    try:
        await core.db.commit(noted(attempt.id, error.message[:500], now))
    except StaleState:
        log.info("landed_nevertheless", tx_id=attempt.tx_id)


async def _end(core: Core, tx: Transaction, code: str, message: str) -> None:
    """PENDING → CANCELLED, EXECUTING → FAILED; nothing signed is durable, so nothing can land."""
    to = Status.CANCELLED if tx.status is Status.PENDING else Status.FAILED
    await family.end(core, tx, to, code, message)
    core.execute_soon.set()
