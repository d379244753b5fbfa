"""PENDING → EXECUTING → SUBMITTED: prepare, pass the gate, sign, make the bytes durable, and only then send them."""

import msgspec
import structlog

from waiaas.chains import base
from waiaas.db import Statement
from waiaas.domain import request as requests
from waiaas.domain.event import SYSTEM, AuditEvent, EventType
from waiaas.domain.ledger import LedgerKind
from waiaas.domain.request import Request
from waiaas.domain.transaction import Attempt, AttemptKind, AttemptStatus, Reason, Status, Transaction
from waiaas.errors import ChainError, Permanent, Stale, StaleState, Transient
from waiaas.ids import new_id
from waiaas.pipeline.core import Core
from waiaas.pipeline.end import end_unspent
from waiaas.pipeline.gate import Pass, Stopped, pass_gate
from waiaas.repositories import attempts, audit, ledger, outbox, transactions

#: how often a stale slot or a lost race is tried again at once
ROUNDS = 3

log = structlog.get_logger()


class Ready(msgspec.Struct, frozen=True):
    """Signed, and allowed when the gate was passed; nothing durable yet."""

    attempt: Attempt
    gate: Pass
    #: what the ledger has set aside for the fee so far
    reserved_fee: int


async def execute(core: Core, tx: Transaction) -> None:
    """Take one PENDING or unsigned EXECUTING row as far as SUBMITTED, or end it with its reason.

    Transient is raised when nothing is known, KeystoreError or KeystoreLocked when the key cannot be used: the caller
    tries again later, with nothing signed.
    """
    try:
        request = stored_request(tx)
        if tx.status is Status.PENDING:
            tx = await _start(core, tx, request)
        attempt = await _sign(core, tx, request)
    except Stopped as stop:
        await _end(core, tx, stop.code, stop.message)
    except Permanent as refusal:
        await _end(core, tx, refusal.code, refusal.message)
    except Stale as stale:
        raise Transient(stale.message) from stale
    except StaleState:
        log.info("moved_by_another_step", tx_id=tx.id)
    else:
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
    gate = await pass_gate(core, tx, request, fee=await _reserved_fee(core, tx))
    await core.db.commit(
        transactions.mark_executing(tx.id, now),
        *gate.guards(),
        audit.record(AuditEvent.TX_EXECUTING, SYSTEM, now, tx.about),
    )
    return msgspec.structs.replace(tx, status=Status.EXECUTING, updated_at=now)


async def _sign(core: Core, tx: Transaction, request: Request) -> Attempt:
    """The attempt, durable; Permanent, Transient, Stopped, or StaleState when another step was first."""
    chain = core.chains.chain(tx.network)
    agent = await core.agents.get(tx.agent_id)
    prepared = await chain.prepare(request, agent.public_key)
    for rounds_left in reversed(range(ROUNDS)):
        ready = await make_ready(core, tx, request, prepared, number=1)
        try:
            await core.db.commit(
                *ready.gate.guards(),
                *fee_statements(tx, ready),
                attempts.insert(ready.attempt),
                transactions.mark_submitted(tx.id, tx_hash=ready.attempt.tx_hash, now=ready.attempt.created_at),
                *_submitted(tx, ready.attempt),
            )
        except StaleState:
            # a guard failed: the gate says why, unless another step has moved the row
            core.books.forget(tx.agent_id)
            if not rounds_left or (await transactions.get(core.db, tx.id)).status is not Status.EXECUTING:
                raise
        else:
            return ready.attempt
    raise StaleState


async def make_ready(core: Core, tx: Transaction, request: Request, prepared: base.Prepared, *, number: int) -> Ready:
    """Pass the gate with the exact fee bound, fetch the slot last, and sign; nothing is stored."""
    chain = core.chains.chain(tx.network)
    reserved = await _reserved_fee(core, tx)
    for rounds_left in reversed(range(ROUNDS)):
        gate = await pass_gate(core, tx, request, fee=max(reserved, prepared.max_fee))
        try:
            slot = await chain.slot()
            signed = chain.sign(prepared, slot, core.keystore, tx.agent_id)
        except Stale as stale:
            if not rounds_left:
                raise Transient(stale.message) from stale
            continue
        return Ready(_attempt(core, tx, gate, signed, number), gate, reserved)
    raise Transient


def fee_statements(tx: Transaction, ready: Ready) -> list[Statement]:
    """The fee reservation becomes the signed bound; raising it needs the ledger as it was judged."""
    raised = ready.attempt.max_fee > ready.reserved_fee
    version = ready.gate.ledger_guard() if raised else ledger.touch(tx.agent_id)
    return [version, ledger.set_fee(tx.id, ready.attempt.max_fee)]


async def _reserved_fee(core: Core, tx: Transaction) -> int:
    rows = await ledger.of_transaction(core.db, tx.id)
    return sum(row.reserved for row in rows if row.kind is LedgerKind.FEE)


def _attempt(core: Core, tx: Transaction, gate: Pass, signed: base.Signed, number: int) -> Attempt:
    return Attempt(
        id=new_id(),
        tx_id=tx.id,
        number=number,
        kind=AttemptKind.SEND,
        network=tx.network,
        signer=gate.agent.public_key,
        tx_hash=signed.hash,
        raw=signed.raw,
        blockhash=signed.slot.blockhash,
        last_valid_block_height=signed.slot.last_valid_block_height,
        context_slot=signed.slot.context_slot,
        max_fee=signed.max_fee,
        status=AttemptStatus.LIVE,
        broadcasts=0,
        endpoint=None,
        first_broadcast_at=None,
        last_broadcast_at=None,
        last_seen_at=None,
        block_number=None,
        confirmations=None,
        fee=None,
        error=None,
        created_at=core.clock.now(),
        finished_at=None,
    )


def _submitted(tx: Transaction, attempt: Attempt) -> list[Statement]:
    now = attempt.created_at
    return [
        audit.record(
            AuditEvent.TX_SUBMITTED, SYSTEM, now, tx.about, txHash=attempt.tx_hash, maxFee=str(attempt.max_fee)
        ),
        outbox.emit(EventType.TX_SUBMITTED, now, tx.about, txHash=attempt.tx_hash),
    ]


async def send(core: Core, attempt: Attempt) -> None:
    """Send durable bytes once; whatever the answer, only the chain ends the transaction."""
    now = core.clock.now()
    try:
        endpoint = await core.chains.chain(attempt.network).broadcast(attempt.raw, attempt.tx_hash)
    except ChainError as error:
        log.warning("broadcast_unclear", tx_id=attempt.tx_id, error=error.message)
        await _note_refusal(core, attempt, error, now)
    else:
        await core.db.commit(attempts.sent(attempt.id, endpoint, now))
    core.confirm_soon[attempt.network].set()


async def _note_refusal(core: Core, attempt: Attempt, error: ChainError, now: int) -> None:
    try:
        await core.db.commit(attempts.refused(attempt.id, error.message[:500], now))
    except StaleState:
        log.info("landed_nevertheless", tx_id=attempt.tx_id)


async def _end(core: Core, tx: Transaction, code: str, message: str) -> None:
    """PENDING → CANCELLED, EXECUTING → FAILED; nothing signed is durable, so nothing can land."""
    to = Status.CANCELLED if tx.status is Status.PENDING else Status.FAILED
    try:
        await core.db.commit(*end_unspent(tx, to, code, message[:500], core.clock.now()))
    except StaleState:
        log.info("moved_by_another_step", tx_id=tx.id)
