"""What the writer's thread does: many lists, each all or nothing, in one transaction with one COMMIT."""

import sqlite3
from collections.abc import Sequence

from waiaas.db.connection import translate
from waiaas.db.statement import Statement
from waiaas.errors import StaleState


def run_group(connection: sqlite3.Connection, lists: Sequence[Sequence[Statement]]) -> list[Exception | None]:
    """Commit the lists in their order; answers for each None, or the error that kept it out.

    A list that fails is undone alone. If the transaction itself fails, every list gets that error.
    """
    try:
        connection.execute("BEGIN IMMEDIATE")
        outcomes = [run_list(connection, statements) for statements in lists]
        connection.execute("COMMIT")
    except Exception as error:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        return [translate(error) for _ in lists]
    return outcomes


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
