"""`audit_log`: a row for every change, in the commit of that change."""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from waiaas.db import Database, Statement
from waiaas.domain.audit import first_link, link
from waiaas.domain.event import NOTHING, SEVERITY, About, Actor, AuditEvent, Severity

RECORD = """
INSERT INTO audit_log (timestamp, event_type, actor, agent_id, session_id, tx_id, details, severity, ip_address, hash)
VALUES (:timestamp, :event_type, :actor, :agent_id, :session_id, :tx_id, :details, :severity, :ip_address,
  audit_link((SELECT hash FROM audit_log ORDER BY id DESC LIMIT 1),
             (SELECT value FROM key_value_store WHERE key = 'installation'),
             :timestamp, :event_type, :actor, :agent_id, :session_id, :tx_id, :details, :severity, :ip_address))
"""

#: what an agent's key did elsewhere, as told of so far
STRANGERS = "SELECT details FROM audit_log WHERE event_type = 'UNKNOWN_SPEND' AND agent_id = :agent_id"
HEAD = "SELECT id, hash FROM audit_log ORDER BY id DESC LIMIT 1"
AT = "SELECT hash FROM audit_log WHERE id = :id"
#: an older copy is migrated before anything looks at it: that row is of today
NEWEST = "SELECT timestamp FROM audit_log WHERE event_type <> 'DATABASE_MIGRATED' ORDER BY id DESC LIMIT 1"


def _audit_link(previous: str | None, installation: str, *row: Any) -> str:
    return link(previous or first_link(msgspec.json.decode(installation)), *row)


#: SQL functions that the writer needs for RECORD: name → (arguments, function)
FUNCTIONS: Mapping[str, tuple[int, Callable[..., Any]]] = {"audit_link": (11, _audit_link)}


def record(
    event: AuditEvent,
    actor: Actor,
    now: int,
    about: About = NOTHING,
    /,
    **details: Any,
) -> Statement:
    """One row; `details` are ids, codes, digests and settings, never a secret."""
    return Statement(
        RECORD,
        {
            "timestamp": now,
            "event_type": event,
            "actor": actor.name,
            "agent_id": about.agent_id,
            "session_id": about.session_id,
            "tx_id": about.tx_id,
            "details": msgspec.json.encode(details, order="sorted").decode(),
            "severity": SEVERITY.get(event, Severity.INFO),
            "ip_address": actor.ip,
        },
    )


async def strangers(db: Database, agent_id: str) -> set[str | int]:
    """Nonces, or hashes, of an agent's key that UNKNOWN_SPEND has told of."""
    rows = await db.fetch_all(STRANGERS, {"agent_id": agent_id})
    told = [msgspec.json.decode(row["details"], type=dict[str, Any]) for row in rows]
    return {mark for one in told for name in ("nonce", "txHash") if (mark := one.get(name)) is not None}


async def head(db: Database) -> tuple[int, str] | None:
    """Id and hash of the newest row; None in an empty log."""
    row = await db.fetch_one(HEAD)
    return (row["id"], row["hash"]) if row else None


async def hash_at(db: Database, audit_id: int) -> str | None:
    """The hash of one row; None if there is no such row."""
    row = await db.fetch_one(AT, {"id": audit_id})
    return row["hash"] if row else None


async def newest_at(db: Database) -> int | None:
    """When the newest row was written, migrations aside; None where there is none."""
    row = await db.fetch_one(NEWEST)
    return row["timestamp"] if row else None
