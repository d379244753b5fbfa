"""The database of a simulated process: the product's own two verbs over one SQLite connection in memory.

Threads are what makes the real one unpredictable, so its connections are replaced by one whose work is done inline,
some turns of the loop later. What is committed outlives the process; what was not synced does not outlive the power.
"""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

from tests.simulation.acts import Acts, never
from waiaas.clock import Clock
from waiaas.config import Config
from waiaas.db import Database
from waiaas.db.connection import make_durable, register
from waiaas.db.database import uninterrupted
from waiaas.db.group import execute, roll_back
from waiaas.paths import DataDir
from waiaas.repositories import audit

FULL = 2
READERS = 2
#: one read in so many takes long enough to be done elsewhere
LONG_READS = 16

#: called after every commit
Watcher = Callable[[], None]
#: answers with the error that keeps a group from being written, if any
Refusal = Callable[[], Exception | None]


class Heard(sqlite3.Connection):
    """A connection that remembers what its present transaction has written."""

    written: list[tuple[str, Any]]
    place = 0

    def execute(self, sql: str, params: Any = (), /) -> sqlite3.Cursor:
        if params and self.in_transaction:
            self.written.append((sql, params))
        elif sql == "SAVEPOINT list":
            self.place = len(self.written)
        elif sql == "ROLLBACK TO list":
            tried = self.written[self.place :]
            self.written[self.place :] = [(f"UNDONE ({'; '.join(words(*one) for one in tried)})", {})]
        return super().execute(sql, params)


class Disk:
    """What there is when no process runs."""

    def __init__(self, image: bytes) -> None:
        self.connection = opened(image)
        #: what was on disk for certain, and after each commit since; empty: everything is
        self._images: list[bytes] = []

    def commit(self) -> None:
        """End the transaction, and know whether that has put it on disk."""
        synced = self.connection.execute("PRAGMA synchronous").fetchone()[0] >= FULL
        if not synced and not self._images:
            self._images = [self._before()]
        sqlite3.Connection.execute(self.connection, "COMMIT")
        self._images = [] if synced else [*self._images, self.connection.serialize()]

    def power_fails(self, chance: Random) -> None:
        """Of what was not synced a prefix is still there."""
        if self._images:
            self.connection = opened(chance.choice(self._images))
            self._images = []

    def durable(self, sql: str, params: Mapping[str, Any]) -> list[Any]:
        """What the file would answer if the power failed now."""
        connection = opened(self._images[0]) if self._images else self.connection
        return sqlite3.Connection.execute(connection, sql, params).fetchall()

    def _before(self) -> bytes:
        written, self.connection.written = self.connection.written, []
        self.connection.rollback()
        image = self.connection.serialize()
        self.connection.execute("BEGIN IMMEDIATE")
        for sql, params in written:
            self.connection.execute(sql, params).fetchall()
        return image


def opened(image: bytes) -> Heard:
    """A database in memory with that content."""
    connection = sqlite3.connect(":memory:", isolation_level=None, cached_statements=512, factory=Heard)
    connection.written = []
    connection.deserialize(image)
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA foreign_keys=ON")
    register(connection, audit.FUNCTIONS)
    return connection


class Inline:
    """Stands where a connection with its own thread stands in the product."""

    def __init__(self, connection: sqlite3.Connection, chance: Random) -> None:
        self._conn = connection
        self._chance = chance

    async def _execute(self, work: Callable[..., Any], *args: Any) -> Any:
        await self._rest()
        return work(*args)

    async def interrupt(self) -> None:
        """Nothing is ever half done."""

    async def _rest(self) -> None:
        for _ in range(self._chance.randrange(3)):
            await asyncio.sleep(0)


class Writer(Inline):
    """Its commits are acts. Nobody gets a turn while a transaction is open, for readers share the connection."""

    def __init__(self, disk: Disk, chance: Random, acts: Acts, watch: Watcher, refusal: Refusal) -> None:
        super().__init__(disk.connection, chance)
        self._disk, self._acts, self._watch, self._refusal = disk, acts, watch, refusal

    async def _execute(self, work: Callable[..., Any], *args: Any) -> Any:
        if work is roll_back:
            return work(*args)
        if work is not execute or args[1] not in ("BEGIN IMMEDIATE", "COMMIT"):
            return await super()._execute(work, *args)
        if args[1] == "COMMIT":
            return await self._commit()
        await self._rest()
        if not self._acts.begin("commit"):
            await never()
        if error := self._refusal():
            self._acts.note(f"refused: {type(error).__name__}")
            raise error
        self._disk.connection.written = []
        return work(*args)

    async def _commit(self) -> None:
        written = self._disk.connection.written
        self._disk.commit()
        self._acts.note("  " + "; ".join(words(*one) for one in written), written)
        if not self._acts.must_hold(self._watch) or not self._acts.done():
            await never()
        await self._rest()


class SimDatabase(Database):
    """The product's database over inline connections."""

    def use(self, writer: Writer, connection: sqlite3.Connection, chance: Random) -> None:
        """Instead of opening a file."""
        self._chance = chance
        self._writer = writer  # type: ignore[assignment]
        self._brief = Inline(connection, chance)  # type: ignore[assignment]
        for _ in range(READERS):
            self._free.put_nowait(Inline(connection, chance))  # type: ignore[arg-type]
        self._closed = False
        self._writing = asyncio.get_running_loop().create_task(self._write(), name="database writer")

    async def _read(self, *args: Any) -> Any:
        if self._chance.randrange(LONG_READS) == 0:
            return await self._read_at_length(*args)
        return await super()._read(*args)


class Engine:
    """What `app.open_daemon` opens its database with."""

    def __init__(self, disk: Disk, chance: Random, acts: Acts, watch: Watcher, refusal: Refusal) -> None:
        self._disk, self._chance, self._acts = disk, chance, acts
        self._watch, self._refusal = watch, refusal

    @asynccontextmanager
    async def __call__(self, data: DataDir, config: Config, clock: Clock) -> AsyncIterator[Database]:
        connection = self._disk.connection
        connection.execute("PRAGMA synchronous=NORMAL")
        make_durable(connection)
        database = SimDatabase(Path(":memory:"))
        writer = Writer(self._disk, self._chance, self._acts, self._watch, self._refusal)
        database.use(writer, connection, self._chance)
        try:
            yield database
        finally:
            await uninterrupted(database._close())


def words(sql: str, params: Any) -> str:
    """A statement in a few words."""
    verb, *rest = sql.split()
    if verb == "UNDONE":
        return sql
    if verb == "SELECT":
        return "?"
    if verb == "INSERT":
        what = params.get("event_type") or params.get("key") or ""
        return f"+{rest[1]} {what}".rstrip()
    to = sql.split("=", 1)[1].split()[0].strip("',") if "=" in sql else ""
    return f"{rest[0]}→{params.get(to.lstrip(':'), to) if to.startswith(':') else to}"
