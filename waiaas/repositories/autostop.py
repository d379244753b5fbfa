"""AUTO_STOP: what it reads of the outbox, how far it has read, and what each policy last did to an agent."""

import sqlite3
from collections.abc import Iterable

import msgspec

from waiaas.db import Database, Statement
from waiaas.domain.event import EventType
from waiaas.domain.rules.times import Firing
from waiaas.errors import StorageCorrupt

#: the last event that was judged
CURSOR = "auto_stop_cursor"

#: what is judged and what ends a row of failures. Stopped by hand or a stop, a transaction has not failed by itself
COUNTED = """
       o.event_type IN ('TX_REQUESTED', 'TX_FAILED', 'TX_CONFIRMED', 'AGENT_RESUMED')
   AND (o.tx_id IS NULL OR t.parent_id IS NULL AND t.origin = 'send')
   AND (o.event_type <> 'TX_REQUESTED' OR t.tier IS NOT NULL)
   AND (o.event_type <> 'TX_FAILED' OR t.error_code NOT IN (
     'CANCELLED_ON_CHAIN', 'KILL_SWITCH', 'AGENT_SUSPENDED', 'AGENT_TERMINATED', 'SESSION_REVOKED',
     'RESTORED'))
"""
COLUMNS = "o.seq, o.event_type, o.agent_id, o.tx_id, o.created_at"
#: bounded by seq, so that events that are not counted are passed over once
AFTER = f"""
SELECT {COLUMNS} FROM outbox o LEFT JOIN transactions t ON t.id = o.tx_id
 WHERE o.seq > :after AND o.seq <= :last AND {COUNTED} ORDER BY o.seq
"""
BEFORE = f"""
SELECT {COLUMNS} FROM outbox o LEFT JOIN transactions t ON t.id = o.tx_id
 WHERE o.agent_id = :agent_id AND o.seq < :before AND {COUNTED} ORDER BY o.seq DESC LIMIT :limit
"""
ENDS_BEFORE = f"""
SELECT {COLUMNS} FROM outbox o LEFT JOIN transactions t ON t.id = o.tx_id
 WHERE o.agent_id = :agent_id AND o.seq < :before AND o.event_type <> 'TX_REQUESTED' AND {COUNTED}
 ORDER BY o.seq DESC LIMIT :limit
"""
NEWEST = "SELECT COALESCE(MAX(seq), 0) AS seq FROM outbox"
READ = "SELECT value FROM key_value_store WHERE key = :key"
BEGIN = "INSERT INTO key_value_store (key, value, updated_at) VALUES (:key, :seq, :now)"
MOVE_ON = "UPDATE key_value_store SET value = :seq, updated_at = :now WHERE key = :key AND value = :was"
FIRED = """
INSERT INTO auto_stop_state (policy_id, agent_id, state, warned_at, stopped_at, updated_at)
VALUES (:policy_id, :agent_id, :state, :warned_at, :stopped_at, :now)
    ON CONFLICT (policy_id, agent_id) DO UPDATE SET state = excluded.state,
       warned_at = COALESCE(excluded.warned_at, warned_at), stopped_at = COALESCE(excluded.stopped_at, stopped_at),
       updated_at = excluded.updated_at
"""
WARNED = "SELECT 1 FROM auto_stop_state WHERE policy_id = :policy_id AND agent_id = :agent_id AND warned_at > :since"


class Counted(msgspec.Struct, frozen=True):
    """An event that counts; its place in the order of commits, and when it was (epoch seconds)."""

    seq: int
    event: EventType
    agent_id: str
    tx_id: str | None
    at: int


def _counted(rows: Iterable[sqlite3.Row]) -> list[Counted]:
    return [
        Counted(row["seq"], EventType(row["event_type"]), row["agent_id"], row["tx_id"], row["created_at"])
        for row in rows
    ]


async def newest(db: Database) -> int:
    """The place of the last event there is; 0 before the first."""
    row = await db.fetch_one(NEWEST)
    return int(row["seq"]) if row else 0


async def cursor(db: Database) -> int | None:
    """How far the events were judged; None if they never were."""
    row = await db.fetch_one(READ, {"key": CURSOR})
    try:
        return int(row["value"]) if row else None
    except ValueError:
        raise StorageCorrupt(f"{CURSOR} is no number") from None


async def after(db: Database, seq: int, last: int) -> list[Counted]:
    """The events that count behind `seq` up to `last`, in order."""
    return _counted(await db.fetch_all(AFTER, {"after": seq, "last": last}))


async def before(db: Database, agent_id: str, seq: int, limit: int) -> list[Counted]:
    """The agent's events that count before `seq`, newest first."""
    return _counted(await db.fetch_all(BEFORE, {"agent_id": agent_id, "before": seq, "limit": limit}))


async def ends_before(db: Database, agent_id: str, seq: int, limit: int) -> list[Counted]:
    """The same without requests: how the agent's transactions ended, and when it was resumed."""
    return _counted(await db.fetch_all(ENDS_BEFORE, {"agent_id": agent_id, "before": seq, "limit": limit}))


async def has_warned(db: Database, policy_id: str, agent_id: str, since: int) -> bool:
    """Whether the policy has warned of this agent later than `since`."""
    return await db.fetch_one(WARNED, {"policy_id": policy_id, "agent_id": agent_id, "since": since}) is not None


def move_on(was: int | None, seq: int, now: int) -> Statement:
    """Everything up to `seq` is judged; stale (the first time: ConstraintFailed) if another was here."""
    if was is None:
        return Statement(BEGIN, {"key": CURSOR, "seq": str(seq), "now": now})
    return Statement(MOVE_ON, {"key": CURSOR, "seq": str(seq), "was": str(was), "now": now})


def fired(policy_id: str, agent_id: str, firing: Firing, *, stops: bool, now: int) -> Statement:
    """What a policy found and did; a foreign key refuses a policy that was deleted."""
    return Statement(
        FIRED,
        {
            "policy_id": policy_id,
            "agent_id": agent_id,
            "state": msgspec.json.encode(firing).decode(),
            "warned_at": None if stops else now,
            "stopped_at": now if stops else None,
            "now": now,
        },
    )
