"""The transactions that a worker takes up next, by what each of them waits for; the row is the queue."""

from waiaas.db import Database, Statement
from waiaas.domain.chain import Network
from waiaas.domain.transaction import Transaction
from waiaas.repositories.rows import decodable
from waiaas.repositories.transactions import COLUMNS, LIVE, fetch, to_transaction

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
#: of several, the one that has begun to sign goes on
RUNNING_BATCH = """
SELECT id FROM transactions
 WHERE agent_id = :agent_id AND type = 'BATCH' AND chain = 'ethereum' AND status IN ('EXECUTING', 'SUBMITTED')
 ORDER BY status DESC, id LIMIT 1
"""
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


async def networks_at_work(db: Database) -> list[Network]:
    """Networks with a row that is PENDING or EXECUTING."""
    return [Network(row["network"]) for row in await db.fetch_all(NETWORKS_AT_WORK)]


async def to_execute(db: Database, network: str, *, after: str, limit: int) -> tuple[list[Transaction], str | None]:
    """PENDING rows of a network, and EXECUTING ones whose bytes were never stored, oldest first.

    The second is what to go on `after`, None at the end.
    """
    rows = await db.fetch_all(TO_EXECUTE, {"network": network, "after": after, "limit": limit})
    return decodable(rows, to_transaction), rows[-1]["id"] if len(rows) == limit else None


async def delayed(db: Database, limit: int = 1000) -> list[Transaction]:
    """What waits for its delay, the next due first."""
    return await fetch(db, DUE, limit=limit)


async def undecided(db: Database, now: int, limit: int = 100) -> list[Transaction]:
    """What no owner has decided in time."""
    return await fetch(db, UNDECIDED, now=now, limit=limit)


async def next_undecided(db: Database, now: int) -> int | None:
    """When the next one runs out that an owner may still decide; None if there is none."""
    row = await db.fetch_one(NEXT_UNDECIDED, {"now": now})
    return row["due_at"] if row else None


async def unsigned_since(db: Database, before: int, limit: int = 100) -> list[Transaction]:
    """PENDING rows made, and EXECUTING rows started, at `before` or earlier."""
    return await fetch(db, UNSIGNED_TOO_LONG, before=before, limit=limit)


async def running_batch(db: Database, agent_id: str) -> str | None:
    """The agent's EVM batch under way: its items alone may take nonces."""
    row = await db.fetch_one(RUNNING_BATCH, {"agent_id": agent_id})
    return row["id"] if row else None


async def orphans(db: Database) -> list[Transaction]:
    """Parents under way of which nothing is expected any more: every item has ended, or the reset was not made."""
    return await fetch(db, ORPHANS)


def is_only_approval(tx: Transaction) -> Statement:
    """Guard: no other EVM approval of the same token for the same spender may still land."""
    params = {"agent_id": tx.agent_id, "token": tx.token_mint, "spender": tx.spender_address}
    return Statement(IS_ONLY_APPROVAL, params)


def is_alone(tx: Transaction) -> Statement:
    """Guard: nothing else that the agent has signed may still land."""
    return Statement(IS_ALONE, {"id": tx.id, "agent_id": tx.agent_id})
