"""The migrator: what state a database file is in, and how it gets to the newest version, whole or not at all."""

import sqlite3
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path

import msgspec

from waiaas.clock import Clock
from waiaas.db.connection import opened
from waiaas.db.copy import make_backup, need_space, scratch_copy
from waiaas.db.migrations import Migration, Step, file_name
from waiaas.errors import MigrationError, NotInitialised, StorageCorrupt, StorageError
from waiaas.files import sync_directory, write_new

#: "WAIA" in the header of the file, so that no other program's database is taken for ours
APPLICATION_ID = 0x57414941

CREATE_HISTORY = """
CREATE TABLE IF NOT EXISTS schema_migrations (
  version     INTEGER PRIMARY KEY,
  name        TEXT NOT NULL,
  checksum    TEXT NOT NULL,
  applied_at  INTEGER NOT NULL,
  duration_ms INTEGER NOT NULL,
  program     TEXT NOT NULL
)
"""
HISTORY = "SELECT version, name, checksum, program FROM schema_migrations ORDER BY version"
RECORD = "INSERT INTO schema_migrations VALUES (:version, :name, :checksum, :applied_at, :duration_ms, :program)"
TABLES = "SELECT name FROM sqlite_master WHERE type = 'table'"


class Kind(StrEnum):
    """What is found when a file is compared with the migrations."""

    #: no file, or one without any table
    ABSENT = "absent"
    CURRENT = "current"
    PENDING = "pending"
    NEWER = "newer"
    CHANGED = "changed"
    MISSING = "missing"
    GAP = "gap"
    FOREIGN = "foreign"


REFUSED = frozenset({Kind.NEWER, Kind.CHANGED, Kind.MISSING, Kind.GAP, Kind.FOREIGN})


class State(msgspec.Struct, frozen=True):
    """The state of a file: its version, the newest there is, what is to be applied, and what is wrong with it."""

    kind: Kind
    version: int
    head: int
    pending: tuple[Migration, ...] = ()
    detail: str = ""


class Applied(msgspec.Struct, frozen=True, rename="camel"):
    """A migration that was applied just now."""

    version: int
    name: str
    duration_ms: int


class Report(msgspec.Struct, frozen=True, rename={"from_version": "from", "to_version": "to", "dry_run": "dryRun"}):
    """What `migrate` did: versions, files, and the copy it made before (None if none was needed)."""

    from_version: int
    to_version: int
    applied: tuple[Applied, ...] = ()
    backup: str | None = None
    dry_run: bool = False


class HistoryRow(msgspec.Struct, frozen=True):
    """A row of `schema_migrations`, as far as it is compared."""

    version: int
    name: str
    checksum: str
    program: str


def state(path: Path, migrations: Sequence[Migration]) -> State:
    """Compare a file with the migrations; writes nothing. StorageCorrupt if it is no database."""
    history: list[HistoryRow] | None = []
    if path.exists():
        with opened(path) as connection:
            connection.execute("PRAGMA query_only=ON")
            history = read_history(connection)
    head = max((migration.version for migration in migrations), default=0)
    if history is None:
        return State(Kind.FOREIGN, 0, head, detail=f"{path.name} is a database of another program.")
    version = max((row.version for row in history), default=0)
    if wrong := compare(history, migrations):
        return State(wrong[0], version, head, detail=wrong[1])
    pending = tuple(migration for migration in migrations if migration.version > version)
    if not history:
        return State(Kind.ABSENT, 0, head, pending, f"There is no database at {path}.")
    return State(Kind.PENDING if pending else Kind.CURRENT, version, head, pending)


def read_history(connection: sqlite3.Connection) -> list[HistoryRow] | None:
    """What was applied; None if this is another program's database."""
    tables = {name for (name,) in connection.execute(TABLES)}
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    if application != APPLICATION_ID and (tables or application):
        return None
    if "schema_migrations" not in tables:
        return None if tables else []
    return [HistoryRow(*row) for row in connection.execute(HISTORY)]


def compare(history: Sequence[HistoryRow], migrations: Sequence[Migration]) -> tuple[Kind, str] | None:
    """What keeps the files from being applied to this history: the kind, and a sentence that names the file."""
    files = {migration.version: migration for migration in migrations}
    head = max(files, default=0)
    for row in history:
        name = file_name(row.version, row.name)
        if row.version > head:
            return Kind.NEWER, f"{name} was applied by WAIaaS {row.program}, which is newer than this program."
        if row.version not in files:
            return Kind.MISSING, f"{name} was applied, but there is no such file."
        if (row.name, row.checksum) != (files[row.version].name, files[row.version].checksum):
            return Kind.CHANGED, f"{files[row.version].file} is not the {name} that was applied."
    for version in range(1, head + 1):
        if version not in files:
            return Kind.MISSING, f"The files go up to {head:04}, but there is no {version:04}."
    for expected, row in enumerate(history, 1):
        if row.version != expected:
            return Kind.GAP, f"{files[expected].file} was not applied, but {file_name(row.version, row.name)} was."
    return None


