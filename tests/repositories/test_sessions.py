"""Sessions are issued under the agent's limit, revoked once, and told of when they run out."""

import asyncio

import pytest

from tests.repositories.make import NOW
from tests.world import a_session
from waiaas.domain.agent import AgentStatus
from waiaas.domain.session import Constraints
from waiaas.errors import ConstraintFailed, CorruptRow, StaleState
from waiaas.repositories import sessions

MOST = 5


@pytest.fixture
async def agent(rows):
    return await rows.agent()


def issue(agent, **changed):
    return sessions.issue(a_session(agent.id, NOW, **changed), issued_by="operator", most=MOST)


async def test_of_six_at_once_five_are_issued(db, rows, agent):
    outcomes = await asyncio.gather(*(db.commit(issue(agent)) for _ in range(6)), return_exceptions=True)
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["NoneType"] * 5 + ["StaleState"]
    assert await rows.count("sessions") == MOST


async def test_six_in_one_commit_are_none(db, rows, agent):
    with pytest.raises(StaleState):
        await db.commit(*(issue(agent) for _ in range(6)))
    assert await rows.count("sessions") == 0


async def test_only_live_ones_of_the_agent_count(db, rows, agent):
    for _ in range(MOST):
        await rows.session(await rows.agent())
        await rows.session(agent, expires_at=NOW)
    for _ in range(MOST - 1):
        await db.commit(issue(agent))
    last = a_session(agent.id, NOW)
    await db.commit(sessions.issue(last, issued_by="operator", most=MOST))
    with pytest.raises(StaleState):
        await db.commit(issue(agent))
    await db.commit(sessions.revoke(last.id, "revoked", NOW))
    await db.commit(issue(agent))


@pytest.mark.parametrize("status", [status for status in AgentStatus if status is not AgentStatus.ACTIVE])
async def test_only_an_active_agent_gets_one(db, rows, status):
    with pytest.raises(StaleState):
        await db.commit(issue(await rows.agent(status)))


async def test_a_token_is_known_once(db, rows, agent):
    await rows.session(agent, token_hash="same")
    with pytest.raises(ConstraintFailed, match="token_hash"):
        await rows.session(agent, token_hash="same")


async def test_a_session_is_revoked_once_and_guards_say_so(db, rows, agent):
    session = await rows.session(agent)
    await db.commit(sessions.is_live(session.id))
    await db.commit(sessions.revoke(session.id, "revoked", NOW))
    for late in (sessions.revoke(session.id, "revoked", NOW), sessions.is_live(session.id), sessions.is_live("none")):
        with pytest.raises(StaleState):
            await db.commit(late)
    found = await sessions.find(db, session.id)
    assert found
    assert found.revoked_at == NOW
    assert await sessions.find(db, "none") is None


@pytest.mark.parametrize(
    ("changed", "holds"),
    [
        ("name = NULL", True),
        ("token_hash = 'another'", False),
        ("revoked_at = 1, revoked_reason = 'revoked'", False),
        ("renewal_count = max_renewals", False),
        ("absolute_expires_at = expires_at", False),
    ],
)
async def test_a_renewal_holds_only_as_long_as_it_may(db, rows, agent, changed, holds):
    session = await rows.session(agent, expires_at=NOW + 60, absolute_expires_at=NOW + 120, max_renewals=1)
    await rows.run(f"UPDATE sessions SET {changed}")
    later = session.expires_at + 1
    renewal = sessions.renew(session.id, was=session.token_hash, token_hash="new", expires_at=later, now=NOW)
    if holds:
        await db.commit(renewal)
        return
    with pytest.raises(StaleState):
        await db.commit(renewal)


async def test_all_of_an_agent_are_revoked_however_many(db, rows, agent):
    await db.commit(sessions.revoke_all_of(agent.id, "why", NOW))
    other = await rows.session(await rows.agent())
    early = await rows.session(agent)
    await db.commit(sessions.revoke(early.id, "revoked", NOW - 9))
    for _ in range(3):
        await rows.session(agent)
    await db.commit(sessions.revoke_all_of(agent.id, "why", NOW))
    revoked = {row["id"]: row["revoked_at"] for row in await rows.ask("SELECT id, revoked_at FROM sessions")}
    assert (revoked.pop(other.id), revoked.pop(early.id), set(revoked.values())) == (None, NOW - 9, {NOW})
    assert await sessions.count_active(db, NOW) == 1


async def test_what_ran_out_is_told_once(db, rows, agent):
    gone = await rows.session(agent, expires_at=NOW)
    revoked = await rows.session(agent, expires_at=NOW)
    await rows.session(agent, expires_at=NOW + 1)
    await db.commit(sessions.revoke(revoked.id, "revoked", NOW))
    assert await sessions.newly_expired(db, NOW) == [(gone.id, agent.id)]
    await db.commit(sessions.note_expiry(gone.id, NOW))
    assert await sessions.newly_expired(db, NOW) == []
    with pytest.raises(StaleState):
        await db.commit(sessions.note_expiry(gone.id, NOW))


async def test_pages_by_state(db, rows, agent):
    live, expired = await rows.session(agent), await rows.session(agent, expires_at=NOW)
    revoked = await rows.session(agent)
    foreign = await rows.session(await rows.agent())
    await db.commit(sessions.revoke(revoked.id, "revoked", NOW))

    async def ids(**filters):
        return [found.id for found in await sessions.page(db, **{"now": NOW, "limit": 9, **filters})]

    assert await ids() == [foreign.id, expired.id, live.id]
    assert await ids(agent_id=agent.id, status="active") == [live.id]
    assert await ids(status="expired") == [expired.id]
    assert await ids(status="revoked") == [revoked.id]
    assert await ids(limit=1) == [foreign.id]
    assert await ids(cursor=expired.id) == [live.id]
    assert await sessions.count_active(db, NOW, agent.id) == 1


async def test_constraints_come_back_as_they_were_given(db, rows, agent):
    given = Constraints(max_total_amount="7", allowed_destinations=("somebody",))
    session = await rows.session(agent, constraints=given)
    found = await sessions.find(db, session.id)
    assert found
    assert found.constraints == given


async def test_constraints_that_do_not_decode_are_no_constraints_to_live_without(db, rows, agent):
    session = await rows.session(agent)
    await rows.run("UPDATE sessions SET constraints = '{\"max' WHERE id = :id", id=session.id)
    with pytest.raises(CorruptRow):
        await sessions.find(db, session.id)
