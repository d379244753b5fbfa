"""What a stop takes with it: the transactions of an agent or a session that are not signed yet."""

from collections.abc import Iterable

from waiaas.db import Statement
from waiaas.domain.event import Actor
from waiaas.domain.transaction import Reason, Status, Transaction
from waiaas.pipeline.end import end_unspent

WORDS = {
    Reason.KILL_SWITCH: "The kill switch was thrown before this was signed.",
    Reason.AGENT_TERMINATED: "The agent was terminated before this was signed.",
    Reason.AGENT_SUSPENDED: "The agent was suspended before this was signed.",
    Reason.SESSION_REVOKED: "The session was revoked before this was signed.",
}


def cancel_all(open_rows: Iterable[Transaction], code: Reason, now: int, actor: Actor) -> list[Statement]:
    """PENDING and QUEUED → CANCELLED, for the commit of the stop itself; stale if one of them moved meanwhile."""
    return [
        statement for tx in open_rows for statement in end_unspent(tx, Status.CANCELLED, code, WORDS[code], now, actor)
    ]
