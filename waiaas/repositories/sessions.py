"""`sessions`: reads, and the named steps of a session's life."""

import msgspec

from waiaas.db import Database, Statement
from waiaas.domain.session import Session
from waiaas.errors import CorruptRow

COLUMNS = """id, agent_id, parent_id, name, token_hash, constraints, expires_at, absolute_expires_at, renewal_count,
       max_renewals, last_renewed_at, revoked_at, created_at"""
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
REVOKE = "UPDATE sessions SET revoked_at = :now, revoked_reason = :reason WHERE id = :id AND revoked_at IS NULL"
REVOKE_OF_AGENT = """
UPDATE sessions SET revoked_at = :now, revoked_reason = :reason WHERE agent_id = :agent_id AND revoked_at IS NULL
"""
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


async def newly_expired(db: Database, now: int) -> list[tuple[str, str]]:
    """(session, agent) of up to 100 sessions whose end was not told yet."""
    return [(row["id"], row["agent_id"]) for row in await db.fetch_all(EXPIRED, {"now": now})]


def issue(session: Session, *, issued_by: str, most: int) -> Statement:
    """One insert that holds the law: an ACTIVE agent with fewer than `most` live sessions; stale otherwise."""
    constraints = session.constraints
    return Statement(
        ISSUE,
        {
            "id": session.id,
            "agent_id": session.agent_id,
            "name": session.name,
            "token_hash": session.token_hash,
            "constraints": msgspec.json.encode(constraints, order="sorted").decode() if constraints else None,
            "issued_by": issued_by,
            "expires_at": session.expires_at,
            "absolute_expires_at": session.absolute_expires_at,
            "max_renewals": session.max_renewals,
            "now": session.created_at,
            "most": most,
        },
        touches=f"session:{session.id}",
    )


def revoke(session_id: str, reason: str, now: int) -> Statement:
    """Dead from this commit on; stale if it was revoked before."""
    return Statement(REVOKE, {"id": session_id, "reason": reason, "now": now}, touches=f"session:{session_id}")


def revoke_all_of(agent_id: str, reason: str, now: int) -> Statement:
    """Every session of an agent, however many."""
    params = {"agent_id": agent_id, "reason": reason, "now": now}
    return Statement(REVOKE_OF_AGENT, params, expect=None, touches="session:*")


def note_expiry(session_id: str, now: int) -> Statement:
    """Its end was told; stale if it had been."""
    return Statement(NOTE_EXPIRY, {"id": session_id, "now": now})


def is_live(session_id: str) -> Statement:
    """Guard: the session was not revoked."""
    return Statement(IS_LIVE, {"id": session_id})
