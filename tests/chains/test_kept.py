"""Answers that are shared for a moment."""

import asyncio

import pytest

from waiaas.chains.kept import Kept
from waiaas.errors import Transient


@pytest.fixture
def asked() -> list[asyncio.Future]:
    return []


@pytest.fixture
def ask(asked):
    def ask() -> asyncio.Future:
        asked.append(asyncio.get_running_loop().create_future())
        return asked[-1]

    return ask


async def test_those_who_ask_together_share_one_question(clock, asked, ask):
    kept = Kept(clock, 2)
    waiting = [asyncio.ensure_future(kept.get("key", ask)) for _ in range(3)]
    await asyncio.sleep(0)
    asked[0].set_result(7)
    assert await asyncio.gather(*waiting) == [7, 7, 7]
    assert len(asked) == 1


async def test_an_answer_is_as_old_as_its_question(clock, asked, ask):
    kept = Kept(clock, 2)
    first = asyncio.ensure_future(kept.get("key", ask))
    await asyncio.sleep(0)
    clock.seconds += 2
    second = asyncio.ensure_future(kept.get("key", ask))
    await asyncio.sleep(0)
    asked[0].set_result(1)
    asked[1].set_result(2)
    assert [await first, await second] == [1, 2]


async def test_an_error_is_told_to_those_who_waited_and_not_kept(clock, asked, ask):
    kept = Kept(clock, 2)
    waiting = [asyncio.ensure_future(kept.get("key", ask)) for _ in range(2)]
    await asyncio.sleep(0)
    asked[0].set_exception(Transient())
    for one in waiting:
        with pytest.raises(Transient):
            await one
    again = asyncio.ensure_future(kept.get("key", ask))
    await asyncio.sleep(0)
    assert len(asked) == 2
    asked[1].set_result(7)
    assert await again == 7


async def test_a_waiter_that_goes_away_takes_nothing_from_the_others(clock, asked, ask):
    kept = Kept(clock, 2)
    leaving, staying = (asyncio.ensure_future(kept.get("key", ask)) for _ in range(2))
    await asyncio.sleep(0)
    leaving.cancel()
    await asyncio.sleep(0)
    asked[0].set_result(7)
    assert await staying == 7
