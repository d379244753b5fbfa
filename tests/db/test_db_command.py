"""`waiaas db`: answers and exit codes, on a wallet that is sound and on one that is not."""

import shutil

import pytest

from tests.db.conftest import NOW
from waiaas.clock import Clock
from waiaas.db import migrations
from waiaas.db.migrations import find_sql, load
from waiaas.lifecycle import hold, holder

TX = """INSERT INTO transactions (id, agent_id, chain, network, type, tier, request, request_hash, status, created_at,
  updated_at, finished_at, error, error_code) VALUES (?, 'a1', 'solana', 'localnet', 'TRANSFER', 'INSTANT', '{}', '', ?,
  0, 0, ?, ?, ?)"""
RESERVATION = """INSERT INTO spend_ledger (id, agent_id, tx_id, asset, kind, state, reserved, version, created_at)
  VALUES (?, 'a1', ?, 'SOL', ?, 'RESERVED', '1', 0, 0)"""


@pytest.fixture
def files(tmp_path, monkeypatch):
    """A copy of the program's migrations that a test may change."""
    directory = tmp_path / "checkout" / "sql"
    shutil.copytree(find_sql(), directory)
    monkeypatch.setattr(migrations, "find_sql", lambda: directory)
    monkeypatch.setattr("waiaas.cli.stored.find_sql", lambda: directory)
    return directory


def add_file(files, text: str = "CREATE TABLE later (id INTEGER PRIMARY KEY);\n"):
    path = files / f"{len(load(files)) + 1:04}_later.sql"
    path.write_text(text)
    return path


def add_agent(wallet, status: str = "ACTIVE", id: str = "a1") -> None:
    wallet.run(
        "INSERT INTO agents (id, name, chain, network, public_key, status, created_at, updated_at)"
        " VALUES (?, 'one', 'solana', 'localnet', ?, ?, 0, 0)",
        id,
        id,
        status,
    )


def findings(found: tuple[int, dict]) -> list[tuple[str, str]]:
    code, answer = found
    assert code == (1 if answer["findings"] else 0)
    return [(each["kind"], each["object"]) for each in answer["findings"]]


@pytest.mark.parametrize("command", ["migrate", "status", "verify", "check"])
def test_without_a_wallet_every_command_says_so(wallet, command):
    wallet.data.master.unlink()
    code, answer = wallet.waiaas("db", command)
    assert (code, answer["error"]["code"]) == (3, "NOT_INITIALISED")


@pytest.mark.parametrize("command", ["migrate", "status", "verify", "check"])
def test_without_a_database_none_is_made(wallet, command):
    wallet.path.unlink()
    assert wallet.waiaas("db", command)[0] == 3
    assert not wallet.path.exists()


def test_the_status_of_a_current_database(wallet):
    code, answer = wallet.waiaas("db", "status")
    assert (code, answer["state"], answer["pending"]) == (0, "current", [])
    assert answer["version"] == answer["head"]


def test_the_status_of_a_pending_database(wallet, files):
    name = add_file(files).name
    code, answer = wallet.waiaas("db", "status")
    assert (code, answer["state"], answer["pending"]) == (1, "pending", [name])


def test_the_status_of_a_changed_history(wallet, files):
    path = sorted(files.iterdir())[0]
    path.write_text(path.read_text() + "-- changed\n")
    code, answer = wallet.waiaas("db", "status")
    assert (code, answer["state"]) == (1, "changed")
    assert path.name in answer["detail"]


def test_migrating_applies_copies_and_audits(wallet, files):
    add_file(files)
    head = len(load(files))
    code, answer = wallet.waiaas("db", "migrate")
    assert code == 0
    assert (answer["from"], answer["to"], answer["dryRun"]) == (head - 1, head, False)
    assert [(each["version"], each["name"]) for each in answer["applied"]] == [(head, "later")]
    assert answer["backup"].startswith(str(wallet.data.backups))
    row = wallet.waiaas("audit", "list")[1]["rows"][-1]
    assert (row["eventType"], row["details"]) == ("DATABASE_MIGRATED", {"from": head - 1, "to": head})
    assert wallet.waiaas("audit", "verify")[0] == 0
    assert wallet.waiaas("db", "migrate")[1]["applied"] == []


