"""One SQLite connection on a thread of its own: how it is opened, reached and understood."""

import sqlite3
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar, cast

import aiosqlite
import msgspec
import structlog

from waiaas.errors import ConstraintFailed, StorageBusy, StorageCorrupt, StorageError, StorageFull

log = structlog.get_logger(__name__)

P = ParamSpec("P")
T = TypeVar("T")
#: SQL name → (number of arguments, callable)
Functions = Mapping[str, tuple[int, Callable[..., Any]]]
#: steps of SQLite's machine, about a millisecond of them, after which a read leaves the event loop's thread
BRIEF = 20_000

#: primary result code → what it means to a caller (https://www.sqlite.org/rescode.html)
MEANING: dict[int, type[StorageError]] = {
    sqlite3.SQLITE_BUSY: StorageBusy,
    sqlite3.SQLITE_LOCKED: StorageBusy,
    sqlite3.SQLITE_FULL: StorageFull,
    sqlite3.SQLITE_READONLY: StorageFull,
    sqlite3.SQLITE_IOERR: StorageFull,
    sqlite3.SQLITE_CANTOPEN: StorageFull,
    sqlite3.SQLITE_CORRUPT: StorageCorrupt,
    sqlite3.SQLITE_NOTADB: StorageCorrupt,
}


class Settings(msgspec.Struct, frozen=True):
    """The numbers of `[database]` in config.toml that every connection is opened with."""

    busy_timeout_ms: int = 5000
    cache_size_kib: int = 64000
    mmap_size: int = 268435456

    def pragmas(self) -> list[tuple[str, str, str | int]]:
        """The seven, in their order: name, value to set, value that must be read back."""
        return [
            ("journal_mode", "WAL", "wal"),
            ("synchronous", "NORMAL", 1),
            ("foreign_keys", "ON", 1),
            ("busy_timeout", str(self.busy_timeout_ms), self.busy_timeout_ms),
            ("cache_size", str(-self.cache_size_kib), -self.cache_size_kib),
            ("mmap_size", str(self.mmap_size), self.mmap_size),
            ("temp_store", "MEMORY", 2),
        ]


async def connect(path: Path, settings: Settings) -> aiosqlite.Connection:
    """A connection to an existing file; StorageFull if there is none, for an empty database would know no limits."""
    connection = aiosqlite.connect(
        existing(path),
        uri=True,
        isolation_level=None,
        timeout=settings.busy_timeout_ms / 1000,
        cached_statements=512,
        # `inline` uses it from the event loop's thread, never while its own thread is at work
        check_same_thread=False,
    )
    try:
        return await connection
    except sqlite3.Error as error:
        # its thread still answers the event loop, which may be closed the moment this raises
        connection._thread.join()
        raise translate(error) from error


def existing(path: Path) -> str:
    """The URI under which SQLite opens a file for writing and never creates one."""
    return f"{path.absolute().as_uri()}?mode=rw"


@contextmanager
def opened(path: Path) -> Iterator[sqlite3.Connection]:
    """A plain connection to an existing file, errors translated, closed in any case."""
    try:
        connection = sqlite3.connect(existing(path), uri=True, isolation_level=None)
        try:
            yield connection
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise translate(error) from error


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """A plain connection that cannot write, in one snapshot; text that is not UTF-8 does not stop it."""
    with opened(path) as connection:
        connection.row_factory = sqlite3.Row
        connection.text_factory = lambda text: text.decode(errors="replace")
        only_read(connection)
        connection.execute("BEGIN")
        yield connection


def configure(connection: sqlite3.Connection, settings: Settings) -> None:
    """Set the seven PRAGMAs and read each one back; StorageError names the one that did not take."""
    connection.row_factory = sqlite3.Row
    for name, value, expected in settings.pragmas():
        connection.execute(f"PRAGMA {name}={value}")
        row = connection.execute(f"PRAGMA {name}").fetchone()
        found = row[0] if row else 0
        if name == "mmap_size" and found < settings.mmap_size:
            log.info("mmap_size_lower", asked=expected, found=found)
        elif found != expected:
            raise StorageError(f"PRAGMA {name} is {found!r} after setting it to {value}")


def only_read(connection: sqlite3.Connection) -> None:
    """From here on the connection refuses every write."""
    connection.execute("PRAGMA query_only=ON")


def make_durable(connection: sqlite3.Connection) -> None:
    """A returned COMMIT is on disk: NORMAL in WAL mode would sync only at a checkpoint."""
    connection.execute("PRAGMA synchronous=FULL")
    if sys.platform == "darwin":
        connection.execute("PRAGMA fullfsync=1")
        connection.execute("PRAGMA checkpoint_fullfsync=1")


def register(connection: sqlite3.Connection, functions: Functions) -> None:
    """Make Python functions callable from SQL."""
    for name, (arguments, function) in functions.items():
        connection.create_function(name, arguments, function)


async def hop(
    connection: aiosqlite.Connection,
    work: Callable[Concatenate[sqlite3.Connection, P], T],
    *args: P.args,
    **kwargs: P.kwargs,
) -> T:
    """Run `work(connection, …)` in the connection's thread, in one hop however many statements it executes.

    aiosqlite's public methods hop once per statement, so this reaches into it; it is pinned to one version for that.
    """
    result = await connection._execute(work, connection._conn, *args, **kwargs)  # type: ignore[no-untyped-call]
    return cast(T, result)


def inline(
    connection: aiosqlite.Connection,
    work: Callable[Concatenate[sqlite3.Connection, P], T],
    *args: P.args,
    **kwargs: P.kwargs,
) -> T:
    """Run `work(connection, …)` here, on the event loop's thread; only what is short, and while no hop is under way."""
    assert connection._conn is not None
    return work(connection._conn, *args, **kwargs)


def be_brief(connection: sqlite3.Connection) -> None:
    """From here on a statement that takes more than BRIEF steps of SQLite's machine fails with SQLITE_INTERRUPT."""
    connection.set_progress_handler(lambda: 1, BRIEF)


def translate(error: Exception) -> Exception:
    """What SQLite reports, as an error of ours with the original as its cause; any other error as it is."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_CONSTRAINT:
        ours: StorageError = ConstraintFailed(constraint_name(str(error)))
    elif code in MEANING:
        ours = MEANING[code]()
    else:
        return error
    ours.__cause__ = error
    return ours


def constraint_name(message: str) -> str:
    """`tx_finished` of "CHECK constraint failed: tx_finished"; the columns of a UNIQUE; the text of a trigger."""
    kind, failed, name = message.partition(" constraint failed")
    return name.removeprefix(": ") or kind if failed else message
