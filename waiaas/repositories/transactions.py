"""`transactions`: reads, and one named step per move; each step names where it comes from."""

import sqlite3

from waiaas.db import Database, Statement
from waiaas.domain.transaction import Progress, Status, Transaction, View
from waiaas.errors import TransactionNotFound
from waiaas.repositories.rows import decodable, to_struct

COLUMNS = """id, agent_id, session_id, chain, network, origin, type, status, tier, request, request_hash, decision,
       provenance, idempotency_key, amount, asset, to_address, tx_hash, fee, error, error_code, queued_at, due_at,
       submitted_at, executed_at, finished_at, created_at, updated_at"""
#: named in a condition beside the status that is meant, so that SQLite sees that idx_transactions_live holds the rows
LIVE = "('PENDING', 'QUEUED', 'EXECUTING', 'SUBMITTED')"
VIEW = """
SELECT t.*, COALESCE(a.number, 0) AS attempt_count, a.last_broadcast_at, a.last_seen_at, a.block_number,
       a.confirmations, a.finished_at AS attempt_finished_at, p.approved_at, p.rejected_at
  FROM transactions t
  LEFT JOIN attempts a ON a.tx_id = t.id AND a.number = (SELECT MAX(number) FROM attempts WHERE tx_id = t.id)
  LEFT JOIN pending_approvals p ON p.tx_id = t.id
"""
GET = f"SELECT {COLUMNS} FROM transactions WHERE id = :id"
GET_VIEW = f"{VIEW} WHERE t.id = :id AND (:agent_id IS NULL OR t.agent_id = :agent_id)"
LIST = f"""{VIEW}
 WHERE t.parent_id IS NULL AND (:agent_id IS NULL OR t.agent_id = :agent_id) AND (:cursor IS NULL OR t.id < :cursor)
   AND (:status IS NULL OR t.status = :status) AND (:type IS NULL OR t.type = :type)
   AND (:tier IS NULL OR t.tier = :tier) AND (:since IS NULL OR t.created_at >= :since)
   AND (:until IS NULL OR t.created_at < :until)
 ORDER BY t.id DESC LIMIT :limit
"""
OPEN = f"""{VIEW}
 WHERE t.parent_id IS NULL AND (:agent_id IS NULL OR t.agent_id = :agent_id) AND t.status IN ('PENDING', 'QUEUED')
 ORDER BY t.id DESC
"""
BY_KEY = f"SELECT {COLUMNS} FROM transactions WHERE agent_id = :agent_id AND idempotency_key = :key"
TO_EXECUTE = f"""
SELECT {COLUMNS} FROM transactions
 WHERE status IN ('PENDING', 'EXECUTING') AND network = :network AND id > :after ORDER BY id LIMIT :limit
"""
DUE = f"""
SELECT {COLUMNS} FROM transactions
 WHERE status = 'QUEUED' AND status IN {LIVE} AND tier = 'DELAY' ORDER BY due_at LIMIT :limit
"""
UNSIGNED_TOO_LONG = f"""
SELECT {COLUMNS} FROM transactions
 WHERE status IN ('PENDING', 'EXECUTING') AND status IN {LIVE}
   AND (status = 'PENDING' AND created_at <= :before OR status = 'EXECUTING' AND updated_at <= :before)
 ORDER BY +id LIMIT :limit
"""
OPEN_OF_AGENT = f"""
SELECT {COLUMNS} FROM transactions WHERE agent_id = :agent_id AND status IN ('PENDING', 'QUEUED') ORDER BY id
"""
OPEN_OF_SESSION = f"""
SELECT {COLUMNS} FROM transactions WHERE session_id = :session_id AND status IN ('PENDING', 'QUEUED') ORDER BY id
"""
IN_FLIGHT = f"""
SELECT id, agent_id, network, tx_hash FROM transactions
 WHERE status = 'SUBMITTED' AND status IN {LIVE} AND (:agent_id IS NULL OR agent_id = :agent_id) ORDER BY id
"""
COUNT_QUEUED = f"""
SELECT COUNT(*) AS n FROM transactions
 WHERE status = 'QUEUED' AND status IN {LIVE} AND (:agent_id IS NULL OR agent_id = :agent_id)
"""
COUNT_AWAITING_APPROVAL = f"""
SELECT COUNT(*) AS n FROM transactions WHERE status = 'QUEUED' AND status IN {LIVE} AND tier = 'APPROVAL'
"""
COUNT_LIVE = f"SELECT status, network, COUNT(*) AS n FROM transactions WHERE status IN {LIVE} GROUP BY status, network"
COUNT_OF_SESSION = """
SELECT COUNT(*) AS n FROM transactions
 WHERE session_id = :session_id AND status NOT IN ('CANCELLED', 'EXPIRED') AND (:without IS NULL OR id <> :without)
"""

