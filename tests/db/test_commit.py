"""What `commit` promises: all or nothing, expected rows, neighbours undisturbed, on disk when it answers."""

import asyncio
import sqlite3

import pytest

from tests.db.conftest import add, balances, move, pay
from waiaas.db import Database, Statement
from waiaas.errors import ConstraintFailed, StaleState, StorageBusy, StorageClosed


async def count(db: Database) -> int:
    return (await db.fetch_one("SELECT count(*) AS n FROM payments"))["n"]


async def test_a_list_is_committed_whole(db):
    await db.commit(*move(30), pay("a", "thirty"))
    assert await balances(db) == {"a": 70, "b": 30}
    assert await count(db) == 1


async def test_a_list_whose_last_statement_fails_leaves_nothing(db):
    with pytest.raises(ConstraintFailed):
        await db.commit(*move(30), pay("nobody"))
    assert await balances(db) == {"a": 100, "b": 0}


async def test_a_list_is_executed_in_its_order(db):
    with pytest.raises(ConstraintFailed):
        await db.commit(add("b", -1), add("b", 1))
    await db.commit(add("b", 1), add("b", -1))


@pytest.mark.parametrize("found", ["none", "two"])
async def test_an_unexpected_row_count_is_stale_and_writes_nothing(db, found):
    where = "id = 'c'" if found == "none" else "1"
    with pytest.raises(StaleState) as caught:
        await db.commit(add("a", 5), Statement(f"UPDATE accounts SET balance = 1 WHERE {where}"))
    assert caught.value.details["expected"] == 1
    assert caught.value.details["found"] == (0 if found == "none" else 2)
    assert await balances(db) == {"a": 100, "b": 0}


async def test_the_details_of_a_stale_list_show_its_sql_but_no_value(db):
    with pytest.raises(StaleState) as caught:
        await db.commit(add("hunter2", 5))
    assert caught.value.details["statement"] == "UPDATE accounts SET balance = balance + :amount WHERE id = :id"


async def test_expecting_any_number_of_rows(db):
    await db.commit(Statement("UPDATE accounts SET balance = 9 WHERE id = 'c'", expect=None))
    await db.commit(Statement("UPDATE accounts SET balance = 9", expect=None))
    assert await balances(db) == {"a": 9, "b": 9}


async def test_a_select_is_a_guard(db):
    guard = Statement("SELECT 1 FROM accounts WHERE id = 'a' AND balance >= :least", {"least": 100})
    await db.commit(guard, *move(30))
    with pytest.raises(StaleState):
        await db.commit(guard, *move(30))
    assert await balances(db) == {"a": 70, "b": 30}


async def test_a_guard_may_ask_for_no_row(db):
    none_yet = Statement("SELECT 1 FROM payments", expect=0)
    await db.commit(none_yet, pay("a"))
    with pytest.raises(StaleState):
        await db.commit(none_yet, pay("a"))


async def test_rows_of_returning_and_of_with_are_counted(db):
    await db.commit(Statement("UPDATE accounts SET balance = 1 RETURNING id", expect=2))
    with_two = "WITH all_of_them AS (SELECT id FROM accounts) UPDATE accounts SET balance = 2 WHERE id IN all_of_them"
    await db.commit(Statement(with_two, expect=2))
    with pytest.raises(StaleState):
        await db.commit(Statement(with_two, expect=1))


async def test_a_failing_list_does_not_disturb_the_lists_committed_with_it(db):
    outcomes = await asyncio.gather(
        db.commit(pay("a", "1")),
        db.commit(pay("a", "2"), pay("nobody")),
        db.commit(pay("a", "3"), add("c", 1)),
        db.commit(pay("a", "4"), Statement("this is not SQL")),
        db.commit(pay("a", "5")),
        return_exceptions=True,
    )
    kinds = [type(outcome) for outcome in outcomes]
    assert kinds == [type(None), ConstraintFailed, StaleState, sqlite3.OperationalError, type(None)]
    assert [row["note"] for row in await db.fetch_all("SELECT note FROM payments ORDER BY id")] == ["1", "5"]
    assert db.group_sizes == {5: 1}, "they were not committed together"
    assert db.lists_committed == 2


async def test_if_sqlite_ends_the_transaction_no_list_of_the_group_is_told_it_was_committed(db):
    outcomes = await asyncio.gather(
        db.commit(pay("a", "1")), db.commit(pay("a", "explode")), db.commit(pay("a", "3")), return_exceptions=True
    )
    assert [type(outcome) for outcome in outcomes] == [ConstraintFailed] * 3
    assert await count(db) == 0
    await db.commit(pay("a", "the next group is not affected"))


