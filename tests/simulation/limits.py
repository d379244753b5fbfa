"""I3: a shadow of what every agent has spent and may still spend, made of its requests alone, against every limit."""

import json
import sqlite3
from typing import TYPE_CHECKING, Any

from tests.asked import NATIVE, items

if TYPE_CHECKING:
    from tests.simulation.world import World

WINDOWS = {"hourly_total": 3600, "daily_total": 86400, "weekly_total": 604800, "monthly_total": 2592000}
POLICIES = "SELECT agent_id, rules FROM policies WHERE type = 'SPENDING_LIMIT' AND enabled = 1"
REQUESTS = """
SELECT id, status, request, fee, finished_at, error_code, (SELECT public_key FROM agents WHERE id = agent_id) AS own
  FROM transactions WHERE agent_id = :agent_id AND tier IS NOT NULL AND NOT (type = 'BATCH' AND chain = 'ethereum')
"""
BOUND = "SELECT COALESCE(MAX(CAST(max_fee AS INTEGER)), 0) FROM attempts WHERE tx_id = :tx_id"
NOTHING_SPENT = {"CANCELLED", "EXPIRED"}


class Limits:
    """Knows nothing of the ledger."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._rules: list[tuple[str | None, dict[str, Any]]] = []
        self.read()

    def read(self) -> None:
        """The limits that are in force from now on."""
        self._rules = [(row["agent_id"], json.loads(row["rules"])) for row in ask(self._world, POLICIES)]

    def check(self, tx: Any) -> None:
        """After a commit that raised what an agent uses; AssertionError if that is above a limit in force."""
        world, now = self._world, int(self._world.wall())
        for agent_id, rules in self._rules:
            if agent_id not in (None, tx["agent_id"]):
                continue
            entry = rules.get("limits", {}).get(NATIVE[tx["chain"]], rules)
            for name, seconds in WINDOWS.items():
                if (limit := entry.get(name)) is not None:
                    used = self._used(world, tx, now - seconds)
                    assert used <= int(limit), f"I3: {tx['agent_id']} uses {used} of {name} {limit} with {tx['id']}"

    def _used(self, world: "World", tx: Any, since: int) -> int:
        return sum(self._of(world, row, tx["chain"], since) for row in ask(world, REQUESTS, agent_id=tx["agent_id"]))

    def _of(self, world: "World", row: Any, chain: str, since: int) -> int:
        """What one request costs in native money, at least: what is only reserved for its fee is not known here."""
        status = row["status"]
        if row["finished_at"] is None:
            return native(row["request"]) + int(ask(world, BOUND, tx_id=row["id"])[0][0])
        if status in NOTHING_SPENT or row["finished_at"] <= since:
            return 0
        paid = int(json.loads(row["fee"])["amount"]) if row["fee"] else 0
        # Solana tells what really left: nothing, of what was sent to oneself
        but = row["own"] if chain == "solana" else None
        return paid + (native(row["request"], but) if status == "CONFIRMED" else 0)


def native(request: str, but: str | None = None) -> int:
    """Native money that a request moves, not counting what goes to `but`."""
    amounts = {"TRANSFER": "amount", "CONTRACT_CALL": "value"}
    moved = [item for item in items(request) if item["type"] in amounts and (but is None or item.get("to") != but)]
    return sum(int(item[amounts[item["type"]]]) for item in moved)


def ask(world: "World", sql: str, **params: Any) -> list[Any]:
    """Rows, without the trace."""
    return sqlite3.Connection.execute(world.disk.connection, sql, params).fetchall()