INSERT = """
INSERT INTO transactions (id, agent_id, session_id, chain, network, origin, type, status, tier, request, request_hash,
  decision, provenance, idempotency_key, amount, asset, to_address, error, error_code, finished_at, created_at,
  updated_at)
VALUES (:id, :agent_id, :session_id, :chain, :network, :origin, :type, :status, :tier, :request, :request_hash,
  :decision, :provenance, :idempotency_key, :amount, :asset, :to_address, :error, :error_code, :finished_at,
  :created_at, :created_at)
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


def _transaction(row: sqlite3.Row) -> Transaction:
    return to_struct(row, Transaction, "transactions")


def _view(row: sqlite3.Row) -> View:
    return View(_transaction(row), to_struct(row, Progress, "transactions"))


async def get(db: Database, tx_id: str) -> Transaction:
    """The transaction, for a step that moves it; TransactionNotFound if there is none."""
    row = await db.fetch_one(GET, {"id": tx_id})
    if row is None:
        raise TransactionNotFound()
    return _transaction(row)


async def view(db: Database, tx_id: str, agent_id: str | None) -> View:
    """The transaction with its progress; another agent's is as absent as one that never was."""
    row = await db.fetch_one(GET_VIEW, {"id": tx_id, "agent_id": agent_id})
    if row is None:
        raise TransactionNotFound()
    return _view(row)


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
    rows = await db.fetch_all(LIST, {"limit": limit, "agent_id": agent_id, "cursor": cursor, **filters})
    return decodable(rows, _view)


async def open_views(db: Database, agent_id: str | None) -> list[View]:
    """What is PENDING or QUEUED, newest first."""
    return decodable(await db.fetch_all(OPEN, {"agent_id": agent_id}), _view)


async def find_by_key(db: Database, agent_id: str, key: str) -> Transaction | None:
    """The transaction that this idempotency key is bound to."""
    row = await db.fetch_one(BY_KEY, {"agent_id": agent_id, "key": key})
    return _transaction(row) if row else None


async def to_execute(db: Database, network: str, *, after: str, limit: int) -> tuple[list[Transaction], str | None]:
    """PENDING rows of a network, and EXECUTING ones whose bytes were never stored, oldest first.

    The second is what to go on `after`, None at the end.
    """
    rows = await db.fetch_all(TO_EXECUTE, {"network": network, "after": after, "limit": limit})
    return decodable(rows, _transaction), rows[-1]["id"] if len(rows) == limit else None


async def delayed(db: Database, limit: int = 1000) -> list[Transaction]:
    """What waits for its delay, the next due first."""
    return await _all(db, DUE, limit=limit)


async def unsigned_since(db: Database, before: int, limit: int = 100) -> list[Transaction]:
    """PENDING rows made, and EXECUTING rows started, at `before` or earlier."""
    return await _all(db, UNSIGNED_TOO_LONG, before=before, limit=limit)


async def open_of_agent(db: Database, agent_id: str) -> list[Transaction]:
    """What a stop of this agent cancels."""
    return await _all(db, OPEN_OF_AGENT, agent_id=agent_id)


