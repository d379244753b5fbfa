"""`agents`: reads, and the named steps of an agent's life."""

from collections.abc import Sequence

import msgspec

from waiaas.db import Database, Statement
from waiaas.domain.agent import Agent, AgentStatus
from waiaas.domain.chain import Network
from waiaas.errors import AgentNotFound
from waiaas.repositories.rows import to_struct

COLUMNS = """id, name, chain, network, public_key, status, owner_address, owner_verified, key_exported_at,
       ledger_version, suspended_at, suspension_reason, created_at, updated_at"""
GET = f"SELECT {COLUMNS} FROM agents WHERE id = :id"
LIST = f"""
SELECT {COLUMNS} FROM agents
 WHERE status <> 'CREATING' AND (:status IS NULL OR status = :status) AND (:network IS NULL OR network = :network)
   AND (:cursor IS NULL OR id < :cursor)
 ORDER BY id DESC LIMIT :limit
"""
WITH_KEYS = "SELECT id, public_key, status FROM agents WHERE status <> 'TERMINATED'"
CREATING = f"SELECT {COLUMNS} FROM agents WHERE status = 'CREATING'"
NETWORKS = "SELECT DISTINCT network FROM agents WHERE status = 'ACTIVE'"
#: whose keys are watched for what others sign with them
WATCHED = f"""
SELECT {COLUMNS} FROM agents
 WHERE status IN ('ACTIVE', 'SUSPENDED') AND network = :network AND id > :after ORDER BY id LIMIT :limit
"""
TERMINATED_IDS = "SELECT id FROM agents WHERE status = 'TERMINATED'"
COUNT = "SELECT COUNT(*) AS n FROM agents WHERE status NOT IN ('CREATING', 'TERMINATED')"

