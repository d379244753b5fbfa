"""Write docs/schema.sql: what the migrations make of an empty file; --stdout prints it."""

import sqlite3
import sys
import tempfile
from pathlib import Path

from waiaas import __version__
from waiaas.db.migrate import migrate
from waiaas.db.migrations import find_sql, load

PAGE = Path(__file__).parents[1] / "docs" / "schema.sql"
OBJECTS = "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite!_%' ESCAPE '!' ORDER BY rowid"
HEAD = "-- The whole schema, as the files in sql/ leave it, where it is explained. Written by scripts/schema.\n"


def schema() -> str:
    """Every object of a freshly migrated file, in the order they were made."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "schema.db"
        migrate(path, load(find_sql()), backups=None, now=0, program=__version__, create=True)
        connection = sqlite3.connect(path)
        try:
            objects = [sql for (sql,) in connection.execute(OBJECTS)]
        finally:
            connection.close()
    return HEAD + "".join(f"\n{sql};\n" for sql in objects)


if "--stdout" in sys.argv:
    sys.stdout.write(schema())
else:
    PAGE.write_text(schema())
