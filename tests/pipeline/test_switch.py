"""The kill switch as a step: one commit, whatever moves beside it; keys that rest; what was signed is followed."""

import asyncio
import json

import pytest

from tests.world import SOL, Between
from waiaas.db import Statement
from waiaas.domain.agent import AgentStatus
from waiaas.domain.switch import KillSwitchState
from waiaas.domain.transaction import Status
from waiaas.errors import ConstraintFailed, KeystoreLocked, KillSwitchActive, StorageFull, Transient
from waiaas.keystore import keystore as keystores
from waiaas.pipeline.landing.recover import recover
from waiaas.pipeline.requests.submit import submit
from waiaas.pipeline.signing.execute import execute
from waiaas.pipeline.stops import switch as switch_steps
from waiaas.pipeline.waiting.cancel import cancel
from waiaas.pipeline.waiting.release import Delays
from waiaas.repositories import agents, attempts, sessions, switch
from waiaas.workers.executing import Executing

DELAYED = 11 * SOL
ROWS = "SELECT details, severity, actor FROM audit_log WHERE event_type = :event"
TOLD = "SELECT payload FROM outbox WHERE event_type = :event"


STUCK = "CREATE TRIGGER stuck BEFORE UPDATE OF status ON agents BEGIN SELECT RAISE(ABORT, 'stuck'); END"


async def told(core, event):
    (row,) = await core.db.fetch_all(ROWS, {"event": event})
    return json.loads(row["details"]), row["severity"]


class FullDisk:
    """A database whose disk takes nothing while `full`."""

    def __init__(self, db) -> None:
        self._db, self.full = db, True

    def __getattr__(self, name):
        return getattr(self._db, name)

    async def commit(self, *statements) -> None:
        if self.full:
            raise StorageFull
        await self._db.commit(*statements)


async def test_one_commit_stops_everything_and_says_what(world, core):
    signed = await world.execute(await world.send(2))
    waiting, delayed = await world.send(1), await world.send(DELAYED)
    done = await world.activate("a leak")
    details, severity = await told(core, "KILL_SWITCH_ACTIVATED")
    assert severity == "critical"
    assert details == {
        "reason": "a leak",
        "sessionsRevoked": [world.session.id],
        "transactionsCancelled": [waiting.id, delayed.id],
        "agentsSuspended": [world.alice.id, world.bob.id],
    }
    (event,) = await core.db.fetch_all(TOLD, {"event": "KILL_SWITCH_ACTIVATED"})
    counts = {"sessionsRevoked": 1, "transactionsCancelled": 2, "agentsSuspended": 2}
    assert json.loads(event["payload"]) == {"by": "operator", "reason": "a leak", **counts}
    assert tuple(getattr(done.counts, name) for name in done.counts.__struct_fields__) == (1, 2, 2)
    for tx in (waiting, delayed):
        assert (await world.row(tx)).error_code == "KILL_SWITCH"
        assert {state for state, _ in (await world.booked(tx)).values()} == {"RELEASED"}
    agent = await world.agent()
    assert (agent.status, agent.suspension_reason) == (AgentStatus.SUSPENDED, "kill_switch")
    found = await switch.get(core.db)
    assert (found.state, found.generation, found.activated_by) == (KillSwitchState.ACTIVATED, 1, "operator")
    (attempt,) = await world.attempts(signed)
    (line,) = done.in_flight
    assert (line.id, line.agent_id, line.tx_hash) == (signed.id, world.alice.id, attempt.tx_hash)
    assert (line.last_valid_block_height, line.nonce) == (attempt.last_valid_block_height, None)


async def test_a_nonce_may_land_until_it_is_used(eth):
    tx = await eth.execute(await eth.send(1))
    (line,) = (await eth.activate()).in_flight
    assert (line.id, line.nonce, line.last_valid_block_height) == (tx.id, 0, None)


# --- races ----------------------------------------------------------------------------------------


