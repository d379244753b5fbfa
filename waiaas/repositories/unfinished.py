"""The transactions that are not final: what a stop cancels, what may still land, and how many there are."""

from waiaas.db import Database, Statement
from waiaas.domain.transaction import InFlight, Transaction, View
from waiaas.repositories.rows import decodable, to_struct
from waiaas.repositories.sessions import TREE
from waiaas.repositories.transactions import COLUMNS, LIVE, VIEW, fetch, to_transaction, to_view

#: a session and everything below it
OF_TREE = f"session_id IN ({TREE})"
OPEN = f"""{VIEW}
 WHERE t.status IN ('PENDING', 'QUEUED') AND t.status IN {LIVE} AND +t.parent_id IS NULL
   AND (:agent_id IS NULL OR t.agent_id = :agent_id)
 ORDER BY t.id DESC
"""
AWAITING_OWNER = f"""
SELECT {COLUMNS} FROM transactions AS t
 WHERE agent_id = :agent_id AND status = 'QUEUED' AND EXISTS (
   SELECT 1 FROM pending_approvals p
    WHERE p.tx_id = t.id AND p.approved_at IS NULL AND p.rejected_at IS NULL AND p.closed_at IS NULL)
 ORDER BY id
"""
OPEN_OF_AGENT = f"""
SELECT {COLUMNS} FROM transactions
 WHERE agent_id = :agent_id AND status IN ('PENDING', 'QUEUED') AND origin = 'send' ORDER BY id
"""
OPEN_OF_SESSION = f"SELECT {COLUMNS} FROM transactions WHERE {OF_TREE} AND status IN ('PENDING', 'QUEUED') ORDER BY id"
ANY_OPEN_OF_SESSION = f"SELECT 1 FROM transactions WHERE {OF_TREE} AND status IN ('PENDING', 'QUEUED')"
OPEN_EVERYWHERE = f"""
SELECT {COLUMNS} FROM transactions WHERE status IN ('PENDING', 'QUEUED') AND status IN {LIVE} ORDER BY id
"""
SO_MANY_OPEN = f"""
SELECT 1 WHERE (SELECT COUNT(*) FROM transactions WHERE status IN ('PENDING', 'QUEUED') AND status IN {LIVE}) = :count
"""
UNSIGNED_EVERYWHERE = f"""
SELECT {COLUMNS} FROM transactions
 WHERE status IN ('PENDING', 'QUEUED', 'EXECUTING') AND status IN {LIVE} ORDER BY id
"""
#: an EVM batch has no bytes, its items have
#: whatever its transaction is: one that was CONFIRMED may land again, once a fork has undone its block
IN_FLIGHT = """
SELECT t.id, t.agent_id, t.network, a.tx_hash, a.last_valid_block_height, a.nonce
  FROM attempts a CROSS JOIN transactions t ON t.id = a.tx_id
 WHERE a.status = 'LIVE' AND (:agent_id IS NULL OR t.agent_id = :agent_id) ORDER BY t.id
"""
COUNT_QUEUED = f"""
SELECT COUNT(*) AS n FROM transactions
 WHERE status = 'QUEUED' AND status IN {LIVE} AND (:agent_id IS NULL OR agent_id = :agent_id)
"""
COUNT_AWAITING_APPROVAL = f"""
SELECT COUNT(*) AS n FROM transactions WHERE status = 'QUEUED' AND status IN {LIVE} AND tier = 'APPROVAL'
"""
COUNT_LIVE = f"SELECT status, network, COUNT(*) AS n FROM transactions WHERE status IN {LIVE} GROUP BY status, network"


async def open_views(db: Database, agent_id: str | None) -> list[View]:
    """What is PENDING or QUEUED, newest first."""
    return decodable(await db.fetch_all(OPEN, {"agent_id": agent_id}), to_view)


async def awaiting_owner(db: Database, agent_id: str) -> list[Transaction]:
    """What the agent's owner may still decide."""
    return await fetch(db, AWAITING_OWNER, agent_id=agent_id)


async def open_of_agent(db: Database, agent_id: str) -> list[Transaction]:
    """What a stop of this agent cancels; a withdrawal to its owner goes on."""
    return await fetch(db, OPEN_OF_AGENT, agent_id=agent_id)


async def open_of_session(db: Database, session_id: str) -> list[Transaction]:
    """What a revocation of this session, and of all below it, cancels."""
    return await fetch(db, OPEN_OF_SESSION, session_id=session_id)


async def open_everywhere(db: Database) -> tuple[list[Transaction], int]:
    """What the kill switch cancels, and how many rows more there are that do not decode."""
    rows = await db.fetch_all(OPEN_EVERYWHERE)
    found = decodable(rows, to_transaction)
    return found, len(rows) - len(found)


async def unsigned_everywhere(db: Database) -> list[Transaction]:
    """Everything whose bytes are not durable here."""
    return await fetch(db, UNSIGNED_EVERYWHERE)


async def in_flight(db: Database, agent_id: str | None = None) -> list[InFlight]:
    """Everything signed that may still land, oldest first."""
    rows = await db.fetch_all(IN_FLIGHT, {"agent_id": agent_id})
    return decodable(rows, lambda row: to_struct(row, InFlight, "transactions"))


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


def none_open_of_session(session_id: str) -> Statement:
    """Guard: nothing of the session, or of one below it, is PENDING or QUEUED any more."""
    return Statement(ANY_OPEN_OF_SESSION, {"session_id": session_id}, expect=0)


def so_many_open(count: int) -> Statement:
    """Guard: so many transactions of all agents are PENDING or QUEUED."""
    return Statement(SO_MANY_OPEN, {"count": count})
