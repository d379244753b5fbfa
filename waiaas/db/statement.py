"""A statement as data: what a repository returns instead of writing."""

from collections.abc import Mapping
from typing import Any

import msgspec


class Statement(msgspec.Struct, frozen=True):
    """SQL, its named parameters, and the row count it must have (None: any).

    For a SELECT, or anything with RETURNING, `expect` counts the rows that come back: a SELECT is a guard.
    """

    sql: str
    params: Mapping[str, Any] = {}
    expect: int | None = 1
    #: a topic such as `session:<id>`, told to subscribers once the list is committed
    touches: str | None = None
