"""Looking at a database from outside: is its schema the one that the files make, and is what it holds sound."""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from waiaas.db.migrate import Kind, State, apply
from waiaas.db.migrations import Migration

OBJECTS = "SELECT type, name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
KEY = "SELECT name FROM pragma_table_info(:table) WHERE pk = 1"


class Finding(msgspec.Struct, frozen=True):
    """Something that is not as it should be: what kind of check found it, in which object, and what it is."""

    kind: str
    object: str
    detail: str


def verify(connection: sqlite3.Connection, found: State, migrations: Sequence[Migration]) -> list[Finding]:
    """The history against the files, and every object of the schema against a fresh database of the same version."""
    if found.kind not in (Kind.CURRENT, Kind.PENDING):
        return [Finding(found.kind, "schema_migrations", found.detail)]
    applied = [migration for migration in migrations if migration.version <= found.version]
    return [*differing_version(connection, found.version), *differing_objects(connection, applied)]


def differing_version(connection: sqlite3.Connection, version: int) -> Iterator[Finding]:
    """The number in the header against the history."""
    (said,) = connection.execute("PRAGMA user_version").fetchone()
    if said != version:
        yield Finding("version", "user_version", f"says {said}, and the history says {version}")


def differing_objects(connection: sqlite3.Connection, applied: Sequence[Migration]) -> list[Finding]:
    """Tables, indexes, triggers and views that are missing, too many, or differ from what the files make."""
    fresh = sqlite3.connect(":memory:", isolation_level=None)
    try:
        for migration in applied:
            apply(fresh, migration, 0, "")
        expected, present = objects(fresh), objects(connection)
    finally:
        fresh.close()
    findings = []
    for kind, name in sorted(expected.keys() | present.keys()):
        one, other = expected.get((kind, name)), present.get((kind, name))
        if one != other:
            detail = "is missing" if other is None else "is in no file" if one is None else f"reads: {other}"
            findings.append(Finding(kind, name, detail))
    return findings


def objects(connection: sqlite3.Connection) -> dict[tuple[str, str], str]:
    """(type, name) → SQL of everything in the schema, SQLite's own tables apart."""
    return {(kind, name): sql for kind, name, sql in connection.execute(OBJECTS).fetchall()}


def damaged(connection: sqlite3.Connection) -> Iterator[Finding]:
    """What `integrity_check` and `foreign_key_check` find."""
    for (verdict,) in connection.execute("PRAGMA integrity_check").fetchall():
        if verdict != "ok":
            yield Finding("integrity", "database", verdict)
    for table, row, parent, _ in connection.execute("PRAGMA foreign_key_check").fetchall():
        yield Finding("foreign_key", table, f"row {row} points to no row of {parent}")


def undecodable(connection: sqlite3.Connection, columns: Iterable[tuple[str, str]]) -> Iterator[Finding]:
    """Values of the (table, column) pairs that are neither NULL nor JSON."""
    decoder = msgspec.json.Decoder()
    for table, column in columns:
        (key,) = connection.execute(KEY, {"table": table}).fetchone()
        for row, value in connection.execute(
            f"SELECT {key}, CAST({column} AS BLOB) FROM {table} WHERE {column} IS NOT NULL"
        ):
            try:
                decoder.decode(value)
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                yield Finding("json", f"{table}.{column}", f"{row}: {error}")
