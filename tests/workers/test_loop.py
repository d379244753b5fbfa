"""The loop under every worker, and the crew: woken, resting, failing, asked to stop."""

import asyncio
import time

import pytest
from structlog.testing import capture_logs

from waiaas.errors import StorageCorrupt, Transient
from waiaas.workers.loop import Crew, Rest, Worker

NEVER = 3600.0


class Ticks:
    """A worker's work: each tick does the next of `steps`, an error to raise or the answer to give; then nothing."""

    def __init__(self, *steps: object) -> None:
        self._steps = list(steps)
        self.done = asyncio.Semaphore(0)
        self.count = 0

    async def __call__(self) -> float | None:
        self.count += 1
        self.done.release()
        step = self._steps.pop(0) if self._steps else None
        if isinstance(step, BaseException):
            raise step
        return step  # type: ignore[return-value]

    async def times(self, count: int) -> None:
        """Wait until it has ticked that many times more."""
        async with asyncio.timeout(2):
            for _ in range(count):
                await self.done.acquire()


@pytest.fixture
async def run():
    """Starts workers; each must end by itself when it is asked to."""
    started = []

    def start(worker: Worker) -> Worker:
        started.append((worker, asyncio.create_task(worker.run())))
        return worker

    yield start
    for worker, task in started:
        worker.stop()
        async with asyncio.timeout(2):
            await task


async def test_a_worker_ticks_at_once_and_then_on_time(run):
    ticks = Ticks()
    run(Worker("w", ticks, every_seconds=0.01))
    await ticks.times(3)


async def test_a_rest_with_a_least_is_cut_short_by_a_wake_after_it(run):
    ticks, wake = Ticks(Rest(0.01, NEVER), Rest(NEVER, NEVER)), asyncio.Event()
    run(Worker("w", ticks, every_seconds=NEVER, wake=wake))
    await ticks.times(1)
    wake.set()
    await ticks.times(1)
    wake.set()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await ticks.times(1)


async def test_a_worker_is_woken(run):
    ticks, wake = Ticks(), asyncio.Event()
    run(Worker("w", ticks, every_seconds=NEVER, wake=wake))
    await ticks.times(1)
    wake.set()
    await ticks.times(1)


async def test_being_woken_during_a_tick_is_not_forgotten(run):
    wake, ticks = asyncio.Event(), Ticks()

    async def tick() -> float | None:
        if ticks.count == 0:
            wake.set()
        return await ticks()

    run(Worker("w", tick, every_seconds=NEVER, wake=wake))
    await ticks.times(2)
    await asyncio.sleep(0.01)
    assert ticks.count == 2


async def test_a_worker_rests_as_long_as_its_tick_says_whoever_wakes_it(run):
    wake, ticks = asyncio.Event(), Ticks(0.05)
    run(Worker("w", ticks, every_seconds=NEVER, wake=wake))
    await ticks.times(1)
    begun = time.monotonic()
    wake.set()
    await ticks.times(1)
    assert time.monotonic() - begun >= 0.045


@pytest.mark.parametrize("error", [RuntimeError("broken"), Transient("silent")])
async def test_a_failing_tick_is_told_and_tried_again_on_time(run, error):
    ticks = Ticks(error)
    with capture_logs() as logs:
        run(Worker("w", ticks, every_seconds=0.01))
        await ticks.times(3)
    level = "warning" if isinstance(error, Transient) else "error"
    assert [(line["worker"], line["log_level"]) for line in logs] == [("w", level)]


async def test_a_failing_tick_is_not_tried_again_at_once_although_it_was_woken(run):
    wake, ticks = asyncio.Event(), Ticks(*[RuntimeError("broken")] * 99)
    run(Worker("w", ticks, every_seconds=0.05, wake=wake))
    begun = time.monotonic()
    while time.monotonic() - begun < 0.12:
        wake.set()
        await asyncio.sleep(0)
    assert ticks.count <= 3


async def test_a_damaged_database_ends_the_worker():
    with pytest.raises(StorageCorrupt):
        await Worker("w", Ticks(StorageCorrupt()), every_seconds=NEVER).run()


async def test_a_worker_that_is_stopped_finishes_its_tick():
    begun, go, finished = asyncio.Event(), asyncio.Event(), []

    async def tick() -> float | None:
        begun.set()
        await go.wait()
        finished.append(True)
        return NEVER

    worker = Worker("w", tick, every_seconds=NEVER)
    running = asyncio.create_task(worker.run())
    await begun.wait()
    worker.stop()
    await asyncio.sleep(0)
    assert not running.done()
    go.set()
    async with asyncio.timeout(2):
        await running
    assert finished == [True]


@pytest.mark.parametrize("answer", [None, NEVER], ids=["waiting", "resting"])
async def test_a_worker_that_waits_or_rests_stops_at_once(answer):
    ticks = Ticks(answer)
    worker = Worker("w", ticks, every_seconds=NEVER)
    running = asyncio.create_task(worker.run())
    await ticks.times(1)
    await asyncio.sleep(0.01)
    worker.stop()
    async with asyncio.timeout(0.5):
        await running
    assert ticks.count == 1


# --- the crew -------------------------------------------------------------------------------------


async def test_a_key_is_taken_until_its_work_ends():
    crew, go = Crew("c"), asyncio.Event()
    crew.start("a", go.wait())
    assert ("a" in crew, "b" in crew, len(crew)) == (True, False, 1)
    go.set()
    await crew.join()
    assert ("a" in crew, len(crew)) == (False, 0)


async def test_work_that_fails_is_told_and_its_key_is_free():
    async def fail() -> None:
        raise RuntimeError("broken")

    crew = Crew("c")
    with capture_logs() as logs:
        crew.start("a", fail())
        await crew.join()
    assert [(line["worker"], line["key"], line["log_level"]) for line in logs] == [("c", "a", "error")]
    assert "a" not in crew


async def test_joining_waits_for_work_that_began_meanwhile():
    crew, done = Crew("c"), []

    async def second() -> None:
        await asyncio.sleep(0.01)
        done.append(2)

    async def first() -> None:
        await asyncio.sleep(0.01)
        crew.start("b", second())
        done.append(1)

    crew.start("a", first())
    await crew.join()
    assert done == [1, 2]
