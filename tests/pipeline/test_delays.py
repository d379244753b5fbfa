"""Delays: over when the wall clock says so and that time has really passed, judged again, cancelled until then."""

import asyncio

import pytest
from structlog.testing import capture_logs

from tests.world import SOL, Between
from waiaas.domain.transaction import Status
from waiaas.pipeline.registry import policies as policy_steps
from waiaas.pipeline.waiting.release import Delays
from waiaas.repositories import policies, transactions

DELAYED = 11 * SOL
DELAY = 300


@pytest.fixture
def delays(core):
    return Delays(core)


@pytest.fixture
async def queued(world, delays):
    """A queued transfer that the delays worker has seen."""
    tx = await world.send(DELAYED)
    await delays.tick()
    return tx


async def status(world, tx) -> str:
    return (await world.row(tx)).status.value


async def test_a_delay_is_over_when_its_time_has_passed(world, delays, queued):
    world.clock.move(DELAY - 1)
    await delays.tick()
    assert await status(world, queued) == "QUEUED"
    world.clock.move(1)
    await delays.tick()
    assert await status(world, queued) == "EXECUTING"
    await world.execute(queued)
    await world.confirm()
    assert await status(world, queued) == "CONFIRMED"
    assert (await world.audited(queued))[:3] == ["TX_REQUESTED", "TX_QUEUED", "TX_EXECUTING"]


async def test_setting_the_clock_forward_releases_nothing(world, delays, queued):
    world.clock.step(DELAY * 10)
    await delays.tick()
    assert await status(world, queued) == "QUEUED"
    world.clock.move(DELAY)
    await delays.tick()
    assert await status(world, queued) == "EXECUTING"


async def test_setting_the_clock_back_holds_it_longer(world, delays, queued):
    world.clock.step(-DELAY)
    world.clock.move(DELAY)
    await delays.tick()
    assert await status(world, queued) == "QUEUED"
    world.clock.move(DELAY)
    await delays.tick()
    assert await status(world, queued) == "EXECUTING"


async def test_a_restart_does_not_begin_it_anew(world):
    async with world.open_core():
        tx = await world.send(DELAYED)
    world.clock.move(DELAY - 10)
    async with world.open_core() as core:
        delays = Delays(core)
        await delays.tick()
        world.clock.step(10)
        await delays.tick()
        assert await status(world, tx) == "QUEUED"
        world.clock.move(10)
        await delays.tick()
        assert await status(world, tx) == "EXECUTING"


async def test_one_that_ran_out_while_nothing_ran_is_released_at_the_start(world):
    async with world.open_core():
        tx = await world.send(DELAYED)
    world.clock.move(DELAY * 100)
    world.time_passes()
    async with world.open_daemon():
        assert (await world.ended(tx)).status is Status.CONFIRMED


async def test_a_cancelled_delay_is_never_released(world, core, delays, queued):
    await world.cancel(queued)
    world.clock.move(DELAY)
    await delays.tick()
    assert await status(world, queued) == "CANCELLED"


async def test_a_cancel_that_comes_while_it_is_released_wins_or_loses_whole(world, core, delays, queued):
    world.clock.move(DELAY)
    core.db = Between(core.db, transactions.MARK_RELEASED, before=lambda: world.cancel(queued))
    await delays.tick()
    assert await status(world, queued) == "CANCELLED"
    assert {state for state, _ in (await world.booked(queued)).values()} == {"RELEASED"}


async def test_a_limit_tightened_during_the_delay_cancels_it(world, core, delays, queued):
    await world.limit(per_transaction=str(DELAYED - 1))
    world.clock.move(DELAY)
    await delays.tick()
    row = await world.row(queued)
    assert (row.status, row.error_code) == (Status.CANCELLED, "SPENDING_LIMIT_EXCEEDED")
    assert {state for state, _ in (await world.booked(queued)).values()} == {"RELEASED"}


@pytest.mark.parametrize(("stop", "code"), [("throw_switch", "KILL_SWITCH"), ("suspend", "AGENT_SUSPENDED")])
@pytest.mark.parametrize("late", [False, True], ids=["during the delay", "while it is released"])
async def test_a_stop_during_the_delay_cancels_it(world, core, delays, queued, stop, code, late):
    if late:
        core.db = Between(core.db, transactions.MARK_RELEASED, before=getattr(world, stop))
    else:
        await getattr(world, stop)()
    world.clock.move(DELAY)
    await delays.tick()
    await delays.tick()
    row = await world.row(queued)
    assert (row.status, row.error_code) == (Status.CANCELLED, code)


async def test_a_limit_widened_during_the_delay_shortens_nothing(world, core, delays, queued):
    (seeded,) = await policies.page(core.db)
    await world.limit(instant_max=str(99 * SOL), notify_max=str(99 * SOL), delay_max=str(99 * SOL))
    await policy_steps.delete(core, seeded.id, world.operator)
    world.clock.move(DELAY - 1)
    await delays.tick()
    assert await status(world, queued) == "QUEUED"


async def test_one_that_cannot_be_released_stops_no_other(world, core, delays, queued):
    other = await world.send(DELAYED + 1)
    await delays.tick()
    world.clock.move(DELAY)

    async def break_down():
        raise RuntimeError("this row is unlucky")

    core.db = Between(core.db, transactions.MARK_RELEASED, before=break_down)
    with capture_logs() as logs:
        await delays.tick()
    assert sorted([await status(world, queued), await status(world, other)]) == ["EXECUTING", "QUEUED"]
    assert [line["log_level"] for line in logs] == ["error"]
    await delays.tick()
    assert await status(world, queued) == await status(world, other) == "EXECUTING"


async def test_the_worker_is_woken_when_the_next_delay_is_over(world):
    """The worker would look again only after five seconds of real time; this delay ends in a fifth of one."""
    async with world.open_daemon() as daemon:
        tx = await world.send(DELAYED)
        await asyncio.sleep(0.05)
        world.clock.move(DELAY - 0.2)
        daemon.core.delays_soon.set()
        asyncio.get_running_loop().call_later(0.15, world.clock.move, 0.2)
        released = await world.reached(tx, lambda row: row.status is not Status.QUEUED, within_seconds=2)
        assert (released.due_at, released.error_code) == (tx.due_at, None)


# --- what is never signed in time -----------------------------------------------------------------


async def test_a_pending_transaction_expires_and_its_money_is_free(world, core):
    tx = await world.send()
    world.clock.move(899)
    await world.expire()
    assert await status(world, tx) == "PENDING"
    world.clock.move(1)
    await world.expire()
    row = await world.row(tx)
    assert (row.status, row.error_code) == (Status.EXPIRED, "PENDING_TIMEOUT")
    assert {state for state, _ in (await world.booked(tx)).values()} == {"RELEASED"}
    assert (await world.audited(tx))[-1] == (await world.events(tx))[-1] == "TX_EXPIRED"


async def test_one_that_was_started_and_not_signed_fails(world, core, delays, queued):
    world.clock.move(DELAY)
    await delays.tick()
    world.clock.move(899)
    await world.expire()
    assert await status(world, queued) == "EXECUTING"
    world.clock.move(1)
    await world.expire()
    row = await world.row(queued)
    assert (row.status, row.error_code) == (Status.FAILED, "PENDING_TIMEOUT")


async def test_time_alone_never_ends_what_is_queued_or_signed(world, core):
    world.faults.drop("sendTransaction")
    signed = await world.execute(await world.send())
    queued = await world.send(DELAYED)
    world.clock.move(10**6)
    await world.expire()
    assert (await status(world, queued), await status(world, signed)) == ("QUEUED", "SUBMITTED")
