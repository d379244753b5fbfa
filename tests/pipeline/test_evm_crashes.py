"""A daemon on an EVM chain that dies before any of its acts: whoever opens its directory next ends with one effect.

Only commits and bytes on a socket change the world outside memory, and "act k done, its reply lost" leaves the same as
"killed before act k + 1". So every story is told until it has been cut off before each of its acts.
"""

import asyncio
from contextlib import suppress
from itertools import count

import pytest

from tests.pipeline.ethereum import ETHER, STUCK, open_evm_world
from tests.pipeline.market import Market, watch_market
from tests.world import Mortal
from waiaas.domain.transaction import FINAL, AttemptStatus
from waiaas.errors import AlreadyProcessed, WaiaasError
from waiaas.pipeline.family import end_orphans
from waiaas.pipeline.landing.recover import close_networks, recover
from waiaas.repositories import attempts, transactions

ROUNDS = 10


def asked(eth, name: str):
    match name:
        case "batch":
            return eth.batch(eth.pay(1000), eth.pay(2000))
        case "reset":
            return eth.approve(7)
    return eth.pay(1000)


async def live(eth, name: str) -> None:
    """What a client and the workers do, from the request to the end."""
    tx = await eth.want(asked(eth, name), key="k")
    match name:
        case "transfer":
            await eth.work()
        case "batch" | "reset":
            for _ in range(3):
                await eth.work()
        case "replaced" | "cancelled on chain":
            await eth.node.hold()
            await eth.execute(tx)
            if name == "replaced":
                market = watch_market(eth, Market(0, 0))
                market.base = market.tip = 10**10
                await eth.confirm(STUCK)
            else:
                await eth.sped_up(tx, cancel=True)
            await eth.node.mine()
            await eth.confirm()
        case "stranger":
            await eth.node.hold()
            await eth.execute(tx)
            await eth.spend_elsewhere(0)
            await eth.node.mine()
            await eth.node.call("evm_setAutomine", True)
            await eth.confirm(3)
            await eth.confirm()


async def carry_on(eth, name: str) -> list:
    """What the next daemon does: recovery first, then the client's retry, then the workers."""
    eth.faults.heal()
    await eth.node.call("evm_setAutomine", True)
    async with eth.open_core() as core:
        await close_networks(core)
        for network in list(core.reconciling):
            assert await recover(core, network)
        with suppress(AlreadyProcessed):
            await eth.want(asked(eth, name), key="k")
        for _ in range(ROUNDS):
            await eth.work()
            await end_orphans(core)
            if all(row.finished_at for row in await eth.rows()):
                break
        await eth.confirm()
        open_attempts, _ = await attempts.open_on(core.db, eth.network)
        assert open_attempts == []
        return [row for row in await eth.rows() if row.type != "APPROVE" or row.idempotency_key == "k"]


ENDS = {
    "transfer": {("CONFIRMED", 1000)},
    "batch": {("CONFIRMED", 3000)},
    "reset": {("CONFIRMED", 0)},
    "replaced": {("CONFIRMED", 1000)},
    "cancelled on chain": {("CONFIRMED", 1000), ("FAILED", 0)},
    "stranger": {("CONFIRMED", 1000)},
}


async def prepare(eth, name: str) -> None:
    async with eth.open_core():
        if name == "reset":
            await eth.allow_approvals()
            await eth.want(eth.approve(5))
            await eth.all_done()
        if name == "stranger":
            await eth.export()


@pytest.mark.parametrize("name", ENDS)
async def test_death_before_any_act_ends_in_one_effect(evm_template, tmp_path, name):
    for act in count(1):
        async with open_evm_world(*evm_template, tmp_path / str(act)) as eth:
            await prepare(eth, name)
            mortal = Mortal(act)
            async with eth.open_core() as core:
                mortal.possess(core, eth.faults)
                with suppress(WaiaasError, mortal.Death, AssertionError):
                    await live(eth, name)
                mortal.leave(core, eth.faults)
            rows = await carry_on(eth, name)
            parent = rows[0]
            paid = await eth.node.balance(eth.bob.public_key) - 100 * ETHER
            assert (parent.status.value, paid) in ENDS[name], f"before act {act}: {parent.error}"
        if not mortal.dead:
            break
    assert act > 8


