"""A thousand random sends, starts, confirmations, failures, cancels, crashes: no sum passes a limit, nothing leaks."""

import asyncio
import sqlite3
from contextlib import closing, suppress
from random import Random
from typing import Any

import pytest

from tests.world import DEATH, SOL, Mortal, World
from waiaas.domain.transaction import FINAL, Transaction
from waiaas.errors import Conflict, Denied, PendingLimitExceeded, Transient, WaiaasError
from waiaas.pipeline.landing.recover import close_networks, recover
from waiaas.pipeline.waiting.release import Delays
from waiaas.repositories import transactions

HOUR, DAY = 3600, 86400
#: per window in seconds; what one transfer may be, and what one session may move in all
LIMITS, MOST, SESSION = {HOUR: 6 * SOL, DAY: 15 * SOL}, 4 * SOL, 40 * SOL
ACTS, CRASHES = 1000, 12
LEDGER = "SELECT tx_id, kind, state, reserved, settled, settled_at, session_id FROM spend_ledger"
LIVE = "SELECT id, status FROM transactions WHERE finished_at IS NULL ORDER BY id"
LEFT = "SELECT COUNT(*) FROM spend_ledger WHERE state = 'RESERVED'"
MISFIT = """
SELECT t.id FROM transactions t JOIN spend_ledger l ON l.tx_id = t.id
 WHERE (l.state = 'RELEASED') <> (t.status <> 'CONFIRMED' AND NOT (l.kind = 'FEE' AND t.error_code = 'ONCHAIN_FAILURE'))
"""


def look(world: World, sql: str) -> list[tuple[Any, ...]]:
    """What the file holds, past everything that the wallet remembers."""
    with closing(sqlite3.connect(world.data.data / "waiaas.db")) as db:
        return db.execute(sql).fetchall()


def check_sums(world: World, session_id: str) -> None:
    """The sums of every window anew from the rows, in Python integers."""
    now, rows = world.clock.now(), look(world, LEDGER)
    for seconds, most in LIMITS.items():
        used = sum(
            int(reserved) if state == "RESERVED" else int(settled)
            for _, _, state, reserved, settled, at, _ in rows
            if state == "RESERVED" or (state == "SPENT" and at > now - seconds)
        )
        assert used <= most, f"{used} in {seconds} s"
    spent = sum(
        int(settled or reserved)
        for _, kind, state, reserved, settled, _, session in rows
        if session == session_id and kind == "AMOUNT" and state != "RELEASED"
    )
    assert spent <= SESSION


class Wallet:
    """Whoever uses the wallet, at random."""

    def __init__(self, world: World, random: Random) -> None:
        self.world, self.random = world, random
        self.limited: Any = None
        self.delays: Delays
        self.acts = 0

    async def send(self) -> None:
        """One to three at once, some in what could be another process."""
        random, world = self.random, self.world
        cores = [world.core, world.second_core()]
        asks = [
            world.ask(
                random.choice([0, 1000, SOL // 3, SOL, 2 * SOL, MOST, MOST + 1]),
                session=random.choice([world.session, self.limited]),
                # too little to open an account: the chain's simulation refuses it
                to=random.choice([None, "9B5XszUGdMaxCZ7uSQhPzdks5ZQSmWxrmzCSvtJ6Ns6g"]),
                core=random.choice(cores),
                # equal bytes in one slot would be one transaction
                memo=str(random.random()),
            )
            for _ in range(random.choice([1, 1, 2, 3]))
        ]
        self.acts += len(asks) - 1
        for answer in await asyncio.gather(*asks, return_exceptions=True):
            if isinstance(answer, BaseException) and not isinstance(answer, Denied | PendingLimitExceeded):
                raise answer

    async def execute(self) -> None:
        if found := await self.one_of("PENDING", "EXECUTING"):
            with suppress(Transient):
                await self.world.execute(found)

    async def one_of(self, *statuses: str) -> Transaction | None:
        """Any row in one of these."""
        ids = [tx_id for tx_id, status in look(self.world, LIVE) if status in statuses]
        return await transactions.get(self.world.core.db, self.random.choice(ids)) if ids else None

    async def confirm(self) -> None:
        await self.world.confirm()

    async def cancel(self) -> None:
        if found := await self.one_of("PENDING", "QUEUED", "SUBMITTED"):
            with suppress(Conflict):
                await self.world.cancel(found)

    async def release(self) -> None:
        await self.delays.tick()

    async def lose(self) -> None:
        """What is sent next never arrives."""
        self.world.faults.drop("sendTransaction")

    async def wait(self) -> None:
        self.world.clock.move(self.random.choice([1, 30, DEATH, 400, HOUR]))
        await self.world.expire()

    async def step(self) -> None:
        self.acts += 1
        acts = (self.send, self.execute, self.confirm, self.cancel, self.release, self.lose, self.wait)
        await self.random.choices(acts, weights=(30, 30, 20, 5, 7, 2, 6))[0]()


async def live(wallet: Wallet, mortal: Mortal) -> None:
    """Recover, then act until death comes or enough has been done."""
    world = wallet.world
    world.faults.heal()
    async with world.open_core() as core:
        await close_networks(core)
        for network in list(core.reconciling):
            assert await recover(core, network)
        wallet.delays = Delays(core)
        if wallet.limited is None:
            await world.limit(per_transaction=str(MOST), hourly_total=str(LIMITS[HOUR]), daily_total=str(LIMITS[DAY]))
            bounds = {"instant_max": str(SOL), "notify_max": str(2 * SOL), "delay_max": str(3 * SOL)}
            await world.limit(**bounds, delay_seconds=120)
            wallet.limited = await world.issue(max_total_amount=str(SESSION))
        mortal.possess(core, world.faults)
        try:
            while wallet.acts < ACTS and not mortal.dead:
                await wallet.step()
                check_sums(world, wallet.limited.id)
        except (mortal.Death, WaiaasError, AssertionError):
            if not mortal.dead:
                raise
        mortal.leave(core, world.faults)


@pytest.mark.parametrize("seed", [41])
async def test_no_interleaving_of_a_thousand_acts_passes_a_limit_or_leaks_a_reservation(
    world: World, seed: int
) -> None:
    random = Random(seed)
    wallet = Wallet(world, random)
    for _ in range(CRASHES):
        await live(wallet, Mortal(random.randint(1, 2 * ACTS // CRASHES), after=random.random() < 0.5))
    await live(wallet, Mortal())
    world.faults.heal()
    async with world.open_core() as core:
        delays = Delays(core)
        for _ in range(40):
            await delays.tick()
            world.clock.move(DEATH)
            for tx_id, status in look(world, LIVE):
                if status in ("PENDING", "EXECUTING"):
                    await world.execute(await transactions.get(core.db, tx_id))
            await world.confirm()
            if not look(world, LIVE):
                break
        ended = await world.statuses()
    assert set(ended) <= {status.value for status in FINAL}
    assert min(ended["CONFIRMED"], ended["CANCELLED"], ended["FAILED"]) > 2, ended
    assert look(world, LEFT) == [(0,)]
    assert look(world, MISFIT) == []
