"""`sessions`: reads, and the named steps of a session's life."""

from collections.abc import Sequence

import msgspec

from waiaas.db import Database, Statement
from waiaas.domain.session import Session
from waiaas.errors import CorruptRow

COLUMNS = """id, agent_id, parent_id, name, token_hash, constraints, expires_at, absolute_expires_at, renewal_count,
       max_renewals, last_renewed_at, revoked_at, created_at, expiring_noted_at"""
GET = f"SELECT {COLUMNS} FROM sessions WHERE id = :id"
LIST = f"""
SELECT {COLUMNS} FROM sessions
 WHERE (:agent_id IS NULL OR agent_id = :agent_id) AND (:cursor IS NULL OR id < :cursor)
   AND (:status = 'all' AND revoked_at IS NULL
     OR :status = 'active' AND revoked_at IS NULL AND expires_at > :now
     OR :status = 'expired' AND revoked_at IS NULL AND expires_at <= :now
     OR :status = 'revoked' AND revoked_at IS NOT NULL)
 ORDER BY id DESC LIMIT :limit
"""
#: a session and everything below it; ends are not looked at, for what the dead have spent counts for the living
TREE = """
WITH RECURSIVE tree(id) AS (
  VALUES (:session_id)
  UNION ALL
  SELECT s.id FROM sessions s JOIN tree ON s.parent_id = tree.id)
SELECT id FROM tree
"""
NOT_REVOKED_TREE = f"SELECT id FROM sessions WHERE id IN ({TREE}) AND revoked_at IS NULL ORDER BY id"
LIVE_CHILDREN = """
SELECT COUNT(*) AS n FROM sessions WHERE parent_id = :id AND revoked_at IS NULL AND expires_at > :now
"""
COUNT_ACTIVE = """
SELECT COUNT(*) AS n FROM sessions
 WHERE revoked_at IS NULL AND expires_at > :now AND (:agent_id IS NULL OR agent_id = :agent_id)
"""
EXPIRED = """
SELECT id, agent_id FROM sessions WHERE expires_at <= :now AND revoked_at IS NULL AND expiry_noted_at IS NULL LIMIT 100
"""

