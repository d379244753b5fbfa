"""Stories that are told once as they should be, and then cut off before and after every single act."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from tests.simulation import contracts
from tests.simulation.acts import Kill
from tests.simulation.bounds import ETHER, SOL
from tests.simulation.door import Door, Refusal
from tests.simulation.faults import CALM
from tests.simulation.run import simulate
from tests.simulation.workload import BEYOND_DELAYS
from tests.simulation.world import World
from waiaas import app

#: seconds between two tries of a caller that got no answer, and how long until everything is final
AGAIN, PATIENCE = 1.0, 600.0
STRANGER, ELSEWHERE = "9B5XszUGdMaxCZ7uSQhPzdks5ZQSmWxrmzCSvtJ6Ns6g", "0x" + "22" * 20
CONFIRMED = {"CONFIRMED"}
KEY = "once"
ROOTS = "SELECT id, status FROM transactions WHERE parent_id IS NULL AND idempotency_key IS NOT NULL"
WAITING = "SELECT COUNT(*) FROM transactions WHERE status = 'QUEUED'"
SIGNED = "SELECT COUNT(*) FROM attempts"
#: what waits for an owner waits for a person
OPEN = """
SELECT (SELECT COUNT(*) FROM transactions t LEFT JOIN transactions p ON p.id = t.parent_id
         WHERE t.finished_at IS NULL AND NOT (COALESCE(p.status, t.status) = 'QUEUED' AND t.tier = 'APPROVAL'))
     + (SELECT COUNT(*) FROM attempts WHERE finished_at IS NULL)
"""


class Send(msgspec.Struct, frozen=True):
    """What a caller wants, and keeps asking for under its key until somebody answers."""

    member: int
    body: dict[str, Any]


class Story:
    """One send; over when it is final, has ended as it should, and nothing is watched any more."""

    def __init__(self, send: Send, ends: set[str]) -> None:
        self.send = send
        self.ends = ends
        self.is_over = False
        self.answer = ""

    async def live(self, world: World, daemon: app.Daemon) -> None:
        """Ask again with the same key, whatever was answered before."""
        door = Door(daemon)
        tx_id = await insist(door, world.wallet.members[self.send.member].token, self.send)
        assert self.answer in ("", tx_id), f"I1: the key was answered with {self.answer} and then with {tx_id}"
        self.answer = tx_id
        await self.meanwhile(world, door)
        await until_final(world)
        [(found, ended)] = world.disk.connection.execute(ROOTS).fetchall()
        assert found == tx_id
        assert ended in self.ends, f"L1: it ended {ended}"
        self.is_over = True

    async def meanwhile(self, world: World, door: Door) -> None:
        """What else happens once it is accepted."""


class Approved(Story):
    """Its owner says yes, and asks for another text as long as nobody has heard."""

    async def meanwhile(self, world: World, door: Door) -> None:
        """Until it is decided."""
        while world.disk.connection.execute(WAITING).fetchone()[0]:
            try:
                await door.decide(self.answer, "approve")
            except Refusal as refusal:
                world.acts.note(f"not approved: {refusal}")
                await asyncio.sleep(AGAIN)


class GrowsDear(Story):
    """Gas costs four times as much as soon as the first bytes are signed."""

    async def meanwhile(self, world: World, door: Door) -> None:
        """From then on, for good."""
        while not world.disk.connection.execute(SIGNED).fetchone()[0]:
            await asyncio.sleep(AGAIN)
        world.weather.price = 4.0


async def insist(door: Door, token: str, send: Send) -> str:
    """Ask again under the same key while the daemon says that it cannot yet."""
    while True:
        try:
            return await door.send(token, send.body, KEY)
        except Refusal as refusal:
            if not refusal.retryable:
                raise
        await asyncio.sleep(AGAIN)


async def until_final(world: World) -> None:
    """Nothing is under way any more, on chain neither; AssertionError when it takes too long."""
    until = world.loop.time() + PATIENCE
    while world.disk.connection.execute(OPEN).fetchone()[0]:
        assert world.loop.time() < until, "L1: something does not end"
        await asyncio.sleep(AGAIN)


def transfer() -> Story:
    """Solana, at once."""
    return Story(Send(0, {"to": STRANGER, "amount": str(SOL // 10)}), CONFIRMED)


def delayed() -> Story:
    """Solana, after a delay."""
    return Story(Send(0, {"to": STRANGER, "amount": str(20 * SOL)}), CONFIRMED)


def approved() -> Story:
    """Solana, with the owner's word."""
    return Approved(Send(0, {"to": STRANGER, "amount": str(BEYOND_DELAYS * SOL)}), CONFIRMED)


def replacement() -> Story:
    """EVM, with dearer bytes for the same nonce."""
    return GrowsDear(Send(2, {"to": ELSEWHERE, "amount": str(ETHER // 100)}), CONFIRMED)


def batch() -> Story:
    """EVM, three items; the second reverts or not, as its hash wills when it lands."""
    items = [
        {"to": ELSEWHERE, "amount": str(ETHER // 100)},
        {"type": "CONTRACT_CALL", "to": contracts.FICKLE, "calldata": "0x12345678", "value": "7"},
        {"to": contracts.SINK, "amount": str(ETHER // 200)},
    ]
    return Story(Send(2, {"type": "BATCH", "instructions": items}), CONFIRMED | {"PARTIAL_FAILURE"})


STORIES: dict[str, Callable[[], Story]] = {
    "transfer": transfer,
    "delayed": delayed,
    "approved": approved,
    "replacement": replacement,
    "batch": batch,
}


def tell(name: str, *kills: Kill) -> World:
    """One telling."""
    return simulate(name, CALM, STORIES[name](), kills=list(kills), ordered=True)


def cuts(name: str, *before: Kill) -> list[Kill]:
    """A kill before and one after every act of a telling; of one with kills `before`, of every act after those."""
    first = max((kill.act for kill in before), default=0) + 1
    return [
        Kill(act, after=after) for act in range(first, tell(name, *before).acts.count + 1) for after in (False, True)
    ]


def pairs(name: str) -> Iterator[list[Kill]]:
    """Every two kills."""
    for first in cuts(name):
        yield from ([first, second] for second in cuts(name, first))
