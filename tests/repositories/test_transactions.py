"""Moves hold from where they say and from nowhere else; keys, bytes and columns hold what the schema says."""

from contextlib import nullcontext

import pytest

from tests.repositories.make import FEE, NOW, a_transaction, an_attempt, ended
from waiaas.domain.policy import Tier
from waiaas.domain.tally import Tally
from waiaas.domain.transaction import FINAL, MOVES, AttemptStatus, Reason, Status
from waiaas.errors import ConstraintFailed, StaleState, TransactionNotFound
from waiaas.repositories import attempts, queue, requests, transactions, unfinished

#: each named move, and the only status it starts from
MARKS = {
    "queued": (Status.PENDING, Status.QUEUED, lambda tx: transactions.mark_queued(tx.id, due_at=NOW, now=NOW)),
    "executing": (Status.PENDING, Status.EXECUTING, lambda tx: transactions.mark_executing(tx.id, NOW)),
    "released": (Status.QUEUED, Status.EXECUTING, lambda tx: transactions.mark_released(tx.id, NOW)),
    "submitted": (
        Status.EXECUTING,
        Status.SUBMITTED,
        lambda tx: transactions.mark_submitted(tx.id, tx_hash=f"hash of {tx.id}", now=NOW),
    ),
    "signed again": (
        Status.SUBMITTED,
        Status.SUBMITTED,
        lambda tx: transactions.mark_signed_again(tx.id, was=f"hash of {tx.id}", tx_hash="other", now=NOW),
    ),
    "confirmed": (
        Status.SUBMITTED,
        Status.CONFIRMED,
        lambda tx: transactions.mark_confirmed(tx.id, tx_hash=f"hash of {tx.id}", fee=FEE, now=NOW),
    ),
}


@pytest.fixture
async def agent(rows):
    return await rows.agent()


@pytest.mark.parametrize("name", MARKS)
async def test_a_move_starts_from_one_status_and_is_stale_from_every_other(db, rows, agent, name):
    origin, to, mark = MARKS[name]
    for status in Status:
        tx = await rows.transaction(agent, status=status)
        await rows.run("UPDATE transactions SET due_at = :now WHERE id = :id", now=NOW, id=tx.id)
        tx = await transactions.get(db, tx.id)
        if status is origin:
            await db.commit(mark(tx))
            assert (await transactions.get(db, tx.id)).status is to
        else:
            with pytest.raises(StaleState):
                await db.commit(mark(tx))
            assert await transactions.get(db, tx.id) == tx


async def test_a_guard_holds_while_nobody_has_moved_it(db, rows, agent):
    tx = await rows.transaction(agent, status=Status.EXECUTING)
    await db.commit(transactions.is_still(tx.id, Status.EXECUTING))
    for status in set(Status) - {Status.EXECUTING}:
        with pytest.raises(StaleState):
            await db.commit(transactions.is_still(tx.id, status))


@pytest.mark.parametrize("to", sorted(FINAL - {Status.CONFIRMED}))
async def test_an_end_comes_only_from_the_status_it_names(db, rows, agent, to):
    for status in Status:
        tx = await rows.transaction(agent, status=status)
        for was in Status:
            if was is not status:
                with pytest.raises(StaleState):
                    await db.commit(ended(tx.id, was, to))
        assert await transactions.get(db, tx.id) == tx


async def test_the_trigger_refuses_every_pair_that_is_no_move(db, rows, agent):
    """Past every named move: the whole row as each status wants it, so that no CHECK speaks first."""
    for was in Status:
        for to in Status:
            tx = await rows.transaction(agent, status=was)
            refused = was is not to and (was, to) not in MOVES
            with pytest.raises(ConstraintFailed, match="no such move") if refused else nullcontext():
                await rows.run(FORCE, id=tx.id, to=to, over=to in FINAL, failed=to in FINAL - {Status.CONFIRMED})
            assert (await transactions.get(db, tx.id)).status is (was if refused else to)


