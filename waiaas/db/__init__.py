"""SQLite behind two verbs: fetch, and commit a list of statements."""

from waiaas.db.database import Database
from waiaas.db.statement import Statement

__all__ = ["Database", "Statement"]
