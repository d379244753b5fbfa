"""A daemon that dies at any moment: whoever opens its directory next ends with exactly one effect.

Only commits and bytes on a socket change the world outside memory, so "before act k" and "after act k, its reply lost"
are all the moments there are. A dead daemon does nothing more: every act that it still attempts is refused.
"""

import asyncio
from contextlib import suppress

import pytest

from tests.world import DEATH, SOL, Mortal
from waiaas.domain.agent import AgentStatus
from waiaas.domain.transaction import AttemptStatus, Status
from waiaas.errors import AlreadyProcessed, Reconciling, WaiaasError
from waiaas.pipeline.landing.recover import close_networks, recover
from waiaas.repositories import attempts, transactions

DELAYED = 11 * SOL
AMOUNT = 1000


async def transfer(world) -> None:
    """What a client and the workers do, from the request to the end."""
    tx = await world.send(AMOUNT, key="k")
    await world.execute(tx)
    await world.confirm()


async def lost_and_replaced(world) -> None:
    """A transfer whose first bytes die and whose second land."""
    world.faults.drop("sendTransaction")
    tx = await world.execute(await world.send(AMOUNT, key="k"))
    world.clock.move(DEATH)
    await world.confirm()
    assert len(await world.attempts(tx)) == 2
    await world.confirm()


async def cancelled(world) -> None:
    """A transfer that is taken back."""
    await world.cancel(await world.send(AMOUNT, key="k"))


STORIES = {
    # commits: accept, start, sign, sent and landed; exchanges: who are you, how far are you, prepare, blockhash,
    # send, statuses, receipt
    "transfer": (transfer, 12, "CONFIRMED"),
    "replaced": (lost_and_replaced, 23, "CONFIRMED"),
    "cancelled": (cancelled, 2, "CANCELLED"),
}


async def live_once(world, story, mortal) -> bool:
    """Play the story until it ends or death comes; whether it came to its end."""
    async with world.open_core() as core:
        mortal.possess(core, world.faults)
        with suppress(WaiaasError, mortal.Death, AssertionError):
            await story(world)
        mortal.leave(core, world.faults)
    return not mortal.dead


async def carry_on(world) -> None:
    """What the next daemon does: recovery first, then the client's retry, then the workers."""
    world.faults.heal()
    async with world.open_core() as core:
        await close_networks(core)
        for network in list(core.reconciling):
            assert await recover(core, network)
        with suppress(AlreadyProcessed):
            await world.send(AMOUNT, key="k")
        for _ in range(4):
            await world.work()
        (row,) = await world.rows()
        world.last = row
        world.balances = await world.balance(world.alice), await world.balance(world.bob)


@pytest.mark.parametrize("name", STORIES)
async def test_a_story_has_as_many_acts_as_it_should(world, name):
    story, acts, end = STORIES[name]
    mortal = Mortal()
    assert await live_once(world, story, mortal)
    assert mortal.acts == acts
    async with world.open_core():
        assert [row.status.value for row in await world.rows()] == [end]


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(
    ("name", "act"), [(name, act) for name, (_, acts, _) in STORIES.items() for act in range(1, acts + 1)]
)
async def test_death_before_or_after_any_act_ends_in_one_effect_or_in_none(world, name, act, after):
    story, _, end = STORIES[name]
    mortal = Mortal(act, after=after)
    assert not await live_once(world, story, mortal)
    await carry_on(world)
    expected = end if name != "cancelled" else world.last.status.value
    assert world.last.status.value == expected in ("CONFIRMED", "CANCELLED")
    paid = AMOUNT if world.last.status is Status.CONFIRMED else 0
    assert world.balances[1] == 100 * SOL + paid
    assert 100 * SOL - world.balances[0] == (paid + 5000 if paid else 0)


# --- the points of proof.md, by name, with the whole daemon opened afterwards -------------------------


