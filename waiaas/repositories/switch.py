"""`kill_switch`: one row; the guards that accepting, starting and signing carry, and its own three steps."""

from waiaas.db import Database, Statement
from waiaas.domain.switch import KillSwitch
from waiaas.errors import StorageCorrupt
from waiaas.repositories.rows import to_struct

#: told by every commit that moves the switch
TOPIC = "switch"

GET = """
SELECT id, state, generation, reason, activated_by, activated_at, eligible_at FROM kill_switch WHERE id = 1
"""
IS_OFF = "SELECT 1 FROM kill_switch WHERE id = 1 AND state = 'NORMAL' AND generation = :generation"
ACTIVATE = """
UPDATE kill_switch SET state = 'ACTIVATED', generation = generation + 1, reason = :reason, activated_by = :by,
       activated_at = :at, eligible_at = NULL, updated_at = :now
 WHERE id = 1 AND state IN ('NORMAL', 'RECOVERING')
"""
BEGIN_RECOVERY = """
UPDATE kill_switch SET state = 'RECOVERING', eligible_at = :eligible_at, updated_at = :now
 WHERE id = 1 AND state = 'ACTIVATED' AND generation = :generation
"""
RECOVER = """
UPDATE kill_switch SET state = 'NORMAL', reason = NULL, activated_by = NULL, activated_at = NULL, eligible_at = NULL,
       updated_at = :now
 WHERE id = 1 AND state = :state AND generation = :generation
"""


async def get(db: Database) -> KillSwitch:
    """The switch as it stands; StorageCorrupt if its row is gone."""
    row = await db.fetch_one(GET)
    if row is None:
        raise StorageCorrupt("the row of kill_switch is missing")
    return to_struct(row, KillSwitch, "kill_switch")


def is_off(generation: int) -> Statement:
    """Guard: the switch is off and was not thrown since `generation` was read."""
    return Statement(IS_OFF, {"generation": generation})


def activate(*, reason: str | None, by: str, at: int, now: int) -> Statement:
    """NORMAL or RECOVERING → ACTIVATED with a new generation; stale if it is on already."""
    return Statement(ACTIVATE, {"reason": reason, "by": by, "at": at, "now": now}, touches=TOPIC)


def begin_recovery(was: KillSwitch, *, eligible_at: int, now: int) -> Statement:
    """ACTIVATED → RECOVERING; stale if it was moved since it was read."""
    params = {"generation": was.generation, "eligible_at": eligible_at, "now": now}
    return Statement(BEGIN_RECOVERY, params, touches=TOPIC)


def recover(was: KillSwitch, now: int) -> Statement:
    """ACTIVATED or RECOVERING → NORMAL, the generation stays; stale if it was moved since it was read."""
    params = {"state": was.state, "generation": was.generation, "now": now}
    return Statement(RECOVER, params, touches=TOPIC)
