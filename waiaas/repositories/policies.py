"""`policies`: reads and writes; every write raises `policy_version` in its commit."""

import sqlite3

import msgspec

from waiaas.db import Database, Statement
from waiaas.domain.policy import Policy, PolicyType, decode_rules, encode_rules
from waiaas.errors import CorruptRow, PolicyNotFound, ValidationFailed

COLUMNS = "id, agent_id, type, rules, priority, enabled, override, version, created_at, updated_at"
GET = f"SELECT {COLUMNS} FROM policies WHERE id = :id"
LIST = f"""
SELECT {COLUMNS} FROM policies
 WHERE (:agent_id IS NULL OR agent_id = :agent_id OR agent_id IS NULL)
   AND (:type IS NULL OR type = :type) AND (:enabled IS NULL OR enabled = :enabled)
 ORDER BY priority DESC, id
"""
VERSION = "SELECT value FROM key_value_store WHERE key = 'policy_version'"

CREATE = """
INSERT INTO policies (id, agent_id, type, rules, priority, enabled, override, version, created_at, updated_at)
VALUES (:id, :agent_id, :type, :rules, :priority, :enabled, :override, 1, :now, :now)
"""
UPDATE = """
UPDATE policies SET rules = :rules, priority = :priority, enabled = :enabled, override = :override,
       version = version + 1, updated_at = :now
 WHERE id = :id AND version = :version
"""
DELETE = "DELETE FROM policies WHERE id = :id AND version = :version"


def _policy(row: sqlite3.Row) -> Policy:
    try:
        return Policy(
            id=row["id"],
            agent_id=row["agent_id"],
            type=PolicyType(row["type"]),
            rules=decode_rules(PolicyType(row["type"]), row["rules"]),
            priority=row["priority"],
            enabled=bool(row["enabled"]),
            override=bool(row["override"]),
            version=row["version"],
            created_at=row["created_at"],
            updated_at=row["updated_at"],
        )
    except (msgspec.DecodeError, ValidationFailed, ValueError) as error:
        raise CorruptRow("policies", row["id"], "rules") from error


async def get(db: Database, policy_id: str) -> Policy:
    """The policy; PolicyNotFound if there is none."""
    row = await db.fetch_one(GET, {"id": policy_id})
    if row is None:
        raise PolicyNotFound()
    return _policy(row)


async def page(
    db: Database, *, agent_id: str | None = None, type: PolicyType | None = None, enabled: bool | None = None
) -> list[Policy]:
    """Policies by falling priority, then id; with an agent: its own and the global ones."""
    params = {"agent_id": agent_id, "type": type, "enabled": enabled}
    return [_policy(row) for row in await db.fetch_all(LIST, params)]


async def version(db: Database) -> int:
    """Raised by every policy write."""
    row = await db.fetch_one(VERSION)
    return int(row["value"]) if row else 0


def create(policy: Policy) -> Statement:
    """A new policy; a foreign key refuses an agent that does not exist."""
    return Statement(
        CREATE, _params(policy) | {"now": policy.created_at, "agent_id": policy.agent_id}, touches="policies"
    )


def update(policy: Policy, *, was: int, now: int) -> Statement:
    """The policy as given; stale if it was written since version `was` was read."""
    return Statement(UPDATE, _params(policy) | {"version": was, "now": now}, touches="policies")


def delete(policy: Policy) -> Statement:
    """Gone; stale if it was written since it was read."""
    return Statement(DELETE, {"id": policy.id, "version": policy.version}, touches="policies")


def _params(policy: Policy) -> dict[str, object]:
    return {
        "id": policy.id,
        "type": policy.type,
        "rules": encode_rules(policy.rules).decode(),
        "priority": policy.priority,
        "enabled": policy.enabled,
        "override": policy.override,
    }