ISSUE = """
INSERT INTO sessions (id, agent_id, name, token_hash, constraints, issued_by, expires_at, absolute_expires_at,
                      max_renewals, created_at)
SELECT :id, :agent_id, :name, :token_hash, :constraints, :issued_by, :expires_at, :absolute_expires_at, :max_renewals,
       :now
 WHERE EXISTS (SELECT 1 FROM agents WHERE id = :agent_id AND status = 'ACTIVE')
   AND (SELECT COUNT(*) FROM sessions
         WHERE agent_id = :agent_id AND parent_id IS NULL AND revoked_at IS NULL AND expires_at > :now) < :most
"""
#: a parent that is not revoked has no revoked ancestor: a revocation takes the whole tree below it
ATTENUATE = """
INSERT INTO sessions (id, agent_id, parent_id, name, token_hash, constraints, issued_by, expires_at,
                      absolute_expires_at, max_renewals, created_at)
SELECT :id, p.agent_id, p.id, :name, :token_hash, :constraints, :issued_by, :expires_at, :absolute_expires_at, 0, :now
  FROM sessions p
 WHERE p.id = :parent_id AND p.agent_id = :agent_id AND p.revoked_at IS NULL AND p.expires_at > :now
   AND p.expires_at >= :expires_at AND p.absolute_expires_at >= :absolute_expires_at
   AND EXISTS (SELECT 1 FROM agents WHERE id = p.agent_id AND status = 'ACTIVE')
   AND (SELECT COUNT(*) FROM sessions
         WHERE parent_id = p.id AND revoked_at IS NULL AND expires_at > :now) < :most_children
   AND (WITH RECURSIVE up(id, parent_id) AS (
          SELECT id, parent_id FROM sessions WHERE id = p.id
          UNION ALL
          SELECT s.id, s.parent_id FROM sessions s JOIN up ON s.id = up.parent_id)
        SELECT COUNT(*) FROM up) <= :most_ancestors
   AND (WITH RECURSIVE up(id, parent_id) AS (
          SELECT id, parent_id FROM sessions WHERE id = p.id
          UNION ALL
          SELECT s.id, s.parent_id FROM sessions s JOIN up ON s.id = up.parent_id),
        below(id) AS (
          SELECT id FROM up WHERE parent_id IS NULL
          UNION ALL
          SELECT s.id FROM sessions s JOIN below ON s.parent_id = below.id)
        SELECT COUNT(*) FROM below) <= :most_descendants
"""
RENEW = """
UPDATE sessions
   SET token_hash = :token_hash, expires_at = :expires_at, renewal_count = renewal_count + 1, last_renewed_at = :now
 WHERE id = :id AND token_hash = :was AND revoked_at IS NULL AND renewal_count < max_renewals
   AND absolute_expires_at >= :expires_at
"""
NOTE_EXPIRING = "UPDATE sessions SET expiring_noted_at = :now WHERE id = :id AND expiring_noted_at IS NULL"
REVOKE = f"""
UPDATE sessions SET revoked_at = :now, revoked_reason = :reason WHERE revoked_at IS NULL AND id IN ({TREE})
"""
REVOKE_OF_AGENT = """
UPDATE sessions SET revoked_at = :now, revoked_reason = :reason WHERE agent_id = :agent_id AND revoked_at IS NULL
"""
LIVE_IDS = "SELECT id FROM sessions WHERE revoked_at IS NULL ORDER BY id"
LIVE_IDS_OF_AGENT = "SELECT id FROM sessions WHERE agent_id = :agent_id AND revoked_at IS NULL ORDER BY id"
REVOKE_THESE = """
UPDATE sessions SET revoked_at = :now, revoked_reason = :reason
 WHERE revoked_at IS NULL AND id IN (SELECT value FROM json_each(:ids))
"""
NONE_LIVE = "SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM sessions WHERE revoked_at IS NULL)"
NOTE_EXPIRY = """
UPDATE sessions SET expiry_noted_at = :now WHERE id = :id AND revoked_at IS NULL AND expiry_noted_at IS NULL
"""
IS_LIVE = "SELECT 1 FROM sessions WHERE id = :id AND revoked_at IS NULL"


def _session(row: object) -> Session:
    values = dict(row)  # type: ignore[call-overload]
    try:
        values["constraints"] = msgspec.json.decode(values["constraints"]) if values["constraints"] else None
        return msgspec.convert(values, Session)
    except (msgspec.ValidationError, msgspec.DecodeError) as error:
        raise CorruptRow("sessions", values["id"], str(error)) from error


async def find(db: Database, session_id: str) -> Session | None:
    """The session, revoked and expired ones too."""
    row = await db.fetch_one(GET, {"id": session_id})
    return _session(row) if row else None


async def page(
    db: Database, *, now: int, limit: int, agent_id: str | None = None, status: str = "all", cursor: str | None = None
) -> list[Session]:
    """Sessions newest first; `status` is active, expired, revoked, or all (active and expired)."""
    params = {"now": now, "limit": limit, "agent_id": agent_id, "status": status, "cursor": cursor}
    return [_session(row) for row in await db.fetch_all(LIST, params)]


async def count_active(db: Database, now: int, agent_id: str | None = None) -> int:
    """How many live sessions there are, of one agent or of all."""
    row = await db.fetch_one(COUNT_ACTIVE, {"now": now, "agent_id": agent_id})
    return int(row["n"]) if row else 0


async def tree(db: Database, session_id: str) -> list[str]:
    """The session and its descendants, dead ones too; itself first."""
    return [row["id"] for row in await db.fetch_all(TREE, {"session_id": session_id})]


async def not_revoked_tree(db: Database, session_id: str) -> list[str]:
    """What a revocation of the session takes with it: itself and descendants, oldest first."""
    return [row["id"] for row in await db.fetch_all(NOT_REVOKED_TREE, {"session_id": session_id})]


async def live_children(db: Database, session_id: str, now: int) -> int:
    """How many of its children are neither revoked nor past their end."""
    row = await db.fetch_one(LIVE_CHILDREN, {"id": session_id, "now": now})
    return int(row["n"]) if row else 0


