"""A commit by another program: atomic, judged by the same rules, and no burden on the daemon."""

import pytest

from tests.db.conftest import add, balances, pay
from waiaas.db.beside import commit_beside
from waiaas.errors import ConstraintFailed, StaleState, StorageFull


async def test_the_daemon_sees_it_and_goes_on(db, path):
    commit_beside(path, [add("b", 1)], {})
    await db.commit(add("b", 1))
    assert await balances(db) == {"a": 100, "b": 2}


async def test_it_never_checkpoints(db, path):
    before = path.read_bytes()
    commit_beside(path, [pay("a", number.to_bytes(2) * 4000) for number in range(1200)], {})
    assert path.with_name("test.db-wal").stat().st_size > 1000 * 4096, "SQLite would have, at 1000 pages"
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("statement", "error"),
    [(pay("nobody"), ConstraintFailed), (add("c", 1), StaleState), (add("a", -101), ConstraintFailed)],
)
async def test_it_commits_all_or_nothing(db, path, statement, error):
    with pytest.raises(error):
        commit_beside(path, [add("b", 1), statement], {})
    assert await balances(db) == {"a": 100, "b": 0}


def test_it_makes_no_database(tmp_path):
    with pytest.raises(StorageFull):
        commit_beside(tmp_path / "absent.db", [add("b", 1)], {})
    assert list(tmp_path.iterdir()) == []
