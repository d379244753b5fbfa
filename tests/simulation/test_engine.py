"""The simulation's database keeps what the real one promises: the same tests, and what a power cut leaves."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from random import Random
from types import SimpleNamespace

import pytest

from tests.db.conftest import SCHEMA, add, balances, move
from tests.db.test_cache import (  # noqa: F401
    test_a_commit_can_touch_all_of_them,
    test_a_value_is_read_once_until_a_commit_touches_it,
    test_a_value_that_changed_while_it_was_read_is_not_kept,
)
from tests.db.test_commit import (  # noqa: F401
    test_a_failing_list_does_not_disturb_the_lists_committed_with_it,
    test_a_guard_may_ask_for_no_row,
    test_a_list_is_committed_whole,
    test_a_list_is_executed_in_its_order,
    test_a_list_that_was_not_committed_tells_no_topic,
    test_a_list_whose_last_statement_fails_leaves_nothing,
    test_a_listener_that_raises_takes_no_answer_from_a_caller,
    test_a_select_is_a_guard,
    test_an_unexpected_row_count_is_stale_and_writes_nothing,
    test_concurrent_lists_are_serial,
    test_expecting_any_number_of_rows,
    test_if_sqlite_ends_the_transaction_no_list_of_the_group_is_told_it_was_committed,
    test_rows_of_returning_and_of_with_are_counted,
    test_topics_are_told_before_the_callers_are_answered,
    test_what_queues_up_during_a_commit_is_committed_together,
)
from tests.simulation import engine
from tests.simulation.acts import Acts, Kill
from tests.simulation.engine import Disk, Engine
from waiaas.db import Database
from waiaas.errors import StorageBusy, StorageClosed


class Machine:
    """A disk, and a database on it whose commits are acts."""

    def __init__(self) -> None:
        connection = sqlite3.connect(":memory:")
        connection.executescript(SCHEMA)
        self.disk = Disk(connection.serialize())
        self.refusals: list[Exception] = []
        self.acts = Acts([])
        self.acts.loop = SimpleNamespace(killed=False, time=lambda: 0.0)  # type: ignore[assignment]

    def opened(self) -> Database:
        refuse = lambda: self.refusals.pop() if self.refusals else None  # noqa: E731
        return Engine(self.disk, Random(7), self.acts, lambda: None, refuse)(None, None, None)


@pytest.fixture
def machine() -> Machine:
    return Machine()


@pytest.fixture
async def db(machine) -> AsyncIterator[Database]:
    async with machine.opened() as database:
        yield database


async def test_a_commit_is_an_act(machine, db):
    await db.commit(*move(30))
    assert machine.acts.count == 1


async def test_a_disk_that_refuses_makes_the_group_fail_and_is_told_of(machine, db):
    machine.refusals = [StorageBusy()]
    with pytest.raises(StorageBusy):
        await db.commit(*move(30))
    assert db.refuses
    await db.commit(*move(30))
    assert (db.refuses, db.lists_committed) == ("", 1)


async def test_after_closing_nothing_is_read_or_committed(machine):
    async with machine.opened() as db:
        pass
    for work in (db.commit(add("b", 1)), db.fetch_all("SELECT 1")):
        with pytest.raises(StorageClosed):
            await work


async def test_what_was_committed_outlives_the_power(machine):
    async with machine.opened() as db:
        await db.commit(*move(30))
    machine.disk.power_fails(Random(1))
    async with machine.opened() as db:
        assert await balances(db) == {"a": 70, "b": 30}


async def test_a_writer_that_does_not_sync_loses_what_came_last(machine, monkeypatch):
    monkeypatch.setattr(engine, "make_durable", lambda connection: None)
    left = set()
    for seed in range(10):
        async with machine.opened() as db:
            await db.commit(add("b", 1))
            await db.commit(add("b", 1))
        machine.disk.power_fails(Random(seed))
        async with machine.opened() as db:
            left.add((await balances(db))["b"])
            await db.commit(add("b", -(await balances(db))["b"]))
        machine.disk.power_fails(Random(99 + seed))
    assert len(left) > 1


@pytest.mark.parametrize("after", [False, True])
async def test_a_kill_at_a_commit_comes_before_it_or_after(machine, after):
    machine.acts = Acts([Kill(1, after=after)])
    killed = SimpleNamespace(killed=False, time=lambda: 0.0)
    killed.kill = lambda: setattr(killed, "killed", True)
    machine.acts.loop = killed
    opened = machine.opened()
    db = await opened.__aenter__()
    commit = asyncio.create_task(db.commit(*move(30)))
    for _ in range(20):
        await asyncio.sleep(0)
    assert not commit.done()
    assert machine.disk.connection.execute("SELECT balance FROM accounts WHERE id = 'b'").fetchone()[0] == 30 * after
