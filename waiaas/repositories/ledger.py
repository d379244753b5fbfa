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
 WHERE session_id = :session_id AND kind <> 'FEE' AND (:without IS NULL
   OR tx_id <> :without AND tx_id NOT IN (SELECT id FROM transactions WHERE parent_id = :without))
"""
OF_TRANSACTION = f"SELECT {COLUMNS} FROM spend_ledger WHERE tx_id = :tx_id"
OF_ITEMS = f"""
SELECT {COLUMNS} FROM spend_ledger WHERE tx_id IN (SELECT id FROM transactions WHERE parent_id = :tx_id)
"""

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
 WHERE tx_id = :tx_id AND kind = :kind AND asset = :asset AND state = 'RESERVED'
"""
SETTLE_ROW = """
UPDATE spend_ledger SET state = 'SPENT', settled = :settled, settled_at = :now,
       version = (SELECT ledger_version FROM agents WHERE id = spend_ledger.agent_id)
 WHERE id = :id AND state = 'RESERVED'
"""
SETTLE_AMOUNTS = """
UPDATE spend_ledger SET state = 'SPENT', settled = reserved, settled_at = :now,
       version = (SELECT ledger_version FROM agents WHERE id = spend_ledger.agent_id)
 WHERE tx_id = :tx_id AND kind = 'AMOUNT' AND state = 'RESERVED'
"""
RELEASE = """
UPDATE spend_ledger SET state = 'RELEASED', settled_at = :now,
       version = (SELECT ledger_version FROM agents WHERE id = spend_ledger.agent_id)
 WHERE tx_id = :tx_id AND kind <> :kept AND state = 'RESERVED'
"""
RELEASE_ALLOWANCES = """
UPDATE spend_ledger SET state = 'RELEASED', settled_at = :now,
       version = (SELECT ledger_version FROM agents WHERE id = spend_ledger.agent_id)
 WHERE agent_id = :agent_id AND asset = :asset AND spender = :spender AND kind = 'ALLOWANCE' AND state = 'RESERVED'
   AND tx_id <> :but AND (SELECT t.status FROM transactions AS t WHERE t.id = spend_ledger.tx_id) = 'CONFIRMED'
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
    """Asset → settled and reserved amounts and allowances of a session, without fees and the transaction `without`."""
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


async def of_items(db: Database, tx_id: str) -> list[LedgerRow]:
    """The rows of an EVM batch: each is an item's."""
    return [_row(row) for row in await db.fetch_all(OF_ITEMS, {"tx_id": tx_id})]


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


def settle(tx_id: str, kind: LedgerKind, asset: str, amount: int, now: int) -> Statement:
    """RESERVED → SPENT with what it really cost; stale if it was settled or released before."""
    params = {"tx_id": tx_id, "kind": kind, "asset": asset, "settled": str(amount), "now": now}
    return Statement(SETTLE, params)


def settle_row(row_id: str, amount: int, now: int) -> Statement:
    """One row RESERVED → SPENT; stale if it was settled or released before."""
    return Statement(SETTLE_ROW, {"id": row_id, "settled": str(amount), "now": now})


def settle_amounts(tx_id: str, now: int) -> Statement:
    """Every AMOUNT still RESERVED → SPENT as reserved: what the effects declared."""
    return Statement(SETTLE_AMOUNTS, {"tx_id": tx_id, "now": now}, expect=None)


def release(tx_id: str, now: int, *, kept: LedgerKind | None = None) -> Statement:
    """RESERVED → RELEASED, on proof of no effect, but for the kind that is `kept`; the row's move guards it."""
    return Statement(RELEASE, {"tx_id": tx_id, "kept": kept or "", "now": now}, expect=None)


def release_allowances(agent_id: str, asset: str, spender: str, *, but: str, now: int) -> Statement:
    """Allowances that a spender had end when another transaction, `but`, has replaced or revoked them.

    What is still under way stays set aside: it may land after this one.
    """
    params = {"agent_id": agent_id, "asset": asset, "spender": spender, "but": but, "now": now}
    return Statement(RELEASE_ALLOWANCES, params, expect=None)


def set_fee(tx_id: str, fee: int) -> Statement:
    """The fee reservation becomes the bound that was signed."""
    return Statement(SET_FEE, {"tx_id": tx_id, "fee": str(fee)})
