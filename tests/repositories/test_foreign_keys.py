"""What goes with what: deletions that cascade, that are refused, and that leave a gap."""

import pytest

from waiaas.errors import ConstraintFailed
from waiaas.repositories import policies, transactions

DELETE_AGENT = "DELETE FROM agents WHERE id = :id"
DELETE_SESSION = "DELETE FROM sessions WHERE id = :id"
DELETE_TRANSACTION = "DELETE FROM transactions WHERE id = :id"


async def test_an_agent_takes_its_sessions_and_policies_with_it_and_no_others(rows):
    gone, stays = await rows.agent(), await rows.agent()
    await rows.session(gone)
    await rows.policy(gone)
    session, own, general = await rows.session(stays), await rows.policy(stays), await rows.policy()
    await rows.run(DELETE_AGENT, id=gone.id)
    assert [row["id"] for row in await rows.ask("SELECT id FROM sessions")] == [session.id]
    assert {row["id"] for row in await rows.ask("SELECT id FROM policies")} == {own.id, general.id}


async def test_an_agent_with_transactions_cannot_be_deleted(rows):
    agent = await rows.agent()
    session = await rows.session(agent)
    await rows.transaction(agent, session)
    with pytest.raises(ConstraintFailed, match="FOREIGN KEY"):
        await rows.run(DELETE_AGENT, id=agent.id)
    assert (await rows.count("agents"), await rows.count("sessions")) == (1, 1)


async def test_a_session_leaves_its_transactions_behind_without_it(db, rows):
    agent = await rows.agent()
    session = await rows.session(agent)
    tx = await rows.transaction(agent, session)
    await rows.run(DELETE_SESSION, id=session.id)
    left = await transactions.get(db, tx.id)
    assert (left.session_id, left.agent_id) == (None, agent.id)


async def test_a_session_takes_its_children_with_it(rows):
    agent = await rows.agent()
    parent, child = await rows.session(agent), await rows.session(agent)
    await rows.run("UPDATE sessions SET parent_id = :parent WHERE id = :id", parent=parent.id, id=child.id)
    await rows.run(DELETE_SESSION, id=parent.id)
    assert await rows.count("sessions") == 0


@pytest.mark.parametrize("make", ["attempt", "reserved"])
async def test_a_transaction_with_bytes_or_money_cannot_be_deleted(rows, make):
    tx = await rows.transaction(await rows.agent())
    await getattr(rows, make)(tx)
    with pytest.raises(ConstraintFailed, match="FOREIGN KEY"):
        await rows.run(DELETE_TRANSACTION, id=tx.id)


async def test_nothing_belongs_to_an_agent_that_is_not_there(db, rows):
    ghost = await rows.agent()
    await rows.run(DELETE_AGENT, id=ghost.id)
    for making in (rows.policy(ghost), rows.transaction(ghost)):
        with pytest.raises(ConstraintFailed, match="FOREIGN KEY"):
            await making
    assert await policies.page(db) == []