CREATE = """
INSERT INTO agents (id, name, chain, network, public_key, status, created_at, updated_at)
VALUES (:id, :name, :chain, :network, :public_key, 'CREATING', :now, :now)
"""
#: one that a copy of the database knew as CREATING may have acted since
ACTIVATE = """
UPDATE agents SET status = CASE WHEN suspension_reason IS NULL THEN 'ACTIVE' ELSE 'SUSPENDED' END, updated_at = :now
 WHERE id = :id AND status = 'CREATING'
"""
UNDO_CREATION = "DELETE FROM agents WHERE id = :id AND status = 'CREATING'"
RENAME = """
UPDATE agents SET name = :name, updated_at = :now WHERE id = :id AND status NOT IN ('TERMINATED', 'TERMINATING')
"""
MARK_TERMINATING = """
UPDATE agents SET status = 'TERMINATING', updated_at = :now WHERE id = :id AND status IN ('ACTIVE', 'SUSPENDED')
"""
MARK_SUSPENDED = """
UPDATE agents SET status = 'SUSPENDED', suspended_at = :now, suspension_reason = :reason, updated_at = :now
 WHERE id = :id AND status = 'ACTIVE'
"""
MARK_SUSPENDED_FOR = """
UPDATE agents SET suspension_reason = :reason, updated_at = :now
 WHERE id = :id AND status = 'SUSPENDED' AND suspension_reason IS NOT :reason
"""
MARK_RESUMED = """
UPDATE agents SET status = 'ACTIVE', suspended_at = NULL, suspension_reason = NULL, updated_at = :now
 WHERE id = :id AND status = 'SUSPENDED' AND suspension_reason IS :was
"""
ACTIVE_IDS = "SELECT id FROM agents WHERE status = 'ACTIVE' ORDER BY id"
SUSPEND_THESE = """
UPDATE agents SET status = 'SUSPENDED', suspended_at = :now, suspension_reason = :reason, updated_at = :now
 WHERE status = 'ACTIVE' AND id IN (SELECT value FROM json_each(:ids))
"""
NONE_ACTIVE = "SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM agents WHERE status = 'ACTIVE')"
STANDING = """
SELECT id, suspension_reason FROM agents WHERE status IN ('CREATING', 'ACTIVE', 'SUSPENDED') ORDER BY id
"""
SUSPEND_ALL = """
UPDATE agents SET status = CASE status WHEN 'CREATING' THEN status ELSE 'SUSPENDED' END,
       suspended_at = COALESCE(suspended_at, :now), suspension_reason = :reason, updated_at = :now
 WHERE status IN ('CREATING', 'ACTIVE', 'SUSPENDED')
"""
SUSPENDED_FOR = "SELECT id FROM agents WHERE status = 'SUSPENDED' AND suspension_reason = :reason ORDER BY id"
RESUME_THESE = """
UPDATE agents SET status = 'ACTIVE', suspended_at = NULL, suspension_reason = NULL, updated_at = :now
 WHERE status = 'SUSPENDED' AND suspension_reason = :reason AND id IN (SELECT value FROM json_each(:ids))
"""
MARK_TERMINATED = """
UPDATE agents SET status = 'TERMINATED', updated_at = :now
 WHERE id = :id AND status = 'TERMINATING'
   AND NOT EXISTS (SELECT 1 FROM transactions t WHERE t.agent_id = agents.id
                    AND t.status IN ('PENDING', 'QUEUED', 'EXECUTING', 'SUBMITTED'))
   AND NOT EXISTS (SELECT 1 FROM attempts a CROSS JOIN transactions t ON t.id = a.tx_id
                    WHERE a.status = 'LIVE' AND t.agent_id = agents.id)
"""
ENDING = """
SELECT id FROM agents WHERE status = 'TERMINATING'
   AND NOT EXISTS (SELECT 1 FROM transactions t WHERE t.agent_id = agents.id
                    AND t.status IN ('PENDING', 'QUEUED', 'EXECUTING', 'SUBMITTED'))
   AND NOT EXISTS (SELECT 1 FROM attempts a CROSS JOIN transactions t ON t.id = a.tx_id
                    WHERE a.status = 'LIVE' AND t.agent_id = agents.id)
"""
SET_OWNER = """
UPDATE agents SET owner_address = :address, updated_at = :now
 WHERE id = :id AND owner_address IS :was AND owner_verified = :verified AND status NOT IN ('TERMINATING', 'TERMINATED')
"""
REMOVE_OWNER = """
UPDATE agents SET owner_address = NULL, updated_at = :now
 WHERE id = :id AND owner_address = :was AND owner_verified = 0
"""
VERIFY_OWNER = """
UPDATE agents SET owner_verified = 1, updated_at = :now
 WHERE id = :id AND owner_address = :address AND owner_verified = 0
"""
OWNER_IS = "SELECT 1 FROM agents WHERE id = :id AND owner_address IS :address AND owner_verified = :verified"
OWNERS = "SELECT DISTINCT owner_address FROM agents WHERE owner_address IS NOT NULL AND status <> 'TERMINATED'"
OWNED_BY = f"SELECT {COLUMNS} FROM agents WHERE owner_address = :address AND status <> 'TERMINATED' ORDER BY id"
MAY_WITHDRAW = """
SELECT 1 FROM agents
 WHERE id = :id AND owner_address = :owner AND owner_verified = 1 AND status IN ('ACTIVE', 'SUSPENDED', 'TERMINATING')
"""
IS_ACTIVE = "SELECT 1 FROM agents WHERE id = :id AND status = 'ACTIVE'"


async def find(db: Database, agent_id: str) -> Agent | None:
    """The agent, in whatever state."""
    row = await db.fetch_one(GET, {"id": agent_id})
    return to_struct(row, Agent, "agents") if row else None


async def get(db: Database, agent_id: str) -> Agent:
    """The agent; AgentNotFound if there is none or it is still being created."""
    agent = await find(db, agent_id)
    if agent is None or agent.status is AgentStatus.CREATING:
        raise AgentNotFound()
    return agent


