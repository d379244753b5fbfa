"""Money is set aside, and then settled or given back once, under the agent's version."""

import pytest

from tests.repositories.make import NATIVE, NOW, a_reservation
from waiaas.domain.ledger import LedgerKind, LedgerState
from waiaas.domain.transaction import Status
from waiaas.domain.usage import Usage, Used
from waiaas.errors import AgentNotFound, ConstraintFailed, StaleState
from waiaas.repositories import agents, ledger

AMOUNT, FEE = LedgerKind.AMOUNT, LedgerKind.FEE


@pytest.fixture
async def agent(rows):
    return await rows.agent()


@pytest.fixture
async def tx(rows, agent):
    return await rows.transaction(agent, await rows.session(agent))


async def states(db, tx) -> dict[str, tuple[str, int | None]]:
    return {row.kind.value: (row.state.value, row.settled) for row in await ledger.of_transaction(db, tx.id)}


async def test_a_reservation_is_settled_or_released_once(db, rows, tx):
    await rows.reserved(tx, AMOUNT)
    await rows.reserved(tx, FEE, 5000)
    await db.commit(ledger.settle(tx.id, AMOUNT, NATIVE, 6, NOW), ledger.release(tx.id, NOW))
    ended = {"AMOUNT": ("SPENT", 6), "FEE": ("RELEASED", None)}
    assert await states(db, tx) == ended
    for kind in (AMOUNT, FEE):
        with pytest.raises(StaleState):
            await db.commit(ledger.settle(tx.id, kind, NATIVE, 6, NOW))
    for row in await ledger.of_transaction(db, tx.id):
        with pytest.raises(StaleState):
            await db.commit(ledger.settle_row(row.id, 6, NOW))
    await db.commit(ledger.release(tx.id, NOW), ledger.settle_amounts(tx.id, NOW))
    assert await states(db, tx) == ended
    with pytest.raises(StaleState):
        await db.commit(ledger.set_fee(tx.id, 1))


async def test_the_version_guards_against_whoever_was_quicker(db, rows, agent, tx):
    version, _ = await ledger.of_agent(db, agent.id, since=NOW)
    await db.commit(ledger.raise_version(agent.id, was=version), ledger.reserve(a_reservation(tx)))
    with pytest.raises(StaleState):
        await db.commit(ledger.raise_version(agent.id, was=version), ledger.reserve(a_reservation(tx, FEE)))
    await db.commit(ledger.touch(agent.id), ledger.reserve(a_reservation(tx, FEE)))
    assert (await agents.get(db, agent.id)).ledger_version == version + 2
    assert len(await ledger.of_transaction(db, tx.id)) == 2


async def test_a_mirror_reads_only_what_changed(db, rows, agent, tx):
    await rows.reserved(tx, AMOUNT)
    first, rows_then = await ledger.of_agent(db, agent.id, since=-1)
    await rows.reserved(tx, FEE, 5000)
    second, since, [request] = await ledger.changed(db, agent.id, after=first)
    assert (request.id, request.session_id, request.made_at, request.counts) == (tx.id, tx.session_id, NOW, True)
    assert ([row.kind for row in rows_then], [row.kind for row in since]) == ([AMOUNT], [FEE])
    await db.commit(ledger.touch(agent.id), ledger.settle(tx.id, AMOUNT, NATIVE, 7, NOW))
    third, since, _ = await ledger.changed(db, agent.id, after=second)
    assert [(row.kind, row.state, row.settled) for row in since] == [(AMOUNT, LedgerState.SPENT, 7)]
    assert (await ledger.changed(db, agent.id, after=third)) == (third, [], [])
    assert third == second + 1


