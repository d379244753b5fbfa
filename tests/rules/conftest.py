"""The migrated schema, on a real file."""

import sqlite3

import pytest

from waiaas.db.migrate import migrate
from waiaas.db.migrations import find_sql, load


@pytest.fixture(scope="session")
def migrated(tmp_path_factory):
    """A connection to a fresh database with every file of sql/ applied."""
    path = tmp_path_factory.mktemp("schema") / "schema.db"
    migrate(path, load(find_sql()), backups=None, now=0, program="test", create=True)
    connection = sqlite3.connect(path, isolation_level=None)
    yield connection
    connection.close()