# --- the points of proof.md, by name ----------------------------------------------------------------


async def dead_after(eth, request, *, sql: str | None = None, method: str | None = None):
    """A daemon that died right after a commit that carries `sql`, or before its next call of `method` arrived."""
    mortal = Mortal(sql=sql, method=method)
    async with eth.open_core() as core:
        mortal.possess(core, eth.faults)
        with suppress(WaiaasError, mortal.Death):
            await eth.want(request, key="k")
            await eth.all_done()
        mortal.leave(core, eth.faults)
        assert mortal.dead
        return (await eth.rows())[0]


@pytest.fixture
async def shut(evm_template, tmp_path):
    """A wallet of which nothing of the daemon is open."""
    async with open_evm_world(*evm_template, tmp_path / "wallet") as opened:
        yield opened


async def test_point_f_signed_and_not_sent_the_same_bytes_go(shut):
    row = await dead_after(shut, shut.pay(), sql=transactions.MARK_SUBMITTED)
    assert (row.status.value, shut.faults.sent) == ("SUBMITTED", [])
    async with shut.open_core() as core:
        await close_networks(core)
        assert await recover(core, shut.network)
        (attempt,) = await shut.attempts(row)
        assert shut.faults.sent == [attempt.raw]
        await shut.confirm()
        assert await shut.said(row) == [("CONFIRMED", None)]


async def test_point_h_a_replacement_beside_its_predecessor_is_followed_whichever_lands(shut):
    async with shut.open_core():
        await shut.node.hold()
        tx = await shut.execute(await shut.want(shut.pay(), key="k"))
    mortal = Mortal(sql=attempts.REPLACE)
    async with shut.open_core() as core:
        mortal.possess(core, shut.faults)
        with suppress(mortal.Death):
            await shut.sped_up(tx)
        mortal.leave(core, shut.faults)
    async with shut.open_core() as core:
        assert await shut.states(tx) == [("SEND", AttemptStatus.REPLACED), ("SPEED_UP", AttemptStatus.LIVE)]
        await close_networks(core)
        assert await recover(core, shut.network)
        await shut.node.mine()
        await shut.confirm()
        assert await shut.said(tx) == [("CONFIRMED", None)]


async def test_point_h_between_two_items_goes_on_once(shut):
    row = await dead_after(shut, shut.batch(shut.pay(1), shut.pay(2)), sql=transactions.MARK_CONFIRMED)
    assert row.status.value == "SUBMITTED"
    async with shut.open_core() as core:
        await close_networks(core)
        if core.reconciling:
            assert await recover(core, shut.network)
        again = await shut.try_(shut.batch(shut.pay(1), shut.pay(2)), key="k")
        assert (again.tx.id, again.replayed) == (row.id, True)
        await shut.all_done()
        assert await shut.said(row, *await shut.children(row)) == [("CONFIRMED", None)] * 3
        assert await shut.balance(shut.bob) == 100 * ETHER + 3


async def test_the_whole_daemon_takes_up_what_another_left(shut):
    """With its workers: a batch, a reset and a plain transfer, cut off in the middle."""
    async with shut.open_core():
        await shut.allow_approvals()
        await shut.want(shut.approve(5))
        await shut.all_done()
        txs = [await shut.want(each) for each in (shut.batch(shut.pay(1), shut.pay(2)), shut.approve(7), shut.pay(3))]
        await shut.work_some()
    shut.time_passes()
    async with shut.open_daemon() as daemon:
        async with asyncio.timeout(40):
            # what has to wait for another's nonces is tried again when time has passed
            while not all([(await shut.row(tx)).status in FINAL for tx in txs]):
                shut.clock.move(1)
                await asyncio.sleep(0.05)
        assert [(await shut.row(tx)).status.value for tx in txs] == ["CONFIRMED"] * len(txs)
        assert daemon.core.reconciling == set()
