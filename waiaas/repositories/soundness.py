"""What must be true across tables: JSON that decodes, reservations that follow their transaction, a key per agent."""

import sqlite3
from collections.abc import Iterator, Sequence, Set

from waiaas.db.inspect import Finding
from waiaas.repositories import trail
from waiaas.repositories.trail import Anchor

JSON_COLUMNS = (
    ("sessions", "constraints"),
    ("policies", "rules"),
    ("key_value_store", "value"),
    ("transactions", "request"),
    ("transactions", "decision"),
    ("transactions", "provenance"),
    ("audit_log", "details"),
    ("outbox", "payload"),
)

RESERVED_AFTER_END = """
SELECT DISTINCT t.id, t.status FROM spend_ledger AS l JOIN transactions AS t ON t.id = l.tx_id
 WHERE l.state = 'RESERVED' AND l.kind IN ('AMOUNT', 'FEE') AND t.finished_at IS NOT NULL
"""
LIVE_WITHOUT_RESERVATION = """
SELECT t.id, t.status FROM transactions AS t
 WHERE t.finished_at IS NULL AND NOT (t.type = 'BATCH' AND t.chain = 'ethereum') AND NOT EXISTS (
   SELECT 1 FROM spend_ledger AS l WHERE l.tx_id = t.id AND l.state = 'RESERVED' AND l.kind IN ('AMOUNT', 'FEE'))
"""
AGENTS = "SELECT id, status FROM agents"
LIVE_ON_LOCALNETS = """
SELECT id FROM transactions
 WHERE status IN ('PENDING', 'QUEUED', 'EXECUTING', 'SUBMITTED') AND network IN ('localnet', 'ethereum-localnet')
"""


def broken_chain(connection: sqlite3.Connection, anchors: Sequence[Anchor]) -> Iterator[Finding]:
    """The first break of the audit log, if there is one."""
    if broken := trail.verify(connection, anchors).broken:
        yield Finding("audit", f"audit_log {broken.id}", f"{broken.reason}: {broken.detail}")


def unbalanced(connection: sqlite3.Connection) -> Iterator[Finding]:
    """Transactions that ended and still hold money, or are under way and hold none."""
    for tx, status in connection.execute(RESERVED_AFTER_END).fetchall():
        yield Finding("ledger", f"transactions {tx}", f"is {status} and still has a reservation")
    for tx, status in connection.execute(LIVE_WITHOUT_RESERVATION).fetchall():
        yield Finding("ledger", f"transactions {tx}", f"is {status} without a reservation")


def keyless(connection: sqlite3.Connection, files: Set[str]) -> Iterator[Finding]:
    """Agents that could sign and have no key file, and key files (named by agent id) that belong to no agent."""
    agents = {row[0]: row[1] for row in connection.execute(AGENTS).fetchall()}
    for agent, status in agents.items():
        if status in ("ACTIVE", "SUSPENDED", "TERMINATING") and agent not in files:
            yield Finding("keystore", f"agents {agent}", f"is {status} and has no key file")
    for orphan in sorted(files - agents.keys()):
        yield Finding("keystore", f"{orphan}.json", "belongs to no agent")


def live_on_localnets(connection: sqlite3.Connection) -> list[str]:
    """Ids of transactions whose end only an embedded chain can tell."""
    return [row[0] for row in connection.execute(LIVE_ON_LOCALNETS).fetchall()]
