"""F12: an older database is put in the place of the present one; nothing that it remembers may happen twice."""

import sqlite3
from contextlib import asynccontextmanager, closing

import pytest

from tests.api.client import MASTER, client_of, code
from tests.pipeline.ethereum import ETHER, open_evm_world
from tests.pipeline.owners import owned
from tests.world import DEATH, SOL, open_world
from waiaas.auth import nonces
from waiaas.auth.tokens import PREVIOUS, Tokens
from waiaas.domain.agent import AgentStatus
from waiaas.domain.transaction import Status
from waiaas.errors import StorageBusy, Transient
from waiaas.pipeline.family import end_orphans
from waiaas.pipeline.landing.recover import close_networks, recover
from waiaas.pipeline.registry import agents as making
from waiaas.pipeline.requests.withdraw import withdraw
from waiaas.pipeline.stops import suspend, switch
from waiaas.repositories import agents, audit, sessions, settings
from waiaas.workers.marker import open_marker, read_mark

DELAYED = 11 * SOL
TOLD = "SELECT details FROM {table} WHERE event_type = 'DATABASE_RESTORED'"
COUNT = "SELECT COUNT(*) AS n FROM {table}"


def database(world):
    return world.data.data / "waiaas.db"


def copied(world):
    """Yesterday's backup."""
    to = world.data.root.parent / "yesterday.db"
    with closing(sqlite3.connect(database(world))) as present, closing(sqlite3.connect(to)) as copy:
        present.backup(copy)
    return to


def put_back(world, copy):
    """With the daemon stopped, as somebody does who knows nothing of any marker."""
    for name in ("waiaas.db", "waiaas.db-wal", "waiaas.db-shm"):
        (world.data.data / name).unlink(missing_ok=True)
    database(world).write_bytes(copy.read_bytes())


@asynccontextmanager
async def running(world):
    """The daemon's parts from a start to a clean stop, marker and all; the test does what workers would do."""
    async with world.open_core() as core:
        marker = await open_marker(core, world.data.epoch, accept_clock=False)
        await close_networks(core)
        yield core
        await marker.close()


@pytest.fixture
async def wallet(template, tmp_path):
    """A wallet whose daemon is not running, on a chain where time passes."""
    async with open_world(*template, tmp_path / "wallet") as world:
        world.time_passes()
        yield world


async def one(core, sql):
    row = await core.db.fetch_one(sql)
    return row[0] if row else None


async def mark_lost(world, *lost):
    """What landed and the older database does not know: strangers to it."""
    rows = [await world.row(tx) for tx in lost]
    assert {row.status for row in rows} == {Status.CONFIRMED}
    world.strangers += [row.tx_hash for row in rows]


async def test_what_an_older_database_remembers_as_open_is_not_done_again(wallet):
    world = wallet
    async with running(world) as core:
        await world.execute(signed := await world.send(1))
        world.faults.drop("simulateTransaction")
        started = await world.send(2)
        with pytest.raises(Transient):
            await world.execute(started)
        waits, delayed = await world.send(3), await world.send(DELAYED)
        await nonces.issue(core.db, now=core.clock.now(), most=9)
        now, tokens = core.clock.now(), await Tokens.load(core.db, core.keystore, core.clock)
        token = tokens.issue(world.session.id, world.alice.id, now=now, expires_at=now + 3600)
        yesterday = copied(world)
        had = await world.balance(world.bob)
        await world.work()
        await mark_lost(world, started, waits)
        newest = core.clock.now()
    put_back(world, yesterday)
    async with world.open_daemon() as daemon, client_of(daemon) as client:
        core = daemon.core
        assert (await world.ended(signed)).status is Status.CONFIRMED
        for tx, end in [(started, Status.FAILED), (waits, Status.CANCELLED), (delayed, Status.CANCELLED)]:
            row = await world.row(tx)
            assert (row.status, row.error_code) == (end, "RESTORED")
            assert {state for state, _ in (await world.booked(tx)).values()} == {"RELEASED"}
        for agent_id in (world.alice.id, world.bob.id):
            agent = await agents.get(core.db, agent_id)
            assert (agent.status, agent.suspension_reason) == (AgentStatus.SUSPENDED, "restored")
        assert (await sessions.find(core.db, world.session.id)).revoked_at
        assert await one(core, COUNT.format(table="nonces")) == 0
        old = {"Authorization": f"Bearer {token}"}
        assert code(await client.get("/v1/wallet/address", headers=old)) == (401, "INVALID_TOKEN")
        assert await settings.find(core.db, PREVIOUS) is None
        assert core.gap.lost_to == newest
        health = (await client.get("/health")).json()
        assert health["status"] in ("degraded", "reconciling")
        [warning] = [said for said in health["warnings"] if "back in time" in said]
        assert core.gap.span in warning
        detail = (await client.get(f"/v1/agents/{world.alice.id}", headers=MASTER)).json()
        assert (detail["lostFrom"], detail["lostTo"]) == (core.gap.lost_from, core.gap.lost_to)
        assert "2 agents" in warning
        for agent_id in (world.alice.id, world.bob.id):
            await client.post(f"/v1/agents/{agent_id}/resume", headers=MASTER)
        details = await one(core, "SELECT details FROM audit_log WHERE event_type = 'AGENT_RESUMED'")
        assert f'"lostTo":{newest}' in details
        assert not any("back in time" in said for said in (await client.get("/health")).json()["warnings"])
        assert "lostFrom" not in (await client.get(f"/v1/agents/{world.alice.id}", headers=MASTER)).json()
    # once each: what was signed before, and what the older database had still to sign
    async with world.open_core():
        assert await world.balance(world.bob) == had + 1 + 2 + 3


