"""Parents and children: an EVM batch moves inside its items' commits, an approval waits for its reset.

A child is PENDING until its predecessor is CONFIRMED. The functions answer with what the parent's row needs in the
child's own commit, so that no crash leaves the two telling different stories.
"""

from typing import Any

import msgspec
import structlog

from waiaas.db import Database, Statement
from waiaas.domain.chain import native_of
from waiaas.domain.event import SYSTEM, Actor, AuditEvent, EventType
from waiaas.domain.transaction import FINAL, Reason, Status, Transaction, TransactionType
from waiaas.errors import StaleState
from waiaas.pipeline.core import Core
from waiaas.pipeline.each import each
from waiaas.pipeline.end import TOLD, closing, end_unspent
from waiaas.repositories import audit, outbox, queue, transactions

log = structlog.get_logger()

INCOMPLETE = "An earlier item of the batch failed; this one was not sent."


async def started(db: Database, child: Transaction, now: int) -> list[Statement]:
    """The parent's PENDING → EXECUTING with the first start."""
    parent = await _parent(db, child)
    if parent is None or parent.status is not Status.PENDING:
        return []
    told = audit.record(AuditEvent.TX_EXECUTING, SYSTEM, now, parent.about)
    return [transactions.mark_executing(parent.id, now), told]


async def signed(db: Database, child: Transaction, now: int) -> list[Statement]:
    """A batch's EXECUTING → SUBMITTED with the first signature."""
    parent = await _parent(db, child)
    if parent is None or parent.type is not TransactionType.BATCH or parent.status is not Status.EXECUTING:
        return []
    return [
        transactions.mark_submitted(parent.id, tx_hash=None, now=now),
        audit.record(AuditEvent.TX_SUBMITTED, SYSTEM, now, parent.about, child=child.id),
        # its items have their own
        outbox.emit(EventType.TX_SUBMITTED, now, parent.about, txHash=None),
    ]


async def confirmed(db: Database, child: Transaction, fee: str, now: int) -> list[Statement]:
    """The parent's end, if this was the last item that something was still expected of; `fee` as in the child's row."""
    parent = await _parent(db, child)
    if parent is None or parent.type is not TransactionType.BATCH:
        return []
    others = [tx for tx in await transactions.children(db, parent.id) if tx.id != child.id]
    return _end_batch(parent, [*others, msgspec.structs.replace(child, status=Status.CONFIRMED, fee=fee)], now)


async def ending(
    db: Database,
    tx: Transaction,
    to: Status,
    code: str,
    error: str,
    now: int,
    actor: Actor = SYSTEM,
    /,
    **evidence: Any,
) -> list[Statement]:
    """End one transaction without effect, with its items that wait, and what that means for its parent."""
    items = [child for child in await transactions.children(db, tx.id) if child.status is Status.PENDING]
    return [
        *end_unspent(tx, to, code, error, now, actor, **evidence),
        *(row for item in items for row in end_unspent(item, Status.CANCELLED, code, error, now, actor)),
        *await failed(db, tx, code, error, now),
    ]


async def end(core: Core, tx: Transaction, to: Status, code: str, error: str) -> None:
    """As `ending`, in a commit of its own, unless another step was first."""
    try:
        await core.db.commit(*await ending(core.db, tx, to, code, error[:500], core.clock.now()))
    except StaleState:
        log.info("moved_by_another_step", tx_id=tx.id)