def migrate(
    path: Path,
    migrations: Sequence[Migration],
    *,
    backups: Path | None,
    now: int,
    program: str,
    create: bool = False,
    dry_run: bool = False,
) -> Report:
    """Apply what is pending, each file in a transaction of its own; the caller holds the daemon's lock.

    An existing file is first copied into `backups` (None: no copy). A missing one is NotInitialised unless `create`.
    `now` is in epoch seconds, `program` the version of this program. MigrationError names the file and statement and
    leaves the database at the last version that could be applied whole.
    """
    found = state(path, migrations)
    if found.kind in REFUSED:
        raise MigrationError(found.detail, state=found.kind, version=found.version, head=found.head)
    if found.kind is Kind.ABSENT and (dry_run or not create):
        raise NotInitialised(found.detail)
    if not found.pending:
        return Report(found.version, found.head, dry_run=dry_run)
    if found.kind is Kind.PENDING:
        need_space(path)
    if dry_run:
        with scratch_copy(path) as copy:
            return Report(found.version, found.head, apply_all(copy, found.pending, now, program), dry_run=True)
    backup = None
    if found.kind is Kind.ABSENT:
        make_empty(path)
    elif backups:
        backup = make_backup(path, backups, now, "migrate")
    try:
        applied = apply_all(path, found.pending, now, program)
    except StorageError:
        # restarted again and again, a daemon that cannot migrate would fill the disk with the same copy
        if backup and state(path, migrations).version == found.version:
            backup.unlink()
        raise
    return Report(found.version, found.head, applied, str(backup) if backup else None)


def apply_all(path: Path, pending: Sequence[Migration], now: int, program: str) -> tuple[Applied, ...]:
    """Apply the files in order and look at the result; stops at the first that fails."""
    with opened(path) as connection:
        applied = tuple(apply(connection, migration, now, program) for migration in pending)
        (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if verdict != "ok":
            raise StorageCorrupt(f"The database is damaged after the migration: {verdict}")
        connection.execute("PRAGMA optimize")
    return applied


def apply(connection: sqlite3.Connection, migration: Migration, now: int, program: str) -> Applied:
    """One file, its row and its version number in one transaction, or nothing."""
    clock = Clock()
    started = clock.monotonic()
    # ignored inside a transaction, and a table that is rebuilt must not take rows that point to it along
    connection.execute("PRAGMA foreign_keys=OFF")
    connection.execute("BEGIN IMMEDIATE")
    try:
        for number, step in enumerate(migration.steps, 1):
            run_step(connection, migration, number, step)
        check_references(connection, migration)
        duration = round((clock.monotonic() - started) * 1000)
        record(connection, migration, now, duration, program)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    connection.execute("PRAGMA foreign_keys=ON")
    return Applied(migration.version, migration.name, duration)


def run_step(connection: sqlite3.Connection, migration: Migration, number: int, step: Step) -> None:
    """One statement; MigrationError tells where it stands and what SQLite says."""
    try:
        connection.execute(step.sql)
    except sqlite3.Error as error:
        text = f"{migration.file}, statement {number} in line {step.line} ({step.summary}): {error}"
        raise failure(migration, text, statement=number, line=step.line) from error


def check_references(connection: sqlite3.Connection, migration: Migration) -> None:
    """MigrationError if a row points to one that does not exist any more."""
    if broken := connection.execute("PRAGMA foreign_key_check").fetchone():
        table, row, parent, _ = broken
        raise failure(migration, f"{migration.file}: row {row} of {table} points to no row of {parent}")


def failure(migration: Migration, text: str, **details: int) -> MigrationError:
    """The error of one file, which says what the database is left as."""
    kept = f"{text}. The database stays at version {migration.version - 1:04}."
    return MigrationError(kept, file=migration.file, **details)


def record(connection: sqlite3.Connection, migration: Migration, now: int, duration_ms: int, program: str) -> None:
    """Write down that the file was applied, in its own transaction."""
    connection.execute(CREATE_HISTORY)
    row = {"version": migration.version, "name": migration.name, "checksum": migration.checksum}
    connection.execute(RECORD, {**row, "applied_at": now, "duration_ms": duration_ms, "program": program})
    connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version={migration.version}")


def make_empty(path: Path) -> None:
    """The file itself, for this user alone; one that a crash left empty is taken."""
    if not path.exists():
        write_new(path, b"")
        sync_directory(path.parent)
