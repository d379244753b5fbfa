"""The mark beside the database: where the audit log stood, whether the last run ended well, and the clock."""

import msgspec
import pytest

from waiaas.errors import ClockWentBack
from waiaas.repositories import audit, settings
from waiaas.workers.marker import Mark, open_marker, was_clean


@pytest.fixture
def opening(world, core):
    """Opens the marker as a start does."""

    def start(*, accept_clock: bool = False):
        installation = core.keystore.installation
        return open_marker(core.db, core.clock, world.data.epoch, installation, accept_clock=accept_clock)

    return start


async def events(core) -> list[str]:
    return [row["event_type"] for row in await core.db.fetch_all("SELECT event_type FROM audit_log ORDER BY id")]


async def test_a_mark_names_the_newest_audit_row(world, core, opening):
    marker = await opening()
    await marker.note()
    mark = msgspec.json.decode(world.data.epoch.read_bytes(), type=Mark)
    assert (mark.audit_id, mark.audit_hash) == await audit.head(core.db)
    assert (mark.epoch, mark.clean, mark.installation) == (1, False, core.keystore.installation)
    written = world.data.epoch.stat().st_mtime_ns
    await marker.note()
    assert world.data.epoch.stat().st_mtime_ns == written


async def test_a_run_that_did_not_end_well_is_told_of_at_the_next_start(core, opening):
    await (await opening()).close()
    await (await opening()).note()
    assert "DAEMON_UNCLEAN_STOP" not in await events(core)
    marker = await opening()
    assert (await events(core)).count("DAEMON_UNCLEAN_STOP") == 1
    await marker.close()
    await opening()
    assert (await events(core)).count("DAEMON_UNCLEAN_STOP") == 1


@pytest.mark.parametrize("content", [None, b"", b"{}", b'{"clean":'])
def test_a_mark_that_cannot_be_read_counts_as_unclean(tmp_path, content):
    path = tmp_path / "epoch.json"
    if content is not None:
        path.write_bytes(content)
    assert not was_clean(path)


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
