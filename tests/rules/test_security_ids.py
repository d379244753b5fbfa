"""Every attack of the table has its test, and every test with an id is about one of the table."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tests.security import IDS, LATER

SECURITY = Path(__file__).parents[1] / "security"
NAMED = re.compile(r"test_([sphkbc][0-9]{2})_")


def ids_of(directory: Path) -> Iterator[str]:
    """The id in the name of every test."""
    for path in sorted(directory.rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and (found := NAMED.match(node.name)):
                yield found[1]


def test_every_attack_has_a_test_and_no_test_an_unknown_id():
    found = set(ids_of(SECURITY))
    assert found - IDS == set()
    assert IDS - found - LATER.keys() == set()


def test_what_is_said_to_come_later_has_not_come_yet():
    assert set(ids_of(SECURITY)) & LATER.keys() == set()
    assert LATER.keys() <= IDS


def test_a_missing_and_an_unknown_id_are_found(tmp_path):
    (tmp_path / "test_x.py").write_text("async def test_s01_a():\n    pass\n\n\ndef test_s99_b():\n    pass\n")
    assert list(ids_of(tmp_path)) == ["s01", "s99"]
