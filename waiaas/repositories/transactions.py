"""`transactions`: reads, and one named step per move; each step names where it comes from."""

import sqlite3
from collections.abc import Collection

import msgspec

from waiaas.db import Database, Statement
from waiaas.domain.chain import Network
from waiaas.domain.history import Made
from waiaas.domain.transaction import InFlight, Progress, Status, Transaction, View
from waiaas.errors import TransactionNotFound
from waiaas.repositories.rows import decodable, to_struct

COLUMNS = """id, agent_id, session_id, parent_id, batch_index, chain, network, origin, type, status, tier, request,
       request_hash, decision, provenance, idempotency_key, amount, asset, to_address, token_mint, contract_address,
       method_signature, spender_address, approved_amount, tx_hash, fee, error, error_code, queued_at, due_at,
       submitted_at, executed_at, finished_at, created_at, updated_at"""
#: named in a condition beside the status that is meant, so that SQLite sees that idx_transactions_live holds the rows
LIVE = "('PENDING', 'QUEUED', 'EXECUTING', 'SUBMITTED')"
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
OPEN = f"""{VIEW}
 WHERE t.status IN ('PENDING', 'QUEUED') AND t.status IN {LIVE} AND +t.parent_id IS NULL
   AND (:agent_id IS NULL OR t.agent_id = :agent_id)
 ORDER BY t.id DESC
"""
BY_KEY = f"SELECT {COLUMNS} FROM transactions WHERE agent_id = :agent_id AND idempotency_key = :key"
TWIN = f"""
SELECT {COLUMNS} FROM transactions
 WHERE agent_id = (SELECT agent_id FROM sessions WHERE id = :session_id) AND request_hash = :request_hash
   AND created_at > :since AND session_id = :session_id AND parent_id IS NULL AND status <> 'CANCELLED'
 ORDER BY id DESC LIMIT 1
"""
#: from one network to the next in idx_transactions_work, however many rows each has
NETWORKS_AT_WORK = """
WITH RECURSIVE found(network) AS (
  SELECT MIN(network) FROM transactions WHERE status IN ('PENDING', 'EXECUTING')
  UNION ALL
  SELECT (SELECT MIN(network) FROM transactions WHERE status IN ('PENDING', 'EXECUTING') AND network > found.network)
    FROM found WHERE found.network IS NOT NULL)
SELECT network FROM found WHERE network IS NOT NULL
"""
#: an EVM batch is moved by its items, an item waits for those before it, an approval for its reset and for what was
#: approved before for that spender: only so it is known whether there is an allowance to be reset. What empties an
#: agent comes last: behind the tokens of its withdrawal, an earlier one, and whatever is signed
TO_EXECUTE = f"""
SELECT {COLUMNS} FROM transactions AS t
 WHERE status IN ('PENDING', 'EXECUTING') AND network = :network AND id > :after
   AND NOT (type = 'BATCH' AND chain = 'ethereum')
   AND (parent_id IS NULL
     OR (SELECT p.status FROM transactions p WHERE p.id = t.parent_id) IN ('PENDING', 'EXECUTING', 'SUBMITTED'))
   AND NOT EXISTS (SELECT 1 FROM transactions s
                    WHERE s.parent_id = t.parent_id AND s.batch_index < t.batch_index AND s.status <> 'CONFIRMED')
   AND NOT EXISTS (SELECT 1 FROM transactions c WHERE c.parent_id = t.id AND c.status <> 'CONFIRMED')
   AND NOT (type = 'APPROVE' AND chain = 'ethereum' AND EXISTS (
     SELECT 1 FROM transactions o
      WHERE o.agent_id = t.agent_id AND o.status IN {LIVE} AND o.type = 'APPROVE' AND o.id <> t.id
        AND o.token_mint = t.token_mint AND o.spender_address = t.spender_address
        AND (o.status = 'SUBMITTED'
          OR o.status <> 'QUEUED' AND t.parent_id IS NULL AND COALESCE(o.parent_id, o.id) < t.id)))
   AND NOT (origin = 'withdraw' AND type = 'TRANSFER' AND EXISTS (
     SELECT 1 FROM transactions w
      WHERE w.agent_id = t.agent_id AND w.status IN {LIVE} AND w.id <> t.id
        AND (w.status = 'SUBMITTED' OR w.origin = 'withdraw' AND (w.type = 'TOKEN_TRANSFER' OR w.id < t.id))))
 ORDER BY id LIMIT :limit
"""
CHILDREN = f"SELECT {COLUMNS} FROM transactions WHERE parent_id = :parent_id ORDER BY batch_index"
#: of several, the one that has begun to sign goes on
RUNNING_BATCH = """
SELECT id FROM transactions
 WHERE agent_id = :agent_id AND type = 'BATCH' AND chain = 'ethereum' AND status IN ('EXECUTING', 'SUBMITTED')
 ORDER BY status DESC, id LIMIT 1
"""
PARENT = "SELECT parent_id FROM transactions WHERE id = :id"
ORPHANS = f"""
SELECT {COLUMNS} FROM transactions AS t
 WHERE status IN ('EXECUTING', 'SUBMITTED') AND status IN {LIVE} AND chain = 'ethereum'
   AND (type = 'BATCH' AND NOT EXISTS (SELECT 1 FROM transactions c WHERE c.parent_id = t.id AND c.finished_at IS NULL)
     OR type = 'APPROVE' AND status = 'EXECUTING' AND EXISTS (
       SELECT 1 FROM transactions c
        WHERE c.parent_id = t.id AND c.finished_at IS NOT NULL AND c.status <> 'CONFIRMED'))
"""
DUE = f"""
SELECT {COLUMNS} FROM transactions
 WHERE status = 'QUEUED' AND status IN {LIVE} AND tier = 'DELAY' ORDER BY due_at LIMIT :limit
"""
UNDECIDED = f"""
SELECT {COLUMNS} FROM transactions
 WHERE status = 'QUEUED' AND status IN {LIVE} AND tier = 'APPROVAL' AND due_at <= :now ORDER BY due_at LIMIT :limit
"""
NEXT_UNDECIDED = f"""
SELECT MIN(due_at) AS due_at FROM transactions
 WHERE status = 'QUEUED' AND status IN {LIVE} AND tier = 'APPROVAL' AND due_at > :now
"""
AWAITING_OWNER = f"""
SELECT {COLUMNS} FROM transactions AS t
 WHERE agent_id = :agent_id AND status = 'QUEUED' AND EXISTS (
   SELECT 1 FROM pending_approvals p
    WHERE p.tx_id = t.id AND p.approved_at IS NULL AND p.rejected_at IS NULL AND p.closed_at IS NULL)
 ORDER BY id
"""
#: an item's time begins when the one before it has ended, a withdrawal's last when its tokens have; while a reset or
#: an item is under way, and no longer, its parent's time stands still
UNSIGNED_TOO_LONG = f"""
SELECT {COLUMNS} FROM transactions AS t
 WHERE status IN ('PENDING', 'EXECUTING') AND status IN {LIVE}
   AND (status = 'PENDING' AND created_at <= :before AND parent_id IS NULL
     OR status = 'PENDING' AND EXISTS (
       SELECT 1 FROM transactions s
        WHERE s.parent_id = t.parent_id AND s.batch_index = t.batch_index - 1 AND s.finished_at <= :before)
     OR status = 'EXECUTING' AND updated_at <= :before)
   AND NOT (origin = 'withdraw' AND status = 'PENDING' AND EXISTS (
     SELECT 1 FROM json_each(CASE WHEN json_valid(t.request) THEN t.request ELSE 'null' END, '$.after') a
       JOIN transactions w ON w.id = a.value
      WHERE w.finished_at IS NULL OR w.finished_at > :before))
   AND NOT EXISTS (
     SELECT 1 FROM transactions c
      WHERE c.parent_id = t.id AND (c.status IN ('EXECUTING', 'SUBMITTED') OR c.finished_at > :before))
 ORDER BY +id LIMIT :limit
"""
OPEN_OF_AGENT = f"""
SELECT {COLUMNS} FROM transactions
 WHERE agent_id = :agent_id AND status IN ('PENDING', 'QUEUED') AND origin = 'send' ORDER BY id
"""
#: a session and everything below it
OF_TREE = """session_id IN (
         WITH RECURSIVE tree(id) AS (
           VALUES (:session_id)
           UNION ALL
           SELECT s.id FROM sessions s JOIN tree ON s.parent_id = tree.id)
         SELECT id FROM tree)
"""
OPEN_OF_SESSION = f"SELECT {COLUMNS} FROM transactions WHERE {OF_TREE} AND status IN ('PENDING', 'QUEUED') ORDER BY id"
ANY_OPEN_OF_SESSION = f"SELECT 1 FROM transactions WHERE {OF_TREE} AND status IN ('PENDING', 'QUEUED')"
OPEN_EVERYWHERE = f"""
SELECT {COLUMNS} FROM transactions WHERE status IN ('PENDING', 'QUEUED') AND status IN {LIVE} ORDER BY id
"""
SO_MANY_OPEN = f"""
SELECT 1 WHERE (SELECT COUNT(*) FROM transactions WHERE status IN ('PENDING', 'QUEUED') AND status IN {LIVE}) = :count
"""
#: an EVM batch has no bytes, its items have
MANIFEST = f"""
SELECT t.id, t.agent_id, t.network, t.tx_hash, a.last_valid_block_height, a.nonce
  FROM transactions t JOIN attempts a ON a.tx_id = t.id AND a.tx_hash = t.tx_hash
 WHERE t.status = 'SUBMITTED' AND t.status IN {LIVE} ORDER BY t.id
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
#: all but CANCELLED and EXPIRED, spelled out, so that a count reads no denial from idx_transactions_session_id
COUNTED = "('PENDING', 'QUEUED', 'EXECUTING', 'SUBMITTED', 'CONFIRMED', 'FAILED', 'PARTIAL_FAILURE')"
#: two counts, so that the first reads nothing but idx_transactions_session_id
COUNT_OF_SESSION = f"""
SELECT
  (SELECT COUNT(*) FROM transactions WHERE {OF_TREE} AND parent_id IS NULL AND status IN {COUNTED})
  - (SELECT COUNT(*) FROM transactions
      WHERE id IN (:without,
        (SELECT parent_id FROM transactions WHERE id = :without),
        (SELECT parent_id FROM transactions WHERE id = (SELECT parent_id FROM transactions WHERE id = :without)))
        AND {OF_TREE} AND parent_id IS NULL AND status IN {COUNTED}) AS n
