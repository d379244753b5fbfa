"""`kill_switch`: one row; the guards that accepting, starting and signing carry."""

from waiaas.db import Database, Statement
from waiaas.domain.control import KillSwitch
from waiaas.errors import StorageCorrupt
from waiaas.repositories.rows import to_struct

GET = "SELECT id, state, generation, activated_at FROM kill_switch WHERE id = 1"
IS_OFF = "SELECT 1 FROM kill_switch WHERE id = 1 AND state = 'NORMAL' AND generation = :generation"


async def get(db: Database) -> KillSwitch:
    """The switch as it stands; StorageCorrupt if its row is gone."""
    row = await db.fetch_one(GET)
    if row is None:
        raise StorageCorrupt("the row of kill_switch is missing")
    return to_struct(row, KillSwitch, "kill_switch")


def is_off(generation: int) -> Statement:
    """Guard: the switch is off and was not thrown since `generation` was read."""
    return Statement(IS_OFF, {"generation": generation})
