"""What the writer does: many lists, each all or nothing, in one transaction with one COMMIT.

Waiting (for the lock, for the disk) happens in the writer's thread. The statements run on the event loop's thread while
that one rests: each takes microseconds, and handing the interpreter over for each would take longer than all of them.
"""

import sqlite3
from collections.abc import Sequence

import aiosqlite

from waiaas.db.connection import hop, inline, translate
from waiaas.db.statement import Statement
from waiaas.errors import StaleState


async def run_group(writer: aiosqlite.Connection, lists: Sequence[Sequence[Statement]]) -> list[Exception | None]:
    """Commit the lists in their order; answers for each None, or the error that kept it out.

    A list that fails is undone alone. If the transaction itself fails, every list gets that error.
    """
    try:
        await hop(writer, execute, "BEGIN IMMEDIATE")
        outcomes = inline(writer, run_lists, lists)
        await hop(writer, execute, "COMMIT")
    except Exception as error:
        await hop(writer, roll_back)
        return [translate(error) for _ in lists]
    return outcomes


def execute(connection: sqlite3.Connection, sql: str) -> None:
    """One statement whose rows nobody wants."""
    connection.execute(sql).fetchall()


def roll_back(connection: sqlite3.Connection) -> None:
    """End the transaction, unless SQLite has done so by itself (full disk, failing disk)."""
    if connection.in_transaction:
        connection.execute("ROLLBACK")


def run_lists(connection: sqlite3.Connection, lists: Sequence[Sequence[Statement]]) -> list[Exception | None]:
    """Execute the lists in an open transaction; raises only if SQLite has ended it."""
    return [run_list(connection, statements) for statements in lists]


def run_list(connection: sqlite3.Connection, statements: Sequence[Statement]) -> Exception | None:
    """Execute one list inside a savepoint; raises only if SQLite has ended the whole transaction."""
    connection.execute("SAVEPOINT list")
    try:
        for statement in statements:
            run_statement(connection, statement)
    except Exception as error:
        # a full disk or a failing one makes SQLite roll everything back by itself
        if not connection.in_transaction:
            raise
        connection.execute("ROLLBACK TO list")
        connection.execute("RELEASE list")
        return translate(error)
    connection.execute("RELEASE list")
    return None


def run_statement(connection: sqlite3.Connection, statement: Statement) -> None:
    """Execute one statement; StaleState if it does not have the expected number of rows."""
    cursor = connection.execute(statement.sql, statement.params)
    found = len(cursor.fetchall()) if cursor.description else cursor.rowcount
    if statement.expect is None or found == statement.expect:
        return
    if found == -1:
        # the sqlite3 module counts no rows for a statement that begins WITH
        found = connection.execute("SELECT changes()").fetchone()[0]
    if found != statement.expect:
        raise StaleState(statement=" ".join(statement.sql.split())[:80], expected=statement.expect, found=found)