def test_migrating_without_a_copy(wallet, files):
    add_file(files)
    assert wallet.waiaas("db", "migrate", "--no-backup")[1]["backup"] is None
    assert list(wallet.data.backups.iterdir()) == []


def test_a_dry_run_changes_nothing(wallet, files):
    add_file(files)
    code, answer = wallet.waiaas("db", "migrate", "--dry-run")
    assert (code, answer["dryRun"], len(answer["applied"])) == (0, True, 1)
    assert wallet.waiaas("db", "status")[1]["state"] == "pending"
    assert wallet.waiaas("audit", "list")[0] == 1, "the log of a database that is not current is not read"


def test_a_migration_that_fails_names_file_and_statement(wallet, files):
    name = add_file(files, "CREATE TABLE later (id);\n\nCREATE TABLE agents (id);\n").name
    code, answer = wallet.waiaas("db", "migrate")
    assert (code, answer["error"]["code"]) == (1, "MIGRATION_FAILED")
    assert f"{name}, statement 2 in line 3" in answer["error"]["message"]
    assert wallet.waiaas("db", "status")[1]["version"] == len(load(files)) - 1


def test_beside_a_daemon_nothing_is_migrated(wallet, files):
    add_file(files)
    with hold(wallet.data.lock, holder(NOW, "1.0")):
        assert wallet.waiaas("db", "migrate")[0] == 2
        assert wallet.waiaas("db", "status")[0] == 1
    assert wallet.waiaas("db", "migrate")[0] == 0


def test_a_fresh_schema_verifies(wallet):
    assert findings(wallet.waiaas("db", "verify")) == []
    wallet.run("ANALYZE")
    assert findings(wallet.waiaas("db", "verify")) == []


def test_a_pending_database_verifies_against_its_own_version(wallet, files):
    add_file(files)
    assert findings(wallet.waiaas("db", "verify")) == []


@pytest.mark.parametrize(
    ("change", "finding"),
    [
        ("DROP INDEX idx_agents_status", ("index", "idx_agents_status")),
        ("DROP TRIGGER audit_log_no_update", ("trigger", "audit_log_no_update")),
        ("ALTER TABLE agents ADD COLUMN more TEXT", ("table", "agents")),
        ("CREATE TABLE extra (id)", ("table", "extra")),
        ("CREATE VIEW seen AS SELECT 1", ("view", "seen")),
        ("PRAGMA user_version = 77", ("version", "user_version")),
        ("UPDATE schema_migrations SET checksum = 'x' WHERE version = 1", ("changed", "schema_migrations")),
    ],
)
def test_a_schema_that_was_changed_by_hand_is_found(wallet, change, finding):
    wallet.run(change)
    assert findings(wallet.waiaas("db", "verify")) == [finding]


def test_a_sound_database_is_noted_as_checked(wallet):
    wallet.record(3)
    add_agent(wallet)
    (wallet.data.keystore / "a1.json").write_text("{}")
    wallet.run(TX, "t1", "PENDING", None, None, None)
    wallet.run(RESERVATION, "l1", "t1", "FEE")
    wallet.run(TX, "t2", "FAILED", 5, "no", "NO")
    assert findings(wallet.waiaas("db", "check")) == []
    (value,) = wallet.run("SELECT value FROM key_value_store WHERE key = 'last_check'")[0]
    assert abs(int(value) - Clock().now()) < 60


def test_what_is_broken_is_found_and_not_noted_as_checked(wallet):
    wallet.record(3)
    wallet.without_triggers("UPDATE audit_log SET actor = 'x' WHERE id = 2")
    assert findings(wallet.waiaas("db", "check")) == [("audit", "audit_log 2")]
    assert wallet.run("SELECT * FROM key_value_store WHERE key = 'last_check'") == []


