"""A cache of rows: what a commit has changed is read again, also when it changed while it was being read."""

import asyncio

from tests.db.conftest import add, balances
from waiaas.db import Database
from waiaas.db.cache import Cache


def cached(db: Database, *, size: int = 10) -> tuple[Cache[int], list[str]]:
    """Balances by account, and the accounts that were looked up in the database."""
    read: list[str] = []

    async def load(account: str) -> int:
        read.append(account)
        return (await balances(db))[account]

    return Cache(db, "account", load, size), read


async def test_a_value_is_read_once_until_a_commit_touches_it(db):
    cache, read = cached(db)
    assert [await cache.get("a"), await cache.get("b"), await cache.get("a")] == [100, 0, 100]
    await db.commit(add("a", 1, touches="account:a"))
    assert [await cache.get("a"), await cache.get("b")] == [101, 0]
    assert read == ["a", "b", "a"]


async def test_a_commit_can_touch_all_of_them(db):
    cache, read = cached(db)
    for topic in ("account:*", "account"):
        await cache.get("a")
        await cache.get("b")
        await db.commit(add("a", 1, touches=topic))
    assert (await cache.get("a"), read) == (102, ["a", "b", "a", "b", "a"])


async def test_a_commit_about_something_else_drops_nothing(db):
    cache, read = cached(db)
    await cache.get("a")
    await db.commit(add("a", 1, touches="accounts:a"), add("a", 1, touches="account:b"))
    assert (await cache.get("a"), read) == (100, ["a"])


async def test_a_value_that_changed_while_it_was_read_is_not_kept(db):
    asked, go_on = asyncio.Event(), asyncio.Event()

    async def slow(account: str) -> int:
        found = (await balances(db))[account]
        asked.set()
        await go_on.wait()
        return found

    cache = Cache(db, "account", slow)
    early = asyncio.create_task(cache.get("a"))
    await asked.wait()
    await db.commit(add("a", 1, touches="account:a"))
    go_on.set()
    assert (await early, await cache.get("a")) == (100, 101)


async def test_the_oldest_goes_when_there_are_too_many(db):
    cache, read = cached(db, size=1)
    for account in ("a", "b", "b", "a"):
        await cache.get(account)
    assert read == ["a", "b", "a"]
