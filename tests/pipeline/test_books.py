"""The mirror of the ledger: never older than what it has shown before, whoever reads at the same time."""

import asyncio

from tests.world import SOL
from waiaas.db import Database
from waiaas.domain.ledger import LedgerKind
from waiaas.pipeline.books import Books

ASSET = "native:solana"


class SlowReads:
    """A database whose first read is answered only when `go` is set, with what was there when it was asked."""

    def __init__(self, db: Database) -> None:
        self._db, self._slow = db, True
        self.go = asyncio.Event()

    def subscribe(self, listener) -> None:
        self._db.subscribe(listener)

    async def fetch_all(self, sql, params):
        slow, self._slow = self._slow, False
        rows = await self._db.fetch_all(sql, params)
        if slow:
            await self.go.wait()
        return rows


async def test_a_book_follows_every_commit(world, core):
    for amount in (1000, 2000):
        await world.send(amount)
    book = await core.books.book(world.alice.id)
    assert book.reserved(ASSET, LedgerKind.AMOUNT) == 3000
    await world.work()
    book = await core.books.book(world.alice.id)
    assert (book.reserved(ASSET, LedgerKind.AMOUNT), book.used(ASSET, 3600, world.clock.now())) == (0, 13_000)
    assert book.version == (await world.agent()).ledger_version


async def test_a_slow_reader_does_not_put_an_old_book_in_the_place_of_a_newer_one(world, core):
    slow = SlowReads(core.db)
    books = Books(slow, core.clock)
    early = asyncio.create_task(books.book(world.alice.id))
    while slow._slow:
        await asyncio.sleep(0)
    await world.send(1000)
    newest = await books.book(world.alice.id)
    slow.go.set()
    await early
    assert await books.book(world.alice.id) is newest


async def test_a_book_that_a_commit_has_overtaken_is_read_anew(world, core):
    """Two processes in one file: each finds out by the guard on the version, and neither spends twice."""
    other = world.second_core()
    await core.books.book(world.alice.id)
    await world.limit(daily_total=str(2 * SOL))
    await world.send(SOL // 2, core=other)
    await world.send(SOL // 2, core=core)
    assert (await core.books.book(world.alice.id)).reserved(ASSET, LedgerKind.AMOUNT) == SOL
