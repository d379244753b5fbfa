"""Imported by the interpreter of a daemon under test: kills the process at one named moment, as kill -9 would.

WAIAAS_TEST_KILL says when: `commit <SQL>` right before the COMMIT of a group that holds a statement with that text,
`rename <text>` right before the rename onto a file whose name has it, `renamed <text>` right after. The daemon has no
hook of its own: SQLite tells of statements by a trace callback, the interpreter of renames by an audit event.
"""

import os
import signal
import sqlite3
import sys
from typing import Any

POINT, _, TEXT = os.environ.pop("WAIAAS_TEST_KILL", " ").partition(" ")


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class Group:
    """What one connection has executed since its last BEGIN."""

    def __init__(self) -> None:
        self.holds = False

    def traced(self, sql: str) -> None:
        if sql.startswith("BEGIN"):
            self.holds = False
        elif sql == "COMMIT" and self.holds:
            die()
        elif TEXT in " ".join(sql.split()):
            self.holds = True


def connect(*args: Any, **kwargs: Any) -> sqlite3.Connection:
    connection = plain(*args, **kwargs)
    connection.set_trace_callback(Group().traced)
    return connection


def renaming(event: str, args: tuple[Any, ...]) -> None:
    global renamed
    if renamed:
        renamed = False  # dying is an audit event of its own
        die()
    if event == "os.rename" and TEXT in os.fspath(args[1]):
        if POINT == "rename":
            die()
        renamed = True


plain, renamed = sqlite3.connect, False
if POINT == "commit":
    sqlite3.connect = connect  # type: ignore[assignment]
elif POINT in ("rename", "renamed"):
    sys.addaudithook(renaming)
