"""The same at random on EVM: payments, tokens, allowances, batches and crashes; no sum of any asset passes a limit."""

import sqlite3
from collections import Counter
from contextlib import closing, suppress
from random import Random
from typing import Any

import pytest

from tests.pipeline.ethereum import ETHER, STUCK, EvmWorld, open_evm_world
from tests.world import Mortal
from waiaas.domain.transaction import FINAL, Transaction
from waiaas.errors import Conflict, Denied, PendingLimitExceeded, Transient, WaiaasError
from waiaas.pipeline.family import end_orphans
from waiaas.pipeline.landing.recover import close_networks, recover
from waiaas.pipeline.waiting.release import Delays
from waiaas.repositories import transactions

HOUR, DAY = 3600, 86400
ACTS, CRASHES = 300, 6
NATIVE = "native:ethereum"
#: what may go in an hour and in a day
MONEY, TOKENS = {HOUR: 2 * ETHER, DAY: 5 * ETHER}, {HOUR: 60, DAY: 150}
LEDGER = "SELECT asset, kind, state, reserved, settled, settled_at FROM spend_ledger"
LIVE = "SELECT id, status FROM transactions WHERE finished_at IS NULL ORDER BY id"
#: a batch is booked by its items; a confirmed approval stays open until it is taken
LEAKED = """
SELECT t.id FROM transactions t JOIN spend_ledger l ON l.tx_id = t.id
 WHERE l.state = 'RESERVED' AND NOT (l.kind = 'ALLOWANCE' AND t.status = 'CONFIRMED')
    OR (l.state = 'RELEASED') <> (t.status <> 'CONFIRMED' AND l.kind <> 'FEE') AND l.kind = 'AMOUNT'
"""


def look(eth: EvmWorld, sql: str) -> list[tuple[Any, ...]]:
    """What the file holds, past everything that the wallet remembers."""
    with closing(sqlite3.connect(eth.data.data / "waiaas.db")) as db:
        return db.execute(sql).fetchall()


def check_sums(eth: EvmWorld) -> None:
    """Every window of both assets anew from the rows, open allowances among them."""
    now, rows = eth.clock.now(), look(eth, LEDGER)
    for windows, named in ((MONEY, NATIVE), (TOKENS, eth.token.address.lower())):
        for seconds, most in windows.items():
            used = sum(
                int(reserved) if state == "RESERVED" else int(settled)
                for asset, _, state, reserved, settled, at in rows
                if asset.lower().endswith(named) and (state == "RESERVED" or (state == "SPENT" and at > now - seconds))
            )
            assert used <= most, f"{used} of {named} in {seconds} s"


class Wallet:
    """Whoever uses the wallet, at random."""

    def __init__(self, eth: EvmWorld, random: Random) -> None:
        self.eth, self.random, self.acts = eth, random, 0
        self.asked: Counter[str] = Counter()
        self.delays: Delays

    def item(self) -> Any:
        eth, random = self.eth, self.random
        match random.choice(["pay", "pay", "token", "approve"]):
            case "pay":
                return eth.pay(random.choice([1, ETHER // 10, ETHER, 3 * ETHER]))
            case "token":
                return eth.pay_token(random.choice([1, 10, 30, 61]))
            case _:
                return eth.approve(random.choice([0, 1, 5, 20, 61]))

    async def send(self) -> None:
        is_batch = self.random.random() < 0.3
        request = self.eth.batch(*(self.item() for _ in range(self.random.choice([2, 3])))) if is_batch else self.item()
        with suppress(Denied, PendingLimitExceeded):
            self.asked[(await self.eth.want(request)).type.value] += 1

    async def one_of(self, *statuses: str) -> Transaction | None:
        ids = [tx_id for tx_id, status in look(self.eth, LIVE) if status in statuses]
        return await transactions.get(self.eth.core.db, self.random.choice(ids)) if ids else None

    async def work(self) -> None:
        await self.delays.tick()
        await self.eth.work_some()
        await end_orphans(self.eth.core)

    async def cancel(self) -> None:
        if found := await self.one_of("PENDING", "QUEUED", "SUBMITTED"):
            with suppress(Conflict):
                await self.eth.cancel(found)

    async def lose(self) -> None:
        """What is sent next never arrives."""
        self.eth.faults.drop("eth_sendRawTransaction")

    async def wait(self) -> None:
        self.eth.clock.move(self.random.choice([1, STUCK, 400, HOUR]))
        await self.eth.expire()

    async def step(self) -> None:
        self.acts += 1
        acts = (self.send, self.work, self.cancel, self.lose, self.wait)
        with suppress(Transient):
            await self.random.choices(acts, weights=(40, 40, 6, 3, 8))[0]()


async def permit(eth: EvmWorld) -> None:
    await eth.allow_tokens()
    await eth.allow_approvals()
    bounds = [{"hourly_total": str(most[HOUR]), "daily_total": str(most[DAY])} for most in (MONEY, TOKENS)]
    token = f"ethereum:{eth.token.address}"
    await eth.allow("SPENDING_LIMIT", limits={NATIVE: bounds[0], token: bounds[1]})


async def live(wallet: Wallet, mortal: Mortal) -> None:
    """Recover, then act until death comes or enough has been done."""
    eth = wallet.eth
    eth.faults.heal()
    async with eth.open_core() as core:
        await close_networks(core)
        for network in list(core.reconciling):
            assert await recover(core, network)
        wallet.delays = Delays(core)
        if not wallet.acts:
            await permit(eth)
        mortal.possess(core, eth.faults)
        try:
            while wallet.acts < ACTS and not mortal.dead:
                await wallet.step()
                check_sums(eth)
        except (mortal.Death, WaiaasError, AssertionError):
            if not mortal.dead:
                raise
        mortal.leave(core, eth.faults)


@pytest.mark.parametrize("seed", [7])
async def test_no_interleaving_with_tokens_allowances_and_batches_passes_a_limit_or_leaks(
    evm_template, tmp_path, seed: int
) -> None:
    random = Random(seed)
    async with open_evm_world(*evm_template, tmp_path / "ethereum") as eth:
        wallet = Wallet(eth, random)
        for _ in range(CRASHES):
            await live(wallet, Mortal(random.randint(1, ACTS // CRASHES * 3), after=random.random() < 0.5))
        await live(wallet, Mortal())
        eth.faults.heal()
        async with eth.open_core() as core:
            wallet.delays = Delays(core)
            for _ in range(100):
                await wallet.work()
                eth.clock.move(400)
                if not look(eth, LIVE):
                    break
            ended = await eth.statuses()
    assert set(ended) <= {status.value for status in FINAL}, ended
    assert min(wallet.asked[kind] for kind in ("TRANSFER", "TOKEN_TRANSFER", "APPROVE", "BATCH")) > 2, wallet.asked
    assert min(ended["CONFIRMED"], ended["CANCELLED"]) > 5, ended
    assert look(eth, LEAKED) == []
