"""`nonces`: single-use numbers for texts that an owner signs."""

from waiaas.db import Statement

OPEN = """
INSERT INTO nonces (nonce, action, created_at, expires_at) VALUES (:nonce, 'open', :now, :expires_at)
"""
KEEP_NEWEST = """
DELETE FROM nonces WHERE action = 'open' AND nonce NOT IN (
  SELECT nonce FROM nonces WHERE action = 'open' ORDER BY created_at DESC, rowid DESC LIMIT :most)
"""
SWEEP = "DELETE FROM nonces WHERE expires_at <= :now"


def open_nonce(nonce: str, *, now: int, expires_at: int) -> Statement:
    """A nonce bound to nothing yet."""
    return Statement(OPEN, {"nonce": nonce, "now": now, "expires_at": expires_at})


def keep_newest(most: int) -> Statement:
    """Of the unbound ones the oldest go first."""
    return Statement(KEEP_NEWEST, {"most": most}, expect=None)


def sweep(now: int) -> Statement:
    """Those that ran out."""
    return Statement(SWEEP, {"now": now}, expect=None)
