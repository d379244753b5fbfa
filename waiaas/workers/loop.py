"""One loop for every worker: woken, on time, or asked to stop; never beside itself, and no failure ends it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import NamedTuple

import structlog

from waiaas.errors import StorageCorrupt, Transient

log = structlog.get_logger()


class Rest(NamedTuple):
    """Seconds until the next tick: `least` in any case, then up to `most` unless it is woken."""

    least: float
    most: float


class Worker:
    """Runs `tick` again and again: when woken, and at the latest every `every_seconds`.

    A tick may answer with seconds to rest, during which nothing wakes it but `stop`, or with a Rest.
    """

    def __init__(
        self,
        name: str,
        tick: Callable[[], Awaitable[Rest | float | None]],
        *,
        every_seconds: float,
        wake: asyncio.Event | None = None,
    ) -> None:
        self.name = name
        self._tick = tick
        self._every = every_seconds
        self._wake = wake or asyncio.Event()
        self._stop = asyncio.Event()

    async def run(self) -> None:
        """Until `stop`; a tick under way is always finished."""
        while not self._stop.is_set():
            self._wake.clear()
            rest = await self._once()
            if rest is None:
                await _wait(self._wake, self._every)
            elif isinstance(rest, Rest):
                await _wait(self._stop, rest.least)
                await _wait(self._wake, rest.most - rest.least)
            else:
                await _wait(self._stop, rest)

    def stop(self) -> None:
        """Ask it to end after the present tick."""
        self._stop.set()
        self._wake.set()

    async def _once(self) -> Rest | float | None:
        try:
            return await self._tick()
        except StorageCorrupt:
            raise
        except Transient as error:
            log.warning("worker_waits", worker=self.name, error=error.message)
        except Exception:
            log.exception("worker_failed", worker=self.name)
        return self._every


async def _wait(event: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return


class Crew:
    """Tasks under way, at most one per key; a failure is logged and its key free again."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def __contains__(self, key: str) -> bool:
        return key in self._tasks

    def __len__(self) -> int:
        return len(self._tasks)

    def start(self, key: str, work: Awaitable[None]) -> None:
        """Begin; the key stays taken until it ends."""
        self._tasks[key] = asyncio.ensure_future(self._run(key, work))

    async def _run(self, key: str, work: Awaitable[None]) -> None:
        try:
            await work
        except Exception:
            log.exception("step_failed", worker=self._name, key=key)
        finally:
            del self._tasks[key]

    async def join(self) -> None:
        """Wait until every task has ended by itself."""
        while self._tasks:
            await asyncio.wait(list(self._tasks.values()))
