"""How a transaction ends without landing: one list of statements for every reason."""

from collections.abc import Iterable
from typing import Any

from waiaas.db import Statement
from waiaas.domain.event import SYSTEM, Actor, AuditEvent, EventType
from waiaas.domain.transaction import Reason, Status, Transaction
from waiaas.repositories import approvals, audit, ledger, outbox, transactions

TOLD = {
    Status.CANCELLED: (AuditEvent.TX_CANCELLED, EventType.TX_CANCELLED),
    Status.EXPIRED: (AuditEvent.TX_EXPIRED, EventType.TX_EXPIRED),
    Status.FAILED: (AuditEvent.TX_FAILED, EventType.TX_FAILED),
}
#: what a stop says of all that it takes with it
STOPPED = {
    Reason.KILL_SWITCH: "The kill switch was thrown before this was signed.",
    Reason.AGENT_TERMINATED: "The agent was terminated before this was signed.",
    Reason.AGENT_SUSPENDED: "The agent was suspended before this was signed.",
    Reason.SESSION_REVOKED: "The session was revoked before this was signed.",
}


def end_unspent(
    tx: Transaction, to: Status, code: str, error: str, now: int, actor: Actor = SYSTEM, /, **evidence: Any
) -> list[Statement]:
    """CANCELLED, EXPIRED or FAILED with no effect on chain: what was set aside is given back, all in one commit.

    Only for a transaction that has no signed bytes, or whose bytes are proven dead (`evidence`, for the audit row).
    """
    audited, event = TOLD[to]
    if to is Status.EXPIRED and code == Reason.APPROVAL_TIMEOUT:
        event = EventType.TX_APPROVAL_EXPIRED
    return [
        transactions.mark_ended(tx.id, was=tx.status, to=to, error=error, error_code=code, now=now),
        ledger.touch(tx.agent_id),
        ledger.release(tx.id, now),
        *closing(tx, now),
        audit.record(audited, actor, now, tx.about, code=code, was=tx.status, **evidence),
        outbox.emit(event, now, tx.about, errorCode=code, error=error),
    ]


def closing(tx: Transaction, now: int) -> list[Statement]:
    """For every commit that takes a transaction out of QUEUED without its owner: nobody decides it any more."""
    return [approvals.close(tx.id, now)] if tx.status is Status.QUEUED else []


def cancel_all(open_rows: Iterable[Transaction], code: Reason, now: int, actor: Actor) -> list[Statement]:
    """PENDING and QUEUED → CANCELLED, for the commit of the stop itself; stale if one of them moved meanwhile."""
    return [
        statement
        for tx in open_rows
        for statement in end_unspent(tx, Status.CANCELLED, code, STOPPED[code], now, actor)
    ]
