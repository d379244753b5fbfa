"""What wakes a worker when the next thing is due; a lost one costs the worker's interval, never more."""

import asyncio
from collections.abc import Iterable


class Alarm:
    """Sets an event once, at the time that was last asked for."""

    def __init__(self, event: asyncio.Event) -> None:
        self._event = event
        self._handle: asyncio.TimerHandle | None = None

    def ring_in(self, seconds: Iterable[float]) -> None:
        """At the soonest of these, and at no time that was asked for before; never if there are none."""
        if self._handle is not None:
            self._handle.cancel()
        soonest = min(seconds, default=None)
        loop = asyncio.get_running_loop()
        self._handle = None if soonest is None else loop.call_later(soonest, self._event.set)
