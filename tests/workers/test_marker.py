"""The mark beside the database: where the audit log stood, whether the last run ended well, and the clock."""

import shutil

import msgspec
import pytest

from waiaas.domain.event import SYSTEM
from waiaas.errors import ClockWentBack
from waiaas.repositories import audit, settings
from waiaas.workers.marker import Mark, first_mark, open_marker, read_mark


@pytest.fixture
def opening(world, core):
    """Opens the marker as a start does."""

    def start(*, accept_clock: bool = False):
        return open_marker(core, world.data.epoch, accept_clock=accept_clock)

    return start


@pytest.fixture
def edit(world):
    """Changes fields of the mark."""

    def change(**fields):
        mark = msgspec.structs.replace(read_mark(world.data.epoch), **fields)
        world.data.epoch.write_bytes(msgspec.json.encode(mark))

    return change


async def events(core) -> list[str]:
    return [row["event_type"] for row in await core.db.fetch_all("SELECT event_type FROM audit_log ORDER BY id")]


async def why(core) -> list[str]:
    """What each DATABASE_RESTORED gives for its reason."""
    sql = "SELECT details FROM audit_log WHERE event_type = 'DATABASE_RESTORED' ORDER BY id"
    return [msgspec.json.decode(row["details"])["why"] for row in await core.db.fetch_all(sql)]


async def test_a_new_wallet_has_a_mark_and_each_start_writes_the_next(world, core, opening):
    assert read_mark(world.data.epoch).epoch == 0
    await opening()
    mark = read_mark(world.data.epoch)
    assert (mark.audit_id, mark.audit_hash) == await audit.head(core.db)
    assert (mark.epoch, mark.clean, mark.installation) == (1, False, core.keystore.installation)
    assert await settings.find(core.db, "epoch") == 1


async def test_a_mark_that_a_former_wallet_left_is_not_held_against_a_new_one(world, core, edit, opening):
    edit(installation="of a wallet that was deleted")
    await first_mark(core.db, world.clock, world.data.epoch, core.keystore.installation)
    await opening()
    assert await why(core) == []


async def test_a_mark_names_the_newest_audit_row(world, core, opening):
    marker = await opening()
    await world.revoke()
    await marker.note()
    mark = msgspec.json.decode(world.data.epoch.read_bytes(), type=Mark)
    assert (mark.audit_id, mark.audit_hash) == await audit.head(core.db)
    written = world.data.epoch.stat().st_mtime_ns
    await marker.note()
    assert world.data.epoch.stat().st_mtime_ns == written


async def test_a_run_that_did_not_end_well_is_told_of_at_the_next_start(world, core, opening):
    await (await opening()).close()
    await (await opening()).note()
    assert "DAEMON_UNCLEAN_STOP" not in await events(core)
    marker = await opening()
    assert (await events(core)).count("DAEMON_UNCLEAN_STOP") == 1
    await marker.close()
    clean = world.data.epoch.read_bytes()
    await opening()
    assert (await events(core)).count("DAEMON_UNCLEAN_STOP") == 1
    # ended between the commit of its epoch and its first mark: what lies there is clean, and of the run before
    world.data.epoch.write_bytes(clean)
    await opening()
    assert (await events(core)).count("DAEMON_UNCLEAN_STOP") == 2
    assert await why(core) == []


async def test_a_mark_that_is_older_than_the_database_is_no_reason_for_doubt(world, core, opening):
    await opening()
    old = world.data.epoch.read_bytes()
    await world.revoke()
    for _ in range(2):
        world.data.epoch.write_bytes(old)
        await opening()
    assert await why(core) == []


@pytest.mark.parametrize("content", [None, b"", b"{}", b'{"clean":'])
async def test_without_a_mark_that_can_be_read_the_database_is_doubted(world, core, opening, content):
    await (await opening()).close()
    world.data.epoch.unlink()
    if content is not None:
        world.data.epoch.write_bytes(content)
    await opening()
    assert await why(core) == ["no_mark"]
    assert core.gap.lost_to == world.clock.now()
    assert read_mark(world.data.epoch).epoch == 2


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"installation": "another"}, "other_installation"),
        ({"epoch": 7}, "older_epoch"),
        ({"audit_id": 10_000}, "rows_missing"),
        ({"audit_hash": "0" * 64}, "other_rows"),
    ],
)
async def test_a_mark_that_the_database_does_not_bear_out_is_believed(core, opening, edit, fields, reason):
    await (await opening()).close()
    edit(**fields)
    await (await opening()).close()
    assert await why(core) == [reason]
    # the new epoch is above every one that was marked: said once, it is not said again
    assert await settings.find(core.db, "epoch") == fields.get("epoch", 1) + 1
    await opening()
    assert await why(core) == [reason]


async def test_a_start_that_ends_before_its_mark_is_begun_again(world, core, opening, edit):
    await (await opening()).close()
    edit(audit_id=10_000)
    before = world.data.epoch.with_name("before.json")
    shutil.copy(world.data.epoch, before)
    await opening()
    resumed = await world.agent()
    shutil.move(before, world.data.epoch)
    await opening()
    assert await why(core) == ["rows_missing"] * 2
    assert (await world.agent()).suspended_at == resumed.suspended_at


async def test_a_gap_begins_with_what_the_copy_knew_however_often_it_is_noticed(world, core, opening, edit):
    await (await opening()).close()
    edit(audit_id=10_000, clean=False)
    before, began = world.data.epoch.read_bytes(), await audit.newest_at(core.db)
    for _ in range(3):
        world.clock.step(1000)
        world.data.epoch.write_bytes(before)
        await opening()
        assert (core.gap.lost_from, core.gap.lost_to) == (began, world.clock.now())


async def test_a_migration_of_the_copy_does_not_hide_the_gap(world, core, opening, edit):
    await (await opening()).close()
    edit(audit_id=10_000)
    began, ended = await audit.newest_at(core.db), read_mark(world.data.epoch).at
    world.clock.step(1000)
    await core.db.commit(audit.record("DATABASE_MIGRATED", SYSTEM, world.clock.now()))
    await opening()
    assert (core.gap.lost_from, core.gap.lost_to) == (began, ended)


async def test_rows_from_before_a_clock_was_put_back_are_from_before_the_gap(world, core, opening, edit):
    await (await opening()).close()
    tx = await world.send(1)
    edit(audit_id=10_000)
    world.clock._latest = 0
    world.clock.step(-1000)
    await opening(accept_clock=True)
    assert core.gap.noticed_at >= tx.created_at > world.clock.now()


async def test_a_clock_that_went_back_stops_the_start_unless_that_is_accepted(world, core, opening):
    await opening()
    world.clock.step(-61)
    fresh = world.second_core()
    fresh.clock._latest = 0
    with pytest.raises(ClockWentBack):
        await opening()
    await opening(accept_clock=True)
    assert await settings.find(core.db, "clock_seen") == world.clock.now()


async def test_a_minute_back_is_tolerated_and_1970_is_not(world, core, opening):
    await opening()
    world.clock._latest = 0
    world.clock.step(-60)
    await opening()
    world.clock._latest = 0
    world.clock._wall = 1000.0
    with pytest.raises(ClockWentBack):
        await opening()
