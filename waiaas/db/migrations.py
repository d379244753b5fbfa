"""The numbered files of DDL: found, read, split into statements and checked before anything is applied."""

import hashlib
import re
import sqlite3
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import msgspec

import waiaas
from waiaas.errors import MigrationError
from waiaas.files import write_new

NAME = re.compile(r"([0-9]{4})_([a-z0-9_]+)\.sql", re.ASCII)
BLANK = re.compile(r"(?:\s+|--[^\n]*(?:\n|$)|/\*.*?\*/)*", re.DOTALL)
WORD = re.compile(r"[A-Za-z]*", re.ASCII)

#: a file is one transaction with nothing around it; these would end it, leave it or be lost with it
REFUSED = frozenset(
    ["BEGIN", "COMMIT", "END", "ROLLBACK", "SAVEPOINT", "RELEASE", "ATTACH", "DETACH", "VACUUM", "PRAGMA"]
)


class Step(msgspec.Struct, frozen=True):
    """One statement of a file, and the line it begins on."""

    line: int
    sql: str

    @property
    def summary(self) -> str:
        """Enough of it to find it: "CREATE TABLE agents"."""
        return " ".join(self.sql.split("(")[0].split())[:60]


class Migration(msgspec.Struct, frozen=True):
    """One numbered file; `checksum` is the SHA-256 of its bytes with CRLF read as LF."""

    version: int
    name: str
    checksum: str
    steps: tuple[Step, ...]

    @property
    def file(self) -> str:
        return file_name(self.version, self.name)


def file_name(version: int, name: str) -> str:
    """`0001_core.sql` of 1 and core."""
    return f"{version:04}_{name}.sql"


def find_sql() -> Path:
    """`waiaas/sql` of an installed wheel, else `sql/` of the checkout; MigrationError if there is neither."""
    package = Path(waiaas.__file__).parent
    for directory in (package / "sql", package.parent / "sql"):
        if directory.is_dir():
            return directory
    raise MigrationError(f"The installation is incomplete: there is no {package / 'sql'}.")


def in_checkout(directory: Path) -> bool:
    """Whether these are files to work on, not those of an installed wheel."""
    return directory == Path(waiaas.__file__).parent.parent / "sql"


def load(directory: Path) -> list[Migration]:
    """The numbered files in order, holes included; MigrationError names a file that cannot be applied."""
    migrations = [read(path) for path in sorted(directory.glob("*.sql"))]
    for one, other in pairwise(migrations):
        if one.version == other.version:
            raise MigrationError(f"{one.file} and {other.file} have the same number.")
    return migrations


def read(path: Path) -> Migration:
    """One file; MigrationError for a wrong name, text that is not UTF-8, or a statement that is refused."""
    found = NAME.fullmatch(path.name)
    if found is None or found[1] == "0000":
        raise MigrationError(f"{path.name} is not a name like 0001_what_it_does.sql, counted from 0001.")
    content = path.read_bytes().replace(b"\r\n", b"\n")
    try:
        steps = tuple(split(content.decode()))
    except ValueError as error:
        raise MigrationError(f"{path.name}: {error}.") from error
    return Migration(int(found[1]), found[2], hashlib.sha256(content).hexdigest(), steps)


def split(text: str) -> Iterator[Step]:
    """The statements of a file, triggers, strings and comments whole; ValueError tells line and reason."""
    start = end = 0
    while (end := text.find(";", end) + 1) > 0:
        if sqlite3.complete_statement(text[start:end]):
            yield step(text, start, end)
            start = end
    if text[after_blank(text, start) :]:
        raise ValueError(f"line {line_of(text, after_blank(text, start))}: the last statement is not complete")


def step(text: str, start: int, end: int) -> Step:
    """The statement in text[start:end], without the comments over it."""
    begin = after_blank(text, start)
    word = WORD.match(text, begin)
    if word and word[0].upper() in REFUSED:
        raise ValueError(f"line {line_of(text, begin)}: {word[0].upper()} has no place in a migration")
    return Step(line_of(text, begin), text[begin:end])


def after_blank(text: str, start: int) -> int:
    """Where the first character stands that is neither space nor comment."""
    found = BLANK.match(text, start)
    return found.end() if found else start


def line_of(text: str, position: int) -> int:
    """The line of a position, counted from 1."""
    return text.count("\n", 0, position) + 1


def new(directory: Path, name: str) -> Path:
    """Make the next numbered file, with a comment to fill in; MigrationError for a name that cannot be one."""
    migrations = load(directory)
    path = directory / file_name(1 + (migrations[-1].version if migrations else 0), name)
    if not NAME.fullmatch(path.name):
        raise MigrationError(f"{name!r} cannot be part of a file name: use lower case letters, digits and _.")
    write_new(path, b"-- What this changes, and why.\n", 0o644)
    return path
