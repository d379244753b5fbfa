"""The SQLite file of an embedded chain: one process alone, one commit per block."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from waiaas.errors import LocalnetUnusable

SELECT_VERSION = "PRAGMA user_version"


@contextmanager
def open_file(file: Path, schema: str, version: int) -> Iterator[sqlite3.Connection]:
    """The file, made with `schema` if it is missing; LocalnetUnusable if another process has it or it is damaged."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    file.touch(mode=0o600)
    connection = sqlite3.connect(file, isolation_level=None, timeout=1)
    try:
        try:
            prepare(connection, schema, version)
        except sqlite3.Error as error:
            raise LocalnetUnusable(f"The embedded chain in {file} cannot be used: {error}.") from error
        yield connection
    finally:
        connection.close()


def prepare(connection: sqlite3.Connection, schema: str, version: int) -> None:
    """Take the file for this process alone and make the tables if there are none."""
    # exclusive locking refuses a second process; NORMAL may lose the last block to a power cut, as a node may
    for setting in ("locking_mode = EXCLUSIVE", "journal_mode = WAL", "synchronous = NORMAL"):
        connection.execute(f"PRAGMA {setting}").fetchall()
    with transaction(connection):
        found = connection.execute(SELECT_VERSION).fetchone()[0]
        if found == 0:
            for statement in schema.split(";"):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {version}")
    if found not in (0, version):
        raise LocalnetUnusable(f"The embedded chain was written by another version (schema {found}).")


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All of what is executed inside, or nothing."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
