"""Child sessions: inside their parent's limits and life; what one spends, all above it have spent."""

import asyncio

import pytest

from tests.world import OPERATOR, SOL, Between, a_session
from waiaas.db import Database
from waiaas.domain.session import Constraints
from waiaas.domain.transaction import Status
from waiaas.errors import (
    AgentIsSuspended,
    SessionLimitExceeded,
    SessionNotFound,
    SessionRevoked,
)
from waiaas.pipeline.core import Core
from waiaas.pipeline.registry import attenuate as attenuation
from waiaas.pipeline.registry import sessions as life
from waiaas.pipeline.registry.attenuate import MOST_ANCESTORS, MOST_CHILDREN, attenuate
from waiaas.pipeline.requests.judge import made_by, used_by
from waiaas.pipeline.waiting.cancel import cancel
from waiaas.repositories import audit, sessions, transactions

NATIVE = "native:solana"
DELAYED = 11 * SOL


def a_child(world, parent, **changed):
    return a_session(
        world.alice.id,
        world.clock.now(),
        **{
            "parent_id": parent.id,
            "expires_at": parent.expires_at,
            "absolute_expires_at": parent.expires_at,
            **changed,
        },
    )


async def make_child(world, parent, **constraints):
    given = Constraints(**constraints) if constraints else None
    return await attenuate(world.core, a_child(world, parent, constraints=given), parent, OPERATOR)


async def spent(core, session):
    return {asset: (one.reserved, one.spent) for asset, one in (await used_by(core, session)).items() if one.total}


async def test_what_a_child_spends_counts_for_every_ancestor(world, core):
    top = await world.issue(max_total_amount="5000", max_transactions=3)
    middle = await make_child(world, top)
    low = await make_child(world, middle, max_total_amount="4000")
    await world.pay(2000, session=low)
    await world.send(1000, session=middle)
    assert await spent(core, low) == {NATIVE: (0, 2000)}
    assert await spent(core, middle) == await spent(core, top) == {NATIVE: (1000, 2000)}
    # 2000 of the child's own are left, but no more than 2000 of its grandparent's either, less what is set aside
    with pytest.raises(SessionLimitExceeded) as refused:
        await world.send(2001, session=low)
    assert refused.value.details["sessionId"] == low.id
    await make_child(world, top)
    sibling = await make_child(world, top)
    with pytest.raises(SessionLimitExceeded) as refused:
        await world.send(2001, session=sibling)
    assert (refused.value.details["sessionId"], refused.value.details["observed"]) == (top.id, "5001")
    await world.send(2000, session=sibling)
    with pytest.raises(SessionLimitExceeded) as refused:
        await world.send(0, session=low)
    assert (refused.value.details["constraint"], refused.value.details["sessionId"]) == ("maxTransactions", top.id)


async def test_the_last_of_a_parent_is_spent_once_however_many_children_race_for_it(world, core):
    top = await world.issue(max_total_amount="1000")
    other = world.second_core()
    children = [await make_child(world, top) for _ in range(4)]
    asked = [world.ask(1000, session=child, core=(core, other)[number % 2]) for number, child in enumerate(children)]
    outcomes = await asyncio.gather(*asked, return_exceptions=True)
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Accepted", *["SessionLimitExceeded"] * 3]
    assert await spent(core, top) == {NATIVE: (1000, 0)}


async def test_what_is_given_back_is_there_again_for_all(world, core):
    top = await world.issue(max_total_amount="1000", max_transactions=1)
    child = await make_child(world, top)
    tx = await world.send(1000, session=child)
    await world.cancel(tx)
    assert await spent(core, top) == {}
    await world.send(1000, session=top)


async def test_a_transaction_that_is_judged_again_is_not_held_against_itself(world, core):
    top = await world.issue(max_total_amount="1000", max_transactions=1)
    child = await make_child(world, top)
    assert (await world.pay(1000, session=child)).status is Status.CONFIRMED