FORCE = """
UPDATE transactions SET status = :to, tier = 'DELAY', queued_at = 1, due_at = 1, tx_hash = 'hash of ' || id,
       finished_at = CASE WHEN :over THEN 1 END, error = CASE WHEN :failed THEN 'why' END,
       error_code = CASE WHEN :failed THEN 'WHY' END
 WHERE id = :id
"""


async def test_a_delay_is_released_when_it_is_due_and_an_approval_never(db, rows, agent):
    for tier, due_at, released in [(Tier.DELAY, NOW, True), (Tier.DELAY, NOW + 1, False), (Tier.APPROVAL, NOW, False)]:
        tx = await rows.transaction(agent, tier=tier)
        await db.commit(transactions.mark_queued(tx.id, due_at=due_at, now=NOW))
        with nullcontext() if released else pytest.raises(StaleState):
            await db.commit(transactions.mark_released(tx.id, NOW))


async def test_bytes_are_replaced_only_by_who_knows_the_present_ones(db, rows, agent):
    tx = await rows.transaction(agent, status=Status.SUBMITTED)
    with pytest.raises(StaleState):
        await db.commit(transactions.mark_signed_again(tx.id, was="other", tx_hash="new", now=NOW))


# --- constraints ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "change", "constraint"),
    [
        (Status.PENDING, "finished_at = 1", "tx_finished"),
        (Status.CONFIRMED, "finished_at = NULL", "tx_finished"),
        (Status.PENDING, "error = 'why', error_code = 'WHY'", "tx_reason"),
        (Status.CONFIRMED, "error = 'why', error_code = 'WHY'", "tx_reason"),
        (Status.FAILED, "error_code = NULL", "tx_reason"),
        (Status.CANCELLED, "error = NULL, error_code = NULL", "tx_reason"),
        (Status.SUBMITTED, "tx_hash = NULL", "tx_sent"),
        (Status.CONFIRMED, "tx_hash = NULL", "tx_sent"),
        (Status.PENDING, "tier = NULL", "tx_tier"),
        (Status.FAILED, "tier = NULL", "tx_tier"),
        (Status.PENDING, "tier = 'LATER'", "tier"),
        (Status.QUEUED, "due_at = NULL", "tx_queued"),
        (Status.QUEUED, "queued_at = NULL", "tx_queued"),
        (Status.QUEUED, "tier = 'INSTANT'", "tx_queued"),
        (Status.PENDING, "batch_index = 0", "tx_child"),
        (Status.PENDING, "network = 'elsewhere'", "network"),
    ],
)
async def test_the_schema_refuses_a_row_that_contradicts_itself(rows, agent, status, change, constraint):
    tx = await rows.transaction(agent, status=status)
    with pytest.raises(ConstraintFailed, match=constraint):
        await rows.run(f"UPDATE transactions SET {change} WHERE id = :id", id=tx.id)


async def test_only_a_denied_transaction_has_no_tier(db, agent):
    denied = a_transaction(agent, tier=None, status=Status.CANCELLED, error="no", error_code="NO", finished_at=NOW)
    await db.commit(transactions.insert(denied))
    with pytest.raises(ConstraintFailed, match="tx_tier"):
        await db.commit(transactions.insert(a_transaction(agent, tier=None)))


async def test_a_key_belongs_to_one_transaction_of_an_agent(db, rows, agent):
    first = await rows.transaction(agent, idempotency_key="k")
    with pytest.raises(ConstraintFailed, match="idempotency_key"):
        await rows.transaction(agent, idempotency_key="k")
    other = await rows.transaction(await rows.agent(), idempotency_key="k")
    for _ in range(2):
        await rows.transaction(agent)
    found = await transactions.find_by_key(db, agent.id, "k")
    assert found
    assert found.id == first.id != other.id
    assert await transactions.find_by_key(db, agent.id, "other") is None


# --- attempts -----------------------------------------------------------------------------------------


