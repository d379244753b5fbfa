"""What limits are judged by in memory: as the database has it, whoever reads and writes at the same time."""

import asyncio

import pytest

from tests.world import OPERATOR, SOL
from waiaas.db import Database
from waiaas.domain.ledger import LedgerKind
from waiaas.domain.usage import Used
from waiaas.errors import StorageBusy
from waiaas.pipeline import books as mirrors
from waiaas.pipeline.books import Books
from waiaas.pipeline.waiting.cancel import cancel
from waiaas.repositories import ledger

ASSET = "native:solana"


class SlowReads:
    """A database whose read, while it is held, is answered only when `go` is set, with what was there when asked."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self.holds = self.is_held = False
        self.go = asyncio.Event()

    def subscribe(self, listener) -> None:
        self._db.subscribe(listener)

    async def fetch_all(self, sql, params):
        held, self.holds = self.holds, False
        rows = await self._db.fetch_all(sql, params)
        if held:
            self.is_held = True
            await self.go.wait()
        return rows


async def while_held(slow, reader, act):
    """The reader's next read is held back until `act` is done."""
    slow.holds = True
    reading = asyncio.create_task(reader)
    while not slow.is_held:
        await asyncio.sleep(0)
    await act
    slow.go.set()
    return await reading


def seen(tally):
    recent = tally.recent()
    return [recent[number] for number in range(len(recent))], tally._of_session, set(tally._open)


async def test_a_book_follows_every_commit(world, core):
    for amount in (1000, 2000):
        await world.send(amount)
    book = await core.books.book(world.alice.id)
    assert book.reserved(ASSET, LedgerKind.AMOUNT) == 3000
    await world.work()
    book = await core.books.book(world.alice.id)
    assert (book.reserved(ASSET, LedgerKind.AMOUNT), book.used(ASSET, 3600, world.clock.now())) == (0, 13_000)
    assert book.version == (await world.agent()).ledger_version


async def test_a_commit_during_a_slow_read_is_read_by_the_next(world, core):
    slow = SlowReads(core.db)
    books = Books(slow, core.clock)
    early = await while_held(slow, books.book(world.alice.id), world.send(1000))
    newest = await books.book(world.alice.id)
    assert (early.reserved(ASSET, LedgerKind.AMOUNT), newest.reserved(ASSET, LedgerKind.AMOUNT)) == (0, 1000)


async def test_a_read_that_fails_is_made_again(world, core, monkeypatch):
    books = core.books
    await books.book(world.alice.id)
    await world.send(1000)
    with monkeypatch.context() as patch:
        patch.setattr(ledger, "changed", failing)
        with pytest.raises(StorageBusy):
            await books.book(world.alice.id)
    assert (await books.book(world.alice.id)).reserved(ASSET, LedgerKind.AMOUNT) == 1000


async def failing(*_, **__):
    raise StorageBusy("now")


async def test_a_mirror_that_was_let_go_takes_no_change_from_the_one_after_it(world, core, monkeypatch):
    monkeypatch.setattr(mirrors, "MOST_MIRRORS", 1)
    slow = SlowReads(core.db)
    books = Books(slow, core.clock)
    alice = world.alice.id
    await books.book(alice)
    await world.send(1)
    slow.holds = True
    readers = [asyncio.create_task(books.book(alice))]
    while not slow.is_held:
        await asyncio.sleep(0)
    # one that waits for the held one, and will read what is written after it
    await world.send(2)
    readers.append(asyncio.create_task(books.book(alice)))
    await asyncio.sleep(0)
    await books.book(world.bob.id)
    assert (await books.book(alice)).reserved(ASSET, LedgerKind.AMOUNT) == 3
    await world.send(4)
    slow.go.set()
    await asyncio.gather(*readers)
    assert (await books.book(alice)).reserved(ASSET, LedgerKind.AMOUNT) == 7


async def test_usage_and_counts_follow_what_is_written_while_they_are_read(world, core):
    session = await world.issue(max_transactions=9, max_total_amount=str(SOL))
    first = await world.send(1, session=session)
    for ask, known in (("usage", {ASSET: Used(3, 0)}), ("tally", 2)):
        slow = SlowReads(core.db)
        books = Books(slow, core.clock)
        await books.book(world.alice.id)
        if ask == "usage":
            await while_held(slow, books.usage(world.alice.id), world.send(2, session=session))
            assert (await books.usage(world.alice.id)).of([session.id]) == known
        else:
            await while_held(slow, books.tally(world.alice.id), world.cancel(first))
            await world.send(4, session=session)
            assert (await books.tally(world.alice.id)).of([session.id]) == known


async def test_counts_are_those_of_a_fresh_start_whatever_becomes_of_requests(world, core):
    session = await world.issue(max_transactions=99)
    await core.books.tally(world.alice.id)
    for amount in range(1, 6):
        await world.send(amount, session=session)
    await world.work()
    await world.cancel(await world.send(6, session=session))
    refusal = {"err": {"InstructionError": [2, {"Custom": 7}]}, "logs": ["no"], "unitsConsumed": 100}
    world.faults.answer("simulateTransaction", {"context": {"slot": 1}, "value": refusal})
    await world.execute(await world.send(8, session=session))
    await world.send(7)
    fresh = await Books(core.db, core.clock).tally(world.alice.id)
    assert seen(await core.books.tally(world.alice.id)) == seen(fresh)
    assert fresh.of([session.id]) == 6
    assert {row.status.value for row in await world.rows()} == {"CONFIRMED", "CANCELLED", "FAILED", "PENDING"}
    world.clock.move(40 * 86400)
    old = await Books(core.db, core.clock).tally(world.alice.id)
    assert (old.of([session.id]), len(old.recent())) == (6, 1)


async def test_an_evm_batch_that_is_cancelled_counts_no_more(eth):
    books = eth.core.books
    await books.tally(eth.alice.id)
    tx = await eth.want(eth.batch(eth.pay(1), eth.pay(2)))
    assert len((await books.tally(eth.alice.id)).recent()) == 1
    assert len((await books.tally(eth.alice.id)).recent(without=tx.id)) == 0
    await cancel(eth.core, tx.id, eth.alice.id, OPERATOR)
    assert len((await books.tally(eth.alice.id)).recent()) == 0


async def test_a_book_that_a_commit_has_overtaken_is_read_anew(world, core):
    """Two processes in one file: each finds out by the guard on the version, and neither spends twice."""
    other = world.second_core()
    await core.books.book(world.alice.id)
    await world.limit(daily_total=str(2 * SOL))
    await world.send(SOL // 2, core=other)
    await world.send(SOL // 2, core=core)
    assert (await core.books.book(world.alice.id)).reserved(ASSET, LedgerKind.AMOUNT) == SOL