"""
#: the judged one does not count, nor, while an item or its reset is judged, its batch
RECENT = """
SELECT created_at FROM transactions
 WHERE agent_id = :agent_id AND parent_id IS NULL AND origin = 'send' AND created_at > :since
   AND status NOT IN ('CANCELLED', 'EXPIRED')
   AND (:without IS NULL OR id NOT IN (:without,
     COALESCE((SELECT parent_id FROM transactions WHERE id = :without), ''),
     COALESCE((SELECT parent_id FROM transactions WHERE id =
       (SELECT parent_id FROM transactions WHERE id = :without)), '')))
 ORDER BY created_at DESC LIMIT :limit
"""
#: requests with their decisions, the newest first
JUDGED_PAGE = """origin = 'send' AND parent_id IS NULL AND decision IS NOT NULL AND created_at >= :since
   AND (created_at, id) < (:until, :before)
 ORDER BY created_at DESC, id DESC LIMIT :limit
"""
JUDGED = f"SELECT {COLUMNS} FROM transactions WHERE {JUDGED_PAGE}"
JUDGED_OF_AGENT = f"SELECT {COLUMNS} FROM transactions WHERE agent_id = :agent_id AND {JUDGED_PAGE}"
#: what had ended by then without effect does not count any more
EARLIER = """
SELECT id, session_id, created_at, status IN ('CANCELLED', 'EXPIRED') AS gone FROM transactions
 WHERE agent_id = :agent_id AND parent_id IS NULL AND origin = 'send' AND created_at >= :since
   AND (created_at, id) < (:until, :before)
   AND (status NOT IN ('CANCELLED', 'EXPIRED') OR finished_at >= :then)
 ORDER BY created_at DESC, id DESC LIMIT :limit
