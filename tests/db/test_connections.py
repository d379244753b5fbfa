"""How connections are opened, told apart, and closed."""

import asyncio
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading

import pytest

from tests.db.conftest import add, balances, move
from waiaas.db import Database
from waiaas.db.connection import Settings, configure, connect, hop, translate
from waiaas.db.database import first_row
from waiaas.errors import StorageClosed, StorageCorrupt, StorageError, StorageFull

PRAGMAS = [
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=NORMAL",
    "PRAGMA foreign_keys=ON",
    "PRAGMA busy_timeout=5000",
    "PRAGMA cache_size=-64000",
    "PRAGMA mmap_size=268435456",
    "PRAGMA temp_store=MEMORY",
]


@pytest.fixture
def traced(monkeypatch):
    """A list per connection that is opened, of the statements it executes."""
    traces: list[list[str]] = []
    real = sqlite3.connect

    def connect(*args, **kwargs):
        connection = real(*args, **kwargs)
        traces.append([])
        connection.set_trace_callback(traces[-1].append)
        return connection

    monkeypatch.setattr(sqlite3, "connect", connect)
    return traces


async def test_every_connection_sets_the_seven_pragmas_in_order_and_the_writer_is_then_full(path, traced):
    async with Database.open(path, readers=3):
        assert len(traced) == 5
        setters = [[statement for statement in trace if "=" in statement] for trace in traced]
        assert setters[0][:7] == PRAGMAS
        assert "PRAGMA synchronous=FULL" in setters[0][7:]
        assert "PRAGMA query_only=ON" not in setters[0]
        assert setters[1:] == [[*PRAGMAS, "PRAGMA query_only=ON"]] * 4


async def test_every_commit_is_made_with_synchronous_full(path, traced):
    async with Database.open(path, functions={"seen": (0, lambda: 0)}) as db:
        await db.commit(*move(1))
        assert await hop(db._writer, lambda c: c.execute("PRAGMA synchronous").fetchone()[0]) == 2
        assert [s for s in traced[0] if s in ("BEGIN IMMEDIATE", "COMMIT")] == ["BEGIN IMMEDIATE", "COMMIT"]


async def test_a_pragma_that_does_not_take_is_an_error(path):
    connection = sqlite3.connect(":memory:")
    with pytest.raises(StorageError, match="PRAGMA journal_mode is 'memory' after setting it to WAL"):
        configure(connection, Settings())
    connection.close()


async def test_the_numbers_of_the_configuration_reach_every_connection(path):
    async with Database.open(path, readers=1, busy_timeout_ms=1234, cache_size_kib=2000, mmap_size=4096) as db:
        for name, value in (("busy_timeout", 1234), ("cache_size", -2000), ("mmap_size", 4096)):
            assert tuple(await db.fetch_one(f"PRAGMA {name}")) == (value,)
            assert await hop(db._writer, lambda c, n=name: c.execute(f"PRAGMA {n}").fetchone()[0]) == value


@pytest.mark.parametrize("sql", ["UPDATE accounts SET balance = 0", "DELETE FROM accounts", "DROP TABLE accounts"])
async def test_readers_cannot_write(db, sql):
    for _ in range(5):
        with pytest.raises(StorageError):
            await db.fetch_all(sql)
    assert await balances(db) == {"a": 100, "b": 0}


async def test_a_fetch_sees_every_commit_that_has_returned(db):
    for number in range(1, 30):
        await db.commit(add("b", 1))
        assert (await db.fetch_one("SELECT balance FROM accounts WHERE id = 'b'"))["balance"] == number


async def test_fetch_one_of_many_rows_keeps_no_snapshot(db, path):
    row = await db.fetch_one("SELECT id FROM accounts ORDER BY id")
    assert row["id"] == "a"
    assert await db.fetch_one("SELECT id FROM accounts WHERE id = 'c'") is None
    await db.commit(add("b", 1))
    await db.checkpoint()
    other = sqlite3.connect(path)
    assert other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone() == (0, 0, 0)
    other.close()


async def test_reads_run_beside_each_other_on_all_readers(path):
    meet = threading.Barrier(3, timeout=10)
    async with Database.open(path, readers=3) as db:
        readers = [await db._free.get() for _ in range(3)]
        for reader in readers:
            await reader.create_function("meet", 0, meet.wait)
            db._free.put_nowait(reader)
        await asyncio.gather(*(db._read_at_length(first_row, "SELECT meet()", {}) for _ in range(3)))


LONG = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000) SELECT max(i) AS n FROM n"


async def test_a_read_that_takes_long_leaves_the_event_loop_to_others(path):
    async with Database.open(path, readers=1) as db:
        turns = 0
        reading = asyncio.create_task(db.fetch_one(LONG))
        while not reading.done():
            turns += 1
            await asyncio.sleep(0)
        assert (await reading)["n"] == 100_000
        assert turns > 2


async def test_a_short_read_needs_no_thread(path):
    async with Database.open(path, readers=1) as db:
        reader = await db._free.get()
        assert (await db.fetch_one("SELECT 7 AS n"))["n"] == 7
        db._free.put_nowait(reader)


async def test_more_reads_than_readers_wait_their_turn(path):
    async with Database.open(path, readers=2) as db:
        rows = await asyncio.gather(*(db.fetch_one("SELECT :n AS n", {"n": n}) for n in range(50)))
        assert [row["n"] for row in rows] == list(range(50))


async def test_reads_that_wait_while_the_database_closes_are_refused(path):
    async with Database.open(path, readers=1) as db:
        reads = [asyncio.create_task(db.fetch_one("SELECT 1")) for _ in range(3)]
        await asyncio.sleep(0)
    outcomes = await asyncio.gather(*reads, return_exceptions=True)
    assert all(isinstance(outcome, sqlite3.Row | StorageClosed) for outcome in outcomes)


