"""Signed bytes are in a block: the transaction ends, or is confirmed, and its money is settled in the same commit."""

import msgspec

from waiaas.chains import base
from waiaas.db import Statement
from waiaas.domain.chain import native_of
from waiaas.domain.event import SYSTEM, AuditEvent, EventType
from waiaas.domain.ledger import LedgerKind, LedgerRow
from waiaas.domain.transaction import AttemptKind, AttemptStatus, Followed, Reason, Status, Transaction, TransactionType
from waiaas.metrics import Stage
from waiaas.pipeline import family
from waiaas.pipeline.core import Core
from waiaas.pipeline.elsewhere.allowances import replaced
from waiaas.repositories import attempts, audit, ledger, outbox, transactions


async def land(
    core: Core,
    tx: Transaction,
    rows: list[LedgerRow],
    attempt: Followed,
    rivals: list[Followed],
    sighting: base.Sighting,
    receipt: base.Receipt,
) -> None:
    """SUBMITTED → CONFIRMED, or FAILED once a failure is final. `rivals` are other attempts with the same nonce.

    `rows` are what the ledger has of the transaction. One that was CONFIRMED before a reorganisation is only noted as
    landed again.
    """
    now = core.clock.now()
    landed = attempts.land(
        attempt,
        block=receipt.block,
        block_hash=sighting.block_hash,
        confirmations=sighting.confirmations,
        fee=receipt.fee,
        error=sighting.error,
        finalized=sighting.finalized,
        now=now,
    )
    superseded = [attempts.replace(rival.id) for rival in rivals if rival.status is AttemptStatus.LIVE]
    buried = [attempts.bury_rivals(attempt, now)] if sighting.finalized and attempt.nonce is not None else []
    ending: list[Statement] = []
    if tx.status is Status.SUBMITTED:
        ending = await _ending(core, tx, rows, attempt, sighting, receipt, now)
    if sighting.ok and sighting.finalized and attempt.kind is not AttemptKind.CANCEL:
        ending.append(outbox.emit(EventType.TX_FINALIZED, now, tx.about, txHash=attempt.tx_hash))
    # a rival must stop being LIVE before this one can have been revived to it
    await core.db.commit(*superseded, landed, *buried, *ending)
    if tx.status is Status.SUBMITTED and sighting.ok and attempt.kind is not AttemptKind.CANCEL:
        core.metrics.reached(tx.id, tx.network, Stage.CONFIRMED)
        if sighting.finalized:
            core.metrics.reached(tx.id, tx.network, Stage.FINAL)
    if tx.type is TransactionType.APPROVE and sighting.finalized:
        core.allowances_soon.set()
    core.execute_soon.set()


async def _ending(
    core: Core,
    tx: Transaction,
    rows: list[LedgerRow],
    attempt: Followed,
    sighting: base.Sighting,
    receipt: base.Receipt,
    now: int,
) -> list[Statement]:
    if attempt.kind is AttemptKind.CANCEL:
        code, error = Reason.CANCELLED_ON_CHAIN, "Cancelled: a transfer of nothing took its nonce."
        return [*_lost(tx, attempt, receipt, code, error, now), *await family.failed(core.db, tx, code, error, now)]
    if sighting.ok:
        granted = await replaced(core, tx, attempt.signer, attempt.tx_hash, receipt.block, now)
        parents = await family.confirmed(core.db, tx, paid(tx, receipt), now)
        return [*_confirmed(tx, attempt, receipt, rows, now), *granted, *parents]
    code, error = Reason.ONCHAIN_FAILURE, f"It landed and failed: {sighting.error or 'the chain gives no reason'}"[:500]
    return [*_lost(tx, attempt, receipt, code, error, now), *await family.failed(core.db, tx, code, error, now)]


def _confirmed(
    tx: Transaction, attempt: Followed, receipt: base.Receipt, rows: list[LedgerRow], now: int
) -> list[Statement]:
    fee = paid(tx, receipt)
    told = {"txHash": attempt.tx_hash, "block": receipt.block, "fee": str(receipt.fee)}
    return [
        transactions.mark_confirmed(tx.id, tx_hash=attempt.tx_hash, fee=fee, now=now),
        ledger.touch(tx.agent_id),
        *([] if tx.is_withdrawal else _spent(tx, receipt, rows, now)),
        audit.record(AuditEvent.TX_CONFIRMED, SYSTEM, now, tx.about, **told),
        outbox.emit(EventType.TX_CONFIRMED, now, tx.about, txHash=attempt.tx_hash, fee=msgspec.Raw(fee.encode())),
    ]