"""

INSERT = f"""
INSERT INTO transactions ({COLUMNS})
VALUES ({", ".join(":" + column for column in COLUMNS.replace(",", " ").split())})
"""
IS_ONLY_APPROVAL = f"""
SELECT 1 WHERE NOT EXISTS (
  SELECT 1 FROM transactions
   WHERE agent_id = :agent_id AND status = 'SUBMITTED' AND status IN {LIVE} AND type = 'APPROVE' AND chain = 'ethereum'
     AND token_mint = :token AND spender_address = :spender)
"""
IS_ALONE = f"""
SELECT 1 WHERE NOT EXISTS (
  SELECT 1 FROM transactions
   WHERE agent_id = :agent_id AND id <> :id AND status = 'SUBMITTED' AND status IN {LIVE})
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


async def get_all(db: Database, ids: Collection[str]) -> dict[str, Transaction]:
    """Those of the transactions that are there and can be read, by id."""
    return {tx.id: tx for tx in await _all(db, GET_ALL, ids=msgspec.json.encode(list(ids)).decode())}


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
    params = {"limit": limit, "agent_id": agent_id, "cursor": cursor, **filters}
    return decodable(await db.fetch_all(LIST if agent_id is None else LIST_OF_AGENT, params), _view)


async def open_views(db: Database, agent_id: str | None) -> list[View]:
    """What is PENDING or QUEUED, newest first."""
    return decodable(await db.fetch_all(OPEN, {"agent_id": agent_id}), _view)


