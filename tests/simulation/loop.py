"""An event loop in virtual time: one callback a turn, picked by chance; with nothing to do, the next timer is now.

What a process does to the outside is an act. An act can be the last one: then the loop stops where it stands, and none
of its tasks ever takes another step, not even for a `finally`.
"""

import asyncio
import gc
import heapq
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from random import Random
from typing import Any

from waiaas.clock import Clock
from waiaas.errors import WaiaasError

#: turns in which time does not move before somebody is said to spin
MOST_TURNS = 200_000
#: what the wall clock shows when virtual time is 0
EPOCH = 1_800_000_000


class Killed(BaseException):
    """The process ended in the middle of whatever it did."""


class Stuck(AssertionError):
    """Nothing is left to happen, or time stands still for ever."""


class SimLoop(asyncio.BaseEventLoop):
    """`chance` None: callbacks in their order, as in any loop."""

    def __init__(self, now: float, chance: Random | None) -> None:
        super().__init__()
        self.killed = False
        #: what was reported to the loop's exception handler
        self.complaints: list[str] = []
        self._now = now
        self._chance = chance
        self._turns = 0
        self._remains: set[asyncio.Task[Any]] = set()
        self.set_exception_handler(self._complain)

    def time(self) -> float:
        """Virtual seconds."""
        return self._now

    def kill(self) -> None:
        """No callback runs any more; what there is of tasks is kept, lest collecting them runs their `finally`."""
        self.killed = True
        self._remains = asyncio.all_tasks(self)

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> "asyncio.Future[Any]":  # type: ignore[override]
        """Inline, some turns later."""
        future = self.create_future()
        self.call_soon(self._work, future, func, args)
        return future

    def bury(self) -> None:
        """Let go of a dead loop: what its tasks still do when they are collected, nobody hears."""
        for task in self._remains:
            task._log_destroy_pending = False  # type: ignore[attr-defined]
        self._remains.clear()
        self.close()

    def _work(self, future: "asyncio.Future[Any]", func: Callable[..., Any], args: tuple[Any, ...]) -> None:
        if future.cancelled():
            return
        try:
            future.set_result(func(*args))
        except Exception as error:
            future.set_exception(error)

    def _run_once(self) -> None:
        if self.killed:
            raise Killed
        ready, scheduled = self._ready, self._scheduled  # type: ignore[attr-defined]
        if not ready:
            self._pass_time(scheduled)
        while scheduled and (scheduled[0]._cancelled or scheduled[0]._when <= self._now):
            timer = heapq.heappop(scheduled)
            timer._scheduled = False
            if not timer._cancelled:
                ready.append(timer)
        if not ready:
            return
        self._turns += 1
        if self._turns > MOST_TURNS:
            raise Stuck(f"{MOST_TURNS} turns at one instant")
        place = int(self._chance.random() * len(ready)) if self._chance and len(ready) > 1 else 0
        handle = ready[place]
        del ready[place]
        if not handle._cancelled:
            handle._run()

    def _pass_time(self, scheduled: list[Any]) -> None:
        while scheduled and scheduled[0]._cancelled:
            heapq.heappop(scheduled)._scheduled = False
        if not scheduled:
            raise Stuck("everything waits for something else")
        if scheduled[0]._when > self._now:
            self._now = scheduled[0]._when
            self._turns = 0

    def _process_events(self, event_list: Any) -> None:
        """There are none."""

    def _write_to_self(self) -> None:
        """It never sleeps."""

    def _complain(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if isinstance(context.get("exception"), WaiaasError):
            # a caller that was gone before it could ask
            return
        self.complaints.append(f"{context.get('message')}: {context.get('exception')!r}")


class SimClock(Clock):
    """The clocks of one process: virtual time, and a wall clock that somebody may set."""

    def __init__(self, loop: SimLoop, ahead_seconds: float) -> None:
        super().__init__()
        self._loop = loop
        #: how far the wall clock is ahead of what it should show
        self.ahead_seconds = ahead_seconds

    def wall(self) -> float:
        return EPOCH + self._loop.time() + self.ahead_seconds

    def boot(self) -> float:
        return self._loop.time()

    def monotonic(self) -> float:
        return self._loop.time()


@contextmanager
def graveyard() -> Iterator[None]:
    """Inside, what the dead say while they are collected is not heard."""
    said, sys.unraisablehook = sys.unraisablehook, lambda _: None
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "coroutine .* was never awaited")
            yield
    finally:
        sys.unraisablehook = said


def collect(loops: list[SimLoop]) -> None:
    """Free dead loops with everything that hangs on them."""
    for loop in loops:
        loop.bury()
    loops.clear()
    # what a `finally` makes when it is collected is garbage of the next round
    for _ in range(3):
        gc.collect()
