"""`transactions`: a row as it is read, and one named step per move; each step names where it comes from."""

import sqlite3
from collections.abc import Collection

import msgspec

from waiaas.db import Database, Statement
from waiaas.domain.transaction import Progress, Status, Transaction, View
from waiaas.errors import TransactionNotFound
from waiaas.repositories.rows import decodable, to_struct

COLUMNS = """id, agent_id, session_id, parent_id, batch_index, chain, network, origin, type, status, tier, request,
       request_hash, decision, provenance, idempotency_key, amount, asset, to_address, token_mint, contract_address,
       method_signature, spender_address, approved_amount, tx_hash, fee, error, error_code, queued_at, due_at,
       submitted_at, executed_at, finished_at, created_at, updated_at"""
#: named in a condition beside the status that is meant, so that SQLite sees that idx_transactions_live holds the rows
LIVE = "('PENDING', 'QUEUED', 'EXECUTING', 'SUBMITTED')"
#: a transaction and those above it: the batch of an item, the approval of a reset
LINE = """line(id, parent_id) AS (
  SELECT id, parent_id FROM transactions WHERE id = :tx_id
  UNION ALL
  SELECT t.id, t.parent_id FROM transactions t JOIN line ON t.id = line.parent_id)"""
VIEW = """
SELECT t.*, COALESCE(a.number, 0) AS attempt_count, a.last_broadcast_at, a.last_seen_at, a.block_number,
       a.confirmations, a.finished_at AS attempt_finished_at, p.approved_at, p.rejected_at,
       p.expires_at AS approval_expires_at
  FROM transactions t
  LEFT JOIN attempts a ON a.tx_id = t.id AND a.number = (SELECT MAX(number) FROM attempts WHERE tx_id = t.id)
  LEFT JOIN pending_approvals p ON p.tx_id = t.id
"""
GET = f"SELECT {COLUMNS} FROM transactions WHERE id = :id"
GET_ALL = f"SELECT {COLUMNS} FROM transactions WHERE id IN (SELECT value FROM json_each(:ids))"
GET_VIEW = f"{VIEW} WHERE t.id = :id AND (:agent_id IS NULL OR t.agent_id = :agent_id)"
#: ids are hexadecimal, so '~' is behind them all; the plus keeps SQLite from collecting every row without a parent
PAGE = """t.id < COALESCE(:cursor, '~') AND +t.parent_id IS NULL
   AND (:status IS NULL OR t.status = :status) AND (:type IS NULL OR t.type = :type)
   AND (:tier IS NULL OR t.tier = :tier) AND (:since IS NULL OR t.created_at >= :since)
   AND (:until IS NULL OR t.created_at < :until)
 ORDER BY t.id DESC LIMIT :limit
"""
LIST = f"{VIEW} WHERE {PAGE}"
LIST_OF_AGENT = f"{VIEW} WHERE t.agent_id = :agent_id AND {PAGE}"
BY_KEY = f"SELECT {COLUMNS} FROM transactions WHERE agent_id = :agent_id AND idempotency_key = :key"
TWIN = f"""
SELECT {COLUMNS} FROM transactions
 WHERE agent_id = (SELECT agent_id FROM sessions WHERE id = :session_id) AND request_hash = :request_hash
   AND created_at > :since AND session_id = :session_id AND parent_id IS NULL AND status <> 'CANCELLED'
 ORDER BY id DESC LIMIT 1
"""
CHILDREN = f"SELECT {COLUMNS} FROM transactions WHERE parent_id = :parent_id ORDER BY batch_index"
PARENT = "SELECT parent_id FROM transactions WHERE id = :id"
INSERT = f"""
INSERT INTO transactions ({COLUMNS})
VALUES ({", ".join(":" + column for column in COLUMNS.replace(",", " ").split())})
"""
SET_AMOUNT = """
UPDATE transactions SET amount = :amount WHERE id = :id AND origin = 'withdraw' AND status IN ('EXECUTING', 'SUBMITTED')
"""
IS_STILL = "SELECT 1 FROM transactions WHERE id = :id AND status = :status"
FREE_KEY = """
UPDATE transactions SET idempotency_key = NULL
 WHERE id = :id AND idempotency_key = :key AND finished_at <= :finished_before
"""
MARK_QUEUED = """
UPDATE transactions SET status = 'QUEUED', queued_at = :now, due_at = :due_at, updated_at = :now
 WHERE id = :id AND status = 'PENDING'
"""
MARK_EXECUTING = """
UPDATE transactions SET status = 'EXECUTING', updated_at = :now WHERE id = :id AND status = 'PENDING'
"""
MARK_RELEASED = """
UPDATE transactions SET status = 'EXECUTING', updated_at = :now
 WHERE id = :id AND status = 'QUEUED' AND tier = 'DELAY' AND due_at <= :now
"""
MARK_APPROVED = """
UPDATE transactions SET status = 'EXECUTING', updated_at = :now WHERE id = :id AND status = 'QUEUED'
"""
MARK_SUBMITTED = """
UPDATE transactions SET status = 'SUBMITTED', tx_hash = :tx_hash, submitted_at = :now, updated_at = :now
 WHERE id = :id AND status = 'EXECUTING'
"""
MARK_SIGNED_AGAIN = """
UPDATE transactions SET tx_hash = :tx_hash, updated_at = :now WHERE id = :id AND status = 'SUBMITTED' AND tx_hash = :was
"""
MARK_CONFIRMED = """
UPDATE transactions SET status = 'CONFIRMED', tx_hash = :tx_hash, fee = :fee, executed_at = :now, finished_at = :now,
       updated_at = :now
 WHERE id = :id AND status = 'SUBMITTED'
"""
MARK_ENDED = """
UPDATE transactions SET status = :to, error = :error, error_code = :error_code, fee = COALESCE(:fee, fee),
       finished_at = :now, updated_at = :now
 WHERE id = :id AND status = :from
"""