async def dead_after(world, *, sql: str | None = None, method: str | None = None, amount: int = AMOUNT):
    """A daemon that died right after a commit that carries `sql`, or before its next call of `method` arrived."""
    mortal = Mortal(sql=sql, method=method)
    async with world.open_core() as core:
        mortal.possess(core, world.faults)
        with suppress(WaiaasError, mortal.Death):
            tx = await world.send(amount, key="k")
            mortal.tx = tx
            await world.execute(tx)
            await world.confirm()
        mortal.leave(core, world.faults)
        assert mortal.dead
        (row,) = await world.rows()
    world.time_passes()
    return row


async def test_point_b_accepted_and_not_answered(world):
    row = await dead_after(world, sql=transactions.INSERT)
    assert row.status is Status.PENDING
    async with world.open_daemon():
        again = await world.ask(AMOUNT, key="k")
        assert (again.replayed, again.tx.id) == (True, row.id)
        assert (await world.ended(row)).status is Status.CONFIRMED
        assert await world.balance(world.bob) == 100 * SOL + AMOUNT


async def test_point_b_and_nobody_came_back_in_time(world):
    row = await dead_after(world, sql=transactions.INSERT)
    world.clock.move(901)
    async with world.open_core():
        await world.expire()
        assert (await world.row(row)).error_code == "PENDING_TIMEOUT"


async def test_point_d_queued(world):
    row = await dead_after(world, sql=transactions.INSERT, amount=DELAYED)
    assert row.status is Status.QUEUED
    async with world.open_daemon():
        await asyncio.sleep(0.1)
        assert (await world.row(row)).status is Status.QUEUED
        world.clock.move(300)
        world.core.delays_soon.set()
        assert (await world.ended(row)).status is Status.CONFIRMED


async def test_point_e_executing_without_an_attempt(world):
    row = await dead_after(world, sql=transactions.MARK_EXECUTING)
    assert row.status is Status.EXECUTING
    async with world.open_daemon():
        assert (await world.ended(row)).status is Status.CONFIRMED
        assert len(await world.attempts(row)) == 1


async def test_point_e_with_the_gate_closed_meanwhile(world):
    row = await dead_after(world, sql=transactions.MARK_EXECUTING)
    async with world.open_core():
        await world.throw_switch()
    async with world.open_daemon():
        assert (await world.ended(row)).error_code == "KILL_SWITCH"
        assert (await world.attempts(row), world.faults.sent) == ([], [])


async def test_point_f_signed_and_not_sent(world):
    row = await dead_after(world, sql=transactions.MARK_SUBMITTED)
    assert (row.status, world.faults.sent) == (Status.SUBMITTED, [])
    async with world.open_daemon():
        assert (await world.ended(row)).status is Status.CONFIRMED
        (attempt,) = await world.attempts(row)
        assert set(world.faults.sent) == {attempt.raw}


async def test_point_f_with_the_switch_on_meanwhile(world):
    row = await dead_after(world, sql=transactions.MARK_SUBMITTED)
    async with world.open_core() as core:
        await world.throw_switch()
        await close_networks(core)
        assert await recover(core, row.network)
        await world.confirm(5)
        assert (await world.row(row)).status is Status.SUBMITTED
        assert world.faults.sent == []


async def test_point_f_so_long_ago_that_the_bytes_are_dead(world):
    row = await dead_after(world, sql=transactions.MARK_SUBMITTED)
    world.clock.move(3 * DEATH)
    async with world.open_daemon():
        assert (await world.ended(row)).status is Status.CONFIRMED
        dead, landed = await world.attempts(row)
        assert (dead.status, landed.status) == (AttemptStatus.DEAD, AttemptStatus.LANDED)
        assert set(world.faults.sent) == {landed.raw}


