"""A commit by a program that runs beside the daemon, or while there is none."""

from collections.abc import Sequence
from pathlib import Path

from waiaas.db.connection import Functions, make_durable, opened, register
from waiaas.db.group import run_list
from waiaas.db.statement import Statement


def commit_beside(path: Path, statements: Sequence[Statement], functions: Functions) -> None:
    """Commit all statements or none, and have them on disk; errors as `Database.commit` raises them."""
    with opened(path) as connection:
        # the daemon's writer alone checkpoints: before SQLite 3.51.3 two that do at once can damage the file
        # (https://www.sqlite.org/wal.html#walresetbug)
        connection.execute("PRAGMA wal_autocheckpoint=0")
        connection.execute("PRAGMA foreign_keys=ON")
        make_durable(connection)
        register(connection, functions)
        connection.execute("BEGIN IMMEDIATE")
        error = run_list(connection, statements)
        if error is not None:
            connection.execute("ROLLBACK")
            raise error
        connection.execute("COMMIT")