async def find_by_key(db: Database, agent_id: str, key: str) -> Transaction | None:
    """The transaction that this idempotency key is bound to."""
    row = await db.fetch_one(BY_KEY, {"agent_id": agent_id, "key": key})
    return _transaction(row) if row else None


async def find_twin(db: Database, session_id: str, request_hash: str, since: int) -> Transaction | None:
    """The newest accepted transaction of the session for the same request, made after `since`."""
    row = await db.fetch_one(TWIN, {"session_id": session_id, "request_hash": request_hash, "since": since})
    return _transaction(row) if row else None


async def networks_at_work(db: Database) -> list[Network]:
    """Networks with a row that is PENDING or EXECUTING."""
    return [Network(row["network"]) for row in await db.fetch_all(NETWORKS_AT_WORK)]


async def to_execute(db: Database, network: str, *, after: str, limit: int) -> tuple[list[Transaction], str | None]:
    """PENDING rows of a network, and EXECUTING ones whose bytes were never stored, oldest first.

    The second is what to go on `after`, None at the end.
    """
    rows = await db.fetch_all(TO_EXECUTE, {"network": network, "after": after, "limit": limit})
    return decodable(rows, _transaction), rows[-1]["id"] if len(rows) == limit else None


async def delayed(db: Database, limit: int = 1000) -> list[Transaction]:
    """What waits for its delay, the next due first."""
    return await _all(db, DUE, limit=limit)


async def undecided(db: Database, now: int, limit: int = 100) -> list[Transaction]:
    """What no owner has decided in time."""
    return await _all(db, UNDECIDED, now=now, limit=limit)


async def next_undecided(db: Database, now: int) -> int | None:
    """When the next one runs out that an owner may still decide; None if there is none."""
    row = await db.fetch_one(NEXT_UNDECIDED, {"now": now})
    return row["due_at"] if row else None


async def awaiting_owner(db: Database, agent_id: str) -> list[Transaction]:
    """What the agent's owner may still decide."""
    return await _all(db, AWAITING_OWNER, agent_id=agent_id)


async def unsigned_since(db: Database, before: int, limit: int = 100) -> list[Transaction]:
    """PENDING rows made, and EXECUTING rows started, at `before` or earlier."""
    return await _all(db, UNSIGNED_TOO_LONG, before=before, limit=limit)


async def open_of_agent(db: Database, agent_id: str) -> list[Transaction]:
    """What a stop of this agent cancels; a withdrawal to its owner goes on."""
    return await _all(db, OPEN_OF_AGENT, agent_id=agent_id)


async def open_of_session(db: Database, session_id: str) -> list[Transaction]:
    """What a revocation of this session, and of all below it, cancels."""
    return await _all(db, OPEN_OF_SESSION, session_id=session_id)


async def _all(db: Database, sql: str, **params: object) -> list[Transaction]:
    return decodable(await db.fetch_all(sql, params), _transaction)


async def children(db: Database, parent_id: str) -> list[Transaction]:
    """Items of a batch, or the reset of an approval, in order."""
    return await _all(db, CHILDREN, parent_id=parent_id)


async def running_batch(db: Database, agent_id: str) -> str | None:
    """The agent's EVM batch under way: its items alone may take nonces."""
    row = await db.fetch_one(RUNNING_BATCH, {"agent_id": agent_id})
    return row["id"] if row else None


