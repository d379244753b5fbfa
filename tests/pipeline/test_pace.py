"""The chain is asked for a transaction at every look while it moves, and less often once it has stood still."""

import pytest

from tests.pipeline.ethereum import STUCK
from waiaas.domain.transaction import AttemptStatus
from waiaas.errors import Transient
from waiaas.pipeline.pace import pause

MINUTE, HOUR = 60, 3600
ASKED = "eth_getTransactionReceipt"


@pytest.fixture
async def held(eth):
    """A payment that the node has taken and puts into no block."""
    await eth.node.hold()
    return await eth.execute(await eth.want(eth.pay(1000)))


async def looks(eth, seconds: int, each: float) -> int:
    """How often it is asked for in a time, at a look every so many seconds."""
    before = eth.faults.seen[ASKED]
    for _ in range(int(seconds / each)):
        await eth.confirm(each)
    return eth.faults.seen[ASKED] - before


def test_the_bounds_of_age() -> None:
    assert [pause(age) for age in (-5, 0, 299, 300, 3599, 3600, 10**6)] == [0, 0, 0, 15, 15, 60, 60]


async def test_what_is_old_is_asked_for_less_often_and_still_lands(eth, held):
    assert await looks(eth, 20, 1) == 20
    eth.clock.move(5 * MINUTE)
    assert await looks(eth, MINUTE, 5) == 4
    eth.clock.move(HOUR)
    assert await looks(eth, 2 * MINUTE, 5) == 2
    await eth.node.mine()
    await eth.confirm(MINUTE)
    assert await eth.said(held) == [("CONFIRMED", None)]


async def test_what_was_seen_or_signed_lately_is_young(eth, held):
    eth.clock.move(2 * HOUR)
    await eth.confirm()
    await eth.sped_up(held)
    assert await looks(eth, 5, 1) == 10
    eth.clock.move(2 * HOUR)
    eth.not_final()
    await eth.node.mine()
    await eth.confirm()
    assert [status for _, status in await eth.states(held)] == [AttemptStatus.REPLACED, AttemptStatus.LANDED]
    assert await looks(eth, 5, 1) == 10
    eth.faults.heal()
    await eth.confirm(STUCK)
    assert [status for _, status in await eth.states(held)] == [AttemptStatus.DEAD, AttemptStatus.LANDED]


async def test_a_start_asks_for_everything(eth, held):
    eth.clock.move(2 * HOUR)
    await eth.confirm()
    assert await looks(eth, 5, 1) == 0
    eth.core = eth.second_core()
    assert await looks(eth, 1, 1) == 1
    await eth.node.mine()
    await eth.confirm(MINUTE)


async def test_a_look_that_nobody_answered_is_no_look(eth, held):
    eth.clock.move(2 * HOUR)
    await eth.node.mine()
    eth.faults.drop(ASKED)
    with pytest.raises(Transient):
        await eth.confirm()
    await eth.confirm()
    assert await eth.said(held) == [("CONFIRMED", None)]
