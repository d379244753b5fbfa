"""Applying: rows are kept, a file is applied whole or not at all, and a copy is made before."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import pytest

from tests.migrate.conftest import COLOURS, Place
from waiaas.db.migrate import Kind, migrate, state
from waiaas.db.migrations import find_sql, load
from waiaas.errors import MigrationError, StorageBusy, StorageCorrupt

REBUILD = """
CREATE TABLE owners_new (id INTEGER PRIMARY KEY, name TEXT NOT NULL CHECK (name <> ''));
INSERT INTO owners_new (id, name) SELECT id, name FROM owners;
DROP TABLE owners;
ALTER TABLE owners_new RENAME TO owners;
"""


def test_rows_are_kept(filled):
    filled.migrate()
    assert filled.run("SELECT * FROM things") == [(1, 1, None, "none"), (2, 2, "it; was -- so", "none")]
    assert filled.run("SELECT * FROM owners") == [(1, "ann"), (2, "bob")]


def test_a_table_that_others_point_to_can_be_rebuilt(filled):
    filled.write(_0004_rebuild=REBUILD).migrate()
    assert filled.run("SELECT count(*) FROM things") == [(2,)], "the rows that point to it went along"
    assert filled.run("PRAGMA foreign_key_check") == []


@pytest.mark.parametrize(
    "last",
    ["INSERT INTO owners (id) VALUES (3);", "CREATE TABLE things (id);", "this is nonsense;", "SELECT nothing();"],
)
def test_a_file_that_fails_in_its_last_statement_leaves_version_schema_and_rows(filled, last):
    filled.write(_0003_colours=f"{COLOURS}DELETE FROM owners WHERE id = 9;\n\n-- so far so good\n{last}")
    before = filled.content
    with pytest.raises(MigrationError) as caught:
        filled.migrate()
    assert caught.value.message.startswith("0003_colours.sql, statement 3 in line 5 (")
    assert caught.value.message.endswith("The database stays at version 0002.")
    assert caught.value.details == {"file": "0003_colours.sql", "statement": 3, "line": 5}
    assert filled.content == before
    assert list(filled.backups.iterdir()) == [], "each try would leave another copy of the same"


def test_files_before_the_one_that_fails_stay_applied(filled):
    with pytest.raises(MigrationError, match="stays at version 0003"):
        filled.write(_0004_bad="nonsense;").migrate()
    assert filled.state.version == 3
    assert len(list(filled.backups.iterdir())) == 1


def test_a_row_that_points_nowhere_fails_the_file(filled):
    before = filled.content
    with pytest.raises(MigrationError, match=r"0003_colours.sql: row 2 of things points to no row of owners"):
        filled.write(_0003_colours="DELETE FROM owners WHERE id = 2;").migrate()
    assert filled.content == before


KILLED = """
import os, signal, sqlite3, sys
from pathlib import Path
from waiaas.db.migrate import migrate
from waiaas.db.migrations import load

left = int(sys.argv[3])

def count(statement):
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)

class Traced(sqlite3.Connection):
    def execute(self, *args):
        if args[0] == "BEGIN IMMEDIATE":
            self.set_trace_callback(count)
        return super().execute(*args)

