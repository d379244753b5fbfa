"""`agents`: reads, and the named steps of an agent's life."""

from waiaas.db import Database, Statement
from waiaas.domain.agent import Agent, AgentStatus
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
TERMINATED_IDS = "SELECT id FROM agents WHERE status = 'TERMINATED'"
COUNT = "SELECT COUNT(*) AS n FROM agents WHERE status NOT IN ('CREATING', 'TERMINATED')"

CREATE = """
INSERT INTO agents (id, name, chain, network, public_key, status, created_at, updated_at)
VALUES (:id, :name, :chain, :network, :public_key, 'CREATING', :now, :now)
"""
ACTIVATE = "UPDATE agents SET status = 'ACTIVE', updated_at = :now WHERE id = :id AND status = 'CREATING'"
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
MARK_TERMINATED = """
UPDATE agents SET status = 'TERMINATED', updated_at = :now
 WHERE id = :id AND status = 'TERMINATING'
   AND NOT EXISTS (SELECT 1 FROM transactions t WHERE t.agent_id = agents.id
                    AND t.status IN ('PENDING', 'QUEUED', 'EXECUTING', 'SUBMITTED'))
"""
ENDING = """
SELECT id FROM agents WHERE status = 'TERMINATING'
   AND NOT EXISTS (SELECT 1 FROM transactions t WHERE t.agent_id = agents.id
                    AND t.status IN ('PENDING', 'QUEUED', 'EXECUTING', 'SUBMITTED'))
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


async def terminated(db: Database) -> set[str]:
    """Ids of terminated agents: their key files are retired."""
    return {row["id"] for row in await db.fetch_all(TERMINATED_IDS)}


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


def mark_terminated(agent_id: str, now: int) -> Statement:
    """TERMINATING → TERMINATED; stale while a transaction of it is not final."""
    return Statement(MARK_TERMINATED, {"id": agent_id, "now": now}, touches=f"agent:{agent_id}")


def is_active(agent_id: str) -> Statement:
    """Guard: the agent may act."""
    return Statement(IS_ACTIVE, {"id": agent_id})
