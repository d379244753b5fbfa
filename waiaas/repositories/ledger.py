"""`spend_ledger`: what was set aside, spent or given back, under the agent's ledger version."""

import sqlite3
from collections.abc import Collection

import msgspec

from waiaas.db import Database, Statement
from waiaas.domain.history import Entry
from waiaas.domain.ledger import LedgerKind, LedgerRow, LedgerState, OpenAllowance
from waiaas.domain.tally import Standing
from waiaas.errors import AgentNotFound
from waiaas.repositories.requests import standing
from waiaas.repositories.transactions import LINE

COLUMNS = "id, agent_id, session_id, tx_id, asset, kind, spender, state, reserved, settled, created_at, settled_at"
OF_AGENT = f"""
SELECT a.ledger_version, l.id AS row_id, {", ".join("l." + column for column in COLUMNS.split(", "))}
  FROM agents a LEFT JOIN spend_ledger l ON l.agent_id = a.id AND (l.state = 'RESERVED' OR l.settled_at > :since)
 WHERE a.id = :agent_id
"""
#: each with the request that it is of: an item's is its batch, a reset's that of its approval
CHANGED = f"""
SELECT a.ledger_version, l.id AS row_id, {", ".join("l." + column for column in COLUMNS.split(", "))},
       r.id AS request_id, r.rowid AS place, r.session_id AS made_by, r.created_at AS made_at, r.status AS stands
  FROM agents a
  LEFT JOIN spend_ledger l ON l.agent_id = a.id AND l.version > :version
  LEFT JOIN transactions t ON t.id = l.tx_id
  LEFT JOIN transactions p ON p.id = t.parent_id
  LEFT JOIN transactions r ON r.id = COALESCE(p.parent_id, t.parent_id, t.id) AND r.origin = 'send'
 WHERE a.id = :agent_id
"""
OF_SESSIONS = f"""
SELECT {COLUMNS} FROM spend_ledger
 WHERE agent_id = :agent_id AND version <= :to AND session_id IS NOT NULL AND kind <> 'FEE' AND state <> 'RELEASED'
"""
OF_TRANSACTION = f"SELECT {COLUMNS} FROM spend_ledger WHERE tx_id = :tx_id"
#: ranges of the version are its pages: what one commit wrote is never torn
HISTORY = f"""
SELECT {", ".join("l." + column for column in COLUMNS.split(", "))}, l.version, t.submitted_at,
       COALESCE(p.parent_id, t.parent_id, t.id) AS root
  FROM spend_ledger l JOIN transactions t ON t.id = l.tx_id LEFT JOIN transactions p ON p.id = t.parent_id
 WHERE l.agent_id = :agent_id AND l.version > :after AND l.version <= :to AND l.created_at <= :until
   AND (l.state = 'RESERVED' OR l.settled_at > :since)
"""
OF_TRANSACTIONS = f"SELECT {COLUMNS} FROM spend_ledger WHERE tx_id IN (SELECT value FROM json_each(:ids))"
OF_ITEMS = f"""
SELECT {COLUMNS} FROM spend_ledger WHERE tx_id IN (SELECT id FROM transactions WHERE parent_id = :tx_id)
"""
#: of everything that hangs on the same approval: a batch with its items, an approval with its reset
FEES_BESIDE = f"""
WITH RECURSIVE {LINE},
family(id) AS (
  SELECT id FROM line WHERE parent_id IS NULL
  UNION ALL
  SELECT t.id FROM transactions t JOIN family ON t.parent_id = family.id)
SELECT {COLUMNS} FROM spend_ledger WHERE kind = 'FEE' AND tx_id <> :tx_id AND tx_id IN (SELECT id FROM family)
"""
#: what spenders may still take on one network, with the agent it is of and where its approval landed; what is accepted
#: and not landed is not there
OPEN_ALLOWANCES = f"""
SELECT {", ".join("l." + column for column in COLUMNS.split(", "))}, g.public_key, g.ledger_version,
       a.block_number AS block, a.finished_at IS NOT NULL AS is_final, t.type = 'APPROVE' AS by_request
  FROM spend_ledger l
  JOIN transactions t ON t.id = l.tx_id
  JOIN agents g ON g.id = l.agent_id
  JOIN attempts a ON a.tx_id = l.tx_id AND a.status = 'LANDED' AND a.kind <> 'CANCEL'
 WHERE l.state = 'RESERVED' AND l.kind = 'ALLOWANCE' AND g.network = :network ORDER BY l.agent_id, l.id
"""
#: signed bytes that may land next, of agents with open allowances; a landed one whose block has gone is among them
IN_FLIGHT = """
SELECT DISTINCT t.agent_id, t.request FROM attempts a JOIN transactions t ON t.id = a.tx_id
 WHERE a.status = 'LIVE' AND a.network = :network
   AND t.agent_id IN (SELECT l.agent_id FROM spend_ledger l WHERE l.state = 'RESERVED' AND l.kind = 'ALLOWANCE')
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
RELEASE_ROW = """
UPDATE spend_ledger SET state = 'RELEASED', settled_at = :now,
       version = (SELECT ledger_version FROM agents WHERE id = spend_ledger.agent_id)
 WHERE id = :id AND state = 'RESERVED'
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


