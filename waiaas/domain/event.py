"""What happened: audit events with their severity, and the events that are delivered."""

from enum import StrEnum

import msgspec


class Severity(StrEnum):
    """How loud an audit row is."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


class AuditEvent(StrEnum):
    """`audit_log.event_type`; its severity is `SEVERITY[event]`, info where it is not named."""

    AGENT_CREATED = "AGENT_CREATED"
    AGENT_ACTIVATED = "AGENT_ACTIVATED"
    AGENT_CREATION_FAILED = "AGENT_CREATION_FAILED"
    AGENT_UPDATED = "AGENT_UPDATED"
    AGENT_TERMINATING = "AGENT_TERMINATING"
    AGENT_TERMINATED = "AGENT_TERMINATED"
    SESSION_ISSUED = "SESSION_ISSUED"
    SESSION_REVOKED = "SESSION_REVOKED"
    SESSION_EXPIRED = "SESSION_EXPIRED"
    TX_REQUESTED = "TX_REQUESTED"
    TX_QUEUED = "TX_QUEUED"
    TX_DOWNGRADED = "TX_DOWNGRADED"
    TX_EXECUTING = "TX_EXECUTING"
    TX_SUBMITTED = "TX_SUBMITTED"
    TX_REPLACED = "TX_REPLACED"
    TX_CONFIRMED = "TX_CONFIRMED"
    TX_FAILED = "TX_FAILED"
    TX_CANCELLED = "TX_CANCELLED"
    TX_EXPIRED = "TX_EXPIRED"
    TX_PARTIAL_FAILURE = "TX_PARTIAL_FAILURE"
    TX_REORGED = "TX_REORGED"
    AGENT_SUSPENDED = "AGENT_SUSPENDED"
    UNKNOWN_SPEND = "UNKNOWN_SPEND"
    POLICY_CREATED = "POLICY_CREATED"
    POLICY_UPDATED = "POLICY_UPDATED"
    POLICY_DELETED = "POLICY_DELETED"
    POLICY_VIOLATION = "POLICY_VIOLATION"
    AUTH_FAILED = "AUTH_FAILED"
    MASTER_PASSWORD_LOCKED = "MASTER_PASSWORD_LOCKED"
    RATE_LIMIT_EXCEEDED = "RATE_LIMIT_EXCEEDED"
    RPC_QUARANTINED = "RPC_QUARANTINED"
    KEYSTORE_UNLOCKED = "KEYSTORE_UNLOCKED"
    KEYSTORE_LOCKED = "KEYSTORE_LOCKED"
    KEYSTORE_INTEGRITY_FAILURE = "KEYSTORE_INTEGRITY_FAILURE"
    DAEMON_STARTED = "DAEMON_STARTED"
    DAEMON_STOPPED = "DAEMON_STOPPED"
    DAEMON_RECOVERED = "DAEMON_RECOVERED"
    DAEMON_UNCLEAN_STOP = "DAEMON_UNCLEAN_STOP"
    DATABASE_MIGRATED = "DATABASE_MIGRATED"
    AUDIT_BROKEN = "AUDIT_BROKEN"


SEVERITY = {
    AuditEvent.AGENT_CREATION_FAILED: Severity.WARNING,
    AuditEvent.TX_FAILED: Severity.WARNING,
    AuditEvent.TX_PARTIAL_FAILURE: Severity.WARNING,
    AuditEvent.TX_REORGED: Severity.WARNING,
    AuditEvent.AGENT_SUSPENDED: Severity.WARNING,
    AuditEvent.UNKNOWN_SPEND: Severity.CRITICAL,
    AuditEvent.POLICY_VIOLATION: Severity.WARNING,
    AuditEvent.AUTH_FAILED: Severity.WARNING,
    AuditEvent.RATE_LIMIT_EXCEEDED: Severity.WARNING,
    AuditEvent.RPC_QUARANTINED: Severity.WARNING,
    AuditEvent.DAEMON_UNCLEAN_STOP: Severity.WARNING,
    AuditEvent.MASTER_PASSWORD_LOCKED: Severity.CRITICAL,
    AuditEvent.KEYSTORE_INTEGRITY_FAILURE: Severity.CRITICAL,
    AuditEvent.AUDIT_BROKEN: Severity.CRITICAL,
}


class EventType(StrEnum):
    """`outbox.event_type`: what streams, webhooks and channels will deliver."""

    TX_REQUESTED = "TX_REQUESTED"
    TX_QUEUED = "TX_QUEUED"
    TX_DOWNGRADED_DELAY = "TX_DOWNGRADED_DELAY"
    TX_SUBMITTED = "TX_SUBMITTED"
    TX_REPLACED = "TX_REPLACED"
    TX_CONFIRMED = "TX_CONFIRMED"
    TX_FINALIZED = "TX_FINALIZED"
    TX_FAILED = "TX_FAILED"
    TX_CANCELLED = "TX_CANCELLED"
    TX_EXPIRED = "TX_EXPIRED"
    TX_PARTIAL_FAILURE = "TX_PARTIAL_FAILURE"
    TX_REORGED = "TX_REORGED"
    TX_STUCK = "TX_STUCK"
    UNKNOWN_SPEND = "UNKNOWN_SPEND"
    AGENT_SUSPENDED = "AGENT_SUSPENDED"
    POLICY_VIOLATION = "POLICY_VIOLATION"
    AGENT_TERMINATED = "AGENT_TERMINATED"
    SESSION_CREATED = "SESSION_CREATED"
    SESSION_REVOKED = "SESSION_REVOKED"
    SESSION_EXPIRED = "SESSION_EXPIRED"
    RPC_QUARANTINED = "RPC_QUARANTINED"


class Actor(msgspec.Struct, frozen=True):
    """Who did it, as audit rows name them: operator, session:<id>, owner:<address>, cli, system, unknown."""

    name: str
    #: of the socket, never of a header
    ip: str | None = None


class About(msgspec.Struct, frozen=True):
    """What an audit row or event is about."""

    agent_id: str | None = None
    session_id: str | None = None
    tx_id: str | None = None


NOTHING = About()
SYSTEM = Actor("system")
CLI = Actor("cli")
OPERATOR = "operator"
UNKNOWN = "unknown"
