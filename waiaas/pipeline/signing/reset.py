"""The reset before an EVM approval: an allowance that is not 0 is set to 0 first, by a child of its own."""

import msgspec

from waiaas.chains import base
from waiaas.domain.chain import native_of
from waiaas.domain.event import SYSTEM, AuditEvent, EventType
from waiaas.domain.ledger import LedgerKind
from waiaas.domain.request import Approve, Request, canonical, digest
from waiaas.domain.transaction import Status, Transaction
from waiaas.errors import Transient
from waiaas.ids import new_id
from waiaas.pipeline.core import Core
from waiaas.pipeline.requests.rows import asked_for, ledger_row
from waiaas.repositories import audit, ledger, outbox, transactions


async def needs_reset_first(core: Core, tx: Transaction, request: Request, prepared: base.Prepared) -> bool:
    """Whether the approval has to wait for its reset; the child is made in a commit of its own if it is not there.

    The child's fee is split from the parent's reservation, so the sum set aside does not change.
    """
    if not prepared.needs_reset or not isinstance(request, Approve):
        return False
    if children := await transactions.children(core.db, tx.id):
        if all(child.status is Status.CONFIRMED for child in children):
            raise Transient("The allowance was set to 0, and the node does not say so yet.")
        return True
    rows = await ledger.of_transaction(core.db, tx.id)
    reserved = sum(row.reserved for row in rows if row.kind is LedgerKind.FEE)
    child = _child(tx, request, core.clock.now())
    fee = ledger_row(child, native_of(tx.network).asset, LedgerKind.FEE, reserved // 2, None, child.created_at)
    await core.db.commit(
        transactions.is_still(tx.id, Status.EXECUTING),
        ledger.touch(tx.agent_id),
        ledger.set_fee(tx.id, reserved - reserved // 2),
        transactions.insert(child),
        ledger.reserve(fee),
        audit.record(AuditEvent.TX_REQUESTED, SYSTEM, child.created_at, child.about, reset=tx.id),
        outbox.emit(EventType.TX_REQUESTED, child.created_at, child.about, **asked_for(child)),
    )
    core.execute_soon.set()
    return True


def _child(tx: Transaction, request: Approve, now: int) -> Transaction:
    revoke = msgspec.structs.replace(request, amount="0")
    text = canonical(revoke)
    return msgspec.structs.replace(
        tx,
        id=new_id(),
        parent_id=tx.id,
        batch_index=0,
        status=Status.PENDING,
        request=text.decode(),
        request_hash=digest(text),
        idempotency_key=None,
        amount="0",
        approved_amount="0",
        created_at=now,
        updated_at=now,
    )
