"""Each row of the state table: how it comes about, and what `migrate` does with it."""

import sqlite3

import pytest

from tests.migrate.conftest import COLOURS, NOW, THINGS
from waiaas.db.migrate import APPLICATION_ID, Kind
from waiaas.errors import MigrationError, NotInitialised, StorageCorrupt


def test_absent_is_created_only_by_whoever_says_so(place):
    assert (place.state.kind, place.state.version, place.state.head) == (Kind.ABSENT, 0, 2)
    with pytest.raises(NotInitialised):
        place.migrate()
    assert not place.path.exists()
    report = place.migrate(create=True)
    assert (report.from_version, report.to_version, report.backup) == (0, 2, None)
    assert [applied.version for applied in report.applied] == [1, 2]
    assert place.path.stat().st_mode & 0o777 == 0o600


def test_a_file_without_tables_is_absent_too_for_it_would_know_no_limits(place):
    place.path.touch(0o600)
    assert place.state.kind is Kind.ABSENT
    with pytest.raises(NotInitialised):
        place.migrate()
    place.migrate(create=True)
    assert place.state.kind is Kind.CURRENT


def test_current_is_left_alone(place):
    place.migrate(create=True)
    before = place.path.read_bytes()
    assert place.state.kind is Kind.CURRENT
    assert place.migrate().applied == ()
    assert place.path.read_bytes() == before
    assert list(place.backups.iterdir()) == []


def test_pending_is_applied(filled):
    assert filled.state.kind is Kind.PENDING
    assert [migration.file for migration in filled.state.pending] == ["0003_colours.sql"]
    assert [applied.name for applied in filled.migrate().applied] == ["colours"]
    assert filled.state.kind is Kind.CURRENT


def newer(place):
    place.write(_0003_colours=COLOURS).migrate(program="9.9", backups=None)
    (place.sql / "0003_colours.sql").unlink()


def changed(place):
    place.write(_0002_things=THINGS + "-- one more word\n")


def renamed(place):
    (place.sql / "0002_things.sql").rename(place.sql / "0002_stuff.sql")


def missing(place):
    place.write(_0003_colours=COLOURS)
    (place.sql / "0002_things.sql").unlink()


def hole_ahead(place):
    place.write(_0004_colours=COLOURS)


def gap(place):
    place.write(_0003_colours=COLOURS)
    place.run("UPDATE schema_migrations SET version = 3, name = 'colours', checksum = ? WHERE version = 2", colours())


def colours():
    import hashlib

    return hashlib.sha256(COLOURS.encode()).hexdigest()


def other_header(place):
    place.run("PRAGMA application_id = 7")


def no_history(place):
    place.run("DROP TABLE schema_migrations")


@pytest.mark.parametrize(
    ("change", "kind", "text"),
    [
        (newer, Kind.NEWER, "0003_colours.sql was applied by WAIaaS 9.9, which is newer"),
        (changed, Kind.CHANGED, "0002_things.sql is not the 0002_things.sql that was applied"),
        (renamed, Kind.CHANGED, "0002_stuff.sql is not the 0002_things.sql that was applied"),
        (missing, Kind.MISSING, "0002_things.sql was applied, but there is no such file"),
        (hole_ahead, Kind.MISSING, "there is no 0003"),
        (gap, Kind.GAP, "0002_things.sql was not applied, but 0003_colours.sql was"),
        (other_header, Kind.FOREIGN, "waiaas.db is a database of another program"),
        (no_history, Kind.FOREIGN, "waiaas.db is a database of another program"),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_is_written(place, change, kind, text):
    place.migrate(create=True)
    change(place)
    before = place.path.read_bytes()
    assert place.state.kind is kind
    for options in ({}, {"dry_run": True}, {"create": True}):
        with pytest.raises(MigrationError, match=text):
            place.migrate(**options)
    assert place.path.read_bytes() == before
    assert list(place.backups.iterdir()) == []
    assert [entry.name for entry in place.path.parent.iterdir()] == ["waiaas.db"]


def test_a_hole_in_the_files_keeps_a_database_from_being_made(place):
    hole_ahead(place)
    with pytest.raises(MigrationError, match="there is no 0003"):
        place.migrate(create=True)
    assert not place.path.exists()


def test_another_programs_database_is_never_touched(place):
    other = sqlite3.connect(place.path)
    other.execute("CREATE TABLE schema_migrations (version INTEGER, dirty INTEGER)")
    other.close()
    before = place.path.read_bytes()
    with pytest.raises(MigrationError):
        place.migrate(create=True)
    assert place.path.read_bytes() == before


def test_a_file_that_is_no_database_is_kept(place):
    place.path.write_bytes(b"something else " * 100)
    with pytest.raises(StorageCorrupt):
        place.migrate(create=True)
    assert place.path.read_bytes() == b"something else " * 100


def test_the_header_and_the_history_tell_what_was_applied(place):
    place.migrate(create=True)
    assert place.run("PRAGMA user_version") == [(2,)]
    assert place.run("PRAGMA application_id") == [(APPLICATION_ID,)]
    rows = place.run("SELECT version, name, applied_at, program FROM schema_migrations")
    assert rows == [(1, "core", NOW, "1.0"), (2, "things", NOW, "1.0")]
