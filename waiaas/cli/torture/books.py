"""The daemon's database as anybody could read it: plain rows, in one snapshot, nothing written."""

import json
import sqlite3
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

AGENTS = "SELECT id, network, public_key, status FROM agents"
TRANSACTIONS = """
SELECT id, agent_id, session_id, parent_id, network, type, status, tier, request, idempotency_key, tx_hash,
       error_code, created_at
  FROM transactions
"""
ATTEMPTS = "SELECT tx_id, number, kind, network, signer, tx_hash, raw, status, broadcasts FROM attempts"
LEDGER = "SELECT agent_id, tx_id, asset, kind, state, reserved, settled FROM spend_ledger"
POLICIES = "SELECT agent_id, type, rules, enabled FROM policies"
APPROVALS = "SELECT tx_id, approved_at, rejected_at FROM pending_approvals"
SESSIONS = "SELECT id, parent_id, constraints, renewal_count, revoked_at FROM sessions"
#: what is ordered by the commits that wrote it
SIGNINGS = "SELECT id, event_type, tx_id FROM audit_log WHERE event_type IN ('TX_SUBMITTED', 'TX_REPLACED')"
SWITCHINGS = (
    "SELECT id, event_type FROM audit_log WHERE event_type IN ('KILL_SWITCH_ACTIVATED', 'KILL_SWITCH_RECOVERED')"
)
SIGNED = """
SELECT a.tx_hash, a.tx_id, a.status, a.kind, a.network, t.agent_id
  FROM attempts a JOIN transactions t ON t.id = a.tx_id
"""
STOPPED = "SELECT id FROM transactions WHERE status = 'CANCELLED' AND error_code = 'KILL_SWITCH'"
RAW = "SELECT tx_hash, tx_id, raw FROM attempts"
SUSPENDED = "SELECT id FROM agents WHERE status = 'SUSPENDED' AND suspension_reason = 'unknown_spend'"
#: what the daemon said of strangers
STRANGERS = (
    "SELECT agent_id, event_type, details FROM audit_log WHERE event_type IN ('UNKNOWN_SPEND', 'AGENT_SUSPENDED')"
)
UNFINISHED = f"{TRANSACTIONS} WHERE status IN ('PENDING', 'QUEUED', 'EXECUTING', 'SUBMITTED')"
DENIED = f"{TRANSACTIONS} WHERE status = 'CANCELLED' AND tier IS NULL AND created_at >= :since"
LIVE = f"{ATTEMPTS} WHERE status = 'LIVE'"
KEYS = "SELECT idempotency_key FROM transactions WHERE idempotency_key IS NOT NULL"
TABLES = "SELECT name FROM sqlite_master WHERE type = 'table'"
EVERYTHING = "SELECT * FROM {}"

BOOKS = (AGENTS, TRANSACTIONS, ATTEMPTS, LEDGER, POLICIES, APPROVALS, SESSIONS, SIGNINGS, SWITCHINGS, STRANGERS)

Row = dict[str, Any]


class Books(msgspec.Struct, frozen=True):
    """The rows that the comparison speaks of."""

    agents: list[Row]
    transactions: list[Row]
    attempts: list[Row]
    ledger: list[Row]
    policies: list[Row]
    approvals: list[Row]
    sessions: list[Row]
    signings: list[Row]
    switchings: list[Row]
    strangers: list[Row]


class State(msgspec.Struct, frozen=True):
    """What a dead daemon left: rows that are not final, denials since some moment, all keys, the books of money."""

    agents: list[Row]
    unfinished: list[Row]
    denied: list[Row]
    live: list[Row]
    keys: set[str]
    ledger: list[Row]
    policies: list[Row]


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection that can write nothing, so that what lies on the disk is left to the next daemon as it is."""
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None, timeout=10)
    connection.row_factory = sqlite3.Row
    try:
        connection.execute("BEGIN")
        yield connection
    finally:
        connection.close()


def read_books(path: Path) -> Books:
    """Everything, at the end of a run."""
    with reading(path) as connection:
        return Books(*(rows(connection, sql) for sql in BOOKS))


def read_state(path: Path, since: int) -> State:
    """What a kill left behind."""
    with reading(path) as connection:
        return State(
            agents=rows(connection, AGENTS),
            unfinished=rows(connection, UNFINISHED),
            denied=rows(connection, DENIED, since=since),
            live=rows(connection, LIVE),
            keys={row["idempotency_key"] for row in rows(connection, KEYS)},
            ledger=rows(connection, LEDGER),
            policies=rows(connection, POLICIES),
        )


def count_unfinished(path: Path) -> int:
    """Transactions that have not ended, while the daemon runs or not."""
    with reading(path) as connection:
        return len(rows(connection, UNFINISHED))


def read_signed(path: Path) -> list[Row]:
    """All that was ever signed: hash, transaction, status, kind, network and agent."""
    with reading(path) as connection:
        return rows(connection, SIGNED)


def read_stopped(path: Path) -> list[str]:
    """Transactions that the kill switch cancelled."""
    with reading(path) as connection:
        return [row["id"] for row in rows(connection, STOPPED)]


def read_raw(path: Path, hashes: Collection[str]) -> dict[str, Row]:
    """Transaction and bytes of those of the hashes that the daemon has signed."""
    with reading(path) as connection:
        return {row["tx_hash"]: row for row in rows(connection, RAW) if row["tx_hash"] in set(hashes)}


def read_suspended(path: Path) -> list[str]:
    """Agents that stand still because of a stranger."""
    with reading(path) as connection:
        return [row["id"] for row in rows(connection, SUSPENDED)]


def read_told(path: Path) -> set[tuple[str, str]]:
    """(agent, nonce or signature) of all that strangers did, as far as the daemon has told of it."""
    with reading(path) as connection:
        return told_of(rows(connection, STRANGERS))


def told_of(strangers: list[Row]) -> set[tuple[str, str]]:
    """The same, of rows that were read."""
    told = ((row["agent_id"], json.loads(row["details"])) for row in strangers if row["event_type"] == "UNKNOWN_SPEND")
    return {(agent, str(details[name])) for agent, details in told for name in ("nonce", "txHash") if name in details}


def texts(path: Path) -> Iterator[tuple[str, bytes]]:
    """(table, value) of every text and blob, so that one split over two pages is found too."""
    with reading(path) as connection:
        for (table,) in connection.execute(TABLES).fetchall():
            for row in connection.execute(EVERYTHING.format(table)):
                for value in tuple(row):
                    if isinstance(value, str | bytes):
                        yield table, value.encode() if isinstance(value, str) else value


def rows(connection: sqlite3.Connection, sql: str, **params: Any) -> list[Row]:
    return [dict(row) for row in connection.execute(sql, params)]