async def open_of_session(db: Database, session_id: str) -> list[Transaction]:
    """What a revocation of this session cancels."""
    return await _all(db, OPEN_OF_SESSION, session_id=session_id)


async def _all(db: Database, sql: str, **params: object) -> list[Transaction]:
    return decodable(await db.fetch_all(sql, params), _transaction)


async def in_flight(db: Database, agent_id: str | None = None) -> list[sqlite3.Row]:
    """(id, agent_id, network, tx_hash) of everything whose signed bytes may still land."""
    return await db.fetch_all(IN_FLIGHT, {"agent_id": agent_id})


async def count_queued(db: Database, agent_id: str | None = None) -> int:
    """How many wait for a delay or an owner."""
    row = await db.fetch_one(COUNT_QUEUED, {"agent_id": agent_id})
    return int(row["n"]) if row else 0


async def count_awaiting_approval(db: Database) -> int:
    """How many wait for an owner."""
    row = await db.fetch_one(COUNT_AWAITING_APPROVAL)
    return int(row["n"]) if row else 0


async def count_live(db: Database) -> dict[tuple[str, str], int]:
    """(status, network) → how many are not final."""
    return {(row["status"], row["network"]): row["n"] for row in await db.fetch_all(COUNT_LIVE)}


async def count_of_session(db: Database, session_id: str, *, without: str | None = None) -> int:
    """Requests of a session that count against its maxTransactions, the one `without` left out."""
    row = await db.fetch_one(COUNT_OF_SESSION, {"session_id": session_id, "without": without})
    return int(row["n"]) if row else 0


def insert(tx: Transaction) -> Statement:
    """A new row, PENDING or (denied) CANCELLED; ConstraintFailed if its idempotency key is taken."""
    return Statement(
        INSERT,
        {
            "id": tx.id,
            "agent_id": tx.agent_id,
            "session_id": tx.session_id,
            "chain": tx.chain,
            "network": tx.network,
            "origin": tx.origin,
            "type": tx.type,
            "status": tx.status,
            "tier": tx.tier,
            "request": tx.request,
            "request_hash": tx.request_hash,
            "decision": tx.decision,
            "provenance": tx.provenance,
            "idempotency_key": tx.idempotency_key,
            "amount": tx.amount,
            "asset": tx.asset,
            "to_address": tx.to_address,
            "error": tx.error,
            "error_code": tx.error_code,
            "finished_at": tx.finished_at,
            "created_at": tx.created_at,
        },
    )


def mark_queued(tx_id: str, *, due_at: int, now: int) -> Statement:
    """PENDING → QUEUED, until `due_at`."""
    return Statement(MARK_QUEUED, {"id": tx_id, "due_at": due_at, "now": now}, touches=f"tx:{tx_id}")


def mark_executing(tx_id: str, now: int) -> Statement:
    """PENDING → EXECUTING; stale if it was cancelled or started meanwhile."""
    return Statement(MARK_EXECUTING, {"id": tx_id, "now": now}, touches=f"tx:{tx_id}")


def mark_released(tx_id: str, now: int) -> Statement:
    """QUEUED → EXECUTING: its delay is over."""
    return Statement(MARK_RELEASED, {"id": tx_id, "now": now}, touches=f"tx:{tx_id}")


def mark_submitted(tx_id: str, *, tx_hash: str, now: int) -> Statement:
    """EXECUTING → SUBMITTED, in the commit that makes the signed bytes durable."""
    return Statement(MARK_SUBMITTED, {"id": tx_id, "tx_hash": tx_hash, "now": now}, touches=f"tx:{tx_id}")


def mark_signed_again(tx_id: str, *, was: str, tx_hash: str, now: int) -> Statement:
    """SUBMITTED stays SUBMITTED with other bytes: those before are proven dead."""
    params = {"id": tx_id, "was": was, "tx_hash": tx_hash, "now": now}
    return Statement(MARK_SIGNED_AGAIN, params, touches=f"tx:{tx_id}")


def mark_confirmed(tx_id: str, *, tx_hash: str, fee: str, now: int) -> Statement:
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
