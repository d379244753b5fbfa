"""Every key is read by something, and documented; nothing else is."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from waiaas.config import KEYS, Key
from waiaas.config.values import plain, to_toml

REPOSITORY = Path(__file__).parents[2]
DOCUMENT = REPOSITORY / "docs" / "config.md"


def attributes_read() -> Iterator[str]:
    """Every attribute that a module outside `waiaas/config` reads."""
    for path in (REPOSITORY / "waiaas").rglob("*.py"):
        if "config" not in path.relative_to(REPOSITORY / "waiaas").parts[:1]:
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
                    yield node.attr


READ = set(attributes_read())


@pytest.mark.parametrize("key", KEYS.values(), ids=lambda key: key.dotted)
def test_something_reads_this_key(key: Key):
    reader = {"log_max_size": "log_max_bytes"}.get(key.name, "endpoints" if key.is_endpoints else key.name)
    assert reader in READ, f"nothing reads {key.dotted}: take it out, or read it"


def test_every_key_has_a_heading_and_every_heading_a_key():
    headings = re.findall(r"^### (\S+)$", DOCUMENT.read_text(), flags=re.MULTILINE)
    assert headings == list(KEYS)


@pytest.mark.parametrize("key", KEYS.values(), ids=lambda key: key.dotted)
def test_the_documented_default_is_the_real_one(key: Key):
    assert f"### {key.dotted}\n\n`{to_toml(plain(key, key.default))}` (" in DOCUMENT.read_text()


def test_every_key_is_called_by_one_variable():
    assert len({key.variable for key in KEYS.values()}) == len(KEYS)