async def test_point_g_sent_and_the_answer_lost(world):
    mortal = Mortal(method="sendTransaction", after=True)
    async with world.open_core() as core:
        mortal.possess(core, world.faults)
        tx = await world.send(AMOUNT, key="k")
        with suppress(WaiaasError, mortal.Death):
            await world.execute(tx)
        mortal.leave(core, world.faults)
    world.time_passes()
    async with world.open_daemon():
        assert (await world.ended(tx)).status is Status.CONFIRMED
        assert await world.balance(world.bob) == 100 * SOL + AMOUNT
        assert len(set(world.faults.sent)) == 1


async def test_point_h_while_it_was_polled(world):
    row = await dead_after(world, method="getSignatureStatuses")
    async with world.open_daemon():
        assert (await world.ended(row)).status is Status.CONFIRMED


async def test_point_i_landed_and_not_settled(world):
    row = await dead_after(world, method="getTransaction")
    assert row.status is Status.SUBMITTED
    async with world.open_daemon():
        assert (await world.ended(row)).status is Status.CONFIRMED
        assert (await world.booked(row))["FEE"] == ("SPENT", 5000)


async def test_point_i_landed_and_not_settled_for_days(world):
    row = await dead_after(world, method="getTransaction")
    world.clock.move(10 * 86400)
    async with world.open_daemon():
        assert (await world.ended(row)).status is Status.CONFIRMED
        assert len(await world.attempts(row)) == 1


async def test_point_i_settled_and_not_known_to_be_final(world):
    row = await dead_after(world, sql=attempts.LAND)
    assert row.status is Status.CONFIRMED
    async with world.open_daemon():
        assert await world.events(row) == ["TX_REQUESTED", "TX_SUBMITTED", "TX_CONFIRMED", "TX_FINALIZED"]


async def test_an_agent_whose_end_was_cut_short_is_ended_at_the_next_look(world):
    async with world.open_core():
        tx = await world.execute(await world.send())
        await world.terminate()
        await world.confirm()
        assert (await world.agent()).status is AgentStatus.TERMINATING
    async with world.open_daemon():
        await world.until(lambda agent: agent.status is AgentStatus.TERMINATED)
        assert (await world.row(tx)).status is Status.CONFIRMED


# --- the gate in front of everything ----------------------------------------------------------------


async def test_until_its_bytes_were_looked_up_a_network_signs_and_accepts_nothing(world):
    row = await dead_after(world, sql=transactions.MARK_SUBMITTED)
    async with world.open_core():
        waiting = await world.send(7)
        queued = await world.send(DELAYED)
    world.faults.down = True
    async with world.open_daemon() as daemon:
        world.core.execute_soon.set()
        await asyncio.sleep(0.2)
        assert daemon.core.reconciling == {row.network}
        for refused in (world.send(8), world.cancel(waiting), world.cancel(queued)):
            with pytest.raises(Reconciling):
                await refused
        assert (await world.row(waiting)).status is Status.PENDING
        assert (await world.attempts(waiting), world.faults.sent) == ([], [])
        world.faults.down = False
        assert (await world.ended(waiting)).status is Status.CONFIRMED
        assert daemon.core.reconciling == set()
        assert (await world.ended(row)).status is Status.CONFIRMED
        await world.cancel(queued)


async def test_a_network_with_nothing_signed_is_open_at_once(world):
    async with world.open_core():
        await world.send()
    world.faults.down = True
    async with world.open_daemon() as daemon:
        assert daemon.core.reconciling == set()


async def test_a_row_that_does_not_decode_keeps_no_network_closed(world):
    row = await dead_after(world, sql=transactions.MARK_SUBMITTED)
    async with world.open_core():
        await world.by_hand("UPDATE attempts SET max_fee = 'x' WHERE tx_id = :id", id=row.id)
    async with world.open_daemon():
        async with asyncio.timeout(10):
            while world.core.reconciling:
                await asyncio.sleep(0.01)
        assert (await world.ended(await world.send(9))).status is Status.CONFIRMED
        await world.by_hand("UPDATE attempts SET max_fee = '5000' WHERE tx_id = :id", id=row.id)
        world.core.confirm_soon[row.network].set()
        assert (await world.ended(row)).status is Status.CONFIRMED
