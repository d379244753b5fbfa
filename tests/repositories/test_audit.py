"""Audit rows are chained in the commit they tell of, and nothing changes them; events follow in order."""

import asyncio
import sqlite3

import pytest

from tests.repositories.make import NOW
from waiaas.domain.event import CLI, SYSTEM, About, Actor, AuditEvent, EventType
from waiaas.errors import ConstraintFailed, StaleState
from waiaas.repositories import agents, audit, outbox, trail


def told(number: int = 0):
    return audit.record(AuditEvent.TX_CONFIRMED, SYSTEM, NOW, About("a", "s", "t"), number=number)


def verdict(db) -> trail.Verdict:
    connection = sqlite3.connect(db.path)
    connection.row_factory = sqlite3.Row
    try:
        return trail.verify(connection, ())
    finally:
        connection.close()


async def test_rows_are_chained_whether_they_come_alone_together_or_at_once(db):
    await db.commit(told(1))
    await db.commit(told(2), told(3))
    await asyncio.gather(*(db.commit(told(number)) for number in range(20)))
    found = verdict(db)
    assert (found.rows, found.broken) == (23, None)
    assert await audit.head(db) == tuple(found.head)


async def test_a_row_says_who_did_what_to_whom(db, rows):
    await db.commit(audit.record(AuditEvent.AUTH_FAILED, Actor("unknown", "127.0.0.1"), NOW, About("a"), why="no"))
    (row,) = await rows.ask("SELECT * FROM audit_log")
    assert (row["event_type"], row["actor"], row["ip_address"], row["severity"]) == (
        "AUTH_FAILED",
        "unknown",
        "127.0.0.1",
        "warning",
    )
    assert (row["agent_id"], row["tx_id"], row["details"]) == ("a", None, '{"why":"no"}')


async def test_a_row_is_there_only_if_what_it_tells_of_is(db, rows):
    with pytest.raises(StaleState):
        await db.commit(told(), agents.activate("nobody", NOW))
    assert (await audit.head(db), await rows.count("audit_log")) == (None, 0)
    await db.commit(told())
    assert verdict(db).broken is None


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE audit_log SET actor = 'me'",
        "UPDATE audit_log SET hash = hash",
        "DELETE FROM audit_log",
        "REPLACE INTO audit_log SELECT * FROM audit_log",
        "INSERT OR REPLACE INTO audit_log SELECT * FROM audit_log WHERE id = 1",
        "INSERT INTO audit_log SELECT * FROM audit_log WHERE id = 1 ON CONFLICT (id) DO UPDATE SET actor = 'me'",
    ],
)
async def test_nothing_changes_or_removes_a_row(db, rows, change):
    await db.commit(told(1), told(2))
    with pytest.raises(ConstraintFailed, match="append-only"):
        await rows.run(change)
    assert (verdict(db).rows, verdict(db).broken) == (2, None)


async def test_the_number_of_a_row_is_never_given_twice(db, rows):
    await db.commit(told(1))
    with pytest.raises(StaleState):
        await db.commit(told(2), agents.activate("nobody", NOW))
    await db.commit(audit.record(AuditEvent.AUDIT_BROKEN, CLI, NOW))
    assert [row["id"] for row in await rows.ask("SELECT id FROM audit_log")] == [1, 2]


async def test_events_keep_the_order_of_commits_and_have_their_own_ids(db, rows):
    await db.commit(outbox.emit(EventType.TX_REQUESTED, NOW, About("a", "s", "t"), tier="INSTANT"))
    await db.commit(outbox.emit(EventType.TX_SUBMITTED, NOW, About("a")), outbox.emit(EventType.TX_CONFIRMED, NOW))
    found = await rows.ask("SELECT * FROM outbox ORDER BY seq")
    assert [(row["seq"], row["event_type"]) for row in found] == [
        (1, "TX_REQUESTED"),
        (2, "TX_SUBMITTED"),
        (3, "TX_CONFIRMED"),
    ]
    assert found[0]["payload"] == '{"tier":"INSTANT"}'
    assert len({row["id"] for row in found}) == 3