async def test_usage_is_found_out_again_after_a_restart(world):
    async with world.open_core():
        top = await world.issue(max_total_amount="3000")
        child = await make_child(world, top)
        await world.pay(2000, session=child)
    async with world.open_core() as core:
        assert await spent(core, top) == {NATIVE: (0, 2000)}
        with pytest.raises(SessionLimitExceeded):
            await world.send(1001, session=child)
        await world.send(1000, session=child)


async def test_a_decision_reads_no_more_rows_the_more_there_were(world, core, monkeypatch):
    top = await world.issue(max_total_amount=str(SOL))
    child = await make_child(world, top)
    await world.pay(1000, session=child)
    read = []
    fetch_all = core.db.fetch_all

    async def counting(sql, params=None):
        rows = await fetch_all(sql, params or {})
        read.extend(row for row in rows if "reserved" in row.keys())  # noqa: SIM118 rows are no mappings
        return rows

    monkeypatch.setattr(core.db, "fetch_all", counting)
    await spent(core, top)
    first = len(read)
    await spent(core, top)
    assert first > 0
    assert len(read) == first
    await world.send(1, session=child)
    later = len(read)
    await spent(core, top)
    assert len(read) - later <= 2  # what was set aside, and its fee


async def test_a_child_made_by_another_process_counts_from_its_first_request(world, core):
    """Neither hears of what the other commits: the ledger's version tells, be it raised here once more meanwhile."""
    top = await world.issue(max_transactions=3)
    first = await world.send(session=top)
    async with Database.open(core.db.path, readers=1, functions=audit.FUNCTIONS) as db:
        other = Core(db, core.clock, core.config, core.keystore, core.chains)
        assert await made_by(other, top) == 1
        child = await make_child(world, top)
        for _ in range(2):
            await world.send(session=child)
        await cancel(other, first.id, world.alice.id, OPERATOR)
        await world.send(session=top, core=other)
        with pytest.raises(SessionLimitExceeded):
            await world.send(session=top, core=other)


# --- making children ------------------------------------------------------------------------------


async def test_of_many_children_at_once_twenty_are_made(world, core):
    made = await asyncio.gather(
        *(make_child(world, world.session) for _ in range(MOST_CHILDREN + 1)), return_exceptions=True
    )
    refused = [outcome for outcome in made if isinstance(outcome, Exception)]
    assert [outcome.details["constraint"] for outcome in refused] == ["children"]
    await life.revoke(core, next(child.id for child in made if not isinstance(child, Exception)), OPERATOR)
    await make_child(world, world.session)


async def test_a_child_that_has_run_out_makes_room(world, core):
    for _ in range(MOST_CHILDREN):
        child = a_child(world, world.session, expires_at=world.clock.now() + 60)
        await attenuate(core, child, world.session, OPERATOR)
    with pytest.raises(SessionLimitExceeded):
        await make_child(world, world.session)
    world.clock.move(60)
    await make_child(world, world.session)


async def test_there_are_five_sessions_above_one_at_most(world, core):
    session = world.session
    for _ in range(MOST_ANCESTORS):
        session = await make_child(world, session)
    with pytest.raises(SessionLimitExceeded) as refused:
        await make_child(world, session)
    assert refused.value.details == {"constraint": "depth", "limit": MOST_ANCESTORS}


async def test_below_an_issued_session_so_many_are_made_whatever_became_of_them(world, core, monkeypatch):
    monkeypatch.setattr(attenuation, "MOST_DESCENDANTS", 3)
    middle = await make_child(world, world.session)
    await life.revoke(core, (await make_child(world, middle)).id, OPERATOR)
    last = await make_child(world, middle)
    for parent in (world.session, middle, last):
        with pytest.raises(SessionLimitExceeded) as refused:
            await make_child(world, parent)
        assert refused.value.details == {"constraint": "descendants", "limit": 3}
    await make_child(world, await world.issue())


