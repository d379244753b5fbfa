"""Waiting for a transaction to move, without asking the database again and again."""

import asyncio
from collections import defaultdict

from waiaas.db import Database

#: more than this many waiting requests are answered at once
MOST_WAITING = 200


class Watch:
    """Tells waiting requests when a commit has moved their transaction."""

    def __init__(self, db: Database) -> None:
        self._waiting: defaultdict[str, set[asyncio.Event]] = defaultdict(set)
        self._count = 0
        self._closed = False
        db.subscribe(self._on_commit)

    async def moved(self, tx_id: str, event: asyncio.Event, timeout_seconds: float) -> bool:
        """Wait until `event`, made by `listen` before the row was read, is set; False when time is up."""
        try:
            async with asyncio.timeout(timeout_seconds):
                await event.wait()
        except TimeoutError:
            return False
        event.clear()
        return not self._closed

    def listen(self, tx_id: str) -> asyncio.Event | None:
        """An event that the next move of the transaction sets; None when too many are waiting or the daemon stops."""
        if self._closed or self._count >= MOST_WAITING:
            return None
        event = asyncio.Event()
        self._waiting[tx_id].add(event)
        self._count += 1
        return event

    def leave(self, tx_id: str, event: asyncio.Event) -> None:
        """Nobody waits on this event any more."""
        self._waiting[tx_id].discard(event)
        if not self._waiting[tx_id]:
            del self._waiting[tx_id]
        self._count -= 1

    def close(self) -> None:
        """Answer everybody: the daemon is stopping."""
        self._closed = True
        for events in self._waiting.values():
            for event in events:
                event.set()

    def _on_commit(self, topics: frozenset[str]) -> None:
        if not self._waiting:
            return
        for topic in topics:
            if topic.startswith("tx:"):
                for event in self._waiting.get(topic[3:], ()):
                    event.set()
