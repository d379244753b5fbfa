"""`pending_approvals`: one decision per transaction, opened with it, decided or closed exactly once."""

from waiaas.db import Database, Statement
from waiaas.domain.approval import Approval
from waiaas.repositories.rows import to_struct
from waiaas.repositories.transactions import LINE

COLUMNS = "id, tx_id, expires_at, approved_at, rejected_at, closed_at, max_fee, created_at, undeclared"
FIND = f"SELECT {COLUMNS} FROM pending_approvals WHERE tx_id = :tx_id"
OF_FAMILY = f"""
WITH RECURSIVE {LINE}
SELECT {COLUMNS} FROM pending_approvals
 WHERE tx_id IN (SELECT id FROM line) AND approved_at IS NOT NULL AND max_fee IS NOT NULL
"""

OPEN = """
INSERT INTO pending_approvals (id, tx_id, required_by, expires_at, created_at)
VALUES (:id, :tx_id, :expires_at, :expires_at, :now)
"""
APPROVE = """
UPDATE pending_approvals
   SET approved_at = :now, owner_address = :address, max_fee = :max_fee
 WHERE tx_id = :tx_id AND approved_at IS NULL AND rejected_at IS NULL AND closed_at IS NULL AND expires_at > :now
   AND undeclared IS :undeclared
"""
SEE = """
UPDATE pending_approvals SET undeclared = :undeclared
 WHERE tx_id = :tx_id AND approved_at IS NULL AND rejected_at IS NULL AND closed_at IS NULL
"""
REJECT = """
UPDATE pending_approvals
   SET rejected_at = :now, owner_address = :address
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


def approve(tx_id: str, *, address: str, max_fee: int, undeclared: str | None, now: int) -> Statement:
    """The owner's yes, by this address; stale once it is decided, closed or, at `expires_at`, run out.

    Stale too if a simulation has seen something else than `undeclared` leave meanwhile.
    """
    bound = {"max_fee": str(max_fee), "undeclared": undeclared}
    return Statement(APPROVE, {"tx_id": tx_id, "address": address, **bound, "now": now})


def see(tx_id: str, undeclared: str | None) -> Statement:
    """What a simulation now sees leave undeclared, for the text; nothing once it is decided or closed."""
    return Statement(SEE, {"tx_id": tx_id, "undeclared": undeclared}, expect=None)


def reject(tx_id: str, *, address: str, now: int) -> Statement:
    """The owner's no, by this address; stale as `approve` is."""
    return Statement(REJECT, {"tx_id": tx_id, "address": address, "now": now})


def close(tx_id: str, now: int) -> Statement:
    """Nobody decides it any more; for every commit that moves a transaction out of QUEUED without the owner."""
    return Statement(CLOSE, {"tx_id": tx_id, "now": now}, expect=None)