async def test_a_transaction_has_one_live_attempt(db, rows, agent):
    tx = await rows.transaction(agent, status=Status.SUBMITTED)
    first = await rows.attempt(tx)
    with pytest.raises(ConstraintFailed):
        await rows.attempt(tx, number=2)
    await db.commit(attempts.die(first.id, NOW), attempts.insert(an_attempt(tx, number=2)))
    found = await attempts.of_transaction(db, tx.id)
    assert [attempt.status for attempt in found] == [AttemptStatus.DEAD, AttemptStatus.LIVE]
    with pytest.raises(ConstraintFailed):
        await rows.run("UPDATE attempts SET status = 'LIVE' WHERE id = :id", id=first.id)


async def test_signed_bytes_belong_to_one_attempt(db, rows, agent):
    one, other = [await rows.transaction(agent, status=Status.SUBMITTED) for _ in range(2)]
    await rows.attempt(one, tx_hash="same")
    with pytest.raises(ConstraintFailed, match="tx_hash"):
        await rows.attempt(other, tx_hash="same")
    with pytest.raises(ConstraintFailed, match="tx_hash"):
        await rows.run(
            "UPDATE transactions SET tx_hash = (SELECT tx_hash FROM transactions WHERE id <> :id)", id=one.id
        )


async def test_a_nonce_has_one_holder_until_it_is_replaced_or_dead(db, rows, agent):
    one, other = [await rows.transaction(agent, status=Status.SUBMITTED) for _ in range(2)]
    spent = {"nonce": 7, "blockhash": None, "last_valid_block_height": None, "context_slot": None}
    first = await rows.attempt(one, **spent)
    with pytest.raises(ConstraintFailed, match="nonce"):
        await rows.attempt(other, **spent)
    await rows.attempt(other, **spent | {"nonce": 8})
    await db.commit(attempts.replace(first.id), attempts.insert(dearer := an_attempt(one, number=2, **spent)))
    with pytest.raises(ConstraintFailed, match="nonce"):
        await rows.run("UPDATE attempts SET status = 'LANDED' WHERE id = :id", id=first.id)
    await db.commit(attempts.die(dearer.id, NOW), attempts.insert(an_attempt(one, number=3, **spent)))


@pytest.mark.parametrize("change", ["nonce = 1", "blockhash = NULL", "context_slot = NULL", "kind = 'OTHER'"])
async def test_an_attempt_has_a_nonce_or_a_blockhash(rows, agent, change):
    tx = await rows.transaction(agent, status=Status.SUBMITTED)
    await rows.attempt(tx)
    with pytest.raises(ConstraintFailed):
        await rows.run(f"UPDATE attempts SET {change}")


async def test_the_steps_of_an_attempt_hold_only_while_it_is_live(db, rows, agent):
    tx = await rows.transaction(agent, status=Status.SUBMITTED)
    attempt = await rows.attempt(tx)
    await db.commit(attempts.refused(attempt.id, "no", NOW))
    await db.commit(attempts.sent(attempt.id, "here", NOW + 1))
    await db.commit(attempts.sent(attempt.id, "there", NOW + 2), attempts.seen(attempt.id, 5, NOW + 3))
    (known,) = await attempts.of_transaction(db, tx.id)
    assert (known.broadcasts, known.endpoint, known.error, known.block_number) == (2, "there", "no", 5)
    assert (known.first_broadcast_at, known.last_broadcast_at, known.last_seen_at) == (NOW + 1, NOW + 2, NOW + 3)
    assert known.rejected_at is None
    for at in (4, 5):
        await db.commit(attempts.rejected(attempt.id, "never", NOW + at))
    (known,) = await attempts.of_transaction(db, tx.id)
    assert (known.error, known.rejected_at, known.last_broadcast_at) == ("never", NOW + 4, NOW + 5)
    landed = {"block": 6, "block_hash": None, "confirmations": 1, "fee": 5000, "error": None, "now": NOW}
    landed["finalized"] = False
    await db.commit(attempts.land(attempt, **landed))
    late = [
        attempts.refused(attempt.id, "no", NOW),
        attempts.rejected(attempt.id, "never", NOW),
        attempts.seen(attempt.id, 7, NOW),
        attempts.land(attempt, **landed),
        attempts.replace(attempt.id),
        attempts.die(attempt.id, NOW),
    ]
    for step in late:
        with pytest.raises(StaleState):
            await db.commit(step)
    assert await attempts.open_networks(db) == {"localnet"}
    await db.commit(attempts.finalize(attempt.id, NOW))
    for step in (attempts.finalize(attempt.id, NOW), attempts.revive(attempt.id)):
        with pytest.raises(StaleState):
            await db.commit(step)
    assert (await attempts.open_on(db, "localnet"), await attempts.open_networks(db)) == (([], None), set())


