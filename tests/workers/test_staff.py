"""All workers together: started, asked to stop, and nothing lost between."""

import asyncio
from types import SimpleNamespace

import pytest
from structlog.testing import capture_logs

from tests.faults import on_socket
from tests.world import SOL
from waiaas.domain.transaction import Status
from waiaas.errors import NoEndpoint
from waiaas.workers import staff
from waiaas.workers.loop import Rest


async def test_leaving_finishes_what_is_being_signed(world, core):
    gate = world.faults.hold("getLatestBlockhash")
    async with staff.working(core, minutely=()):
        tx = await world.send()
        await gate.arrived.wait()
        core.stopping = True
        asyncio.get_running_loop().call_later(0.05, gate.open)
    assert (await world.row(tx)).status is Status.SUBMITTED
    assert len(world.faults.sent) == 1


async def test_many_transfers_go_their_way_at_the_same_time(world):
    world.time_passes()
    async with world.open_daemon():
        sent = [await world.send(amount) for amount in range(40)]
        for tx in sent:
            assert (await world.ended(tx)).status is Status.CONFIRMED
        assert await world.balance(world.bob) == 100 * SOL + sum(range(40))


async def test_what_is_done_every_minute_is_done_and_one_failure_does_not_end_it(world, core):
    done = asyncio.Event()

    async def note() -> None:
        done.set()
        raise RuntimeError("broken")

    with capture_logs() as logs:
        async with staff.working(core, minutely=(note,)):
            async with asyncio.timeout(2):
                await done.wait()
    assert [line["worker"] for line in logs if line["log_level"] == "error"] == ["cleanup"]


async def test_sessions_that_ran_out_are_told_once(world):
    world.clock.move(86401)
    async with world.open_daemon() as daemon:
        async with asyncio.timeout(2):
            while not (rows := await daemon.core.db.fetch_all(TOLD, {"id": world.session.id})):
                await asyncio.sleep(0.01)
    async with world.open_daemon() as daemon:
        await asyncio.sleep(0.05)
        assert len(await daemon.core.db.fetch_all(TOLD, {"id": world.session.id})) == len(rows) == 1


TOLD = "SELECT 1 FROM outbox WHERE event_type = 'SESSION_EXPIRED' AND session_id = :id"


async def test_a_localnet_elsewhere_is_known_again_and_another_in_its_place_is_refused(world):
    async with on_socket(world.faults) as url:
        config = world.settings(rpc={"solana_localnet": (url,)})
        async with world.open_core(config) as core:
            await world.balance(world.alice)
            await staff._endpoints(core)
        world.faults.answer("getGenesisHash", "1" * 32)
        async with world.open_core(config) as core:
            with pytest.raises(NoEndpoint):
                await world.balance(world.alice)
            for _ in range(2):
                await staff._endpoints(core)
            for events in ("audit_log", "outbox"):
                assert len(await core.db.fetch_all(f"{QUARANTINED} {events} {OF_ENDPOINTS}")) == 1


QUARANTINED, OF_ENDPOINTS = "SELECT 1 FROM", "WHERE event_type = 'RPC_QUARANTINED'"


@pytest.mark.parametrize(
    ("hurry", "took", "rest"),
    [(None, 5.0, 0.2), (0.02, 0.0, Rest(0.02, 0.2)), (0.02, 0.05, Rest(0.1, 0.2)), (0.02, 5.0, Rest(0.2, 0.2))],
)
def test_where_blocks_come_at_once_a_rest_can_be_cut_short_but_looks_take_a_third_at_most(hurry, took, rest):
    chain = SimpleNamespace(hurry_seconds=hurry, poll_seconds=0.2)
    assert staff._rest(chain, took) == rest
