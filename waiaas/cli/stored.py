"""Where the database is, whether a command may look into it, and what else is known of its audit log."""

from pathlib import Path

import msgspec

from waiaas.cli.context import Context
from waiaas.db.migrate import Kind, state
from waiaas.db.migrations import find_sql, load
from waiaas.errors import MigrationError, NotInitialised
from waiaas.repositories.trail import Anchor


class Marker(msgspec.Struct, frozen=True, rename="camel"):
    """What epoch.json remembers of the audit log."""

    audit_id: int
    audit_hash: str


def database_path(context: Context) -> Path:
    """Where the configuration says the database is; NotInitialised (exit 3) if there is none."""
    context.require_initialised()
    path = context.data.within(context.config().database.path)
    if not path.exists():
        raise NotInitialised(f"There is no database at {path}.")
    return path


def current(context: Context) -> Path:
    """The path of a database that has every table; MigrationError for any other."""
    path = database_path(context)
    found = state(path, load(find_sql()))
    if found.kind is Kind.PENDING:
        raise MigrationError(f"The database is at version {found.version} of {found.head}: run 'waiaas db migrate'.")
    if found.kind is not Kind.CURRENT:
        raise MigrationError(found.detail)
    return path


def anchors(context: Context) -> list[Anchor]:
    """What epoch.json says of the audit log; a warning, and nothing, if it cannot be read."""
    try:
        marker = msgspec.json.decode(context.data.epoch.read_bytes(), type=Marker)
    except FileNotFoundError:
        return []
    except (OSError, msgspec.MsgspecError) as error:
        context.warn(f"{context.data.epoch.name} cannot be read, so the log is not compared with it: {error}")
        return []
    return [Anchor(marker.audit_id, marker.audit_hash, context.data.epoch.name)]
