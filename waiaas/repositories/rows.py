"""Rows to frozen structs; a value that does not decode condemns its row alone."""

import sqlite3
from collections.abc import Callable, Iterable
from typing import TypeVar

import msgspec
import structlog

from waiaas.errors import CorruptRow

T = TypeVar("T")

log = structlog.get_logger()


def to_struct(row: sqlite3.Row, kind: type[T], table: str) -> T:
    """The struct of a row, columns by name; integers 0 and 1 become booleans. CorruptRow if one does not fit."""
    try:
        return msgspec.convert(dict(zip(row.keys(), row, strict=True)), kind, strict=False, str_keys=True)
    except msgspec.ValidationError as error:
        raise CorruptRow(table, str(row["id"]), str(error)) from error


def decodable(rows: Iterable[sqlite3.Row], decode: Callable[[sqlite3.Row], T]) -> list[T]:
    """The rows that `decode` reads; one that it does not is logged and left out, so that it stops no other."""
    found = []
    for row in rows:
        try:
            found.append(decode(row))
        except CorruptRow as error:
            log.error("row_does_not_decode", error=error.message)
    return found