async def test_what_ended_long_ago_is_not_read_at_the_beginning(db, rows, agent, tx):
    await rows.reserved(tx, AMOUNT)
    await rows.reserved(tx, FEE)
    await db.commit(ledger.settle(tx.id, AMOUNT, NATIVE, 7, NOW))
    assert [row.kind for row in (await ledger.of_agent(db, agent.id, since=NOW))[1]] == [FEE]
    assert len((await ledger.of_agent(db, agent.id, since=NOW - 1))[1]) == 2
    with pytest.raises(AgentNotFound):
        await ledger.of_agent(db, "nobody", since=0)
    with pytest.raises(AgentNotFound):
        await ledger.changed(db, "nobody", after=0)


async def test_what_changed_is_told_with_the_request_that_it_is_of(db, rows, agent):
    batch = await rows.transaction(agent, await rows.session(agent), status=Status.EXECUTING)
    item = await rows.transaction(agent, parent_id=batch.id, batch_index=0)
    reset = await rows.transaction(agent, parent_id=item.id, batch_index=0)
    owners = await rows.transaction(agent, origin="withdraw")
    version = (await agents.get(db, agent.id)).ledger_version
    for tx in (item, reset, owners):
        await rows.reserved(tx, FEE)
    _, found, standings = await ledger.changed(db, agent.id, after=version)
    assert {row.tx_id for row in found} == {item.id, reset.id, owners.id}
    assert {each.id for each in standings} == {batch.id}


async def test_a_fee_becomes_what_was_signed(db, rows, tx):
    await rows.reserved(tx, AMOUNT, 7)
    await rows.reserved(tx, FEE, 9000)
    await db.commit(ledger.set_fee(tx.id, 5000))
    assert {row.kind: row.reserved for row in await ledger.of_transaction(db, tx.id)} == {AMOUNT: 7, FEE: 5000}


async def test_a_session_has_spent_what_is_settled_and_set_aside_without_fees(db, rows, agent, tx):
    huge = 2**256 - 1
    session_id = tx.session_id
    assert session_id
    session = await rows.session(agent, id=session_id + "x")
    for amount, end in [(huge, None), (7, "settle"), (1000, "release")]:
        other = await rows.transaction(agent, session)
        await rows.reserved(other, AMOUNT, amount)
        await rows.reserved(other, FEE, 5000)
        if end == "settle":
            await db.commit(ledger.settle(other.id, AMOUNT, NATIVE, 6, NOW))
        if end == "release":
            await db.commit(ledger.release(other.id, NOW))
    version = (await agents.get(db, agent.id)).ledger_version
    usage = Usage(await ledger.of_sessions(db, agent.id, to=version))
    assert await ledger.of_sessions(db, agent.id, to=0) == []
    assert usage.of([session.id]) == {NATIVE: Used(huge, 6)}
    assert usage.of([session.id], without=[other.id]) == {NATIVE: Used(huge, 6)}
    assert usage.of([session_id]) == {}


@pytest.mark.parametrize(
    ("change", "constraint"),
    [
        ("reserved = ''", "ledger_digits"),
        ("reserved = '-1'", "ledger_digits"),
        ("reserved = '1.5'", "ledger_digits"),
        ("state = 'SPENT', settled = '1e3', settled_at = 1", "ledger_digits"),
        ("state = 'SPENT', settled = '', settled_at = 1", "ledger_digits"),
        ("state = 'SPENT', settled_at = 1", "ledger_settled"),
        ("state = 'SPENT', settled = '7'", "ledger_settled"),
        ("state = 'RELEASED'", "ledger_settled"),
        ("state = 'RELEASED', settled = '7', settled_at = 1", "ledger_settled"),
        ("settled_at = 1", "ledger_settled"),
        ("spender = 'somebody'", "ledger_spender"),
        ("kind = 'ALLOWANCE'", "ledger_spender"),
        ("kind = 'TIP'", "kind"),
        ("state = 'LOST'", "state"),
    ],
)
async def test_the_schema_refuses_a_row_that_contradicts_itself(rows, tx, change, constraint):
    await rows.reserved(tx)
    with pytest.raises(ConstraintFailed, match=constraint):
        await rows.run(f"UPDATE spend_ledger SET {change}")
