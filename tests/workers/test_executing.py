"""The execute worker: how much at once, what waits and until when, and that trouble stays where it is."""

import asyncio

import pytest
from structlog.testing import capture_logs

from tests.world import LOCALNET, SOL, Between
from waiaas.domain.transaction import Status
from waiaas.repositories import transactions
from waiaas.workers import executing
from waiaas.workers.executing import Executing

MOVE_NETWORK = "UPDATE transactions SET network = 'devnet' WHERE id = :id"


@pytest.fixture
def worker(core):
    return Executing(core)


async def look(worker) -> None:
    """One tick, and everything it began brought to its end."""
    await worker.tick()
    await worker.join()


async def test_what_is_pending_is_signed_and_sent(world, core, worker):
    sent = [await world.send(amount) for amount in range(1, 6)]
    await look(worker)
    assert await world.statuses() == {"SUBMITTED": 5}
    assert len(set(world.faults.sent)) == len(sent)
    await world.confirm()


async def test_a_row_under_way_is_not_begun_again(world, core, worker):
    gate = world.faults.hold("simulateTransaction")
    await world.send()
    await worker.tick()
    await gate.arrived.wait()
    await worker.tick()
    gate.open()
    await worker.join()
    assert world.faults.seen["simulateTransaction"] == 1


async def test_so_many_are_signed_at_once_and_no_more(world, core, worker):
    gate = world.faults.hold("simulateTransaction", times=executing.AT_ONCE)
    for amount in range(executing.AT_ONCE + executing.PAGE):
        await world.send(amount)
    async with asyncio.timeout(2):
        while (await world.statuses())["EXECUTING"] < executing.AT_ONCE:
            await worker.tick()
    await worker.tick()
    assert await world.statuses() == {"EXECUTING": executing.AT_ONCE, "PENDING": executing.PAGE}
    gate.open()
    await worker.join()
    assert await world.statuses() == {"SUBMITTED": executing.AT_ONCE, "PENDING": executing.PAGE}


async def test_more_than_a_page_of_waiting_rows_hides_none_behind_it(world, core, worker):
    rows = [await world.send(amount) for amount in range(executing.PAGE + 1)]
    for row in rows[:-1]:
        core.wait(row.id, "CHAIN_UNREACHABLE", 9)
    await look(worker)
    assert (await world.row(rows[-1])).status is Status.SUBMITTED
    assert await world.statuses() == {"PENDING": executing.PAGE, "SUBMITTED": 1}


async def test_a_row_whose_node_is_silent_waits_longer_each_time(world, core, worker):
    tx = await world.send()
    begun = world.clock.now()
    for tries, pause in enumerate([1, 2, 4, 10], 1):
        world.faults.drop("simulateTransaction")
        await look(worker)
        await look(worker)
        waiting = core.waiting[tx.id]
        assert (waiting.reason, waiting.since, waiting.tries) == ("CHAIN_UNREACHABLE", begun, tries)
        assert waiting.next_try_at == world.clock.now() + pause
        assert world.faults.seen["simulateTransaction"] == tries
        world.clock.move(pause)
    await look(worker)
    assert (await world.row(tx)).status is Status.SUBMITTED
    assert core.waiting == {}


async def test_others_go_on_while_one_waits(world, core, worker):
    world.faults.drop("simulateTransaction")
    first = await world.send(1)
    await look(worker)
    second = await world.send(2)
    await look(worker)
    assert (await world.row(first)).status is Status.EXECUTING
    assert (await world.row(second)).status is Status.SUBMITTED


async def test_one_that_fails_inside_waits_and_stops_no_other(world, core, worker):
    async def break_down():
        raise RuntimeError("this row is unlucky")

    core.db = Between(core.db, transactions.MARK_EXECUTING, before=break_down)
    await world.send(1)
    await world.send(2)
    with capture_logs() as logs:
        for _ in range(3):
            await look(worker)
    assert await world.statuses() == {"PENDING": 1, "SUBMITTED": 1}
    assert [waiting.reason for waiting in core.waiting.values()] == ["INTERNAL_ERROR"]
    assert [line["event"] for line in logs if line["log_level"] == "error"] == ["not_signed_yet"]
    world.clock.move(1)
    await look(worker)
    assert await world.statuses() == {"SUBMITTED": 2}


async def test_one_whose_key_cannot_be_used_says_so(world):
    async with world.open_core():
        tx = await world.send()
    (world.data.keystore / f"{world.alice.id}.json").write_text("{}")
    async with world.open_core() as core:
        await look(Executing(core))
        assert core.waiting[tx.id].reason == "KEYSTORE_LOCKED"


async def test_what_ended_by_another_hand_waits_no_more(world, core, worker):
    world.faults.drop("simulateTransaction")
    tx = await world.send()
    await look(worker)
    assert tx.id in core.waiting
    world.clock.move(901)
    await world.expire()
    assert core.waiting == {}


async def test_a_network_without_a_healthy_endpoint_is_left_alone_for_a_while(world, core, worker):
    world.faults.down = True
    for amount in range(8):
        await world.send(amount)
    while core.chains.health()[LOCALNET] == "ok":
        await look(worker)
        world.clock.move(1)
    await look(worker)
    late = await world.send(8)
    await look(worker)
    assert ((await world.row(late)).status, late.id in core.waiting) == (Status.PENDING, False)
    world.faults.down = False
    for _ in range(40):
        world.clock.move(1)
        await look(worker)
    assert await world.statuses() == {"SUBMITTED": 9}


async def test_the_trouble_of_one_network_is_not_that_of_another(world):
    """Devnet's node answers nobody and all its places are taken; localnet's rows are signed as if nothing were."""
    called, over = asyncio.Event(), asyncio.Event()

    async def say_nothing(_, writer):
        called.set()
        await over.wait()
        writer.close()

    server = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    config = world.settings(rpc={"solana_devnet": (f"http://127.0.0.1:{port}",)})
    async with server, world.open_core(config) as core:
        worker = Executing(core)
        for amount in range(executing.AT_ONCE + 1):
            await world.by_hand(MOVE_NETWORK, id=(await world.send(amount)).id)
        await worker.tick()
        await called.wait()
        await world.send(SOL)
        await worker.tick()
        async with asyncio.timeout(2):
            while (await world.statuses())["SUBMITTED"] != 1:
                await asyncio.sleep(0.01)
        assert await world.statuses() == {"EXECUTING": executing.AT_ONCE, "PENDING": 1, "SUBMITTED": 1}
        over.set()
        await worker.join()


async def test_a_network_under_recovery_is_left_alone(world, core, worker):
    await world.send()
    core.reconciling.add(LOCALNET)
    await look(worker)
    assert await world.statuses() == {"PENDING": 1}
    core.reconciling.clear()
    await look(worker)
    assert await world.statuses() == {"SUBMITTED": 1}


async def test_a_daemon_that_stops_begins_nothing_and_finishes_what_it_began(world, core, worker):
    gate = world.faults.hold("simulateTransaction")
    first = await world.send(1)
    await worker.tick()
    await gate.arrived.wait()
    second = await world.send(2)
    core.stopping = True
    await worker.tick()
    gate.open()
    await worker.join()
    assert (await world.row(first)).status is Status.SUBMITTED
    assert (await world.row(second)).status is Status.PENDING
