"""Reading the numbered files: names, statements, checksums, and what is refused."""

import hashlib
from pathlib import Path

import pytest

import waiaas
from tests.migrate.conftest import CORE, THINGS
from waiaas.db.migrations import find_sql, in_checkout, load, new, split
from waiaas.errors import MigrationError


def test_statements_are_split_where_they_end_and_nowhere_else():
    text = """
-- a comment; with a semicolon
CREATE TABLE a (x TEXT DEFAULT 'one; two');
/* a block; of
   two lines */ CREATE TRIGGER t AFTER INSERT ON a BEGIN
  INSERT INTO a VALUES (';'); -- inside;
  UPDATE a SET x = "x;";
END;
INSERT INTO a VALUES ('it''s; so');
-- the end; really
"""
    steps = list(split(text))
    assert [step.line for step in steps] == [3, 5, 9]
    assert [step.sql.split()[1] for step in steps] == ["TABLE", "TRIGGER", "INTO"]
    assert steps[1].sql.endswith("END;")


def test_an_error_would_show_the_beginning_of_a_statement():
    assert [step.summary for step in split("CREATE TABLE\n  a (x TEXT);")] == ["CREATE TABLE a"]


@pytest.mark.parametrize(
    "word", ["begin", "COMMIT", "End", "ROLLBACK", "SAVEPOINT", "RELEASE", "ATTACH", "DETACH", "VACUUM", "PRAGMA"]
)
def test_what_would_leave_the_transaction_is_refused(place, word):
    place.write(_0003_bad=f"SELECT 1;\n/* hidden */ -- behind comments\n  {word} x;")
    with pytest.raises(MigrationError, match=rf"0003_bad.sql: line 3: {word.upper()} has no place in a migration"):
        load(place.sql)


def test_a_word_that_only_begins_like_a_refused_one_passes():
    assert len(list(split("REPLACE INTO a VALUES (1); WITH beginning AS (SELECT 1) SELECT 1;"))) == 2


@pytest.mark.parametrize("rest", ["SELECT 1", "SELECT 'open;", "CREATE TRIGGER t AFTER INSERT ON a BEGIN SELECT 1;"])
def test_a_statement_that_does_not_end_is_refused(place, rest):
    place.write(_0003_bad=f"SELECT 1;\n\n{rest}")
    with pytest.raises(MigrationError, match=r"0003_bad.sql: line 3: the last statement is not complete"):
        load(place.sql)


@pytest.mark.parametrize("name", ["3_x", "0003-x", "0003_X", "0003_", "00003_x", "0000_x", "x"])
def test_a_wrong_name_is_refused(place, name):
    place.write(**{name: "SELECT 1;"})
    with pytest.raises(MigrationError, match=f"{name}.sql is not a name like"):
        load(place.sql)


def test_two_files_of_one_number_are_refused(place):
    place.write(_0002_other="SELECT 1;")
    with pytest.raises(MigrationError, match=r"0002_other.sql and 0002_things.sql have the same number"):
        load(place.sql)


def test_text_that_is_not_utf_8_is_refused(place):
    (place.sql / "0003_bad.sql").write_bytes(b"SELECT '\xff';")
    with pytest.raises(MigrationError, match=r"0003_bad.sql: .*utf-8"):
        load(place.sql)


def test_other_files_are_let_be(place):
    (place.sql / "README.md").write_text("what these are")
    assert [migration.file for migration in load(place.sql)] == ["0001_core.sql", "0002_things.sql"]


def test_the_checksum_is_the_same_for_both_line_ends(place):
    unix = load(place.sql)
    (place.sql / "0002_things.sql").write_bytes(THINGS.replace("\n", "\r\n").encode())
    assert load(place.sql) == unix
    assert unix[0].checksum == hashlib.sha256(CORE.encode()).hexdigest()


def test_the_checkout_has_its_files_beside_the_package():
    assert find_sql() == Path(waiaas.__file__).parent.parent / "sql"
    assert in_checkout(find_sql())


def test_the_files_of_a_wheel_lie_in_the_package(tmp_path, monkeypatch):
    (tmp_path / "waiaas" / "sql").mkdir(parents=True)
    monkeypatch.setattr(waiaas, "__file__", str(tmp_path / "waiaas" / "__init__.py"))
    assert find_sql() == tmp_path / "waiaas" / "sql"
    assert not in_checkout(find_sql())
    (tmp_path / "waiaas" / "sql").rmdir()
    with pytest.raises(MigrationError, match="incomplete"):
        find_sql()


def test_a_new_file_gets_the_next_number(place):
    path = new(place.sql, "more_things")
    assert path.name == "0003_more_things.sql"
    assert load(place.sql)[-1].steps == ()


@pytest.mark.parametrize("name", ["More", "a-b", "", "../x"])
def test_a_new_file_needs_a_name_that_can_be_loaded(place, name):
    with pytest.raises(MigrationError, match="cannot be part of a file name"):
        new(place.sql, name)
    assert len(load(place.sql)) == 2