async def page(
    db: Database,
    *,
    limit: int,
    cursor: str | None = None,
    status: str | None = None,
    network: str | None = None,
) -> list[Agent]:
    """Agents newest first, those being created left out."""
    params = {"limit": limit, "cursor": cursor, "status": status, "network": network}
    return [to_struct(row, Agent, "agents") for row in await db.fetch_all(LIST, params)]


async def keys(db: Database) -> dict[str, str]:
    """Agent id → public key of every agent whose key file must be there, those being created left out."""
    return {row["id"]: row["public_key"] for row in await db.fetch_all(WITH_KEYS) if row["status"] != "CREATING"}


async def creating(db: Database) -> list[Agent]:
    """Agents whose creation was cut short."""
    return [to_struct(row, Agent, "agents") for row in await db.fetch_all(CREATING)]


async def networks(db: Database) -> set[Network]:
    """Where an agent may act."""
    return {Network(row["network"]) for row in await db.fetch_all(NETWORKS)}


async def watched(db: Database, network: Network, *, after: str, limit: int) -> list[Agent]:
    """Agents of a network that are ACTIVE or SUSPENDED, by id."""
    params = {"network": network, "after": after, "limit": limit}
    return [to_struct(row, Agent, "agents") for row in await db.fetch_all(WATCHED, params)]


async def terminated(db: Database) -> set[str]:
    """Ids of terminated agents: their key files are retired."""
    return {row["id"] for row in await db.fetch_all(TERMINATED_IDS)}


async def active_ids(db: Database) -> list[str]:
    """Ids of the agents that may act."""
    return [row["id"] for row in await db.fetch_all(ACTIVE_IDS)]


async def owner_addresses(db: Database) -> set[str]:
    """Everybody who owns an agent that is not terminated."""
    return {row["owner_address"] for row in await db.fetch_all(OWNERS)}


async def standing(db: Database) -> dict[str, str | None]:
    """Agents that are CREATING or ACTIVE, or SUSPENDED and why, by id."""
    return {row["id"]: row["suspension_reason"] for row in await db.fetch_all(STANDING)}


async def suspended_for(db: Database, reason: str) -> list[str]:
    """Ids of the agents suspended for this reason."""
    return [row["id"] for row in await db.fetch_all(SUSPENDED_FOR, {"reason": reason})]


async def ending(db: Database) -> list[str]:
    """Ids of TERMINATING agents of which nothing can land any more."""
    return [row["id"] for row in await db.fetch_all(ENDING)]


async def count(db: Database) -> int:
    """How many agents live."""
    row = await db.fetch_one(COUNT)
    return int(row["n"]) if row else 0


def create(agent: Agent) -> Statement:
    """A CREATING row with its public key; ConstraintFailed if that key is known."""
    return Statement(
        CREATE,
        {
            "id": agent.id,
            "name": agent.name,
            "chain": agent.chain,
            "network": agent.network,
            "public_key": agent.public_key,
            "now": agent.created_at,
        },
    )


def activate(agent_id: str, now: int) -> Statement:
    """CREATING → ACTIVE: its key file is safe."""
    return Statement(ACTIVATE, {"id": agent_id, "now": now}, touches=f"agent:{agent_id}")


def undo_creation(agent_id: str) -> Statement:
    """Out of CREATING alone a row is deleted."""
    return Statement(UNDO_CREATION, {"id": agent_id})


def rename(agent_id: str, name: str, now: int) -> Statement:
    """A new name; stale once it is terminated."""
    return Statement(RENAME, {"id": agent_id, "name": name, "now": now}, touches=f"agent:{agent_id}")


def mark_terminating(agent_id: str, now: int) -> Statement:
    """ACTIVE or SUSPENDED → TERMINATING."""
    return Statement(MARK_TERMINATING, {"id": agent_id, "now": now}, touches=f"agent:{agent_id}")


def mark_suspended(agent_id: str, reason: str, now: int) -> Statement:
    """ACTIVE → SUSPENDED."""
    return Statement(MARK_SUSPENDED, {"id": agent_id, "reason": reason, "now": now}, touches=f"agent:{agent_id}")