def to_transaction(row: sqlite3.Row) -> Transaction:
    """A row of COLUMNS; CorruptRow if it does not decode."""
    return to_struct(row, Transaction, "transactions")


def to_view(row: sqlite3.Row) -> View:
    """A row of VIEW; CorruptRow if it does not decode."""
    return View(to_transaction(row), to_struct(row, Progress, "transactions"))


async def fetch(db: Database, sql: str, **params: object) -> list[Transaction]:
    """Those of the rows that decode, in the order of `sql`, which selects COLUMNS."""
    return decodable(await db.fetch_all(sql, params), to_transaction)


async def get(db: Database, tx_id: str) -> Transaction:
    """The transaction, for a step that moves it; TransactionNotFound if there is none."""
    row = await db.fetch_one(GET, {"id": tx_id})
    if row is None:
        raise TransactionNotFound()
    return to_transaction(row)


async def get_all(db: Database, ids: Collection[str]) -> dict[str, Transaction]:
    """Those of the transactions that are there and can be read, by id."""
    return {tx.id: tx for tx in await fetch(db, GET_ALL, ids=msgspec.json.encode(list(ids)).decode())}


async def view(db: Database, tx_id: str, agent_id: str | None) -> View:
    """The transaction with its progress; another agent's is as absent as one that never was."""
    row = await db.fetch_one(GET_VIEW, {"id": tx_id, "agent_id": agent_id})
    if row is None:
        raise TransactionNotFound()
    return to_view(row)


async def page(
    db: Database,
    *,
    limit: int,
    agent_id: str | None = None,
    cursor: str | None = None,
    status: str | None = None,
    type: str | None = None,
    tier: str | None = None,
    since: int | None = None,
    until: int | None = None,
) -> list[View]:
    """Transactions newest first; those with since ≤ created_at < until."""
    filters = {"status": status, "type": type, "tier": tier, "since": since, "until": until}
    params = {"limit": limit, "agent_id": agent_id, "cursor": cursor, **filters}
    return decodable(await db.fetch_all(LIST if agent_id is None else LIST_OF_AGENT, params), to_view)


async def find_by_key(db: Database, agent_id: str, key: str) -> Transaction | None:
    """The transaction that this idempotency key is bound to."""
    row = await db.fetch_one(BY_KEY, {"agent_id": agent_id, "key": key})
    return to_transaction(row) if row else None


