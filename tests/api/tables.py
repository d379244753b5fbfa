"""The database of a daemon, whole."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

#: rows that are about who called, not about what was asked
OTHERS = {"sqlite_sequence"}


def everything(data: Any) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table."""
    path: Path = data.data / "waiaas.db"
    with closing(sqlite3.connect(path)) as db:
        names = [row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {name: sorted(db.execute(f"SELECT * FROM {name}"), key=repr) for name in names if name not in OTHERS}
