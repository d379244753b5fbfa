"""`waiaas audit`: every way of changing the log by hand is found, and the first bad row is named."""

import hashlib
import json

import pytest

from tests.db.conftest import NOW
from waiaas.domain.audit import link

FIELDS = "timestamp, event_type, actor, agent_id, session_id, tx_id, details, severity, ip_address"


@pytest.fixture
def log(wallet):
    wallet.record(6)
    return wallet


def broken(found: tuple[int, dict]) -> tuple[int, str]:
    code, answer = found
    assert code == 1
    return answer["broken"]["id"], answer["broken"]["reason"]


def head(wallet) -> str:
    answer = wallet.waiaas("audit", "head")[1]
    return f"{answer['id']}:{answer['hash']}"


def rewrite_from(wallet, first: int) -> None:
    """What an expert would do: give every row from `first` on the hash that fits."""
    previous = wallet.run("SELECT hash FROM audit_log WHERE id = ?", first - 1)[0][0]
    for number, *row in wallet.run(f"SELECT id, {FIELDS} FROM audit_log WHERE id >= ? ORDER BY id", first):
        previous = link(previous, *row)
        wallet.without_triggers(f"UPDATE audit_log SET hash = '{previous}' WHERE id = {number}")


def test_a_log_that_nobody_touched_is_whole(log):
    code, answer = log.waiaas("audit", "verify")
    assert (code, answer["rows"], answer["broken"]) == (0, 6, None)
    assert f"{answer['head']['id']}:{answer['head']['hash']}" == head(log)


def test_an_empty_log_is_whole(wallet):
    code, answer = wallet.waiaas("audit", "verify")
    assert (code, answer["rows"], answer["head"]["id"]) == (0, 0, 0)


def test_the_chain_can_be_recomputed_by_anybody(log):
    """Five lines that use nothing of ours: the format is what storage of years depends on."""
    previous = hashlib.sha256(b"waiaas audit v1|0199-test").hexdigest()
    for *row, stored in log.run(f"SELECT {FIELDS}, hash FROM audit_log ORDER BY id"):
        text = json.dumps([previous, *row], separators=(",", ":"), ensure_ascii=False)
        previous = hashlib.sha256(text.encode()).hexdigest()
        assert previous == stored


@pytest.mark.parametrize("statement", ["UPDATE audit_log SET actor = 'x'", "DELETE FROM audit_log WHERE id = 6"])
def test_triggers_refuse_changes(log, statement):
    with pytest.raises(Exception, match="append-only"):
        log.run(statement)


def test_triggers_refuse_replace(log):
    with pytest.raises(Exception, match="append-only"):
        log.run(f"INSERT OR REPLACE INTO audit_log SELECT * FROM audit_log WHERE id = {6}")


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("timestamp", "1"),
        ("event_type", "'TX_FAILED'"),
        ("actor", "'operator'"),
        ("agent_id", "'a'"),
        ("session_id", "'s'"),
        ("tx_id", "'t'"),
        ("details", "'{}'"),
        ("details", "CAST(X'FF' AS TEXT)"),
        ("severity", "'warning'"),
        ("ip_address", "'127.0.0.1'"),
        ("hash", "lower(hex(zeroblob(32)))"),
    ],
)
def test_an_edit_of_any_column_is_found(log, column, value):
    log.without_triggers(f"UPDATE audit_log SET {column} = {value} WHERE id = 3")
    assert broken(log.waiaas("audit", "verify")) == (3, "hash")


def test_a_deletion_is_found(log):
    log.without_triggers("DELETE FROM audit_log WHERE id IN (2, 3)")
    assert broken(log.waiaas("audit", "verify")) == (2, "gap")


def test_a_deletion_of_the_first_row_is_found(log):
    log.without_triggers("DELETE FROM audit_log WHERE id = 1")
    assert broken(log.waiaas("audit", "verify")) == (1, "gap")


def test_a_deletion_that_closes_the_gap_is_found(log):
    log.without_triggers("DELETE FROM audit_log WHERE id = 3", "UPDATE audit_log SET id = id - 1 WHERE id > 3")
    assert broken(log.waiaas("audit", "verify")) == (3, "hash")


def test_a_reorder_is_found(log):
    log.without_triggers(
        "UPDATE audit_log SET id = 99 WHERE id = 3",
        "UPDATE audit_log SET id = 3 WHERE id = 4",
        "UPDATE audit_log SET id = 4 WHERE id = 99",
    )
    assert broken(log.waiaas("audit", "verify")) == (3, "hash")


def test_a_log_of_another_installation_is_found(log):
    log.run("UPDATE key_value_store SET value = '\"other\"' WHERE key = 'installation'")
    assert broken(log.waiaas("audit", "verify")) == (1, "hash")


