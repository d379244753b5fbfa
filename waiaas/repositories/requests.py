"""Requests as they were made: as limits count them, and as a replay judges them again."""

from waiaas.db import Database
from waiaas.domain.history import Made
from waiaas.domain.transaction import Transaction
from waiaas.repositories.rows import decodable
from waiaas.repositories.sessions import TREE
from waiaas.repositories.transactions import COLUMNS, to_transaction

#: a session and everything below it
OF_TREE = f"session_id IN ({TREE})"
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


async def count_of_session(db: Database, session_id: str, *, without: str | None = None) -> int:
    """Requests of a session and all below it that count against its maxTransactions, the one `without` left out."""
    row = await db.fetch_one(COUNT_OF_SESSION, {"session_id": session_id, "without": without})
    return int(row["n"]) if row else 0


async def recent(db: Database, agent_id: str, *, since: int, limit: int, without: str | None = None) -> tuple[int, ...]:
    """When the agent's requests later than `since` were made, newest first; an EVM batch counts once."""
    params = {"agent_id": agent_id, "since": since, "limit": limit, "without": without}
    return tuple(row["created_at"] for row in await db.fetch_all(RECENT, params))


async def judged(
    db: Database, *, agent_id: str | None, since: int, until: int, before: str, limit: int
) -> list[Transaction]:
    """Requests, denied ones too, made from `since` on and before (until, before), newest first; no items of batches."""
    params = {"agent_id": agent_id, "since": since, "until": until, "before": before, "limit": limit}
    return decodable(await db.fetch_all(JUDGED if agent_id is None else JUDGED_OF_AGENT, params), to_transaction)


async def made_earlier(
    db: Database, agent_id: str, *, since: int, until: int, before: str, then: int, limit: int
) -> list[Made]:
    """An agent's requests made from `since` on and before (until, before) that counted at `then`, newest first."""
    params = {"agent_id": agent_id, "since": since, "until": until, "before": before, "then": then, "limit": limit}
    rows = await db.fetch_all(EARLIER, params)
    return [Made(row["id"], row["session_id"], row["created_at"], bool(row["gone"])) for row in rows]
