"""Cancel, revoke, terminate: what is not signed ends in the same commit, what is signed is followed to its end."""

import asyncio

import pytest

from tests.world import SOL, Between
from waiaas.domain.agent import AgentStatus
from waiaas.domain.transaction import Status
from waiaas.errors import AgentIsTerminated, AlreadyProcessed, Reconciling, TransactionNotFound, Transient
from waiaas.pipeline.registry import agents as agent_steps
from waiaas.pipeline.waiting.cancel import cancel
from waiaas.repositories import sessions, transactions

DELAYED = 11 * SOL


async def test_a_cancelled_transaction_is_never_signed(world, core):
    for amount in (1000, DELAYED):
        tx = await world.send(amount)
        assert (await world.cancel(tx)).error_code == "CANCELLED_BY_CALLER"
        assert {state for state, _ in (await world.booked(tx)).values()} == {"RELEASED"}
        assert (await world.audited(tx))[-1] == (await world.events(tx))[-1] == "TX_CANCELLED"
    await world.work()
    assert world.faults.sent == []


async def test_what_is_started_or_over_cannot_be_cancelled(world, core):
    tx = await world.send()
    world.faults.drop("simulateTransaction")
    with pytest.raises(Transient):
        await world.execute(tx)
    for step in (world.execute(tx), world.confirm(), None):
        with pytest.raises(AlreadyProcessed) as refused:
            await world.cancel(tx)
        assert refused.value.details["status"] == (await world.row(tx)).status
        if step:
            await step
    assert (await world.row(tx)).status is Status.CONFIRMED


async def test_a_cancel_that_comes_second_says_so(world, core):
    tx = await world.send()
    core.db = Between(core.db, transactions.MARK_ENDED, before=lambda: world.execute(tx))
    with pytest.raises(AlreadyProcessed) as refused:
        await world.cancel(tx)
    assert refused.value.details["status"] == "SUBMITTED"


async def test_another_agents_transaction_cannot_be_cancelled(world, core):
    tx = await world.send()
    with pytest.raises(TransactionNotFound):
        await cancel(core, tx.id, world.bob.id, world.operator)
    assert (await cancel(core, tx.id, None, world.operator)).status is Status.CANCELLED


async def test_twenty_cancels_are_one(world, core):
    tx = await world.send(DELAYED)
    outcomes = await asyncio.gather(*(world.cancel(tx) for _ in range(20)), return_exceptions=True)
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["AlreadyProcessed"] * 19 + ["Transaction"]


async def test_nothing_is_cancelled_on_a_network_under_recovery(world, core):
    tx = await world.send()
    core.reconciling.add(tx.network)
    with pytest.raises(Reconciling):
        await world.cancel(tx)


# --- revocation -----------------------------------------------------------------------------------


async def test_a_revoked_session_takes_what_it_has_not_signed_with_it(world, core):
    other = await world.issue()
    started, signed, foreign = await world.send(2), await world.send(3), await world.send(4, session=other)
    gone = [await world.send(1), await world.send(DELAYED)]
    world.faults.drop("simulateTransaction")
    with pytest.raises(Transient):
        await world.execute(started)
    await world.execute(signed)
    await world.revoke()
    for tx in gone:
        row = await world.row(tx)
        assert (row.status, row.error_code) == (Status.CANCELLED, "SESSION_REVOKED")
    assert (await world.execute(started)).error_code == "SESSION_REVOKED"
    await world.work()
    assert (await world.row(signed)).status is (await world.row(foreign)).status is Status.CONFIRMED


async def test_what_moves_while_its_session_is_revoked_is_not_lost(world, core):
    tx = await world.send()
    core.db = Between(core.db, sessions.REVOKE, before=lambda: world.execute(tx))
    await world.revoke()
    await world.confirm()
    assert (await world.row(tx)).status is Status.CONFIRMED
    session = await sessions.find(core.db, world.session.id)
    assert session
    assert session.revoked_at


@pytest.mark.parametrize("stop", ["revoke", "terminate"])
async def test_what_is_accepted_while_its_session_ends_ends_with_it(world, core, stop):
    asked = [world.ask(DELAYED + number) for number in range(6)]
    await asyncio.gather(*asked[:3], getattr(world, stop)(), *asked[3:], return_exceptions=True)
    assert {row.status for row in await world.rows()} <= {Status.CANCELLED}


# --- termination ----------------------------------------------------------------------------------


def hashes(in_flight):
    return [(each.id, each.tx_hash) for each in in_flight]


async def test_an_agent_with_nothing_in_flight_ends_at_once(world, core):
    tx = await world.send(DELAYED)
    agent, in_flight = await agent_steps.terminate(core, world.alice.id, world.operator)
    assert (agent.status, in_flight) == (AgentStatus.TERMINATED, [])
    assert (await world.row(tx)).error_code == "AGENT_TERMINATED"
    session = await sessions.find(core.db, world.session.id)
    assert session
    assert session.revoked_at == world.clock.now()
    assert core.keystore.files() == {world.bob.id}
    assert (world.data.keystore / "retired" / f"{world.alice.id}.json").exists()
    with pytest.raises(AgentIsTerminated):
        await world.terminate()


async def test_an_agent_with_something_in_flight_ends_when_the_chain_has_spoken(world, core):
    tx = await world.execute(await world.send())
    agent, in_flight = await agent_steps.terminate(core, world.alice.id, world.operator)
    assert (agent.status, hashes(in_flight)) == (AgentStatus.TERMINATING, [(tx.id, tx.tx_hash)])
    await agent_steps.end_terminating(core)
    assert (await world.agent()).status is AgentStatus.TERMINATING
    await world.confirm()
    await agent_steps.end_terminating(core)
    assert (await world.agent()).status is AgentStatus.TERMINATED
    assert (await world.row(tx)).status is Status.CONFIRMED


async def test_an_agent_ends_by_itself_once_what_was_in_flight_has_landed(world):
    async with world.open_daemon():
        gate = world.faults.hold_reply("sendTransaction")
        tx = await world.send()
        await gate.arrived.wait()
        await world.terminate()
        assert (await world.agent()).status is AgentStatus.TERMINATING
        world.time_passes()
        gate.open()
        assert (await world.ended(tx)).status is Status.CONFIRMED
        await world.until(lambda agent: agent.status is AgentStatus.TERMINATED)
    assert world.alice.id not in {path.stem for path in world.data.keystore.glob("*.json")}


async def test_what_an_agent_signs_while_it_is_terminated_is_told(world, core):
    tx = await world.send()
    ending = agent_steps.terminate(core, world.alice.id, world.operator)
    (_, in_flight), _ = await asyncio.gather(ending, world.execute(tx))
    row = await world.row(tx)
    assert row.status in (Status.CANCELLED, Status.FAILED, Status.SUBMITTED)
    assert hashes(in_flight) == ([(tx.id, row.tx_hash)] if row.status is Status.SUBMITTED else [])
