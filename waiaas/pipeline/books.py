"""What limits are judged by, in memory for each agent: its ledger, its sessions' usage, its requests."""

import asyncio

from waiaas.clock import Clock
from waiaas.db import Database
from waiaas.domain.ledger import KEPT_SECONDS, Book
from waiaas.domain.tally import Tally
from waiaas.domain.usage import Usage
from waiaas.repositories import ledger, requests, sessions

#: agents that are mirrored; the oldest goes first
MOST_MIRRORS = 10_000


class _Mirror:
    """What is known of one agent, all of it at the version of its book; each is read when it is first asked for."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        #: something was written since it was read
        self.is_behind = False
        self.book: Book | None = None
        self.usage: Usage | None = None
        self.tally: Tally | None = None
        #: of which a change was taken in
        self.sessions: set[str | None] = set()
        #: a session → it and those below it; one that wrote nothing may not be there
        self.trees: dict[str, list[str]] = {}


class Books:
    """Mirrors by agent. One may be behind the database; the guard on the ledger's version finds that out."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock
        self._mirrors: dict[str, _Mirror] = {}
        db.subscribe(self._on_commit)

    async def book(self, agent_id: str) -> Book:
        """The agent's ledger as of now; AgentNotFound if there is no such agent."""
        _, book = await self._current(agent_id)
        return book

    async def usage(self, agent_id: str) -> Usage:
        """What its sessions have used as of now, to be summed up at once; AgentNotFound."""
        while True:
            mirror, book = await self._current(agent_id)
            if mirror.usage is not None:
                return mirror.usage
            async with mirror.lock:
                if mirror.book is book:
                    # what is written meanwhile is left out here, and taken in with its version
                    mirror.usage = Usage(await ledger.of_sessions(self._db, agent_id, to=book.version))

    async def tally(self, agent_id: str) -> Tally:
        """Its requests as of now, to be counted at once; AgentNotFound."""
        while True:
            mirror, book = await self._current(agent_id)
            if mirror.tally is not None:
                return mirror.tally
            async with mirror.lock:
                if mirror.book is book:
                    since = self._clock.now() - KEPT_SECONDS
                    mirror.tally = Tally(*await requests.standings(self._db, agent_id, since=since))

    async def tree(self, agent_id: str, session_id: str) -> list[str]:
        """The session and all below it that counts in its agent's mirror, dead ones too; AgentNotFound."""
        mirror, _ = await self._current(agent_id)
        if session_id not in mirror.trees:
            async with mirror.lock:
                mirror.trees[session_id] = await sessions.tree(self._db, session_id)
        return mirror.trees[session_id]

    def forget(self, agent_id: str) -> None:
        """A guard found the mirror behind: read again."""
        if (mirror := self._mirrors.get(agent_id)) is not None:
            mirror.is_behind = True

    async def _current(self, agent_id: str) -> tuple[_Mirror, Book]:
        mirror = self._mirrors.get(agent_id)
        if mirror is None:
            mirror = self._mirrors[agent_id] = _Mirror()
            if len(self._mirrors) > MOST_MIRRORS:
                del self._mirrors[next(iter(self._mirrors))]
        if mirror.book is not None and not mirror.is_behind:
            return mirror, mirror.book
        async with mirror.lock:
            return mirror, await self._read(agent_id, mirror)

    async def _read(self, agent_id: str, mirror: _Mirror) -> Book:
        """Everything, or what changed; a reader that was waited for may have read it already."""
        known = mirror.book
        if known is not None and not mirror.is_behind:
            return known
        mirror.is_behind = False
        try:
            if known is None:
                since = self._clock.now() - KEPT_SECONDS
                mirror.book = Book.of(*await ledger.of_agent(self._db, agent_id, since=since))
                return mirror.book
            version, rows, standings = await ledger.changed(self._db, agent_id, after=known.version)
        except BaseException:
            mirror.is_behind = True
            raise
        if version > known.version:
            mirror.book = known.after(version, rows)
            # a session is stored before it writes: a tree that was read before it wrote may be without it
            if not (by := {row.session_id for row in rows}) <= mirror.sessions:
                mirror.sessions |= by
                mirror.trees.clear()
            if mirror.usage is not None:
                mirror.usage.take(rows)
            if mirror.tally is not None:
                mirror.tally.take(standings)
        assert mirror.book is not None
        return mirror.book

    def _on_commit(self, topics: frozenset[str]) -> None:
        for topic in topics:
            if topic.startswith("ledger:"):
                self.forget(topic[7:])
