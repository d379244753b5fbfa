"""A cache of rows that commits invalidate: an entry is gone before the writer that changed it is answered."""

from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from waiaas.db.database import Database

T = TypeVar("T")


class Cache(Generic[T]):
    """Values by id, loaded on demand; dropped when a commit touches `<prefix>:<id>`, `<prefix>:*` or `<prefix>`.

    A value read before a drop is never stored after it. At most `size` entries are kept, the oldest goes first.
    """

    def __init__(self, db: Database, prefix: str, load: Callable[[str], Awaitable[T]], size: int = 10_000) -> None:
        self._prefix = prefix
        self._load = load
        self._size = size
        self._values: dict[str, T] = {}
        self._drops = 0
        db.subscribe(self._on_commit)

    async def get(self, key: str) -> T:
        """The value; whatever `load` raises if there is none."""
        if key in self._values:
            return self._values[key]
        drops = self._drops
        value = await self._load(key)
        if drops == self._drops:
            self._values[key] = value
            if len(self._values) > self._size:
                del self._values[next(iter(self._values))]
        return value

    def forget(self, key: str) -> None:
        """Load it anew at the next `get`: what it is read from has changed without a commit."""
        self._on_commit(frozenset({f"{self._prefix}:{key}"}))

    def _on_commit(self, topics: frozenset[str]) -> None:
        for topic in topics:
            prefix, _, key = topic.partition(":")
            if prefix != self._prefix:
                continue
            self._drops += 1
            if key in ("", "*"):
                self._values.clear()
            else:
                self._values.pop(key, None)