async def of_agent(db: Database, agent_id: str, *, since: int) -> tuple[int, list[LedgerRow]]:
    """The agent's ledger version, its open rows and those that ended later than `since`, out of one snapshot.

    AgentNotFound if there is no such agent.
    """
    rows = await db.fetch_all(OF_AGENT, {"agent_id": agent_id, "since": since})
    return _version(rows), [_row(row) for row in rows if row["row_id"] is not None]


async def changed(db: Database, agent_id: str, *, after: int) -> tuple[int, list[LedgerRow], list[Standing]]:
    """The agent's ledger version, the rows written since version `after`, and the requests that they are of.

    Out of one snapshot. AgentNotFound if there is no such agent.
    """
    rows = await db.fetch_all(CHANGED, {"agent_id": agent_id, "version": after})
    standings = [
        standing(row["request_id"], row["place"], row["made_by"], row["made_at"], row["stands"])
        for row in rows
        if row["request_id"] is not None
    ]
    return _version(rows), [_row(row) for row in rows if row["row_id"] is not None], standings


async def of_sessions(db: Database, agent_id: str, *, to: int) -> list[LedgerRow]:
    """Rows of the agent's sessions that count, fees left out, but for those written later than version `to`."""
    return [_row(row) for row in await db.fetch_all(OF_SESSIONS, {"agent_id": agent_id, "to": to})]


def _version(rows: list[sqlite3.Row]) -> int:
    if not rows:
        raise AgentNotFound()
    return int(rows[0]["ledger_version"])


async def history(db: Database, agent_id: str, *, after: int, to: int, since: int, until: int) -> list[Entry]:
    """Rows written last in after < version ≤ to, made by `until`; of those that ended, the ones later than `since`."""
    params = {"agent_id": agent_id, "after": after, "to": to, "since": since, "until": until}
    rows = await db.fetch_all(HISTORY, params)
    return [Entry(_row(row), row["version"], row["root"], row["submitted_at"]) for row in rows]


async def of_transaction(db: Database, tx_id: str) -> list[LedgerRow]:
    """The rows of one transaction."""
    return [_row(row) for row in await db.fetch_all(OF_TRANSACTION, {"tx_id": tx_id})]


async def of_transactions(db: Database, ids: Collection[str]) -> dict[str, list[LedgerRow]]:
    """The rows of each of the transactions."""
    found: dict[str, list[LedgerRow]] = {tx_id: [] for tx_id in ids}
    for row in await db.fetch_all(OF_TRANSACTIONS, {"ids": msgspec.json.encode(list(ids)).decode()}):
        found[row["tx_id"]].append(_row(row))
    return found


async def of_items(db: Database, tx_id: str) -> list[LedgerRow]:
    """The rows of an EVM batch: each is an item's."""
    return [_row(row) for row in await db.fetch_all(OF_ITEMS, {"tx_id": tx_id})]


async def fees_beside(db: Database, tx_id: str) -> int:
    """What the others of its batch, or its reset, have set aside or paid for their fees, in native base units."""
    rows = [_row(row) for row in await db.fetch_all(FEES_BESIDE, {"tx_id": tx_id})]
    return sum(
        row.reserved if row.settled is None else row.settled for row in rows if row.state != LedgerState.RELEASED
    )


async def open_allowances(db: Database, network: str) -> list[OpenAllowance]:
    """Every allowance that landed on a network and is open; each agent's together, with its ledger version."""
    return [
        OpenAllowance(
            _row(row),
            row["public_key"],
            row["ledger_version"],
            row["block"],
            bool(row["is_final"]),
            row["by_request"] == 1,
        )
        for row in await db.fetch_all(OPEN_ALLOWANCES, {"network": network})
    ]


async def in_flight(db: Database, network: str) -> list[tuple[str, str]]:
    """(agent, stored request) of what is signed and not landed, of agents with open allowances."""
    return [(row["agent_id"], row["request"]) for row in await db.fetch_all(IN_FLIGHT, {"network": network})]


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


def release_row(row_id: str, now: int) -> Statement:
    """One row RESERVED → RELEASED; stale if it was settled or released before."""
    return Statement(RELEASE_ROW, {"id": row_id, "now": now})


def set_fee(tx_id: str, fee: int) -> Statement:
    """The fee reservation becomes the bound that was signed."""
    return Statement(SET_FEE, {"tx_id": tx_id, "fee": str(fee)})