async def test_if_the_commit_itself_fails_every_list_of_the_group_is_told(db):
    promise = Statement("INSERT INTO promises VALUES ('nobody')")
    outcomes = await asyncio.gather(db.commit(promise), db.commit(pay("a")), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [ConstraintFailed] * 2
    assert await count(db) == 0
    await db.commit(pay("a", "the next group is not affected"))


async def test_what_queues_up_during_a_commit_is_committed_together(db):
    await asyncio.gather(*(db.commit(add("b", 1)) for _ in range(600)))
    assert db.group_sizes == {64: 9, 24: 1}
    assert await balances(db) == {"a": 100, "b": 600}


async def test_concurrent_lists_are_serial(db):
    async def withdraw() -> bool:
        try:
            await db.commit(*move(30))
        except ConstraintFailed:
            return False
        return True

    assert sum(await asyncio.gather(*(withdraw() for _ in range(10)))) == 3
    assert await balances(db) == {"a": 10, "b": 90}


@pytest.mark.parametrize(
    ("statements", "name"),
    [
        ([add("b", -1)], "not_negative"),
        ([pay("a", "same"), pay("a", "same")], "payments.note"),
        ([pay("nobody")], "FOREIGN KEY"),
        ([Statement("INSERT INTO accounts (id) VALUES ('c')")], "accounts.balance"),
        ([pay("a"), Statement("DELETE FROM payments")], "payments is append-only"),
    ],
)
async def test_a_constraint_is_told_by_its_name(db, statements, name):
    with pytest.raises(ConstraintFailed) as caught:
        await db.commit(*statements)
    assert caught.value.name == name


async def test_an_error_has_the_cause_that_sqlite_gave(db):
    with pytest.raises(ConstraintFailed) as caught:
        await db.commit(pay("nobody"))
    assert isinstance(caught.value.__cause__, sqlite3.IntegrityError)


@pytest.mark.parametrize("value", ["", "naïve ✓ \x00", str(2**256), b"\x00\xff", None, 2**53 - 1, -1])
async def test_values_come_back_as_they_were(db, value):
    await db.commit(pay("a", value))
    assert (await db.fetch_one("SELECT note FROM payments"))["note"] == value


async def test_functions_handed_in_can_be_called_by_the_writer(path):
    async with Database.open(path, functions={"twice": (1, lambda text: text * 2)}) as db:
        await db.commit(Statement("INSERT INTO payments (account, note) VALUES ('a', twice(:note))", {"note": "ha"}))
        assert (await db.fetch_one("SELECT note FROM payments"))["note"] == "haha"


async def test_a_function_that_raises_fails_its_list_alone(path):
    async with Database.open(path, functions={"divide": (1, lambda number: 1 // number)}) as db:
        outcomes = await asyncio.gather(
            *(
                db.commit(Statement("UPDATE accounts SET balance = divide(:n) WHERE id = 'a'", {"n": n}))
                for n in (0, 1)
            ),
            return_exceptions=True,
        )
        assert isinstance(outcomes[0], sqlite3.OperationalError)
        assert await balances(db) == {"a": 1, "b": 0}


async def test_topics_are_told_before_the_callers_are_answered(db):
    told = []
    db.subscribe(lambda topics: told.append((topics, task.done())))
    task = asyncio.create_task(db.commit(add("b", 1, touches="account:b"), add("a", 1, touches="account:a"), pay("a")))
    await task
    assert told == [(frozenset({"account:a", "account:b"}), False)]


async def test_a_list_that_was_not_committed_tells_no_topic(db):
    told = []
    db.subscribe(told.append)
    outcomes = await asyncio.gather(
        db.commit(add("b", 1, touches="account:b")),
        db.commit(add("a", 1, touches="account:a"), pay("nobody")),
        db.commit(pay("a")),
        return_exceptions=True,
    )
    assert isinstance(outcomes[1], ConstraintFailed)
    assert told == [frozenset({"account:b"})]


async def test_a_listener_that_raises_takes_no_answer_from_a_caller(db):
    def broken(topics):
        raise RuntimeError("broken")

    told = []
    db.subscribe(broken)
    db.subscribe(told.append)
    await db.commit(add("b", 1, touches="account:b"))
    assert told == [frozenset({"account:b"})]


async def test_a_foreign_writer_is_waited_for(db, path):
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    commit = asyncio.create_task(db.commit(add("b", 1)))
    await balances(db)  # a read goes by a writer that waits
    assert not commit.done()
    other.execute("COMMIT")
    await commit
    other.close()


async def test_a_foreign_writer_that_stays_makes_the_group_busy_and_the_next_one_goes_on(path):
    async with Database.open(path, busy_timeout_ms=50) as db:
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        outcomes = await asyncio.gather(db.commit(add("b", 1)), db.commit(add("b", 1)), return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [StorageBusy, StorageBusy]
        assert outcomes[0] is not outcomes[1]
        other.execute("COMMIT")
        other.close()
        await db.commit(add("b", 1))
        assert await balances(db) == {"a": 100, "b": 1}


async def test_64_concurrent_writers_on_two_databases_never_see_busy(path):
    async def write(db: Database) -> None:
        for _ in range(10):
            await db.commit(add("b", 1), pay("a"))

    async with Database.open(path) as one, Database.open(path) as two:
        await asyncio.gather(*(write(db) for db in (one, two) for _ in range(32)))
        assert await balances(one) == {"a": 100, "b": 640}
        assert await count(two) == 640


async def test_after_closing_a_commit_is_refused(path):
    async with Database.open(path) as db:
        pass
    with pytest.raises(StorageClosed):
        await db.commit(add("b", 1))