async def test_what_another_signs_meanwhile_is_told(world, core):
    other = world.second_core()
    first = await world.send(1)
    await world.send(2)

    async def race() -> None:
        await execute(other, await world.row(first))

    core.db = Between(core.db, switch.ACTIVATE, before=race)
    done = await world.activate()
    assert [line.id for line in done.in_flight] == [first.id]
    assert await world.statuses() == {"SUBMITTED": 1, "CANCELLED": 1}


@pytest.mark.parametrize("amount", [1, DELAYED])
async def test_what_another_accepts_meanwhile_is_cancelled_too(world, core, amount):
    other = world.second_core()
    core.db = Between(core.db, switch.ACTIVATE, before=lambda: world.ask(amount, core=other))
    assert (await world.activate()).counts.transactions_cancelled == 1
    assert await world.statuses() == {"CANCELLED": 1}


async def test_it_wins_against_any_number_of_callers(world, core):
    asked = [world.ask(number) for number in range(30)]
    outcomes = await asyncio.gather(*asked[:20], world.activate(), *asked[20:], return_exceptions=True)
    assert not [one for one in outcomes if isinstance(one, Exception) and not isinstance(one, KillSwitchActive)]
    assert set(await world.statuses()) == {"CANCELLED"}
    assert (await told(core, "KILL_SWITCH_ACTIVATED"))[0]["agentsSuspended"] == [world.alice.id, world.bob.id]


async def test_a_session_issued_meanwhile_is_revoked_too(world, core):
    core.db = Between(core.db, switch.ACTIVATE, before=world.issue)
    assert (await world.activate()).counts.sessions_revoked == 2
    assert await sessions.not_revoked(core.db) == []


async def test_an_agent_resumed_meanwhile_is_suspended_too(world, core):
    await world.suspend()
    resumed = agents.mark_resumed(world.alice.id, "operator", world.clock.now())
    core.db = Between(core.db, switch.ACTIVATE, before=lambda: core.db.commit(resumed))
    assert (await world.activate()).counts.agents_suspended == 2
    assert (await world.agent()).suspension_reason == "kill_switch"


async def test_a_cancel_beside_it_does_not_stop_it(world, core):
    rows = [await world.send(DELAYED + number) for number in range(3)]
    other = world.second_core()
    core.db = Between(core.db, switch.ACTIVATE, before=lambda: cancel(other, rows[0].id, None, world.operator))
    await world.activate()
    assert [(await world.row(tx)).error_code for tx in rows] == ["CANCELLED_BY_CALLER", "KILL_SWITCH", "KILL_SWITCH"]


async def test_a_row_that_does_not_decode_does_not_keep_it_from_being_thrown(world, core):
    tx, broken = await world.send(1), await world.send(2)
    await world.by_hand("UPDATE transactions SET created_at = 'never' WHERE id = :id", id=broken.id)
    assert (await world.activate()).counts.transactions_cancelled == 1
    assert (await world.row(tx)).error_code == "KILL_SWITCH"
    await world.by_hand("UPDATE transactions SET created_at = :now WHERE id = :id", id=broken.id, now=world.clock.now())
    assert (await world.execute(broken)).error_code == "KILL_SWITCH"


async def test_a_caller_that_goes_away_does_not_stop_it(world, core):
    await world.send(1)
    task = asyncio.create_task(world.activate())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    while core.held is not None or not (await switch.get(core.db)).is_on:
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not core.keystore.usable(world.alice.id)


# --- what is under way ----------------------------------------------------------------------------


async def test_what_waits_for_a_dead_node_ends_without_asking_it(world, core):
    tx = await world.send()
    world.faults.drop("simulateTransaction")
    with pytest.raises(Transient):
        await world.execute(tx)
    assert (await world.row(tx)).status is Status.EXECUTING
    await world.activate()
    asked = dict(world.faults.seen)
    row = await world.execute(tx)
    assert (row.status, row.error_code, world.faults.seen) == (Status.FAILED, "KILL_SWITCH", asked)


async def test_a_signature_from_before_is_dropped_also_when_the_switch_is_off_again(world, core):
    tx = await world.send()

    async def on_and_off() -> None:
        await world.activate()
        await world.recover()

    core.db = Between(core.db, attempts.INSERT, before=on_and_off)
    row = await world.execute(tx)
    assert row.status is Status.FAILED
    assert world.stored_bytes() == world.faults.sent == []


