"""I6: whatever changes of agents, owners, sessions, policies or the switch is told of in the commit that changes it."""

from collections.abc import Iterable
from typing import NamedTuple

#: a row of what must be told: whose it is (ids, of which one is named), as what (any of several), the event beside it
MUST = "INSERT INTO heard VALUES ('must', {ids}, '', {audited}, {event}, NULL)"
CHANGES = (
    (
        "agent", "AFTER UPDATE ON main.agents WHEN OLD.status <> NEW.status", "NEW.id",
        """CASE NEW.status WHEN 'ACTIVE' THEN 'AGENT_ACTIVATED|AGENT_RESUMED|KILL_SWITCH_RECOVERED'
             WHEN 'SUSPENDED' THEN 'AGENT_SUSPENDED|KILL_SWITCH_ACTIVATED' ELSE 'AGENT_' || NEW.status END""",
        "NULL",
    ),
    (
        "owner", "AFTER UPDATE ON main.agents WHEN OLD.owner_address IS NOT NEW.owner_address", "NEW.id",
        "IIF(NEW.owner_address IS NULL, 'OWNER_REMOVED', 'OWNER_SET')",
        "IIF(NEW.owner_address IS NULL, 'OWNER_REMOVED', 'OWNER_SET')",
    ),
    (
        "verified", "AFTER UPDATE ON main.agents WHEN OLD.owner_verified < NEW.owner_verified", "NEW.id",
        "'OWNER_VERIFIED'", "'OWNER_VERIFIED'",
    ),
    ("issued", "AFTER INSERT ON main.sessions", "NEW.id", "'SESSION_ISSUED'", "'SESSION_CREATED'"),
    (
        "revoked", "AFTER UPDATE ON main.sessions WHEN OLD.revoked_at IS NOT NEW.revoked_at",
        "NEW.id || ' ' || NEW.agent_id", "'SESSION_REVOKED|AGENT_TERMINATING|KILL_SWITCH_ACTIVATED'", "NULL",
    ),
    (
        "switch", "AFTER UPDATE ON main.kill_switch WHEN OLD.state <> NEW.state", "''",
        """CASE NEW.state WHEN 'ACTIVATED' THEN 'KILL_SWITCH_ACTIVATED' WHEN 'NORMAL' THEN 'KILL_SWITCH_RECOVERED'
             ELSE 'KILL_SWITCH_RECOVERY_STARTED' END""",
        """CASE NEW.state WHEN 'ACTIVATED' THEN 'KILL_SWITCH_ACTIVATED'
             WHEN 'NORMAL' THEN 'KILL_SWITCH_RECOVERED' END""",
    ),
    (
        "rules", "AFTER UPDATE ON main.key_value_store WHEN NEW.key = 'policy_version'", "''",
        "'POLICY_CREATED|POLICY_UPDATED|POLICY_DELETED'", "NULL",
    ),
)  # fmt: skip
HEAR_CHANGES = (
    "".join(
        f"CREATE TEMP TRIGGER hear_{name} {when} BEGIN {MUST.format(ids=ids, audited=audited, event=event)}; END;\n"
        for name, when, ids, audited, event in CHANGES
    )
    + """
CREATE TEMP TRIGGER hear_named AFTER INSERT ON main.audit_log BEGIN
  INSERT INTO heard VALUES ('named', COALESCE(NEW.agent_id, '') || ' ' || COALESCE(NEW.session_id, ''), '',
                            NEW.event_type, NEW.details, NULL); END;
CREATE TEMP TRIGGER hear_event AFTER INSERT ON main.outbox BEGIN
  INSERT INTO heard VALUES ('event', COALESCE(NEW.agent_id, '') || ' ' || COALESCE(NEW.session_id, ''), '',
                            NEW.event_type, NULL, NULL); END;
"""
)


class Told(NamedTuple):
    """An audit row or an event: as what, of whom, and what else it says."""

    event: str
    ids: str
    details: str

    def names(self, ids: str) -> bool:
        """Whether it is about one of them, or about nobody in particular; a cascade names what it hit."""
        return not ids or any(one in self.ids or one in self.details for one in ids.split())


def check_told(heard: Iterable[tuple[str, str, str, str, str | None, str | None]]) -> None:
    """After a commit; AssertionError if something changed that it does not tell of."""
    rows = list(heard)
    audited = [Told(event, ids, details or "") for what, ids, _, event, details, _ in rows if what == "named"]
    emitted = [Told(event, ids, "") for what, ids, _, event, _, _ in rows if what == "event"]
    for what, ids, _, events, event, _ in rows:
        if what == "must":
            told = any(one.event in events.split("|") and one.names(ids) for one in audited)
            assert told, f"I6: {ids} changed without an audit row of {events} in that commit"
            assert event is None or any(one.event == event and one.names(ids) for one in emitted), (
                f"I6: {ids} changed without the event {event} in that commit"
            )
