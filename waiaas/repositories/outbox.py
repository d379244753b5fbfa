"""`outbox`: events, committed with the state they tell of."""

from typing import Any

import msgspec

from waiaas.db import Database, Statement
from waiaas.domain.event import NOTHING, About, EventType
from waiaas.ids import new_id

EMIT = """
INSERT INTO outbox (id, event_type, agent_id, session_id, tx_id, payload, created_at)
VALUES (:id, :event_type, :agent_id, :session_id, :tx_id, :payload, :now)
"""
HAS = "SELECT 1 FROM outbox WHERE tx_id = :tx_id AND event_type = :event_type LIMIT 1"


async def has(db: Database, tx_id: str, event: EventType) -> bool:
    """Whether such an event of the transaction is there."""
    return await db.fetch_one(HAS, {"tx_id": tx_id, "event_type": event}) is not None


def emit(
    event: EventType,
    now: int,
    about: About = NOTHING,
    /,
    **data: Any,
) -> Statement:
    """One event with its data; its place in the order of commits is its seq."""
    return Statement(
        EMIT,
        {
            "id": new_id(),
            "event_type": event,
            "agent_id": about.agent_id,
            "session_id": about.session_id,
            "tx_id": about.tx_id,
            "payload": msgspec.json.encode(data, order="sorted").decode(),
            "now": now,
        },
    )
