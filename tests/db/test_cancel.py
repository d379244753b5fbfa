"""Cancelled callers and closes, and closing in the middle of work: nothing stays open, nothing is lost."""

import asyncio
import sqlite3
import threading

import pytest

from tests.db.conftest import add, balances
from waiaas.db import Database
from waiaas.db.connection import hop
from waiaas.db.database import first_row
from waiaas.errors import StorageClosed


class Gate:
    """Holds the writer's thread at its COMMIT until the test lets it go."""

    def __init__(self) -> None:
        self.entered, self._opened = threading.Event(), threading.Event()

    async def guard(self, db: Database) -> None:
        """Stand before the next COMMIT."""
        await hop(db._writer, lambda connection: connection.set_trace_callback(self._traced))

    def _traced(self, sql: str) -> None:
        if sql == "COMMIT":
            self.entered.set()
            assert self._opened.wait(20)

    async def reached(self) -> None:
        await asyncio.to_thread(self.entered.wait, 20)

    def open(self) -> None:
        self._opened.set()


@pytest.fixture
def gate():
    return Gate()


@pytest.fixture
async def db(path, gate):
    async with Database.open(path) as database:
        await gate.guard(database)
        yield database


def assert_no_connection_lives() -> None:
    """Every aiosqlite thread has ended, or is about to: it answers just before it does."""
    for thread in threading.enumerate():
        if "_connection_worker_thread" in thread.name:
            thread.join(5)
            assert not thread.is_alive()


PASS_GATE = add("a", 1)


async def test_a_cancelled_caller_has_committed(db, gate):
    running = asyncio.create_task(db.commit(PASS_GATE))
    await gate.reached()
    queued = asyncio.create_task(db.commit(add("b", 7)))
    await asyncio.sleep(0)
    running.cancel()
    queued.cancel()
    await asyncio.wait({running, queued})
    assert running.cancelled()
    assert queued.cancelled()
    gate.open()
    await db.commit(add("b", 1))
    assert await balances(db) == {"a": 101, "b": 8}


async def test_subscribers_hear_of_the_commit_of_a_cancelled_caller(db, gate):
    told = []
    db.subscribe(told.append)
    task = asyncio.create_task(db.commit(PASS_GATE, add("b", 1, touches="account:b")))
    await gate.reached()
    task.cancel()
    gate.open()
    await db.commit(add("b", 1))
    assert told == [frozenset({"account:b"})]


async def test_the_failure_of_a_cancelled_callers_list_is_logged(db, gate, capsys):
    task = asyncio.create_task(db.commit(PASS_GATE, add("c", 1)))
    await gate.reached()
    task.cancel()
    gate.open()
    await db.commit(add("b", 1))
    assert "cancelled_callers_list_failed" in capsys.readouterr().out


async def test_a_timeout_around_a_commit_leaves_no_transaction_open(db, path, gate):
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await db.commit(PASS_GATE)
    gate.open()
    await db.commit(add("b", 1))
    other = sqlite3.connect(path, isolation_level=None, timeout=0)
    other.execute("BEGIN IMMEDIATE")
    other.close()


async def test_closing_commits_what_is_running_and_what_is_queued(path, gate):
    async with Database.open(path) as db:
        await gate.guard(db)
        running = asyncio.create_task(db.commit(PASS_GATE))
        await gate.reached()
        queued = asyncio.create_task(db.commit(add("b", 7)))
        await asyncio.sleep(0)
        asyncio.get_running_loop().call_soon(gate.open)
    await running
    await queued
    async with Database.open(path) as again:
        assert await balances(again) == {"a": 101, "b": 7}


async def test_once_closing_nothing_more_is_taken(path, gate):
    refused = []

    async def late() -> None:
        for call in (db.commit(add("b", 1)), db.fetch_one("SELECT 1"), db.checkpoint()):
            with pytest.raises(StorageClosed):
                await call
            refused.append(call)
        gate.open()

    async with Database.open(path) as db:
        await gate.guard(db)
        running = asyncio.create_task(db.commit(PASS_GATE))
        await gate.reached()
        asyncio.get_running_loop().call_soon(lambda: tasks.append(asyncio.create_task(late())))
        tasks: list = []
    await running
    await tasks[0]
    assert len(refused) == 3


async def test_a_cancelled_close_still_commits_and_closes_every_connection(path, gate):
    closing = asyncio.Event()

    async def live() -> None:
        async with Database.open(path) as db:
            await gate.guard(db)
            task = asyncio.create_task(db.commit(PASS_GATE))
            await gate.reached()
            closing.set()
        await task

    task = asyncio.create_task(live())
    await closing.wait()
    for _ in range(3):
        task.cancel()
        await asyncio.sleep(0)
    assert not task.done()
    gate.open()
    await asyncio.wait({task})
    assert task.cancelled()
    assert_no_connection_lives()
    assert not path.with_name("test.db-wal").exists()
    async with Database.open(path) as again:
        assert await balances(again) == {"a": 101, "b": 0}


async def test_opening_can_be_cancelled_at_every_step(path):
    for steps in range(0, 40, 3):
        task = asyncio.create_task(Database.open(path).__aenter__())
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait({task})
        if not task.cancelled():
            break
        assert_no_connection_lives()
    if not task.cancelled():
        await task.result()._close()
    assert_no_connection_lives()


async def test_an_open_that_fails_leaves_no_thread_and_no_file(tmp_path):
    with pytest.raises(Exception, match="disk"):
        async with Database.open(tmp_path / "absent.db"):
            pass
    assert_no_connection_lives()
    assert list(tmp_path.iterdir()) == []


ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"


async def test_a_cancelled_read_stops_and_its_reader_serves_on(path):
    async with Database.open(path, readers=1) as db:
        endless = asyncio.create_task(db.fetch_one(ENDLESS))
        await asyncio.sleep(0.05)
        endless.cancel()
        assert (await db._read_at_length(first_row, "SELECT 7 AS n", {}))["n"] == 7
        assert endless.cancelled()


async def test_if_the_writer_itself_is_ended_its_callers_do_not_hang(path, gate):
    async with Database.open(path) as db:
        await gate.guard(db)
        running = asyncio.create_task(db.commit(PASS_GATE))
        await gate.reached()
        queued = asyncio.create_task(db.commit(add("b", 1)))
        await asyncio.sleep(0)
        next(task for task in asyncio.all_tasks() if task.get_name() == "database writer").cancel()
        await asyncio.wait({running, queued})
        with pytest.raises(StorageClosed):
            await db.commit(add("b", 1))
        gate.open()
        db._writing = None
