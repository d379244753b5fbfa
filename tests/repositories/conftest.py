"""A migrated file for every test, opened as the daemon opens it, and one factory per thing."""

import shutil

import pytest

from tests.repositories.make import NOW, Rows
from waiaas.db import Database
from waiaas.db.migrate import migrate
from waiaas.db.migrations import find_sql, load
from waiaas.repositories import audit, settings


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("migrated") / "waiaas.db"
    migrate(path, load(find_sql()), backups=None, now=NOW, program="test", create=True)
    return path


@pytest.fixture
async def db(migrated_file, tmp_path):
    path = tmp_path / "waiaas.db"
    shutil.copy(migrated_file, path)
    async with Database.open(path, readers=1, functions=audit.FUNCTIONS) as opened:
        await opened.commit(settings.put("installation", "0199-test", NOW))
        yield opened


@pytest.fixture
def rows(db):
    return Rows(db)
