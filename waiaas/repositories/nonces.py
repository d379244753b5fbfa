"""`nonces`: single-use numbers for texts that an owner signs."""

import msgspec

from waiaas.db import Database, Statement
from waiaas.repositories.rows import to_struct

COLUMNS = "nonce AS id, action, subject, address, new_address, digest, text_hash, expires_at"
FIND = f"SELECT {COLUMNS} FROM nonces WHERE nonce = :nonce"

OPEN = """
INSERT INTO nonces (nonce, action, created_at, expires_at) VALUES (:nonce, 'open', :now, :expires_at)
"""
BIND = """
INSERT INTO nonces (nonce, action, subject, address, new_address, digest, text_hash, created_at, expires_at)
VALUES (:nonce, :action, :subject, :address, :new_address, :digest, :text_hash, :now, :expires_at)
"""
KEEP_NEWEST = """
DELETE FROM nonces WHERE action = 'open' AND nonce NOT IN (
  SELECT nonce FROM nonces WHERE action = 'open' ORDER BY created_at DESC, rowid DESC LIMIT :most)
"""
KEEP_NEWEST_OF = """
DELETE FROM nonces WHERE subject = :subject AND rowid <= (
  SELECT rowid FROM nonces WHERE subject = :subject ORDER BY created_at DESC, rowid DESC LIMIT 1 OFFSET :most)
"""
CONSUME = "DELETE FROM nonces WHERE nonce = :nonce AND expires_at > :now"
VOID_OF_AGENT = """
DELETE FROM nonces
 WHERE subject = :agent_id
    OR EXISTS (SELECT 1 FROM transactions t WHERE t.id = nonces.subject AND t.agent_id = :agent_id)
"""
VOID = "DELETE FROM nonces"
SWEEP = "DELETE FROM nonces WHERE expires_at <= :now"

#: the action of a nonce that is bound to nothing
UNBOUND = "open"


class Bound(msgspec.Struct, frozen=True):
    """What a nonce was made for: `id` is the nonce, `text_hash` the SHA-256 in hex of the whole text."""

    id: str
    action: str
    subject: str | None
    address: str | None
    new_address: str | None
    digest: str | None
    text_hash: str | None
    expires_at: int


async def find(db: Database, nonce: str) -> Bound | None:
    """What a nonce is bound to; None if it was used or never made."""
    row = await db.fetch_one(FIND, {"nonce": nonce})
    return to_struct(row, Bound, "nonces") if row else None


def open_nonce(nonce: str, *, now: int, expires_at: int) -> Statement:
    """A nonce bound to nothing yet."""
    return Statement(OPEN, {"nonce": nonce, "now": now, "expires_at": expires_at})


def bind(bound: Bound, now: int) -> Statement:
    """A nonce for one text."""
    params = {name: value for name, value in msgspec.structs.asdict(bound).items() if name != "id"}
    return Statement(BIND, {"nonce": bound.id, "now": now, **params})


def consume(nonce: str, now: int) -> Statement:
    """Gone; stale if it was used before or has expired: at `expires_at` it has."""
    return Statement(CONSUME, {"nonce": nonce, "now": now})


def keep_newest(most: int) -> Statement:
    """Of the unbound ones the oldest go first."""
    return Statement(KEEP_NEWEST, {"most": most}, expect=None)


def keep_newest_of(subject: str, most: int) -> Statement:
    """Of one subject's texts the oldest go first."""
    return Statement(KEEP_NEWEST_OF, {"subject": subject, "most": most}, expect=None)


def void_of_agent(agent_id: str) -> Statement:
    """Every text about the agent or one of its transactions: its owner is another one now."""
    return Statement(VOID_OF_AGENT, {"agent_id": agent_id}, expect=None)


def void() -> Statement:
    """Every text there is."""
    return Statement(VOID, {}, expect=None)


def sweep(now: int) -> Statement:
    """Those that ran out."""
    return Statement(SWEEP, {"now": now}, expect=None)
