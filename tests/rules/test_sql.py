"""SQL is written out in repositories, as named constants, and every one of them fits the migrated schema."""

import ast
import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path

import pytest

import waiaas.domain
import waiaas.repositories

PACKAGE = Path(__file__).parents[2] / "waiaas"
SQL = re.compile(r"\s*(SELECT|INSERT|UPDATE|DELETE|REPLACE|WITH|CREATE|ALTER|DROP|PRAGMA|BEGIN|COMMIT)\b[\s(]+[\w:*(]")
#: db runs the engine, localnet keeps another database, torture reads the daemon's as a stranger: each with its own SQL
ELSEWHERE = [("repositories",), ("db",), ("localnet",), ("cli", "torture")]


def modules(package) -> list:
    names = [found.name for found in pkgutil.iter_modules(package.__path__)]
    return [importlib.import_module(f"{package.__name__}.{name}") for name in names]


def constants() -> Iterator[tuple[str, str]]:
    """(where, SQL) of every constant of a repository that is a statement."""
    for module in modules(waiaas.repositories):
        for name, value in vars(module).items():
            if name.isupper() and isinstance(value, str) and SQL.match(value):
                yield f"{module.__name__}.{name}", value


def functions() -> dict[str, tuple]:
    """The SQL functions that repositories register on the writer."""
    found: dict[str, tuple] = {}
    for module in modules(waiaas.repositories):
        found |= getattr(module, "FUNCTIONS", {})
    return found


def inline(path: Path) -> Iterator[str]:
    """SQL in a file that is not the value of an upper-case constant of the module."""
    tree = ast.parse(path.read_text())
    named = {
        id(part)
        for statement in tree.body
        if isinstance(statement, ast.Assign)
        and all(isinstance(t, ast.Name) and t.id.isupper() for t in statement.targets)
        for part in ast.walk(statement.value)
    }
    for node in ast.walk(tree):
        match node:
            case ast.Constant(value=str(text)) if id(node) not in named and SQL.match(text):
                yield f"{path}:{node.lineno}: {text.strip().splitlines()[0]}"


class Anything(dict):
    """A value for every parameter."""

    def __missing__(self, key):
        return None


@pytest.mark.parametrize("sql", [pytest.param(sql, id=where) for where, sql in constants()])
def test_every_statement_fits_the_schema(migrated, sql):
    for name, (arguments, function) in functions().items():
        migrated.create_function(name, arguments, function)
    migrated.execute(f"EXPLAIN {sql}", Anything()).fetchall()


def test_repositories_name_their_sql():
    assert [found for path in sorted((PACKAGE / "repositories").glob("*.py")) for found in inline(path)] == []


def test_no_sql_outside_the_repositories():
    paths = [path for path in PACKAGE.rglob("*.py") if not is_elsewhere(path.relative_to(PACKAGE).parts)]
    assert [found for path in sorted(paths) for found in (*inline(path), *upper(path))] == []


def is_elsewhere(parts: tuple[str, ...]) -> bool:
    return any(parts[: len(place)] == place for place in ELSEWHERE)


def upper(path: Path) -> Iterator[str]:
    """Upper-case constants of a file that are SQL."""
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Constant(value=str(text))) if name.isupper():
                if SQL.match(text):
                    yield f"{path}:{node.lineno}: {name}"


def test_words_in_quotes_are_values_of_an_enum():
    known = {
        member.value
        for module in modules(waiaas.domain)
        for _, kind in inspect.getmembers(module, inspect.isclass)
        if issubclass(kind, StrEnum)
        for member in kind
    }
    said = {(where, word) for where, sql in constants() for word in re.findall(r"'([A-Z][A-Z_]+)'", sql)}
    assert {(where, word) for where, word in said if word not in known} == set()


def test_sums_are_not_made_in_sql():
    assert [where for where, sql in constants() if re.search(r"\bsum\s*\(|\btotal\s*\(", sql, re.IGNORECASE)] == []
