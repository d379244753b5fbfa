"""Answers of a node that may be shared for a moment."""

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

from waiaas.clock import Clock

T = TypeVar("T")


class Kept(Generic[T]):
    """Answers by key, asked for once however many want them, and anew after `seconds`; errors are not kept."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        self._clock = clock
        self._seconds = seconds
        self._asked: dict[str, tuple[float, asyncio.Future[T]]] = {}

    async def get(self, key: str, ask: Callable[[], "asyncio.Future[T]"]) -> T:
        """The kept answer, at most `seconds` old counted from the asking, or the one `ask` brings."""
        kept = self._asked.get(key)
        if kept is None or self._over(*kept):
            self._forget()
            kept = self._asked[key] = (self._clock.monotonic(), ask())
        return await asyncio.shield(kept[1])

    def _over(self, asked_at: float, answer: "asyncio.Future[T]") -> bool:
        failed = answer.done() and (answer.cancelled() or answer.exception() is not None)
        return failed or self._clock.monotonic() - asked_at >= self._seconds

    def _forget(self) -> None:
        self._asked = {key: kept for key, kept in self._asked.items() if not self._over(*kept)}