async def newly_expired(db: Database, now: int) -> list[tuple[str, str]]:
    """(session, agent) of up to 100 sessions whose end was not told yet."""
    return [(row["id"], row["agent_id"]) for row in await db.fetch_all(EXPIRED, {"now": now})]


async def not_revoked(db: Database, agent_id: str | None = None) -> list[str]:
    """Ids of the sessions that were not revoked, run out or not: of one agent or of all."""
    if agent_id is None:
        return [row["id"] for row in await db.fetch_all(LIVE_IDS)]
    return [row["id"] for row in await db.fetch_all(LIVE_IDS_OF_AGENT, {"agent_id": agent_id})]


def _values(session: Session, issued_by: str) -> dict[str, object]:
    constraints = session.constraints
    return {
        "id": session.id,
        "agent_id": session.agent_id,
        "name": session.name,
        "token_hash": session.token_hash,
        "constraints": msgspec.json.encode(constraints, order="sorted").decode() if constraints else None,
        "issued_by": issued_by,
        "expires_at": session.expires_at,
        "absolute_expires_at": session.absolute_expires_at,
        "now": session.created_at,
    }


def issue(session: Session, *, issued_by: str, most: int) -> Statement:
    """One insert that holds the law: an ACTIVE agent with fewer than `most` live sessions; stale otherwise."""
    values = {**_values(session, issued_by), "max_renewals": session.max_renewals, "most": most}
    return Statement(ISSUE, values, touches=f"session:{session.id}")


def attenuate(
    child: Session, *, issued_by: str, most_children: int, most_ancestors: int, most_descendants: int
) -> Statement:
    """A child inside its parent's life; stale if the parent or agent is not live, or has as many as it may."""
    limits = {"most_children": most_children, "most_ancestors": most_ancestors, "most_descendants": most_descendants}
    values = {**_values(child, issued_by), "parent_id": child.parent_id, **limits}
    return Statement(ATTENUATE, values, touches=f"session:{child.id}")


def renew(session_id: str, *, was: str, token_hash: str, expires_at: int, now: int) -> Statement:
    """A new token in the place of the one with the hash `was`, which is dead from this commit on; stale if it was."""
    params = {"id": session_id, "was": was, "token_hash": token_hash, "expires_at": expires_at, "now": now}
    return Statement(RENEW, params, touches=f"session:{session_id}")


def note_expiring(session_id: str, now: int) -> Statement:
    """It was told that its end comes near; stale if it had been."""
    return Statement(NOTE_EXPIRING, {"id": session_id, "now": now}, touches=f"session:{session_id}")


def revoke(session_id: str, reason: str, now: int, *, sessions: int = 1) -> Statement:
    """Dead from this commit on, with everything below; stale unless that makes exactly so many `sessions`."""
    params = {"session_id": session_id, "reason": reason, "now": now}
    return Statement(REVOKE, params, expect=sessions, touches="session:*" if sessions > 1 else f"session:{session_id}")


def revoke_all_of(agent_id: str, reason: str, now: int, *, count: int | None = None) -> Statement:
    """Every session of an agent, however many; stale if there are not `count`."""
    params = {"agent_id": agent_id, "reason": reason, "now": now}
    return Statement(REVOKE_OF_AGENT, params, expect=count, touches="session:*")


def revoke_these(ids: Sequence[str], reason: str, now: int) -> Statement:
    """All of them, dead from this commit on; stale if one of them was before."""
    params = {"ids": msgspec.json.encode(ids).decode(), "reason": reason, "now": now}
    return Statement(REVOKE_THESE, params, expect=len(ids), touches="session:*")


def none_live() -> Statement:
    """Guard: every session there is was revoked."""
    return Statement(NONE_LIVE)


def note_expiry(session_id: str, now: int) -> Statement:
    """Its end was told; stale if it had been."""
    return Statement(NOTE_EXPIRY, {"id": session_id, "now": now})


def is_live(session_id: str) -> Statement:
    """Guard: the session was not revoked."""
    return Statement(IS_LIVE, {"id": session_id})