async def failed(db: Database, child: Transaction, code: str, error: str, now: int) -> list[Statement]:
    """The items that wait are cancelled and released; the parent ends with the child's code."""
    parent = await _parent(db, child)
    if parent is None or parent.status in FINAL:
        return []
    if parent.type is not TransactionType.BATCH:
        error = f"The reset of the allowance failed: {error}"[:500]
        return [*end_unspent(parent, Status.FAILED, code, error, now), *await failed(db, parent, code, error, now)]
    others = [tx for tx in await transactions.children(db, parent.id) if tx.id != child.id]
    waiting = [tx for tx in others if tx.status is Status.PENDING]
    cancelled = [
        statement
        for tx in waiting
        for statement in end_unspent(tx, Status.CANCELLED, Reason.BATCH_INCOMPLETE, INCOMPLETE, now)
    ]
    codes = {tx.id: Reason.BATCH_INCOMPLETE for tx in waiting}
    ended = [msgspec.structs.replace(tx, error_code=codes.get(tx.id, tx.error_code)) for tx in others]
    ended.append(msgspec.structs.replace(child, error_code=code))
    landed = any(tx.status is Status.CONFIRMED for tx in others)
    return [*cancelled, *_end(parent, ended, landed, code, error, now)]


async def end_orphans(core: Core) -> None:
    """A stop cancelled the children that waited: what nothing is expected of any more ends by the same rules."""
    await each(*(_end_orphan(core, parent) for parent in await queue.orphans(core.db)))


async def _end_orphan(core: Core, parent: Transaction) -> None:
    now, children = core.clock.now(), await transactions.children(core.db, parent.id)
    if parent.type is TransactionType.BATCH:
        await core.db.commit(*_end_batch(parent, children, now))
        return
    ended = next(child for child in children if child.status is not Status.CONFIRMED)
    assert ended.error_code is not None
    assert ended.error is not None
    await core.db.commit(*await failed(core.db, ended, ended.error_code, ended.error, now))


def _end_batch(parent: Transaction, items: list[Transaction], now: int) -> list[Statement]:
    if any(tx.status not in FINAL for tx in items):
        return []
    missing = next((tx for tx in items if tx.status is not Status.CONFIRMED), None)
    if missing is not None:
        landed = any(tx.status is Status.CONFIRMED for tx in items)
        code, error = missing.error_code or Reason.BATCH_INCOMPLETE, missing.error or INCOMPLETE
        return _end(parent, items, landed, code, error, now)
    return [
        transactions.mark_confirmed(parent.id, tx_hash=None, fee=None, now=now),
        audit.record(AuditEvent.TX_CONFIRMED, SYSTEM, now, parent.about, items=len(items)),
        outbox.emit(EventType.TX_CONFIRMED, now, parent.about, txHash=None, fee=_paid(items)),
    ]


def _paid(items: list[Transaction]) -> dict[str, str]:
    """What the items cost together, in the form of `transactions.fee`."""
    fees = [msgspec.json.decode(tx.fee, type=dict[str, str]) for tx in items if tx.fee is not None]
    return {"amount": str(sum(int(fee["amount"]) for fee in fees)), "asset": native_of(items[0].network).asset}


def _end(
    parent: Transaction, items: list[Transaction], landed: bool, code: str, error: str, now: int
) -> list[Statement]:
    """PARTIAL_FAILURE if an item landed, FAILED if it had only begun, CANCELLED before that."""
    to = Status.CANCELLED if parent.status in (Status.PENDING, Status.QUEUED) else Status.FAILED
    audited, event = TOLD[to]
    told: dict[str, Any] = {"errorCode": code, "error": error}
    if landed:
        to, audited, event = Status.PARTIAL_FAILURE, AuditEvent.TX_PARTIAL_FAILURE, EventType.TX_PARTIAL_FAILURE
        told["children"] = _children(items)
    return [
        transactions.mark_ended(parent.id, was=parent.status, to=to, error=error, error_code=code, now=now),
        *closing(parent, now),
        audit.record(audited, SYSTEM, now, parent.about, code=code),
        outbox.emit(event, now, parent.about, **told),
    ]


def _children(items: list[Transaction]) -> list[dict[str, Any]]:
    """Every item in order, with the code it ended with; None: it is CONFIRMED."""
    ordered = sorted(items, key=lambda tx: tx.batch_index or 0)
    return [{"id": tx.id, "batchIndex": tx.batch_index, "errorCode": tx.error_code} for tx in ordered]


async def _parent(db: Database, child: Transaction) -> Transaction | None:
    return await transactions.get(db, child.parent_id) if child.parent_id else None