real = sqlite3.connect
sqlite3.connect = lambda *args, **kwargs: real(*args, factory=Traced, **kwargs)
path = Path(sys.argv[1])
migrate(path, load(Path(sys.argv[2])), backups=None, now=0, program="1.0")
"""


def test_kill_9_before_any_statement_of_a_file_leaves_the_old_version_whole(filled, tmp_path):
    filled.write(_0003_rebuild=REBUILD + COLOURS)
    (filled.sql / "0003_colours.sql").unlink()
    before = filled.content
    kills = 0
    for step in range(1, 40):
        copy = tmp_path / f"{step}.db"
        shutil.copy(filled.path, copy)
        command = [sys.executable, "-c", KILLED, str(copy), str(filled.sql), str(step)]
        code = subprocess.run(command, check=False).returncode
        if code == 0:
            break
        assert code == -signal.SIGKILL
        kills += 1
        found = state(copy, load(filled.sql))
        twin = Place.__new__(Place)
        twin.path = copy
        if found.version == 2:
            assert twin.content == before
        else:
            assert found.kind is Kind.CURRENT, "only after the COMMIT"
    assert kills >= 10


def test_an_existing_file_is_copied_before_it_is_touched(filled):
    before = filled.content
    report = filled.migrate()
    backup = filled.backups / "waiaas-20260101T000000Z-migrate.db"
    assert report.backup == str(backup)
    assert backup.stat().st_mode & 0o777 == 0o600
    filled.path = backup
    assert filled.content == before


def test_the_copy_holds_what_is_still_in_the_wal(filled):
    other = sqlite3.connect(filled.path)
    other.execute("PRAGMA journal_mode=WAL")
    other.execute("INSERT INTO owners VALUES (3, 'cyd')")
    other.commit()
    assert filled.path.with_name("waiaas.db-wal").stat().st_size > 0
    filled.path = type(filled.path)(filled.migrate().backup)
    other.close()
    assert filled.run("SELECT name FROM owners WHERE id = 3") == [("cyd",)]


def test_without_a_copy_nothing_is_migrated(filled):
    filled.backups.rmdir()
    before = filled.content
    with pytest.raises(MigrationError, match="No safe copy can be made"):
        filled.migrate()
    assert filled.content == before
    assert filled.migrate(backups=None).backup is None


def test_what_is_damaged_is_neither_copied_nor_migrated(filled):
    filled.write(_0003_colours=REBUILD).migrate(backups=None)
    connection = sqlite3.connect(filled.path, isolation_level=None)
    connection.execute("PRAGMA ignore_check_constraints = ON")
    connection.execute("INSERT INTO owners VALUES (9, '')")
    connection.close()
    with pytest.raises(StorageCorrupt, match="CHECK constraint failed in owners"):
        filled.write(_0004_more="CREATE TABLE more (id);").migrate()
    assert filled.state.version == 3
    assert list(filled.backups.iterdir()) == []


def test_a_backup_is_never_overwritten(filled):
    filled.migrate()
    filled.write(_0004_more="CREATE TABLE more (id);")
    with pytest.raises(MigrationError, match="never overwritten"):
        filled.migrate()
    assert filled.state.version == 3


def test_too_little_space_refuses(filled, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage(0, 0, 3 * filled.path.stat().st_size - 1))
    with pytest.raises(MigrationError, match="bytes of free space"):
        filled.migrate()
    assert filled.state.version == 2


def test_a_dry_run_applies_to_a_copy_and_removes_it(filled):
    before = filled.path.read_bytes()
    report = filled.migrate(dry_run=True)
    assert (report.from_version, report.to_version, report.dry_run) == (2, 3, True)
    assert [applied.version for applied in report.applied] == [3]
    assert filled.path.read_bytes() == before
    assert [entry.name for entry in filled.path.parent.iterdir()] == ["waiaas.db"]
    assert list(filled.backups.iterdir()) == []


def test_a_dry_run_finds_the_statement_that_fails(filled):
    with pytest.raises(MigrationError, match=r"0003_colours.sql, statement 1 in line 1"):
        filled.write(_0003_colours="ALTER TABLE nothing ADD COLUMN x;").migrate(dry_run=True)
    assert [entry.name for entry in filled.path.parent.iterdir()] == ["waiaas.db"]


def test_a_writer_beside_it_makes_the_migration_busy_not_broken(filled, monkeypatch):
    real = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *args, **more: real(*args, **{**more, "timeout": 0.05}))
    other = real(filled.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StorageBusy):
        filled.migrate()
    other.execute("ROLLBACK")
    other.close()
    assert filled.migrate().to_version == 3


def rows_of_every_table(path: Path) -> dict[str, list[tuple]]:
    connection = sqlite3.connect(path)
    tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name <> 'schema_migrations'")
    found = {name: connection.execute(f"SELECT * FROM {name} ORDER BY 1").fetchall() for (name,) in tables.fetchall()}
    connection.close()
    return found


def fill(path: Path) -> None:
    """A row in every empty table that takes one made only of defaults, NULLs and values its CHECKs list."""
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA ignore_check_constraints=ON")
    tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'")
    for (table,) in tables.fetchall():
        if connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]:
            continue
        needed = [
            (name, kind)
            for _, name, kind, notnull, default, _ in connection.execute(f"PRAGMA table_info({table})")
            if notnull and default is None
        ] or [("rowid", "INTEGER")]
        names = ", ".join(name for name, _ in needed)
        values = [1 if kind == "INTEGER" else "1" for _, kind in needed]
        connection.execute(f"INSERT INTO {table} ({names}) VALUES ({', '.join('?' * len(values))})", values)
    connection.commit()
    connection.close()


def test_the_files_of_this_program_make_a_sound_database_from_every_version(tmp_path):
    """Stop at each version, put a row into every table, go on to the newest: no row is lost."""
    files = load(find_sql())
    for version in range(1, len(files)):
        path = tmp_path / f"{version}.db"
        migrate(path, files[:version], backups=None, now=0, program="1.0", create=True)
        before = rows_of_every_table(path)
        assert migrate(path, files, backups=None, now=0, program="1.0").from_version == version
        after = rows_of_every_table(path)
        assert {table: len(rows) for table, rows in before.items()} == {table: len(after[table]) for table in before}
        assert state(path, files).kind is Kind.CURRENT
        os.unlink(path)


def test_no_constraint_is_deferred(tmp_path):
    """It would fail at COMMIT, and take along the other lists of its group."""
    path = tmp_path / "fresh.db"
    migrate(path, load(find_sql()), backups=None, now=0, program="1.0", create=True)
    connection = sqlite3.connect(path)
    schema = "\n".join(sql for (sql,) in connection.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL"))
    connection.close()
    assert "CREATE TABLE" in schema
    assert "DEFERR" not in schema.upper()