async def test_hop_runs_the_whole_work_in_the_connections_one_thread(path):
    connection = await connect(path, Settings())
    threads = {await hop(connection, lambda _: threading.get_ident()) for _ in range(3)}
    assert len(threads) == 1
    assert threading.get_ident() not in threads
    await connection.close()


async def test_hop_raises_what_the_work_raises(path):
    connection = await connect(path, Settings())
    with pytest.raises(ZeroDivisionError):
        await hop(connection, lambda _: 1 // 0)
    await connection.close()


async def test_closing_empties_the_wal(path):
    wal = path.with_name("test.db-wal")
    async with Database.open(path) as db:
        await db.commit(*move(1))
        assert wal.stat().st_size > 0
        other = sqlite3.connect(path)
        other.execute("SELECT * FROM accounts").fetchall()
    assert wal.stat().st_size == 0, "another open connection keeps the file, which TRUNCATE has emptied"
    other.close()


async def test_a_foreign_reader_does_not_stop_the_close(path):
    other = sqlite3.connect(path, isolation_level=None)
    async with Database.open(path, busy_timeout_ms=50) as db:
        other.execute("BEGIN")
        other.execute("SELECT * FROM accounts").fetchall()
        await db.commit(*move(1))
    other.close()
    async with Database.open(path) as again:
        assert await balances(again) == {"a": 99, "b": 1}


async def test_a_checkpoint_moves_the_wal_into_the_file(db, path):
    size = path.stat().st_size
    await db.commit(*(add("b", 1) for _ in range(3)))
    before = path.read_bytes()
    await db.checkpoint()
    assert path.read_bytes() != before
    assert path.stat().st_size == size


async def test_a_checkpoint_tells_of_a_reader_that_holds_the_wal(db, monkeypatch, capsys):
    monkeypatch.setattr("waiaas.db.database.SLOW_READ_SECONDS", 0)
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
    reading = asyncio.create_task(db.fetch_one(endless))
    await asyncio.sleep(0.1)
    await db.checkpoint()
    reading.cancel()
    await asyncio.wait({reading})
    assert "wal_held_back" in capsys.readouterr().out


async def test_a_file_that_is_no_database_is_refused_and_kept(tmp_path):
    path = tmp_path / "test.db"
    path.write_bytes(b"not a database at all, but long enough to be looked at" * 40)
    before = path.read_bytes()
    with pytest.raises(StorageCorrupt):
        async with Database.open(path):
            pass
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (sqlite3.SQLITE_FULL, StorageFull),
        (sqlite3.SQLITE_READONLY, StorageFull),
        (sqlite3.SQLITE_IOERR_FSYNC, StorageFull),
        (sqlite3.SQLITE_CORRUPT_VTAB, StorageCorrupt),
        (sqlite3.SQLITE_ERROR, sqlite3.OperationalError),
    ],
)
def test_what_sqlite_says_is_translated(code, kind):
    error = sqlite3.OperationalError("text")
    error.sqlite_errorcode = code
    assert type(translate(error)) is kind


async def test_a_full_disk_fails_the_list_and_the_next_one_succeeds(db):
    pages = await hop(db._writer, lambda c: c.execute("PRAGMA page_count").fetchone()[0])
    await hop(db._writer, lambda c: c.execute(f"PRAGMA max_page_count={pages}").fetchone())
    from tests.db.conftest import pay

    with pytest.raises(StorageFull):
        await db.commit(add("b", 1), pay("a", b"x" * 100_000))
    assert db.refuses
    assert await balances(db) == {"a": 100, "b": 0}
    await db.commit(add("b", 1))
    assert not db.refuses


CHILD = """
import asyncio, sys
from pathlib import Path
from waiaas.db import Database, Statement

async def main():
    async with Database.open(Path(sys.argv[1])) as db:
        await db.fetch_one("SELECT 1")
        for number in range(int(sys.argv[2])):
            print("committing", flush=True)
            await db.commit(Statement("UPDATE accounts SET balance = balance + 1 WHERE id = 'b'"))
            print("answered", flush=True)
        sys.stdin.read()

asyncio.run(main())
"""


def child(path, commits: int, *before: str) -> subprocess.Popen:
    return subprocess.Popen(
        [*before, sys.executable, "-c", CHILD, str(path), str(commits)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_what_was_answered_survives_kill_9(path):
    process = child(path, 3)
    lines = [process.stdout.readline() for _ in range(6)]
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert lines[-1] == "answered\n"
    connection = sqlite3.connect(path)
    assert connection.execute("SELECT balance FROM accounts WHERE id = 'b'").fetchone() == (3,)
    connection.close()


def can_trace() -> bool:
    """Whether strace is installed and this process may use it (containers often forbid ptrace)."""
    return (
        shutil.which("strace") is not None and subprocess.run(["strace", "true"], capture_output=True).returncode == 0
    )


@pytest.mark.skipif(not can_trace(), reason="needs strace")
def test_a_commit_syncs_the_wal_before_it_is_answered(path, tmp_path):
    log = tmp_path / "strace.txt"
    process = child(path, 2, "strace", "-f", "-y", "-e", "trace=fsync,fdatasync,write", "-o", str(log))
    process.communicate("")
    calls = log.read_text().splitlines()
    marks = [number for number, call in enumerate(calls) if '"committing' in call or '"answered' in call]
    assert len(marks) == 4
    for start, end in (marks[:2], marks[2:]):
        assert any("sync(" in call and f"{path}-wal" in call for call in calls[start:end])


def test_a_process_that_leaves_the_database_ends(path):
    process = child(path, 1)
    process.communicate("", timeout=20)
    assert process.returncode == 0
    assert sorted(os.listdir(path.parent)) == ["test.db"]