# --- reading ------------------------------------------------------------------------------------------


async def test_another_agents_transaction_is_as_absent_as_one_that_never_was(db, rows, agent):
    tx = await rows.transaction(agent)
    stranger = await rows.agent()
    assert (await transactions.view(db, tx.id, agent.id)).tx == (await transactions.view(db, tx.id, None)).tx == tx
    for tx_id, agent_id in [(tx.id, stranger.id), ("none", None)]:
        with pytest.raises(TransactionNotFound):
            await transactions.view(db, tx_id, agent_id)
    with pytest.raises(TransactionNotFound):
        await transactions.get(db, "none")


async def test_a_view_shows_the_newest_attempt(db, rows, agent):
    tx = await rows.transaction(agent, status=Status.SUBMITTED)
    first = await rows.attempt(tx)
    await db.commit(attempts.die(first.id, NOW), attempts.insert(second := an_attempt(tx, number=2)))
    await db.commit(attempts.sent(second.id, "here", NOW))
    progress = (await transactions.view(db, tx.id, None)).progress
    assert (progress.attempt_count, progress.last_broadcast_at, progress.attempt_finished_at) == (2, NOW, None)


async def test_pages_are_newest_first_and_filtered(db, rows, agent):
    other = await rows.agent()
    made = [await rows.transaction(agent, created_at=NOW + number) for number in range(3)]
    foreign = await rows.transaction(other, status=Status.QUEUED)

    async def ids(**filters):
        return [view.tx.id for view in await transactions.page(db, **{"limit": 9, **filters})]

    newest = [tx.id for tx in reversed(made)]
    assert await ids() == [foreign.id, *newest]
    assert await ids(agent_id=agent.id) == newest
    assert await ids(limit=2) == [foreign.id, newest[0]]
    assert await ids(cursor=newest[0]) == newest[1:]
    assert await ids(status="QUEUED") == [foreign.id]
    assert await ids(type="TRANSFER", tier="DELAY", since=NOW + 1, until=NOW + 2) == [newest[1]]
    assert [view.tx.id for view in await unfinished.open_views(db, agent.id)] == newest


async def test_workers_find_what_is_theirs(db, rows, agent):
    by_status = {status: await rows.transaction(agent, status=status) for status in Status}
    pending, executing = by_status[Status.PENDING], by_status[Status.EXECUTING]
    queued, submitted = by_status[Status.QUEUED], by_status[Status.SUBMITTED]
    assert await queue.to_execute(db, "localnet", after="", limit=9) == ([pending, executing], None)
    assert await queue.to_execute(db, "localnet", after="", limit=1) == ([pending], pending.id)
    assert await queue.to_execute(db, "localnet", after=pending.id, limit=1) == ([executing], executing.id)
    assert await queue.to_execute(db, "devnet", after="", limit=9) == ([], None)
    assert await queue.delayed(db) == [queued]
    assert await queue.unsigned_since(db, NOW) == [pending, executing]
    assert await queue.unsigned_since(db, NOW - 1) == []
    assert await unfinished.open_of_agent(db, agent.id) == [pending, queued]
    await rows.attempt(submitted)
    assert [each.id for each in await unfinished.in_flight(db)] == [submitted.id]
    assert await unfinished.in_flight(db, "other") == []
    live = {(status.value, "localnet"): 1 for status in Status if status not in FINAL}
    assert await unfinished.count_live(db) == live
    assert (await unfinished.count_queued(db), await unfinished.count_queued(db, "other")) == (1, 0)