async def test_a_child_does_not_outlive_its_parent(world, core):
    late = a_child(world, world.session, expires_at=world.session.expires_at + 1)
    with pytest.raises(SessionNotFound):
        await attenuate(core, late, world.session, OPERATOR)
    world.clock.move(86400)
    with pytest.raises(SessionNotFound):
        await make_child(world, world.session)


async def test_no_child_of_a_dead_parent_or_a_stopped_agent(world, core):
    core.db = Between(core.db, sessions.ATTENUATE, before=world.revoke)
    with pytest.raises(SessionNotFound):
        await make_child(world, world.session)
    other = await world.issue()
    await world.suspend()
    with pytest.raises(AgentIsSuspended):
        await make_child(world, other)


# --- the end --------------------------------------------------------------------------------------


async def test_a_revocation_takes_the_whole_tree_and_what_it_has_not_signed(world, core):
    top, other = await world.issue(), await world.issue()
    middle = await make_child(world, top)
    low, foreign = await make_child(world, middle), await make_child(world, other)
    kept = [await world.send(2, session=top), await world.send(3, session=foreign)]
    gone = [await world.send(1, session=low), await world.send(DELAYED, session=middle)]
    assert await life.revoke(core, middle.id, OPERATOR)
    rows = [await world.row(tx) for tx in gone]
    assert [(row.status, row.error_code) for row in rows] == [(Status.CANCELLED, "SESSION_REVOKED")] * 2
    assert [(await world.row(tx)).status for tx in kept] == [Status.PENDING] * 2
    dead = {session.id: (await core.sessions.get(session.id)).revoked_at for session in (top, middle, low, foreign)}
    assert [at is None for at in dead.values()] == [True, False, False, True]
    for table in ("outbox", "audit_log"):
        told = await core.db.fetch_all(f"SELECT session_id FROM {table} WHERE event_type = 'SESSION_REVOKED'")
        assert [row["session_id"] for row in told] == [middle.id, low.id]
    assert not await life.revoke(core, low.id, OPERATOR)
    for session in (middle, low):
        with pytest.raises(SessionRevoked):
            await world.send(1, session=session)


async def test_a_child_made_while_its_parent_is_revoked_dies_with_it(world, core):
    top = await world.issue()
    core.db = Between(core.db, sessions.REVOKE, before=lambda: make_child(world, top))
    await life.revoke(core, top.id, OPERATOR)
    alive = await core.db.fetch_all("SELECT id FROM sessions WHERE parent_id IS NOT NULL AND revoked_at IS NULL")
    assert list(alive) == []


async def test_what_another_process_accepts_while_a_session_is_revoked_ends_with_it(world, core):
    other = world.second_core()
    core.db = Between(core.db, sessions.REVOKE, before=lambda: world.ask(DELAYED, core=other))
    await world.revoke()
    assert {row.status for row in await world.rows()} == {Status.CANCELLED}


async def test_a_childs_signature_needs_its_parent_alive(world, core):
    top = await world.issue()
    child = await make_child(world, top)
    tx = await world.send(session=child)
    core.db = Between(core.db, transactions.MARK_SUBMITTED, before=lambda: life.revoke(core, top.id, OPERATOR))
    assert (await world.execute(tx)).error_code == "SESSION_REVOKED"
    assert world.faults.sent == []


async def test_what_is_judged_is_the_session_and_all_above_it(world, core):
    top = await world.issue(max_amount_per_tx="10")
    child = await make_child(world, top, max_amount_per_tx="5")
    lowest = await make_child(world, child)
    await world.send(5, session=lowest)
    assert (await core.sessions.get(lowest.id)).constraints is None
    for amount, expected in ((6, child.id), (11, child.id)):
        with pytest.raises(SessionLimitExceeded) as refused:
            await world.send(amount, session=lowest)
        assert refused.value.details["sessionId"] == expected
