"""I3: what every agent and every session uses, made of its requests and of the chains alone, against every limit."""

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from tests.asked import NATIVE
from tests.simulation.exposure import Exposure, ask, moves

if TYPE_CHECKING:
    from tests.simulation.world import World

WINDOWS = {"hourly_total": 3600, "daily_total": 86400, "weekly_total": 604800, "monthly_total": 2592000}
POLICIES = "SELECT agent_id, type, rules FROM policies WHERE enabled = 1"
SESSION = "SELECT id, parent_id, constraints FROM sessions WHERE id = :id"
BELOW = """
WITH RECURSIVE below(id) AS (
  SELECT :id UNION ALL SELECT s.id FROM sessions s JOIN below ON s.parent_id = below.id)
SELECT id FROM below
"""
MADE = """
SELECT COUNT(*) FROM transactions WHERE parent_id IS NULL AND status NOT IN ('CANCELLED', 'EXPIRED')
   AND session_id IN (SELECT value FROM json_each(:sessions))
"""


class Limits:
    """Knows nothing of the ledger but what is set aside for fees, which no request tells."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._rules: list[tuple[str | None, str, dict[str, Any]]] = []
        self.read()

    def read(self) -> None:
        """The limits that are in force from now on."""
        rows = ask(self._world, POLICIES)
        self._rules = [(row["agent_id"], row["type"], json.loads(row["rules"])) for row in rows]

    def check(self, tx: Any) -> None:
        """After a commit that raised what an agent uses; AssertionError if that is above a limit in force."""
        exposure = Exposure(self._world, tx["agent_id"])
        self._check_policies(tx, exposure)
        if tx["session_id"] is not None:
            self._check_sessions(tx, exposure)

    def _check_policies(self, tx: Any, exposure: Exposure) -> None:
        now, asked = int(self._world.wall()), moves(tx["request"], tx["chain"])
        for asset, entry in self._entries(tx):
            for name, seconds in WINDOWS.items():
                if (limit := entry.get(name)) is not None:
                    within(tx, exposure.used(asset, now - seconds), f"{name} of {asset}", limit)
            if (limit := entry.get("per_transaction")) is not None:
                within(tx, asked.total(asset), f"per_transaction of {asset}", limit)
        for rules in self._in_force(tx, "APPROVE_AMOUNT_LIMIT"):
            if (limit := rules.get("maxAmount")) is not None:
                within(tx, max(asked.allowed.values(), default=0), "the most that may be allowed", limit)

    def _entries(self, tx: Any) -> Iterator[tuple[str, dict[str, Any]]]:
        """The assets that it adds to, its fee's among them, and what each policy in force says of them."""
        own = NATIVE[tx["chain"]]
        added = moves(tx["request"], tx["chain"]).assets | {own}
        for rules in self._in_force(tx, "SPENDING_LIMIT"):
            entries = {own: rules} | rules.get("limits", {})
            yield from ((asset, entry) for asset, entry in entries.items() if asset in added)

    def _in_force(self, tx: Any, kind: str) -> Iterator[dict[str, Any]]:
        return (rules for whose, type_, rules in self._rules if type_ == kind and whose in (None, tx["agent_id"]))

    def _check_sessions(self, tx: Any, exposure: Exposure) -> None:
        """Of the session and of all above it, each with all that is below."""
        session_id, asked = tx["session_id"], moves(tx["request"], tx["chain"])
        while session_id is not None:
            (row,) = ask(self._world, SESSION, id=session_id)
            session_id = row["parent_id"]
            if row["constraints"] is None:
                continue
            constraints = json.loads(row["constraints"])
            tree = [one[0] for one in ask(self._world, BELOW, id=row["id"])]
            for asset, entry in ({NATIVE[tx["chain"]]: constraints} | constraints.get("limits", {})).items():
                if (limit := entry.get("maxAmountPerTx")) is not None:
                    within(tx, asked.total(asset), f"maxAmountPerTx of {asset}", limit)
                if (limit := entry.get("maxTotalAmount")) is not None:
                    within(tx, exposure.used_by(tree, asset), f"maxTotalAmount of {asset}", limit)
            if (limit := constraints.get("maxTransactions")) is not None:
                made = ask(self._world, MADE, sessions=json.dumps(tree))[0][0]
                within(tx, made, "maxTransactions", limit)


def within(tx: Any, used: int, what: str, limit: str | int) -> None:
    """AssertionError if it is not."""
    assert used <= int(limit), f"I3: {tx['agent_id']} uses {used} of {what}, {limit}, with {tx['id']}"