async def test_an_agent_that_was_being_made_when_it_was_copied_is_stopped_too(wallet, monkeypatch):
    world = wallet
    async with running(world) as core:
        with monkeypatch.context() as patch:

            async def killed(*_):
                raise StorageBusy("killed here")

            patch.setattr(making, "activate", killed)
            with pytest.raises(StorageBusy):
                made = making.create(
                    core, name="carol", chain=world.alice.chain, network=world.network, actor=world.operator
                )
                await made
        yesterday = copied(world)
        # the next start finished it, and it went to work
        await making.finish_creations(core)
        [carol] = [agent for agent in await agents.page(core.db, limit=9) if agent.name == "carol"]
        assert carol.status is AgentStatus.ACTIVE
    put_back(world, yesterday)
    async with world.open_daemon() as daemon:
        carol = await agents.get(daemon.core.db, carol.id)
        assert (carol.status, carol.suspension_reason) == (AgentStatus.SUSPENDED, "restored")


async def test_it_is_told_of_once_in_the_commit_that_does_it(wallet):
    world = wallet
    async with running(world):
        yesterday = copied(world)
        await mark_lost(world, await world.pay())
    put_back(world, yesterday)
    async with running(world) as core:
        assert '"lostFrom":' in await one(core, TOLD.format(table="audit_log"))
        assert '"agentsSuspended":2' in await one(core, TOLD.format(table="outbox").replace("details", "payload"))
        stored = await settings.find(core.db, "epoch")
    async with running(world) as core:
        sql = "SELECT COUNT(*) FROM audit_log WHERE event_type IN ('DATABASE_RESTORED', 'DAEMON_UNCLEAN_STOP')"
        assert await one(core, sql) == 1
        assert await settings.find(core.db, "epoch") == stored + 1
        # what it was is known after a restart too
        assert core.gap.why == "rows_missing"


async def test_recovery_finds_what_was_paid_in_the_gap(wallet):
    world = wallet
    async with running(world):
        await world.pay()
        yesterday = copied(world)
        await mark_lost(world, await world.pay())
    put_back(world, yesterday)
    async with running(world) as core:
        assert await recover(core, world.network)
        assert world.strangers[0] in await one(core, "SELECT details FROM audit_log WHERE event_type = 'UNKNOWN_SPEND'")
        # the gap is still to be shown to whoever resumes it
        assert (await world.agent()).suspension_reason == "restored"


async def test_a_kill_is_no_restore(wallet):
    world = wallet
    async with running(world):
        await world.pay()
    async with world.open_core() as core:
        await open_marker(core, world.data.epoch, accept_clock=False)
        paid, waits = await world.pay(), await world.send(DELAYED)
    async with world.open_daemon() as daemon:
        kinds = {row[0] for row in await daemon.core.db.fetch_all("SELECT event_type FROM audit_log")}
        assert kinds & {"DATABASE_RESTORED", "DAEMON_UNCLEAN_STOP"} == {"DAEMON_UNCLEAN_STOP"}
        assert ((await world.row(paid)).status, (await world.row(waits)).status) == (Status.CONFIRMED, Status.QUEUED)
        assert (await world.agent()).status is AgentStatus.ACTIVE


async def test_a_commit_that_fails_leaves_the_mark_for_the_next_start(wallet, monkeypatch):
    world = wallet
    async with running(world):
        yesterday = copied(world)
        await mark_lost(world, await world.pay())
    put_back(world, yesterday)
    before = read_mark(world.data.epoch)
    async with world.open_core() as core:
        with monkeypatch.context() as patch:

            async def refuse(*_):
                raise StorageBusy("not now")

            patch.setattr(core.db, "commit", refuse)
            with pytest.raises(StorageBusy):
                await open_marker(core, world.data.epoch, accept_clock=False)
    assert read_mark(world.data.epoch) == before
    async with running(world):
        assert (await world.agent()).suspension_reason == "restored"


async def test_a_crash_leaves_all_of_it_done_or_nothing(wallet):
    world = wallet
    async with running(world):
        yesterday = copied(world)
        await mark_lost(world, await world.pay())
    put_back(world, yesterday)
    commits = 0
    async with world.open_core() as core:
        commit = core.db.commit

        async def count(*statements):
            nonlocal commits
            commits += any(statement.params.get("key") == "epoch" for statement in statements)
            await commit(*statements)
            if commits:
                assert (await world.agent()).suspension_reason == "restored"

        core.db.commit = count
        await open_marker(core, world.data.epoch, accept_clock=False)
    assert commits == 1