async def find_twin(db: Database, session_id: str, request_hash: str, since: int) -> Transaction | None:
    """The newest accepted transaction of the session for the same request, made after `since`."""
    row = await db.fetch_one(TWIN, {"session_id": session_id, "request_hash": request_hash, "since": since})
    return to_transaction(row) if row else None


async def children(db: Database, parent_id: str) -> list[Transaction]:
    """Items of a batch, or the reset of an approval, in order."""
    return await fetch(db, CHILDREN, parent_id=parent_id)


async def ancestors(db: Database, tx: Transaction) -> list[str]:
    """The batch of an item, the approval of a reset, and the batch of that; nearest first."""
    if tx.parent_id is None:
        return []
    row = await db.fetch_one(PARENT, {"id": tx.parent_id})
    return [tx.parent_id, *([row["parent_id"]] if row and row["parent_id"] else [])]


def insert(tx: Transaction) -> Statement:
    """A new row, PENDING or (denied) CANCELLED; ConstraintFailed if its idempotency key is taken."""
    return Statement(INSERT, msgspec.structs.asdict(tx))


def is_still(tx_id: str, status: Status) -> Statement:
    """Guard: no other step has moved it."""
    return Statement(IS_STILL, {"id": tx_id, "status": status})


def set_amount(tx_id: str, amount: str) -> Statement:
    """How much a withdrawal's row has come to, in the commit that signs it."""
    return Statement(SET_AMOUNT, {"id": tx_id, "amount": amount})


def free_key(tx_id: str, key: str, *, finished_before: int) -> Statement:
    """Its idempotency key may be bound anew; stale unless it ended at `finished_before` or earlier."""
    return Statement(FREE_KEY, {"id": tx_id, "key": key, "finished_before": finished_before})


def mark_queued(tx_id: str, *, due_at: int, now: int) -> Statement:
    """PENDING → QUEUED, until `due_at`."""
    return Statement(MARK_QUEUED, {"id": tx_id, "due_at": due_at, "now": now}, touches=f"tx:{tx_id}")


def mark_executing(tx_id: str, now: int) -> Statement:
    """PENDING → EXECUTING; stale if it was cancelled or started meanwhile."""
    return Statement(MARK_EXECUTING, {"id": tx_id, "now": now}, touches=f"tx:{tx_id}")


def mark_released(tx_id: str, now: int) -> Statement:
    """QUEUED → EXECUTING: its delay is over."""
    return Statement(MARK_RELEASED, {"id": tx_id, "now": now}, touches=f"tx:{tx_id}")


def mark_approved(tx_id: str, now: int) -> Statement:
    """QUEUED → EXECUTING: its owner has signed for it."""
    return Statement(MARK_APPROVED, {"id": tx_id, "now": now}, touches=f"tx:{tx_id}")


def mark_submitted(tx_id: str, *, tx_hash: str | None, now: int) -> Statement:
    """EXECUTING → SUBMITTED, in the commit that makes the signed bytes durable."""
    return Statement(MARK_SUBMITTED, {"id": tx_id, "tx_hash": tx_hash, "now": now}, touches=f"tx:{tx_id}")


def mark_signed_again(tx_id: str, *, was: str, tx_hash: str, now: int) -> Statement:
    """SUBMITTED stays SUBMITTED with other bytes: those before are proven dead."""
    params = {"id": tx_id, "was": was, "tx_hash": tx_hash, "now": now}
    return Statement(MARK_SIGNED_AGAIN, params, touches=f"tx:{tx_id}")


def mark_confirmed(tx_id: str, *, tx_hash: str | None, fee: str | None, now: int) -> Statement:
    """SUBMITTED → CONFIRMED; `fee` is JSON {asset, amount} as paid."""
    params = {"id": tx_id, "tx_hash": tx_hash, "fee": fee, "now": now}
    return Statement(MARK_CONFIRMED, params, touches=f"tx:{tx_id}")


def mark_ended(
    tx_id: str, *, was: Status, to: Status, error: str, error_code: str, now: int, fee: str | None = None
) -> Statement:
    """From `was` to FAILED, CANCELLED or EXPIRED with its reason; stale if another step moved it first."""
    return Statement(
        MARK_ENDED,
        {"id": tx_id, "from": was, "to": to, "error": error, "error_code": error_code, "fee": fee, "now": now},
        touches=f"tx:{tx_id}",
    )