def test_a_cut_end_is_found_because_ids_are_never_given_twice(log):
    log.without_triggers("DELETE FROM audit_log WHERE id > 4")
    assert broken(log.waiaas("audit", "verify")) == (5, "gap")


def cut(log) -> None:
    """Rows 5 and 6 are gone and SQLite has been made to forget them."""
    log.without_triggers("DELETE FROM audit_log WHERE id > 4", "UPDATE sqlite_sequence SET seq = 4")


def test_a_cut_end_without_a_trace_is_found_by_a_head_that_was_noted(log):
    noted = head(log)
    cut(log)
    assert log.waiaas("audit", "verify")[0] == 0
    assert broken(log.waiaas("audit", "verify", "--head", noted)) == (6, "link")


def test_a_cut_end_without_a_trace_is_found_by_the_marker_of_the_daemon(log):
    marker = {"installation": "0199-test", "epoch": 1, "clean": True, "at": NOW}
    marker |= {"auditId": 6, "auditHash": head(log).removeprefix("6:")}
    log.data.epoch.write_text(json.dumps(marker))
    assert log.waiaas("audit", "verify")[0] == 0
    cut(log)
    assert broken(log.waiaas("audit", "verify")) == (6, "link")


def test_a_history_rewritten_whole_is_found_by_a_head_that_was_noted(log):
    noted = head(log)
    log.without_triggers("UPDATE audit_log SET actor = 'nobody' WHERE id = 2")
    rewrite_from(log, 2)
    assert log.waiaas("audit", "verify")[0] == 0
    assert broken(log.waiaas("audit", "verify", "--head", noted)) == (6, "link")


def test_of_several_breaks_the_first_is_named(log):
    log.without_triggers("UPDATE audit_log SET actor = 'x' WHERE id IN (2, 5)")
    assert broken(log.waiaas("audit", "verify", "--head", f"4:{'0' * 64}")) == (2, "hash")
    assert broken(log.waiaas("audit", "verify", "--from", "3", "--head", f"4:{'0' * 64}")) == (4, "link")


def test_beginning_later_trusts_the_row_before(log):
    log.without_triggers("UPDATE audit_log SET actor = 'x' WHERE id = 2")
    code, answer = log.waiaas("audit", "verify", "--from", "3")
    assert (code, answer["rows"]) == (0, 4)
    assert broken(log.waiaas("audit", "verify", "--from", "99")) == (98, "gap")


def test_a_break_is_itself_audited_in_the_same_chain(log):
    log.without_triggers("UPDATE audit_log SET actor = 'x' WHERE id = 3")
    log.waiaas("audit", "verify")
    newest = log.waiaas("audit", "list", "--limit", "1")[1]["rows"][0]
    assert (newest["eventType"], newest["severity"], newest["actor"]) == ("AUDIT_BROKEN", "critical", "cli")
    assert newest["details"]["id"] == 3
    assert log.waiaas("audit", "verify", "--from", "4")[0] == 0


def test_a_marker_that_cannot_be_read_is_told_of_and_does_not_stop_the_walk(log, capsys):
    log.data.epoch.write_text("{half")
    with pytest.raises(SystemExit) as ended:
        from waiaas.cli import root

        root.main(["audit", "verify", "--data-dir", str(log.data.root)])
    assert ended.value.code == 0
    shown = capsys.readouterr()
    assert "epoch.json cannot be read" in shown.err
    assert "The audit log is whole: 6 rows hold" in shown.out


@pytest.mark.parametrize("text", ["6", "6:abc", "x:" + "0" * 64, "6:" + "G" * 64])
def test_a_head_must_be_id_and_hash(log, text):
    code, answer = log.waiaas("audit", "verify", "--head", text)
    assert (code, answer["error"]["code"]) == (1, "USAGE")


def test_the_list_is_filtered(wallet):
    wallet.record(2, agent_id="one", tx_id="t")
    wallet.record(3, agent_id="two")

    def ids(*args: str) -> list[int]:
        return [row["id"] for row in wallet.waiaas("audit", "list", *args)[1]["rows"]]

    assert ids() == [1, 2, 3, 4, 5]
    assert ids("--agent", "two") == [3, 4, 5]
    assert ids("--tx", "t") == [1, 2]
    assert ids("--type", "TX_FAILED") == []
    assert ids("--limit", "2") == [4, 5]
    assert ids("--since", str(NOW + 1)) == [2, 4, 5]
    assert ids("--since", "2026-01-01T00:00:02") == [5]
    assert ids("--since", "2026-01-01T01:00:02+01:00") == [5]
    assert wallet.waiaas("audit", "list", "--since", "yesterday")[0] == 1


def test_without_a_wallet_there_is_nothing_to_verify(wallet):
    wallet.data.master.unlink()
    assert wallet.waiaas("audit", "verify")[0] == 3
