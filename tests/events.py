"""What docs/events.md says of each event's data."""

import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs" / "events.md"
ROW = re.compile(r"^\| ([A-Z_]+) \| .* \| ([^|]*)\|$", re.MULTILINE)


@cache
def documented() -> dict[str, tuple[frozenset[str], frozenset[str]]]:
    """Event → the keys that it always has, and those that it may have."""
    found = {event: re.findall(r"`([A-Za-z]+\??)`", data) for event, data in ROW.findall(PAGE.read_text())}
    return {
        event: (
            frozenset(key for key in keys if key[-1] != "?"),
            frozenset(key[:-1] for key in keys if key[-1] == "?"),
        )
        for event, keys in found.items()
    }


def keys_amiss(event: str, data: Iterable[str]) -> str:
    """What is missing and what is too much; empty if the data is as documented."""
    always, sometimes = documented().get(event, (frozenset(), frozenset()))
    has = set(data)
    missing, strange = sorted(always - has), sorted(has - always - sometimes)
    return f"lacks {missing}, and has {strange}" if missing or strange else ""