def mark_suspended_for(agent_id: str, reason: str, now: int) -> Statement:
    """SUSPENDED for something else → for this reason, so that who ends the other does not let it go on."""
    return Statement(MARK_SUSPENDED_FOR, {"id": agent_id, "reason": reason, "now": now}, touches=f"agent:{agent_id}")


def mark_resumed(agent_id: str, was: str | None, now: int) -> Statement:
    """SUSPENDED → ACTIVE; stale if it is SUSPENDED for anything but `was` by now."""
    return Statement(MARK_RESUMED, {"id": agent_id, "was": was, "now": now}, touches=f"agent:{agent_id}")


def suspend_these(ids: Sequence[str], reason: str, now: int) -> Statement:
    """ACTIVE → SUSPENDED for all of them; stale if one has moved."""
    params = {"ids": msgspec.json.encode(ids).decode(), "reason": reason, "now": now}
    return Statement(SUSPEND_THESE, params, expect=len(ids), touches="agent:*")


def suspend_all(reason: str, now: int) -> Statement:
    """ACTIVE → SUSPENDED for every agent; those that were SUSPENDED before are so for this reason from now on.

    One that is CREATING will be as soon as that is finished.
    """
    return Statement(SUSPEND_ALL, {"reason": reason, "now": now}, expect=None, touches="agent:*")


def none_active() -> Statement:
    """Guard: no agent may act."""
    return Statement(NONE_ACTIVE)


def resume_these(ids: Sequence[str], reason: str, now: int) -> Statement:
    """SUSPENDED for `reason` → ACTIVE for all of them; stale if one has moved."""
    params = {"ids": msgspec.json.encode(ids).decode(), "reason": reason, "now": now}
    return Statement(RESUME_THESE, params, expect=len(ids), touches="agent:*")


def mark_terminated(agent_id: str, now: int) -> Statement:
    """TERMINATING → TERMINATED; stale while a transaction of it is not final, or may land again."""
    return Statement(MARK_TERMINATED, {"id": agent_id, "now": now}, touches=f"agent:{agent_id}")


async def owned_by(db: Database, address: str) -> list[Agent]:
    """Agents that are not TERMINATED and have this canonical address for their owner."""
    return [to_struct(row, Agent, "agents") for row in await db.fetch_all(OWNED_BY, {"address": address})]


def set_owner(agent: Agent, address: str, now: int) -> Statement:
    """Another owner address, as proved as the one before; stale if the owner changed since the agent was read."""
    params = {"id": agent.id, "was": agent.owner_address, "verified": agent.owner_verified, "address": address}
    return Statement(SET_OWNER, {**params, "now": now}, touches=f"agent:{agent.id}")


def remove_owner(agent: Agent, now: int) -> Statement:
    """GRACE → NONE; stale if the owner has proved the key or changed meanwhile."""
    params = {"id": agent.id, "was": agent.owner_address, "now": now}
    return Statement(REMOVE_OWNER, params, touches=f"agent:{agent.id}")


def verify_owner(agent_id: str, address: str, now: int) -> Statement:
    """GRACE → LOCKED: the owner has proved the key; stale if it is another owner's or was proved before."""
    return Statement(VERIFY_OWNER, {"id": agent_id, "address": address, "now": now}, touches=f"agent:{agent_id}")


def owner_is(agent: Agent) -> Statement:
    """Guard: address and state of the owner are as they were read."""
    return Statement(OWNER_IS, {"id": agent.id, "address": agent.owner_address, "verified": agent.owner_verified})


def may_withdraw(agent_id: str, owner: str) -> Statement:
    """Guard: the agent lives, in whatever state, and its owner is still the one with this address and has signed."""
    return Statement(MAY_WITHDRAW, {"id": agent_id, "owner": owner})


def is_active(agent_id: str) -> Statement:
    """Guard: the agent may act."""
    return Statement(IS_ACTIVE, {"id": agent_id})
