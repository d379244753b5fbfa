"""Every attack of the table has its test, and every test with an id is about one of the table."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tests.security import IDS, LATER, PARTS

SECURITY = Path(__file__).parents[1] / "security"
PAGE = Path(__file__).parents[2] / "docs" / "security.md"
NAMED = re.compile(r"test_([sphkbc][0-9]{2})_(.+)")


def ids_of(directory: Path) -> Iterator[str]:
    """The id in the name of every test."""
    yield from (found for found, _ in named_in(directory))


def named_in(directory: Path) -> Iterator[tuple[str, str]]:
    """The id in the name of every test, and the rest of it."""
    for path in sorted(directory.rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and (found := NAMED.match(node.name)):
                yield found[1], found[2]


def test_every_attack_has_a_test_and_no_test_an_unknown_id():
    found = set(ids_of(SECURITY))
    assert found - IDS == set()
    assert IDS - found - LATER.keys() == set()


def test_what_is_said_to_come_later_has_not_come_yet():
    assert set(ids_of(SECURITY)) & LATER.keys() == set()
    assert {named.split()[0] for named in LATER} <= IDS


def test_an_id_of_several_matters_has_a_test_of_each():
    names = list(named_in(SECURITY))
    untested = [
        (one, part)
        for one, parts in PARTS.items()
        for part in parts
        if not any(name == one and part in rest.split("_") for name, rest in names)
    ]
    assert untested == []


def test_what_comes_later_is_told_on_the_page():
    told = PAGE.read_text().split("## What comes later")[1].split("\n## ")[0]
    assert [named for named in LATER if named.split()[0].upper() not in told] == []


def test_a_missing_and_an_unknown_id_are_found(tmp_path):
    (tmp_path / "test_x.py").write_text("async def test_s01_a():\n    pass\n\n\ndef test_s99_b():\n    pass\n")
    assert list(ids_of(tmp_path)) == ["s01", "s99"]