async def test_what_is_durable_and_not_sent_yet_stays_here_until_the_switch_is_off(world, core):
    tx = await world.send()
    core.db = Between(core.db, attempts.INSERT, after=world.activate)
    assert (await world.execute(tx)).status is Status.SUBMITTED
    await world.confirm(20)
    assert world.faults.sent == []
    await world.recover()
    await world.confirm()
    await world.confirm()
    assert (await world.row(tx)).status is Status.CONFIRMED


async def test_what_was_signed_is_followed_to_its_end_and_not_sent_again(world, core):
    lands, dies = await world.send(1), await world.send(2)
    await world.execute(lands)
    world.faults.drop("sendTransaction")
    await world.execute(dies)
    await world.activate()
    sent = len(world.faults.sent)
    for _ in range(3):
        await world.confirm(30)
    assert (await world.row(lands)).status is Status.CONFIRMED
    assert (await world.row(dies)).status is Status.EXPIRED
    assert len(world.faults.sent) == sent


async def test_workers_start_nothing_while_it_is_being_thrown(world, core):
    await world.send(1)
    await world.send(DELAYED)
    world.clock.move(400)
    core.db = disk = FullDisk(core.db)
    await world.activate()
    disk.full = False
    await Delays(core).tick()
    await Executing(core).tick()
    assert await world.statuses() == {"QUEUED": 1, "PENDING": 1}
    await switch_steps.try_to_store(core)
    assert await world.statuses() == {"CANCELLED": 2}


# --- keys -----------------------------------------------------------------------------------------


async def test_no_key_can_be_used_while_sealed_values_open(world, core):
    sealed = core.keystore.seal("a|b|c", b"secret")
    root = core.keystore._root
    await world.activate()
    assert set(root) == {0}
    with pytest.raises(KeystoreLocked):
        core.keystore.sign(world.alice.id, b"x")
    assert core.keystore.unseal("a|b|c", sealed) == b"secret"
    assert core.keystore.unlocked
    await world.recover()
    assert core.keystore.usable(world.alice.id)
    assert core.keystore.sign(world.alice.id, b"x")


async def test_keys_that_cannot_be_read_keep_it_on(world, core):
    await world.activate()
    path = world.data.keystore / "master.json"
    whole = path.read_bytes()
    path.write_bytes(whole[:-9])
    with pytest.raises(KeystoreLocked):
        await world.recover()
    assert (await switch.get(core.db)).is_on
    assert not core.keystore.usable(world.alice.id)
    path.write_bytes(whole)
    assert isinstance(await world.recover(), switch_steps.Recovered)


async def test_thrown_again_while_it_is_lifted_it_stays_on_and_the_keys_rest(world):
    async with world.open_core(world.settings(security={"kill_switch_recovery_cooldown": 60})) as core:
        await world.activate()
        await world.recover()
        world.clock.move(60)
        loop, wake = asyncio.get_running_loop(), core.keystore.wake

        def thrown_before_it_wakes(password: bytes) -> None:
            asyncio.run_coroutine_threadsafe(world.activate(), loop).result()
            wake(password)

        core.keystore.wake = thrown_before_it_wakes
        with pytest.raises(KillSwitchActive):
            await world.recover()
        found = await switch.get(core.db)
        assert (found.state, found.generation) == (KillSwitchState.ACTIVATED, 2)
        assert not core.keystore.usable(world.alice.id)


