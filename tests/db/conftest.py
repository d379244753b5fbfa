"""A small table on a real file; and a wallet as `waiaas init` leaves it, for the commands."""

import sqlite3
from pathlib import Path

import msgspec
import pytest

from waiaas.cli import root
from waiaas.db import Database, Statement
from waiaas.db.beside import commit_beside
from waiaas.db.migrate import migrate
from waiaas.db.migrations import find_sql, load
from waiaas.domain.event import CLI, About, AuditEvent
from waiaas.paths import DataDir, create
from waiaas.repositories import audit, settings

SCHEMA = """
CREATE TABLE accounts (id TEXT PRIMARY KEY, balance INTEGER NOT NULL,
  CONSTRAINT not_negative CHECK (balance >= 0));
CREATE TABLE payments (id INTEGER PRIMARY KEY, account TEXT NOT NULL REFERENCES accounts(id), note BLOB UNIQUE);
CREATE TRIGGER payments_stay BEFORE DELETE ON payments BEGIN SELECT RAISE(ABORT, 'payments is append-only'); END;
CREATE TRIGGER payments_explode BEFORE INSERT ON payments WHEN NEW.note = 'explode'
BEGIN SELECT RAISE(ROLLBACK, 'the whole transaction is gone'); END;
CREATE TABLE promises (account TEXT REFERENCES accounts(id) DEFERRABLE INITIALLY DEFERRED);
INSERT INTO accounts VALUES ('a', 100), ('b', 0);
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file with the tables above, as the migrator would have left it."""
    found = tmp_path / "test.db"
    connection = sqlite3.connect(found)
    connection.executescript(SCHEMA)
    connection.close()
    return found


@pytest.fixture
async def db(path):
    async with Database.open(path) as database:
        yield database


def move(amount: int, source: str = "a", target: str = "b") -> tuple[Statement, Statement]:
    """Take from one account, give to the other."""
    return add(source, -amount), add(target, amount)


def add(account: str, amount: int, **more) -> Statement:
    return Statement(
        "UPDATE accounts SET balance = balance + :amount WHERE id = :id", {"amount": amount, "id": account}, **more
    )


def pay(account: str, note: object = None, id: int | None = None) -> Statement:
    return Statement(
        "INSERT INTO payments (id, account, note) VALUES (:id, :account, :note)",
        {"id": id, "account": account, "note": note},
    )


async def balances(db: Database) -> dict[str, int]:
    return {row["id"]: row["balance"] for row in await db.fetch_all("SELECT id, balance FROM accounts")}


NOW = 1_767_225_600  # 2026-01-01T00:00:00Z


class Wallet:
    """A data directory with a migrated database, and the command line on it."""

    def __init__(self, data: DataDir, capsys: pytest.CaptureFixture[str]) -> None:
        self.data, self.path, self._capsys = data, data.data / "waiaas.db", capsys

    def waiaas(self, *args: str) -> tuple[int, dict]:
        """Exit code and answer of a command."""
        with pytest.raises(SystemExit) as ended:
            root.main([*args, "--json", "--data-dir", str(self.data.root)])
        return ended.value.code, msgspec.json.decode(self._capsys.readouterr().out)

    def run(self, sql: str, *parameters: object) -> list[tuple]:
        """SQL by hand, as someone with an editor would: no foreign keys, no daemon."""
        connection = sqlite3.connect(self.path, isolation_level=None)
        try:
            return connection.execute(sql, parameters).fetchall()
        finally:
            connection.close()

    def without_triggers(self, *statements: str) -> None:
        """Change what triggers protect, and put them back."""
        triggers = self.run("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'")
        for name, _ in triggers:
            self.run(f"DROP TRIGGER {name}")
        for statement in statements:
            self.run(statement)
        for _, sql in triggers:
            self.run(sql)

    def record(self, count: int, **about: str) -> None:
        """Audit rows, each in a commit of its own."""
        for number in range(count):
            row = audit.record(AuditEvent.TX_CONFIRMED, CLI, NOW + number, About(**about), number=number)
            commit_beside(self.path, [row], audit.FUNCTIONS)


@pytest.fixture
def wallet(tmp_path, capsys):
    data = DataDir(tmp_path / "wallet")
    create(data)
    found = Wallet(data, capsys)
    migrate(found.path, load(find_sql()), backups=None, now=NOW, program="1.0", create=True)
    commit_beside(found.path, [settings.put("installation", "0199-test", NOW)], {})
    data.master.write_text("{}")
    return found
