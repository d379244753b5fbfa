"""Answers of the API as people read them: a table for a list, a line per field for one thing."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec
from rich.table import Table

#: columns that a narrow terminal leaves whole: an id is what the next command takes
WHOLE = ("id", "name", "type", "status", "tier")


def table(items: Iterable[Mapping[str, Any]], *columns: str) -> Table:
    """The named fields of each item; those that end in At or _at are times."""
    shown = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        shown.add_column(column, no_wrap=column in WHOLE)
    for item in items:
        shown.add_row(*(text(column, item.get(column)) for column in columns))
    return shown


def fields(item: Mapping[str, Any]) -> str:
    """A line per field that has a value."""
    present = {name: value for name, value in item.items() if value is not None}
    width = max((len(name) for name in present), default=0)
    return "\n".join(f"{name:{width}}  {text(name, value)}" for name, value in present.items())


def text(name: str, value: Any) -> str:
    """One value; times as ISO 8601 UTC, objects as JSON."""
    if value is None:
        return ""
    if name.endswith("At") and isinstance(value, int):
        return datetime.fromtimestamp(value, UTC).strftime("%Y-%m-%d %H:%M:%S")
    if isinstance(value, bool | dict | list):
        return msgspec.json.encode(value).decode()
    return str(value)


def whole(amount: int, decimals: int) -> str:
    """Base units as whole ones, exactly: 1500000000 lamports are 1.5."""
    head, tail = divmod(amount, 10**decimals)
    fraction = f"{tail:0{decimals}}".rstrip("0")
    return f"{head}.{fraction}" if fraction else str(head)


def at(when: int, now: int) -> str:
    """A time of day and its distance: `at 2027-01-15 08:00:00 UTC (in 9 s)`."""
    distance = f"in {when - now} s" if when > now else f"{now - when} s ago"
    return f"at {text('At', when)} UTC ({distance})"


def times(count: int, word: str) -> str:
    """`1 try`, `2 tries`."""
    plural = f"{word[:-1]}ies" if word.endswith("y") else f"{word}s"
    return f"{count} {word if count == 1 else plural}"
