"""`pending_approvals`: one decision per transaction, opened with it, decided or closed exactly once."""

from waiaas.db import Database, Statement
from waiaas.domain.approval import Approval
from waiaas.repositories.rows import to_struct

COLUMNS = "id, tx_id, expires_at, approved_at, rejected_at, closed_at, max_fee, created_at"
FIND = f"SELECT {COLUMNS} FROM pending_approvals WHERE tx_id = :tx_id"
OF_FAMILY = f"""
WITH RECURSIVE line(id, parent_id) AS (
  SELECT id, parent_id FROM transactions WHERE id = :tx_id
  UNION ALL
  SELECT t.id, t.parent_id FROM transactions t JOIN line ON t.id = line.parent_id)
SELECT {COLUMNS} FROM pending_approvals
 WHERE tx_id IN (SELECT id FROM line) AND approved_at IS NOT NULL AND max_fee IS NOT NULL
"""

OPEN = """
INSERT INTO pending_approvals (id, tx_id, required_by, expires_at, created_at)
VALUES (:id, :tx_id, :expires_at, :expires_at, :now)
"""
APPROVE = """
UPDATE pending_approvals
   SET approved_at = :now, owner_address = :address, owner_signature = :signature, signed_message = :message,
       digest = :digest, max_fee = :max_fee
 WHERE tx_id = :tx_id AND approved_at IS NULL AND rejected_at IS NULL AND closed_at IS NULL AND expires_at > :now
"""
REJECT = """
UPDATE pending_approvals
   SET rejected_at = :now, owner_address = :address, owner_signature = :signature, signed_message = :message,
       digest = :digest
 WHERE tx_id = :tx_id AND approved_at IS NULL AND rejected_at IS NULL AND closed_at IS NULL AND expires_at > :now
"""
CLOSE = """
UPDATE pending_approvals SET closed_at = :now
 WHERE tx_id = :tx_id AND approved_at IS NULL AND rejected_at IS NULL AND closed_at IS NULL
"""


async def find(db: Database, tx_id: str) -> Approval | None:
    """The approval of a transaction; None where the owner was never asked."""
    row = await db.fetch_one(FIND, {"tx_id": tx_id})
    return to_struct(row, Approval, "pending_approvals") if row else None


async def signed_for(db: Database, tx_id: str) -> Approval | None:
    """The owner's yes to the transaction, or to what it is an item or a reset of; None where there was none."""
    row = await db.fetch_one(OF_FAMILY, {"tx_id": tx_id})
    return to_struct(row, Approval, "pending_approvals") if row else None


def open_approval(approval: Approval) -> Statement:
    """The owner is asked, until `expires_at`."""
    params = {"id": approval.id, "tx_id": approval.tx_id, "expires_at": approval.expires_at}
    return Statement(OPEN, {**params, "now": approval.created_at})


def approve(
    tx_id: str, *, address: str, signature: str, message: str, digest: str, max_fee: int, now: int
) -> Statement:
    """The owner's yes, with what was signed; stale once it is decided, closed or, at `expires_at`, run out."""
    signed = {"address": address, "signature": signature, "message": message, "digest": digest}
    return Statement(APPROVE, {"tx_id": tx_id, **signed, "max_fee": str(max_fee), "now": now})


def reject(tx_id: str, *, address: str, signature: str, message: str, digest: str, now: int) -> Statement:
    """The owner's no, with what was signed; stale as `approve` is."""
    signed = {"address": address, "signature": signature, "message": message, "digest": digest}
    return Statement(REJECT, {"tx_id": tx_id, **signed, "now": now})


def close(tx_id: str, now: int) -> Statement:
    """Nobody decides it any more; for every commit that moves a transaction out of QUEUED without the owner."""
    return Statement(CLOSE, {"tx_id": tx_id, "now": now}, expect=None)
