"""`spend_ledger`: what was set aside, spent or given back, under the agent's ledger version."""

import sqlite3

from waiaas.db import Database, Statement
from waiaas.domain.ledger import LedgerKind, LedgerRow, LedgerState
from waiaas.errors import AgentNotFound

COLUMNS = "id, agent_id, session_id, tx_id, asset, kind, spender, state, reserved, settled, created_at, settled_at"
CHANGED = f"""
SELECT a.ledger_version, l.id AS row_id, {", ".join("l." + column for column in COLUMNS.split(", "))}
  FROM agents a LEFT JOIN spend_ledger l
    ON l.agent_id = a.id AND l.version > :version AND (l.state = 'RESERVED' OR l.settled_at > :since)
 WHERE a.id = :agent_id
"""
OF_SESSION = """
SELECT asset, state, reserved, settled FROM spend_ledger
 WHERE session_id = :session_id AND kind = 'AMOUNT' AND (:without IS NULL OR tx_id <> :without)
"""
OF_TRANSACTION = f"SELECT {COLUMNS} FROM spend_ledger WHERE tx_id = :tx_id"

RAISE_FROM = "UPDATE agents SET ledger_version = ledger_version + 1 WHERE id = :agent_id AND ledger_version = :version"
RAISE = "UPDATE agents SET ledger_version = ledger_version + 1 WHERE id = :agent_id"
RESERVE = """
INSERT INTO spend_ledger (id, agent_id, session_id, tx_id, asset, kind, spender, state, reserved, version, created_at)
VALUES (:id, :agent_id, :session_id, :tx_id, :asset, :kind, :spender, 'RESERVED', :reserved,
        (SELECT ledger_version FROM agents WHERE id = :agent_id), :now)
"""
SETTLE = """
UPDATE spend_ledger SET state = 'SPENT', settled = :settled, settled_at = :now,
       version = (SELECT ledger_version FROM agents WHERE id = spend_ledger.agent_id)
 WHERE tx_id = :tx_id AND kind = :kind AND state = 'RESERVED'
"""
RELEASE = """
UPDATE spend_ledger SET state = 'RELEASED', settled_at = :now,
       version = (SELECT ledger_version FROM agents WHERE id = spend_ledger.agent_id)
 WHERE tx_id = :tx_id AND kind = :kind AND state = 'RESERVED'
"""
SET_FEE = """
UPDATE spend_ledger SET reserved = :fee, version = (SELECT ledger_version FROM agents WHERE id = spend_ledger.agent_id)
 WHERE tx_id = :tx_id AND kind = 'FEE' AND state = 'RESERVED'
"""


def _row(row: sqlite3.Row) -> LedgerRow:
    settled = row["settled"]
    return LedgerRow(
        id=row["id"],
        agent_id=row["agent_id"],
        session_id=row["session_id"],
        tx_id=row["tx_id"],
        asset=row["asset"],
        kind=LedgerKind(row["kind"]),
        spender=row["spender"],
        state=LedgerState(row["state"]),
        reserved=int(row["reserved"]),
        settled=None if settled is None else int(settled),
        created_at=row["created_at"],
        settled_at=row["settled_at"],
    )


async def changed(db: Database, agent_id: str, *, after: int = -1, since: int = -1) -> tuple[int, list[LedgerRow]]:
    """The agent's ledger version, and the rows written since version `after`, out of one snapshot.

    Rows that ended at `since` or earlier are left out. AgentNotFound if there is no such agent.
    """
    rows = await db.fetch_all(CHANGED, {"agent_id": agent_id, "version": after, "since": since})
    if not rows:
        raise AgentNotFound()
    return rows[0]["ledger_version"], [_row(row) for row in rows if row["row_id"] is not None]


async def spent_by_session(db: Database, session_id: str, *, without: str | None = None) -> dict[str, int]:
    """Asset → settled plus reserved amounts of one session, fees and the transaction `without` left out."""
    totals: dict[str, int] = {}
    for row in await db.fetch_all(OF_SESSION, {"session_id": session_id, "without": without}):
        if row["state"] == LedgerState.RELEASED:
            continue
        amount = int(row["settled"] if row["state"] == LedgerState.SPENT else row["reserved"])
        totals[row["asset"]] = totals.get(row["asset"], 0) + amount
    return totals


async def of_transaction(db: Database, tx_id: str) -> list[LedgerRow]:
    """The rows of one transaction."""
    return [_row(row) for row in await db.fetch_all(OF_TRANSACTION, {"tx_id": tx_id})]


def raise_version(agent_id: str, *, was: int) -> Statement:
    """Guard and step: nothing touched the agent's ledger since `was` was read."""
    return Statement(RAISE_FROM, {"agent_id": agent_id, "version": was}, touches=f"ledger:{agent_id}")


def touch(agent_id: str) -> Statement:
    """Part of every commit that only lowers what is used."""
    return Statement(RAISE, {"agent_id": agent_id}, touches=f"ledger:{agent_id}")


def reserve(row: LedgerRow) -> Statement:
    """Set aside, in the accepting commit."""
    return Statement(
        RESERVE,
        {
            "id": row.id,
            "agent_id": row.agent_id,
            "session_id": row.session_id,
            "tx_id": row.tx_id,
            "asset": row.asset,
            "kind": row.kind,
            "spender": row.spender,
            "reserved": str(row.reserved),
            "now": row.created_at,
        },
    )


def settle(tx_id: str, kind: LedgerKind, amount: int, now: int) -> Statement:
    """RESERVED → SPENT with what it really cost; stale if it was settled or released before."""
    return Statement(SETTLE, {"tx_id": tx_id, "kind": kind, "settled": str(amount), "now": now})


def release(tx_id: str, kind: LedgerKind, now: int) -> Statement:
    """RESERVED → RELEASED, on proof of no effect; stale if it was settled or released before."""
    return Statement(RELEASE, {"tx_id": tx_id, "kind": kind, "now": now})


def set_fee(tx_id: str, fee: int) -> Statement:
    """The fee reservation becomes the bound that was signed."""
    return Statement(SET_FEE, {"tx_id": tx_id, "fee": str(fee)})