async def ancestors(db: Database, tx: Transaction) -> list[str]:
    """The batch of an item, the approval of a reset, and the batch of that; nearest first."""
    if tx.parent_id is None:
        return []
    row = await db.fetch_one(PARENT, {"id": tx.parent_id})
    return [tx.parent_id, *([row["parent_id"]] if row and row["parent_id"] else [])]


async def orphans(db: Database) -> list[Transaction]:
    """Parents under way of which nothing is expected any more: every item has ended, or the reset was not made."""
    return await _all(db, ORPHANS)


async def in_flight(db: Database, agent_id: str | None = None) -> list[sqlite3.Row]:
    """(id, agent_id, network, tx_hash) of everything whose signed bytes may still land."""
    return await db.fetch_all(IN_FLIGHT, {"agent_id": agent_id})


async def open_everywhere(db: Database) -> tuple[list[Transaction], int]:
    """What the kill switch cancels, and how many rows more there are that do not decode."""
    rows = await db.fetch_all(OPEN_EVERYWHERE)
    found = decodable(rows, _transaction)
    return found, len(rows) - len(found)


async def manifest(db: Database) -> list[InFlight]:
    """Everything signed whose end is not known, oldest first."""
    return decodable(await db.fetch_all(MANIFEST), lambda row: to_struct(row, InFlight, "transactions"))


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
    """Requests of a session and all below it that count against its maxTransactions, the one `without` left out."""
    row = await db.fetch_one(COUNT_OF_SESSION, {"session_id": session_id, "without": without})
    return int(row["n"]) if row else 0


async def recent(db: Database, agent_id: str, *, since: int, limit: int, without: str | None = None) -> tuple[int, ...]:
    """When the agent's requests later than `since` were made, newest first; an EVM batch counts once."""
    params = {"agent_id": agent_id, "since": since, "limit": limit, "without": without}
    return tuple(row["created_at"] for row in await db.fetch_all(RECENT, params))


def none_open_of_session(session_id: str) -> Statement:
    """Guard: nothing of the session, or of one below it, is PENDING or QUEUED any more."""
    return Statement(ANY_OPEN_OF_SESSION, {"session_id": session_id}, expect=0)


async def judged(
    db: Database, *, agent_id: str | None, since: int, until: int, before: str, limit: int
) -> list[Transaction]:
    """Requests, denied ones too, made from `since` on and before (until, before), newest first; no items of batches."""
    params = {"agent_id": agent_id, "since": since, "until": until, "before": before, "limit": limit}
    return decodable(await db.fetch_all(JUDGED if agent_id is None else JUDGED_OF_AGENT, params), _transaction)


async def made_earlier(
    db: Database, agent_id: str, *, since: int, until: int, before: str, then: int, limit: int
) -> list[Made]:
    """An agent's requests made from `since` on and before (until, before) that counted at `then`, newest first."""
    params = {"agent_id": agent_id, "since": since, "until": until, "before": before, "then": then, "limit": limit}
    rows = await db.fetch_all(EARLIER, params)
    return [Made(row["id"], row["session_id"], row["created_at"], bool(row["gone"])) for row in rows]


def insert(tx: Transaction) -> Statement:
    """A new row, PENDING or (denied) CANCELLED; ConstraintFailed if its idempotency key is taken."""
    return Statement(INSERT, msgspec.structs.asdict(tx))


def is_still(tx_id: str, status: Status) -> Statement:
    """Guard: no other step has moved it."""
    return Statement(IS_STILL, {"id": tx_id, "status": status})


def so_many_open(count: int) -> Statement:
    """Guard: so many transactions of all agents are PENDING or QUEUED."""
    return Statement(SO_MANY_OPEN, {"count": count})


def is_only_approval(tx: Transaction) -> Statement:
    """Guard: no other EVM approval of the same token for the same spender may still land."""
    params = {"agent_id": tx.agent_id, "token": tx.token_mint, "spender": tx.spender_address}
    return Statement(IS_ONLY_APPROVAL, params)


def is_alone(tx: Transaction) -> Statement:
    """Guard: nothing else that the agent has signed may still land."""
    return Statement(IS_ALONE, {"id": tx.id, "agent_id": tx.agent_id})


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
