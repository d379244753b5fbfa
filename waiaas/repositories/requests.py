"""Requests as they were made: as limits count them, and as a replay judges them again."""

from waiaas.db import Database
from waiaas.domain.history import Made
from waiaas.domain.tally import Standing
from waiaas.domain.transaction import FINAL, Status, Transaction
from waiaas.repositories.rows import decodable
from waiaas.repositories.transactions import COLUMNS, to_transaction

WITHOUT_EFFECT = frozenset({Status.CANCELLED, Status.EXPIRED})
#: what counts: all but CANCELLED and EXPIRED
COUNTED = """agent_id = :agent_id AND parent_id IS NULL AND origin = 'send'
   AND status NOT IN ('CANCELLED', 'EXPIRED')"""
#: one by one what is young or open, the others by session; one statement, so that the highest place fits both
STANDINGS = f"""
SELECT rowid AS place, id, session_id, created_at, status, 1 AS count FROM transactions
 WHERE {COUNTED} AND (created_at > :since OR finished_at IS NULL)
UNION ALL
SELECT MAX(rowid), NULL, session_id, NULL, NULL, COUNT(*) FROM transactions
 WHERE {COUNTED} AND created_at <= :since AND finished_at IS NOT NULL GROUP BY session_id
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


async def standings(db: Database, agent_id: str, *, since: int) -> tuple[dict[str | None, int], int, list[Standing]]:
    """An agent's requests that count: by session how many final ones were made by `since`, the highest place, the rest.

    Out of one snapshot.
    """
    rows = await db.fetch_all(STANDINGS, {"agent_id": agent_id, "since": since})
    ended = {row["session_id"]: int(row["count"]) for row in rows if row["id"] is None}
    others = [row for row in rows if row["id"] is not None]
    return (
        ended,
        max((row["place"] for row in rows), default=-1),
        [standing(row["id"], row["place"], row["session_id"], row["created_at"], row["status"]) for row in others],
    )


def standing(id: str, place: int, session_id: str | None, made_at: int, status: str) -> Standing:
    """Of columns of its row."""
    return Standing(id, place, session_id, made_at, counts=status not in WITHOUT_EFFECT, is_final=status in FINAL)


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