def test_json_that_does_not_decode_is_found(wallet):
    wallet.run("INSERT INTO key_value_store VALUES ('bad', '{half', 0), ('worse', CAST(X'22FF22' AS TEXT), 0)")
    found = wallet.waiaas("db", "check")
    assert findings(found) == [("json", "key_value_store.value")] * 2
    assert found[1]["findings"][0]["detail"].startswith("bad: ")


def test_a_row_that_points_nowhere_is_found(wallet):
    wallet.run(
        "INSERT INTO policies (id, agent_id, type, rules, created_at, updated_at) VALUES"
        " ('p', 'nobody', 'WHITELIST', '{}', 0, 0)"
    )
    assert findings(wallet.waiaas("db", "check")) == [("foreign_key", "policies")]


@pytest.mark.parametrize("kind", ["AMOUNT", "FEE"])
def test_a_reservation_that_outlives_its_transaction_is_found(wallet, kind):
    add_agent(wallet)
    (wallet.data.keystore / "a1.json").write_text("{}")
    wallet.run(TX, "t1", "EXPIRED", 5, "late", "LATE")
    wallet.run(RESERVATION, "l1", "t1", kind)
    assert findings(wallet.waiaas("db", "check")) == [("ledger", "transactions t1")]


def test_a_transaction_under_way_without_a_reservation_is_found(wallet):
    add_agent(wallet)
    (wallet.data.keystore / "a1.json").write_text("{}")
    wallet.run(TX, "t1", "PENDING", None, None, None)
    assert findings(wallet.waiaas("db", "check")) == [("ledger", "transactions t1")]


def test_agents_and_key_files_are_compared(wallet):
    add_agent(wallet, "ACTIVE", "a1")
    add_agent(wallet, "SUSPENDED", "a2")
    add_agent(wallet, "CREATING", "a3")
    add_agent(wallet, "TERMINATED", "a4")
    (wallet.data.keystore / "a2.json").write_text("{}")
    (wallet.data.keystore / "stranger.json").write_text("{}")
    assert findings(wallet.waiaas("db", "check")) == [("keystore", "agents a1"), ("keystore", "stranger.json")]


def test_a_page_that_was_flipped_is_found(wallet):
    wallet.run("PRAGMA journal_mode=DELETE")
    size = wallet.run("PRAGMA page_size")[0][0]
    (page,) = wallet.run("SELECT rootpage FROM sqlite_master WHERE name = 'idx_agents_status'")[0]
    add_agent(wallet)
    (wallet.data.keystore / "a1.json").write_text("{}")
    content = bytearray(wallet.path.read_bytes())
    at = content.index(b"ACTIVE", (page - 1) * size, page * size)
    content[at : at + 6] = b"ACTIVF"
    wallet.path.write_bytes(content)
    assert ("integrity", "database") in findings(wallet.waiaas("db", "check"))


def test_a_new_file_is_made_in_a_checkout(wallet, files, monkeypatch):
    monkeypatch.setattr(migrations, "in_checkout", lambda directory: True)
    head = len(load(files))
    code, answer = wallet.waiaas("db", "new", "more")
    assert (code, answer["path"]) == (0, str(files / f"{head + 1:04}_more.sql"))


def test_a_new_file_is_not_made_in_a_wheel(wallet, files):
    code, answer = wallet.waiaas("db", "new", "more")
    assert (code, answer["error"]["code"]) == (1, "START_FAILED")
    assert len(load(files)) == len(list(files.iterdir()))


def test_people_read_sentences(wallet, files, capsys):
    from waiaas.cli import root

    add_file(files)
    for command, said in (("status", "pending"), ("migrate", "Migrated from version"), ("migrate", "Nothing to apply")):
        with pytest.raises(SystemExit):
            root.main(["db", command, "--data-dir", str(wallet.data.root)])
        assert said in capsys.readouterr().out
