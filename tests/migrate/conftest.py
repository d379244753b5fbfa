"""A directory of numbered files that a test writes, and a place for the database they make."""

import sqlite3
from pathlib import Path

import pytest

from waiaas.db.migrate import Report, State, migrate, state
from waiaas.db.migrations import load

NOW = 1_767_225_600  # 2026-01-01T00:00:00Z

CORE = "CREATE TABLE owners (id INTEGER PRIMARY KEY, name TEXT NOT NULL);\n"
THINGS = """-- Things; each has an owner.
CREATE TABLE things (id INTEGER PRIMARY KEY, owner INTEGER NOT NULL REFERENCES owners(id), note TEXT);
CREATE INDEX idx_things_owner ON things(owner);
CREATE TRIGGER things_stay BEFORE DELETE ON things
BEGIN
  SELECT RAISE(ABORT, 'no; never');
END;
"""
COLOURS = "ALTER TABLE things ADD COLUMN colour TEXT NOT NULL DEFAULT 'none';\n"


class Place:
    """Files, database and backups of one test."""

    def __init__(self, root: Path) -> None:
        self.sql, self.path, self.backups = root / "sql", root / "data" / "waiaas.db", root / "backups"
        for directory in (self.sql, self.path.parent, self.backups):
            directory.mkdir(mode=0o700)

    def write(self, **files: str) -> "Place":
        """`_0001_core="…"` writes sql/0001_core.sql."""
        for name, text in files.items():
            (self.sql / f"{name.removeprefix('_')}.sql").write_text(text)
        return self

    def migrate(self, **options) -> Report:
        options = {"backups": self.backups, "now": NOW, "program": "1.0", **options}
        return migrate(self.path, load(self.sql), **options)

    @property
    def state(self) -> State:
        return state(self.path, load(self.sql))

    def run(self, sql: str, *parameters: object) -> list[tuple]:
        connection = sqlite3.connect(self.path, isolation_level=None)
        try:
            return connection.execute(sql, parameters).fetchall()
        finally:
            connection.close()

    @property
    def content(self) -> list[str]:
        """The whole database as SQL text, header numbers included."""
        connection = sqlite3.connect(self.path)
        numbers = [str(connection.execute(f"PRAGMA {name}").fetchone()) for name in ("user_version", "application_id")]
        dump = [*numbers, *connection.iterdump()]
        connection.close()
        return dump


@pytest.fixture
def place(tmp_path):
    """Two files, nothing applied."""
    return Place(tmp_path).write(_0001_core=CORE, _0002_things=THINGS)


@pytest.fixture
def filled(place):
    """Both applied, with rows, and a third file that is not."""
    place.migrate(create=True)
    place.run("INSERT INTO owners VALUES (1, 'ann'), (2, 'bob')")
    place.run("INSERT INTO things VALUES (1, 1, NULL), (2, 2, 'it; was -- so')")
    return place.write(_0003_colours=COLOURS)
