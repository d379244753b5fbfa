"""`audit_log` as an auditor reads it: on a connection of its own, row after row, trusting nothing that is stored."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import msgspec

from waiaas.domain.audit import first_link, link

INSTALLATION = "SELECT value FROM key_value_store WHERE key = 'installation'"
WALK = """
SELECT id, timestamp, event_type, actor, agent_id, session_id, tx_id, details, severity, ip_address, hash
  FROM audit_log WHERE id >= :first ORDER BY id
"""
HASH_OF = "SELECT hash FROM audit_log WHERE id = :id"
NEWEST = "SELECT id, hash FROM audit_log ORDER BY id DESC LIMIT 1"
LARGEST_ID_GIVEN = "SELECT seq FROM sqlite_sequence WHERE name = 'audit_log'"
LIST = """
SELECT id, timestamp, event_type, actor, severity, agent_id, session_id, tx_id, ip_address, details
  FROM audit_log
 WHERE timestamp >= :since AND (:event_type IS NULL OR event_type = :event_type)
   AND (:agent_id IS NULL OR agent_id = :agent_id) AND (:tx_id IS NULL OR tx_id = :tx_id)
 ORDER BY id DESC LIMIT :limit
"""


class Head(NamedTuple):
    """Id and hash of a row that all rows before it lead to."""

    id: int
    hash: str

    def __str__(self) -> str:
        return f"{self.id}:{self.hash}"


class Anchor(msgspec.Struct, frozen=True):
    """An id and its hash that were written down somewhere else, and where."""

    id: int
    hash: str
    source: str


class Break(msgspec.Struct, frozen=True):
    """The first bad row: `hash` it was edited, `gap` it is gone, `link` it has no hash or not the one of an anchor."""

    id: int
    reason: str
    detail: str


class Verdict(msgspec.Struct, frozen=True):
    """What a walk found: rows looked at, the last id and hash that hold, and the first break."""

    rows: int
    head: Head
    broken: Break | None


class AuditRow(msgspec.Struct, frozen=True, rename="camel"):
    """A row for people and programs; `timestamp` in epoch seconds."""

    id: int
    timestamp: int
    event_type: str
    actor: str
    severity: str
    agent_id: str | None
    session_id: str | None
    tx_id: str | None
    ip_address: str | None
    details: Any


def verify(connection: sqlite3.Connection, anchors: Sequence[Anchor], first: int = 1) -> Verdict:
    """Walk the chain from row `first` to its end; the earliest break of the walk and of the anchors."""
    known = hash_of(connection, first - 1)
    if known is None:
        return Verdict(0, Head(first - 1, ""), Break(first - 1, "gap", "there is no such row to begin at"))
    rows, head, broken = 0, Head(first - 1, known), None
    for row in connection.execute(WALK, {"first": first}):
        if broken := examine(row, head):
            break
        rows, head = rows + 1, Head(row["id"], row["hash"])
    breaks = [broken, missing_end(connection, head.id) if broken is None else None, *unmet(connection, anchors)]
    found = min((each for each in breaks if each is not None), key=lambda each: each.id, default=None)
    return Verdict(rows, head, found)


def examine(row: sqlite3.Row, previous: Head) -> Break | None:
    """One row against the one before it."""
    if row["id"] != previous.id + 1:
        return Break(previous.id + 1, "gap", f"the next row is {row['id']}")
    if not isinstance(row["hash"], str) or len(row["hash"]) != 64:
        return Break(row["id"], "link", "the row has no hash")
    if link(previous.hash, *tuple(row)[1:-1]) != row["hash"]:
        return Break(row["id"], "hash", "the row does not give its stored hash")
    return None


def missing_end(connection: sqlite3.Connection, last: int) -> Break | None:
    """Rows that were cut off the end: SQLite remembers the largest id it gave."""
    row = connection.execute(LARGEST_ID_GIVEN).fetchone()
    if row is not None and row[0] > last:
        return Break(last + 1, "gap", f"ids up to {row[0]} were given")
    return None


def unmet(connection: sqlite3.Connection, anchors: Sequence[Anchor]) -> Iterator[Break]:
    """Anchors whose row is gone or has another hash."""
    for anchor in anchors:
        found = hash_of(connection, anchor.id)
        if found != anchor.hash:
            detail = "the row is gone" if found is None else "the row has another hash"
            yield Break(anchor.id, "link", f"{detail}, says {anchor.source}")


def hash_of(connection: sqlite3.Connection, row: int) -> str | None:
    """The stored hash of a row; of row 0 what the first one is chained to; None if there is no such row."""
    if row == 0:
        found = connection.execute(INSTALLATION).fetchone()
        return first_link(msgspec.json.decode(found[0])) if found else None
    found = connection.execute(HASH_OF, {"id": row}).fetchone()
    return found[0] if found else None


def newest(connection: sqlite3.Connection) -> Head:
    """Id and hash of the newest row; of an empty log 0 and what its first row will be chained to."""
    found = connection.execute(NEWEST).fetchone()
    return Head(*found) if found else Head(0, hash_of(connection, 0) or "")


def rows(connection: sqlite3.Connection, limit: int, since: int = 0, **match: str | None) -> list[AuditRow]:
    """The newest rows that match `event_type`, `agent_id` and `tx_id`, oldest first."""
    found = connection.execute(LIST, {"since": since, "limit": limit, **match}).fetchall()
    return [to_row(row) for row in reversed(found)]


def to_row(row: sqlite3.Row) -> AuditRow:
    """The row with its details decoded; as text if they are not JSON."""
    fields: dict[str, Any] = dict(row)
    with suppress(msgspec.DecodeError):
        fields["details"] = msgspec.json.decode(fields["details"])
    return AuditRow(**fields)