def _spent(tx: Transaction, receipt: base.Receipt, rows: list[LedgerRow], now: int) -> list[Statement]:
    """Every amount as declared, the fee as paid; where the chain tells what native money left, that is what is booked.

    What left beyond the native amounts set aside is rent for accounts that the transaction made: part of the fee.
    """
    native = native_of(tx.network).asset
    set_aside = sum(row.reserved for row in rows if row.asset == native and row.kind is LedgerKind.AMOUNT)
    # a call may also bring money in: then nothing left
    outflow = set_aside if receipt.outflow is None else max(0, receipt.outflow)
    amount = min(outflow, set_aside)
    rent = outflow - amount
    return [
        *_native_amounts(tx, rows, native, amount, now),
        ledger.settle_amounts(tx.id, now),
        ledger.settle(tx.id, LedgerKind.FEE, native, receipt.fee + rent, now),
    ]


def _native_amounts(tx: Transaction, rows: list[LedgerRow], native: str, amount: int, now: int) -> list[Statement]:
    """The native rows take what really left, the first of them first."""
    statements = []
    for row in rows:
        if row.asset == native and row.kind is LedgerKind.AMOUNT:
            part = min(amount, row.reserved)
            statements.append(ledger.settle_row(row.id, part, now))
            amount -= part
    return statements


def _lost(
    tx: Transaction, attempt: Followed, receipt: base.Receipt, code: str, error: str, now: int
) -> list[Statement]:
    """FAILED with a fee that was paid all the same; the amounts are given back."""
    native = native_of(tx.network).asset
    told = {"code": code, "txHash": attempt.tx_hash, "fee": str(receipt.fee)}
    return [
        transactions.mark_ended(
            tx.id, was=tx.status, to=Status.FAILED, error=error, error_code=code, now=now, fee=paid(tx, receipt)
        ),
        ledger.touch(tx.agent_id),
        *([] if tx.is_withdrawal else [ledger.settle(tx.id, LedgerKind.FEE, native, receipt.fee, now)]),
        ledger.release(tx.id, now),
        audit.record(AuditEvent.TX_FAILED, SYSTEM, now, tx.about, **told),
        outbox.emit(EventType.TX_FAILED, now, tx.about, errorCode=code, error=error),
    ]


def paid(tx: Transaction, receipt: base.Receipt) -> str:
    """`transactions.fee`: JSON {amount, asset} as paid."""
    fee = {"amount": str(receipt.fee), "asset": native_of(tx.network).asset}
    return msgspec.json.encode(fee, order="sorted").decode()


async def finalize(core: Core, attempt: Followed) -> None:
    """Nobody watches it any more, and what had the same nonce is dead."""
    tx = await transactions.get(core.db, attempt.tx_id)
    now = core.clock.now()
    buried = [attempts.bury_rivals(attempt, now)] if attempt.nonce is not None else []
    # a cancel that landed has ended it FAILED: of that, nothing more is to be told
    confirmed = tx.status is Status.CONFIRMED
    told = [outbox.emit(EventType.TX_FINALIZED, now, tx.about, txHash=attempt.tx_hash)] if confirmed else []
    await core.db.commit(attempts.finalize(attempt.id, now), *buried, *told)
    if tx.status is Status.CONFIRMED:
        core.metrics.reached(tx.id, tx.network, Stage.FINAL)
    if tx.type is TransactionType.APPROVE:
        core.allowances_soon.set()


async def unland(core: Core, attempt: Followed) -> None:
    """The block it was in is gone: the same bytes again. CONFIRMED stays CONFIRMED, and the money stays spent."""
    tx = await transactions.get(core.db, attempt.tx_id)
    now = core.clock.now()
    told = {"txHash": attempt.tx_hash, "block": attempt.block_number}
    await core.db.commit(
        attempts.revive(attempt.id),
        audit.record(AuditEvent.TX_REORGED, SYSTEM, now, tx.about, **told),
        outbox.emit(EventType.TX_REORGED, now, tx.about, **told),
    )
