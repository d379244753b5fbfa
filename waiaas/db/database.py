"""The database: fetch on one of the readers, commit a list of statements on the one writer."""

import asyncio
import sqlite3
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import aiosqlite
import structlog

from waiaas.db.connection import (
    Functions,
    Settings,
    be_brief,
    configure,
    connect,
    hop,
    inline,
    make_durable,
    only_read,
    register,
    translate,
)
from waiaas.db.group import execute, run_group
from waiaas.db.statement import Statement
from waiaas.errors import StorageBusy, StorageClosed, StorageFull

log = structlog.get_logger(__name__)

T = TypeVar("T")
Listener = Callable[[frozenset[str]], None]

#: lists run on the event loop's thread: so many that none waits long, so few that nothing else does
LARGEST_GROUP = 64
#: a reader at work for longer holds the WAL back
SLOW_READ_SECONDS = 60
LARGE_WAL_BYTES = 256 * 2**20


class Waiting(NamedTuple):
    """A list in the queue, and the caller that waits for it (or has been cancelled since)."""

    statements: tuple[Statement, ...]
    answer: asyncio.Future[None]


class Database:
    """One writer and some readers on one SQLite file, a thread each; made by `open`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        #: lists committed, and group size → number of groups, since the start
        self.lists_committed = 0
        self.group_sizes: Counter[int] = Counter()
        #: why the last group could not be written at all; empty while writing works
        self.refuses = ""
        self._connections = AsyncExitStack()
        self._writer: aiosqlite.Connection
        #: the writer is in one group, or in a checkpoint
        self._turn = asyncio.Lock()
        #: for reads that are over in a moment, on the event loop's own thread
        self._brief: aiosqlite.Connection
        self._free: asyncio.Queue[aiosqlite.Connection] = asyncio.Queue()
        self._reading: dict[aiosqlite.Connection, float] = {}
        self._queue: deque[Waiting] = deque()
        self._wake = asyncio.Event()
        self._listeners: list[Listener] = []
        self._writing: asyncio.Task[None] | None = None
        self._closed = True

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        path: Path,
        *,
        readers: int = 4,
        busy_timeout_ms: int = 5000,
        cache_size_kib: int = 64000,
        mmap_size: int = 268435456,
        functions: Mapping[str, tuple[int, Callable[..., Any]]] = {},
    ) -> AsyncIterator["Database"]:
        """Open an existing, migrated file; on leaving, commit what is queued, checkpoint TRUNCATE and close.

        `functions` can be called by statements of the writer. Sizes are in the unit their name tells, mmap in bytes.
        """
        database = cls(path)
        settings = Settings(busy_timeout_ms, cache_size_kib, mmap_size)
        try:
            await uninterrupted(database._connect(settings, readers, functions))
            yield database
        finally:
            await uninterrupted(database._close())

    async def fetch_one(self, sql: str, params: Mapping[str, Any] = {}) -> sqlite3.Row | None:
        """The first row, or None; sees every commit that has returned."""
        return await self._read(first_row, sql, params)

    async def fetch_all(self, sql: str, params: Mapping[str, Any] = {}) -> list[sqlite3.Row]:
        """All rows, out of one snapshot; sees every commit that has returned."""
        return await self._read(all_rows, sql, params)

    async def commit(self, *statements: Statement) -> None:
        """Commit all statements or none; they are on disk when this returns.

        StaleState: a row count was not the expected one. ConstraintFailed: the schema refuses. StorageBusy,
        StorageFull, StorageCorrupt, StorageClosed: the database cannot write. A cancelled caller has still committed.
        """
        if self._closed:
            raise StorageClosed
        answer = asyncio.get_running_loop().create_future()
        self._queue.append(Waiting(statements, answer))
        self._wake.set()
        await answer

    def subscribe(self, listener: Listener) -> None:
        """Call `listener` with the topics of each group that is committed, before its callers are answered."""
        self._listeners.append(listener)

    async def checkpoint(self) -> None:
        """Move what can be moved from the WAL into the file, waiting for nobody; warns when the WAL is held back."""
        if self._closed:
            raise StorageClosed
        try:
            async with self._turn:
                await hop(self._writer, execute, "PRAGMA wal_checkpoint(PASSIVE)")
        except sqlite3.Error as error:
            raise translate(error) from error
        wal = self.path.with_name(f"{self.path.name}-wal")
        size = wal.stat().st_size if wal.exists() else 0
        now = asyncio.get_running_loop().time()
        oldest = max((now - since for since in self._reading.values()), default=0.0)
        if oldest > SLOW_READ_SECONDS or size > LARGE_WAL_BYTES:
            log.warning("wal_held_back", wal_bytes=size, oldest_read_seconds=round(oldest, 1))

    async def _read(self, work: Callable[[sqlite3.Connection, str, Mapping[str, Any]], T], *args: Any) -> T:
        """Here and now if it is over in a moment, as nearly every read is; else begun again on a reader's thread."""
        if self._closed:
            raise StorageClosed
        try:
            return inline(self._brief, work, *args)
        except sqlite3.Error as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_INTERRUPT:
                raise translate(error) from error
        return await self._read_at_length(work, *args)

    async def _read_at_length(self, work: Callable[[sqlite3.Connection, str, Mapping[str, Any]], T], *args: Any) -> T:
        reader = await self._free.get()
        self._reading[reader] = asyncio.get_running_loop().time()
        try:
            if self._closed:
                raise StorageClosed
            return await hop(reader, work, *args)
        except sqlite3.Error as error:
            raise translate(error) from error
        except asyncio.CancelledError:
            # nobody waits for it any more; with no statement running this does nothing
            await reader.interrupt()
            raise
        finally:
            del self._reading[reader]
            self._free.put_nowait(reader)

    async def _write(self) -> None:
        """Commit what has queued up while the last group was being committed, until closed and empty."""
        group: list[Waiting] = []
        try:
            while self._queue or not self._closed:
                await self._wake.wait()
                self._wake.clear()
                while self._queue:
                    group = [self._queue.popleft() for _ in range(min(LARGEST_GROUP, len(self._queue)))]
                    async with self._turn:
                        outcomes = await run_group(self._writer, [waiting.statements for waiting in group])
                    self._settle(group, outcomes)
        finally:
            # only if something broke in here is anyone left: their outcome is unknown, and they must not hang
            self._closed = True
            for waiting in (*group, *self._queue):
                waiting.answer.cancel()

    def _settle(self, group: Sequence[Waiting], outcomes: Sequence[Exception | None]) -> None:
        committed = [waiting for waiting, error in zip(group, outcomes, strict=True) if error is None]
        self.lists_committed += len(committed)
        self.group_sizes[len(group)] += 1
        unwritable = [str(error) for error in outcomes if isinstance(error, StorageBusy | StorageFull)]
        self.refuses = unwritable[0] if len(unwritable) == len(outcomes) else ""
        self._tell(frozenset(s.touches for waiting in committed for s in waiting.statements if s.touches is not None))
        for waiting, error in zip(group, outcomes, strict=True):
            answer(waiting, error)

    def _tell(self, topics: frozenset[str]) -> None:
        for listener in self._listeners if topics else ():
            try:
                listener(topics)
            except Exception:
                # what is committed is committed: its caller must hear so whatever a listener does
                log.exception("listener_failed", topics=sorted(topics))

    async def _connect(self, settings: Settings, readers: int, functions: Functions) -> None:
        """Writer first; the exit stack closes the readers, empties the WAL and closes the writer, in this order."""
        self._writer = await self._configured(settings)
        await hop(self._writer, make_durable)
        await hop(self._writer, register, functions)
        self._connections.push_async_callback(self._empty_wal, self._writer)
        self._brief = await self._reader(settings)
        await hop(self._brief, be_brief)
        for _ in range(readers):
            self._free.put_nowait(await self._reader(settings))
        self._closed = False
        self._writing = asyncio.create_task(self._write(), name="database writer")

    async def _reader(self, settings: Settings) -> aiosqlite.Connection:
        reader = await self._configured(settings)
        await hop(reader, only_read)
        return reader

    async def _configured(self, settings: Settings) -> aiosqlite.Connection:
        connection = await connect(self.path, settings)
        self._connections.push_async_callback(connection.close)
        try:
            await hop(connection, configure, settings)
        except sqlite3.Error as error:
            raise translate(error) from error
        return connection

    async def _close(self) -> None:
        self._closed = True
        self._wake.set()
        async with self._connections:
            if self._writing:
                await self._writing

    async def _empty_wal(self, writer: aiosqlite.Connection) -> None:
        try:
            await hop(writer, execute, "PRAGMA optimize")
            await hop(writer, execute, "PRAGMA wal_checkpoint(TRUNCATE)")
        except sqlite3.Error as error:
            log.warning("checkpoint_failed", error=str(error))


def first_row(connection: sqlite3.Connection, sql: str, params: Mapping[str, Any]) -> sqlite3.Row | None:
    """The first row; the cursor is closed, for an open one would hold its snapshot and with it the WAL."""
    cursor = connection.execute(sql, params)
    row: sqlite3.Row | None = cursor.fetchone()
    cursor.close()
    return row


def all_rows(connection: sqlite3.Connection, sql: str, params: Mapping[str, Any]) -> list[sqlite3.Row]:
    """Every row."""
    return connection.execute(sql, params).fetchall()


def answer(waiting: Waiting, error: Exception | None) -> None:
    """Tell the caller of a list how it ended; of a failure that has no caller any more, tell the log."""
    if not waiting.answer.done():
        if error is None:
            waiting.answer.set_result(None)
        else:
            waiting.answer.set_exception(error)
    elif error is not None:
        log.warning("cancelled_callers_list_failed", error=str(error), kind=type(error).__name__)


async def uninterrupted(work: Coroutine[Any, Any, None]) -> None:
    """Wait for `work` to its end; a cancellation that comes meanwhile is raised then."""
    task = asyncio.create_task(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError as error:
            cancelled = error
    task.result()
    if cancelled is not None:
        raise cancelled