async def test_thrown_again_on_a_full_disk_while_it_is_lifted_it_stays_on_and_the_keys_rest(world):
    async with world.open_core(world.settings(security={"kill_switch_recovery_cooldown": 60})) as core:
        await world.activate()
        await world.recover()
        world.clock.move(60)
        core.db = disk = FullDisk(core.db)
        loop, open_master = asyncio.get_running_loop(), keystores.open_master

        def thrown_while_it_wakes(*args):
            opened = open_master(*args)
            asyncio.run_coroutine_threadsafe(world.activate(), loop).result()
            disk.full = False
            return opened

        with pytest.MonkeyPatch.context() as patch, pytest.raises(KillSwitchActive):
            patch.setattr(keystores, "open_master", thrown_while_it_wakes)
            await world.recover()
        assert (await core.switch.get("")).state is KillSwitchState.ACTIVATED
        assert (await switch.get(core.db)).state is KillSwitchState.RECOVERING
        assert not core.keystore.usable(world.alice.id)
        await switch_steps.try_to_store(core)
        assert (await switch.get(core.db)).state is KillSwitchState.ACTIVATED
        assert not core.keystore.usable(world.alice.id)


async def test_thrown_again_on_a_full_disk_before_the_last_commit_it_is_not_lifted(world):
    async with world.open_core(world.settings(security={"kill_switch_recovery_cooldown": 60})) as core:
        await world.activate()
        await world.recover()
        world.clock.move(60)
        core.db = disk = FullDisk(core.db)
        disk.full = False
        load = core.keystore.load

        def thrown_after_all_are_read(*args):
            quarantined = load(*args)
            disk.full = True
            asyncio.run_coroutine_threadsafe(world.activate(), loop).result()
            disk.full = False
            return quarantined

        loop, core.keystore.load = asyncio.get_running_loop(), thrown_after_all_are_read
        with pytest.raises(KillSwitchActive):
            await world.recover()
        assert (await switch.get(core.db)).state is KillSwitchState.RECOVERING
        assert not core.keystore.usable(world.alice.id)


# --- the disk -------------------------------------------------------------------------------------


async def test_a_full_disk_leaves_it_in_memory_until_it_can_be_stored(world, core):
    tx = await world.send(1)
    core.db = disk = FullDisk(core.db)
    done = await world.activate("a leak")
    assert (done.stored, done.counts.agents_suspended) == (False, 0)
    with pytest.raises(KillSwitchActive):
        await world.activate()
    with pytest.raises(KillSwitchActive):
        await world.ask(2)
    with pytest.raises(StorageFull):
        await world.recover()
    assert not core.keystore.usable(world.alice.id)
    await switch_steps.try_to_store(core)
    assert core.held is not None
    disk.full = False
    world.clock.move(5)
    await switch_steps.try_to_store(core)
    found = await switch.get(core.db)
    assert (found.state, found.reason, found.activated_at) == (
        KillSwitchState.ACTIVATED,
        "a leak",
        world.clock.now() - 5,
    )
    assert core.held is None
    assert (await world.row(tx)).error_code == "KILL_SWITCH"
    await world.recover()
    assert (await world.agent()).status is AgentStatus.ACTIVE


async def test_what_another_failure_kept_from_being_done_was_not_done(world, core):
    tx = await world.send(1)
    await core.db.commit(Statement(STUCK, expect=None))
    with pytest.raises(ConstraintFailed, match="stuck"):
        await world.activate()
    await core.db.commit(Statement("DROP TRIGGER stuck", expect=None))
    assert core.held is None
    assert core.keystore.usable(world.alice.id)
    assert (await world.execute(tx)).status is Status.SUBMITTED


# --- restart --------------------------------------------------------------------------------------


async def test_started_while_it_is_on_it_follows_and_signs_nothing(world):
    async with world.open_core() as core:
        signed, tx = await world.execute(await world.send(1)), await world.send(2)
        await world.activate()
    async with world.open_core() as core:
        assert core.keystore._keys == {}
        await recover(core, world.network)
        with pytest.raises(KillSwitchActive):
            await submit(
                core,
                world.alice,
                world.session,
                None,  # type: ignore[arg-type]
                key=None,
                distinct=True,
                provenance=None,
                actor=world.operator,
            )
        await world.confirm()
        assert (await world.row(signed)).status is Status.CONFIRMED
        await world.recover()
        assert core.keystore.usable(world.alice.id)
        session = await world.issue()
        assert (await world.execute(await world.send(3, session=session))).status is Status.SUBMITTED
        assert (await world.row(tx)).error_code == "KILL_SWITCH"
        await world.confirm()