@pytest.mark.parametrize("since", [NOW, NOW - 1])
async def test_what_counts_for_a_session(db, rows, agent, since):
    session = await rows.session(agent)
    by_status = {status: await rows.transaction(agent, session, status) for status in Status}
    await rows.transaction(agent, origin="withdraw")
    await rows.transaction(agent, parent_id=by_status[Status.PENDING].id, batch_index=0)
    ended, newest, standings = await requests.standings(db, agent.id, since=since)
    counted = set(Status) - {Status.CANCELLED, Status.EXPIRED}
    assert ended == ({session.id: len(counted & FINAL)} if since == NOW else {})
    one_by_one = counted if since < NOW else counted - FINAL
    assert {each.id for each in standings} == {by_status[status].id for status in one_by_one}
    assert {each.id for each in standings if each.is_final} == {by_status[each].id for each in one_by_one & FINAL}
    places = await rows.ask("SELECT rowid FROM transactions WHERE id = :id", id=by_status[Status.PARTIAL_FAILURE].id)
    assert newest == places[0]["rowid"]
    assert Tally(ended, newest, standings).of([session.id]) == len(counted)
    opened = [by_status[Status.PENDING], by_status[Status.QUEUED]]
    assert await unfinished.open_of_session(db, session.id) == opened


async def test_one_row_that_does_not_decode_empties_no_list(db, rows, agent):
    sound = [await rows.transaction(agent) for _ in range(2)]
    broken = await rows.transaction(agent)
    await rows.run("UPDATE transactions SET created_at = 'yesterday' WHERE id = :id", id=broken.id)
    assert await queue.to_execute(db, "localnet", after="", limit=3) == (sound, broken.id)
    assert len(await transactions.page(db, limit=9)) == len(await unfinished.open_views(db, None)) == 2
    signed = await rows.transaction(agent, status=Status.SUBMITTED)
    kept = await rows.attempt(signed)
    lost = await rows.attempt(await rows.transaction(agent, status=Status.SUBMITTED))
    await rows.run("UPDATE attempts SET max_fee = 'much' WHERE id = :id", id=lost.id)
    assert [attempt.id for attempt in (await attempts.open_on(db, "localnet"))[0]] == [kept.id]


async def test_open_attempts_come_in_pages_and_those_of_one_transaction_together(db, rows, agent):
    signed = [await rows.transaction(agent, status=Status.SUBMITTED) for _ in range(3)]
    wanted = [(await rows.attempt(tx)).id for tx in signed]
    assert [one.id for one in (await attempts.open_on(db, "localnet", limit=4))[0]] == wanted
    first, after = await attempts.open_on(db, "localnet", limit=3)
    assert ([one.id for one in first], after) == (wanted[:2], signed[1].id)
    second, end = await attempts.open_on(db, "localnet", after=after, limit=3)
    assert ([one.id for one in second], end) == (wanted[2:], None)


async def test_a_reason_is_stored_as_it_is_spelled(db, rows, agent):
    tx = await rows.transaction(agent)
    moved = transactions.mark_ended(
        tx.id, was=Status.PENDING, to=Status.EXPIRED, error="late", error_code=Reason.PENDING_TIMEOUT, now=NOW
    )
    await db.commit(moved)
    row = await transactions.get(db, tx.id)
    assert (row.error, row.error_code, row.finished_at, row.fee) == ("late", "PENDING_TIMEOUT", NOW, None)
