"""The mirror of every agent's ledger in memory, brought up to date by what changed since its version."""

from waiaas.clock import Clock
from waiaas.db import Database
from waiaas.domain.ledger import KEPT_SECONDS, Book
from waiaas.repositories import ledger

#: agents whose book is kept; the oldest goes first
MOST_BOOKS = 10_000


class Books:
    """Books by agent. A book may be behind the database; the guard on its version finds that out."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock
        self._books: dict[str, Book] = {}
        self._behind: set[str] = set()
        db.subscribe(self._on_commit)

    async def book(self, agent_id: str) -> Book:
        """The agent's book as of now; AgentNotFound if there is no such agent."""
        known = self._books.get(agent_id)
        if known is not None and agent_id not in self._behind:
            return known
        self._behind.discard(agent_id)
        book = await self._read(agent_id, known)
        newest = self._books.get(agent_id)
        if newest is None or book.version >= newest.version:
            self._books[agent_id] = book
        if len(self._books) > MOST_BOOKS:
            del self._books[next(iter(self._books))]
        return book

    def forget(self, agent_id: str) -> None:
        """A guard found the book behind: read it again."""
        self._behind.add(agent_id)

    async def _read(self, agent_id: str, known: Book | None) -> Book:
        if known is None:
            version, rows = await ledger.changed(self._db, agent_id, since=self._clock.now() - KEPT_SECONDS)
            return Book.of(version, rows)
        version, rows = await ledger.changed(self._db, agent_id, after=known.version)
        return known.after(version, rows) if version > known.version else known

    def _on_commit(self, topics: frozenset[str]) -> None:
        self._behind.update(topic[7:] for topic in topics if topic.startswith("ledger:"))
