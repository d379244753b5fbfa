"""The chain of the audit log: each hash covers a row and the hash before it."""

import hashlib

import msgspec

_encoder = msgspec.json.Encoder()


def first_link(installation: str) -> str:
    """What the first row's hash is chained to: bound to this installation."""
    return hashlib.sha256(f"waiaas audit v1|{installation}".encode()).hexdigest()


def link(
    previous: str,
    timestamp: int,
    event_type: str,
    actor: str,
    agent_id: str | None,
    session_id: str | None,
    tx_id: str | None,
    details: str,
    severity: str,
    ip_address: str | None,
) -> str:
    """SHA-256 in hex over the canonical JSON array of the previous hash and the row's fields, in this order."""
    row = [previous, timestamp, event_type, actor, agent_id, session_id, tx_id, details, severity, ip_address]
    return hashlib.sha256(_encoder.encode(row)).hexdigest()