async def test_the_database_that_was_replaced_is_noticed_too_when_it_comes_back(wallet):
    world = wallet
    async with running(world):
        yesterday = copied(world)
        await mark_lost(world, await world.pay())
    today = world.data.root.parent / "today.db"
    copied(world).rename(today)
    world.strangers.clear()
    assert yesterday != today
    async with running(world) as core:
        for _ in range(3):
            await core.db.commit(audit.record("AUTH_FAILED", world.operator, core.clock.now()))
    put_back(world, today)
    async with running(world) as core:
        assert core.gap.why in ("rows_missing", "older_epoch")


async def test_lifting_the_kill_switch_resumes_nobody_who_was_restored(wallet):
    world = wallet
    async with running(world):
        await world.activate()
        yesterday = copied(world)
        await world.recover()
    put_back(world, yesterday)
    async with running(world) as core:
        assert (await switch.recover(core, b"correct horse battery staple", world.operator)).agents_resumed == 0
        assert (await world.agent()).suspension_reason == "restored"
        assert (await suspend.resume(core, world.alice.id, world.operator)).status is AgentStatus.ACTIVE


async def test_bytes_from_before_the_gap_that_die_are_not_signed_again(wallet):
    world = wallet
    async with running(world) as core:
        await owned(world)
        world.faults.drop("sendTransaction", times=99)
        # no session, and a suspended agent's money may go home: nothing else stops it
        [tx] = (await withdraw(core, world.alice.id, "native", tokens=(), key=None, actor=world.operator)).rows
        await world.execute(tx)
        yesterday = copied(world)
        world.faults.heal()
        await world.confirm(DEATH)
        await world.confirm()
        assert len(await world.attempts(tx)) == 2
        await mark_lost(world, tx)
    put_back(world, yesterday)
    async with running(world) as core:
        await core.chains.chain(world.network).faucet(world.alice.public_key, SOL)
        await world.confirm(DEATH)
        assert len(await world.attempts(tx)) == 1
        row = await world.row(tx)
        # it was paid in the gap: nothing may say that it never was
        assert (row.status, row.error_code) == (Status.EXPIRED, "RESTORED")
        assert await world.balance(world.alice) == SOL


async def test_a_nonce_that_was_used_in_the_gap_is_not_called_a_strangers(evm_template, tmp_path):
    async with open_evm_world(*evm_template, tmp_path / "ethereum") as eth:
        async with running(eth):
            await eth.node.hold()
            tx = await eth.execute(await eth.want(eth.pay(5)))
            yesterday = copied(eth)
            await eth.sped_up(tx)
            eth.strange += [attempt.raw for attempt in await eth.attempts(tx)]
            await eth.node.mine()
            await eth.confirm()
            assert await eth.said(tx) == [("CONFIRMED", None)]
        put_back(eth, yesterday)
        async with running(eth):
            await eth.confirm(2)
            assert await eth.said(tx) == [("FAILED", "RESTORED")]
            assert await eth.balance(eth.bob) == 100 * ETHER + 5


async def test_a_batch_goes_no_further_than_the_item_that_was_signed(evm_template, tmp_path):
    async with open_evm_world(*evm_template, tmp_path / "ethereum") as eth:
        async with running(eth):
            batch = await eth.want(eth.batch(eth.pay(1), eth.pay(2), eth.pay(3)))
            first, second, third = await eth.children(batch)
            await eth.execute(first)
            yesterday = copied(eth)
            await eth.all_done()
            assert await eth.said(batch) == [("CONFIRMED", None)]
            eth.strange += [attempt.raw for item in (second, third) for attempt in await eth.attempts(item)]
        put_back(eth, yesterday)
        async with running(eth):
            await eth.confirm()
            await eth.work()
            await end_orphans(eth.core)
            void = ("CANCELLED", "RESTORED")
            assert await eth.said(batch, first, second, third) == [
                ("PARTIAL_FAILURE", "RESTORED"),
                ("CONFIRMED", None),
                void,
                void,
            ]
            assert await eth.balance(eth.bob) == 100 * ETHER + 6


async def test_a_batch_that_had_begun_and_signed_nothing_ends_whole(evm_template, tmp_path):
    async with open_evm_world(*evm_template, tmp_path / "ethereum") as eth:
        async with running(eth):
            batch = await eth.want(eth.batch(eth.pay(1), eth.pay(2)))
            eth.faults.drop("eth_estimateGas", times=9)
            with pytest.raises(Transient):
                await eth.execute((await eth.children(batch))[0])
            yesterday = copied(eth)
            await eth.revoke()
        put_back(eth, yesterday)
        async with running(eth):
            said = await eth.said(batch, *await eth.children(batch))
            assert said == [("FAILED", "RESTORED"), ("FAILED", "RESTORED"), ("CANCELLED", "RESTORED")]
