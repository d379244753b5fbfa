"""What requests move and let others take, per asset, read out of their stored JSON and of the chains alone."""

import json
import sqlite3
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from tests.asked import NATIVE, items
from tests.simulation.standing import standing

if TYPE_CHECKING:
    from tests.simulation.world import World

REQUESTS = """
SELECT t.id, t.chain, t.status, t.request, t.fee, t.finished_at, COALESCE(t.session_id, p.session_id) AS session_id,
       a.public_key AS own,
       (SELECT COALESCE(MAX(CAST(max_fee AS INTEGER)), -1) FROM attempts
         WHERE tx_id = t.id AND status <> 'DEAD') AS bound,
       (SELECT reserved FROM spend_ledger WHERE tx_id = t.id AND kind = 'FEE') AS set_aside
  FROM transactions t LEFT JOIN transactions p ON p.id = t.parent_id JOIN agents a ON a.id = t.agent_id
 WHERE t.agent_id = :agent_id AND t.tier IS NOT NULL AND NOT (t.type = 'BATCH' AND t.chain = 'ethereum')
"""
NOTHING_SPENT = {"CANCELLED", "EXPIRED", "FAILED", "PARTIAL_FAILURE"}


class Moves(NamedTuple):
    """Of one request: (recipient or None, asset, amount) of what leaves, (spender, asset) → what it may take."""

    out: tuple[tuple[str | None, str, int], ...]
    allowed: Mapping[tuple[str, str], int]

    @property
    def assets(self) -> set[str]:
        """All that it is about."""
        return {asset for _, asset, _ in self.out} | {asset for _, asset in self.allowed}

    def total(self, asset: str) -> int:
        """All that it moves or lets others take."""
        return self.leaving(asset) + self.takeable(asset)

    def leaving(self, asset: str, but: str | None = None) -> int:
        """What leaves, not counting what goes to `but`."""
        return sum(amount for to, of, amount in self.out if of == asset and (but is None or to != but))

    def takeable(self, asset: str) -> int:
        """What others may take."""
        return sum(amount for (_, of), amount in self.allowed.items() if of == asset)


@lru_cache(4096)
def moves(request: str, chain: str) -> Moves:
    """Of a stored request; whatever it asks for more than once counts as often."""
    out, allowed = [], Counter[tuple[str, str]]()
    for item in items(request):
        match item["type"]:
            case "TRANSFER":
                out.append((item["to"], NATIVE[chain], int(item["amount"])))
            case "CONTRACT_CALL" if chain == "ethereum":
                out.append((item["to"], NATIVE[chain], int(item["value"])))
            case "TOKEN_TRANSFER":
                out.append((item["to"], token(chain, item), int(item["amount"])))
            case "APPROVE":
                allowed[item["spender"], token(chain, item)] += int(item["amount"])
    return Moves(tuple(out), allowed)


def token(chain: str, item: Mapping[str, Any]) -> str:
    """The asset of an item, as limits name it."""
    return f"{chain}:{item['token']['address']}"


class Exposure:
    """Everything of one agent at one moment: at least so much was spent, is under way, or can be taken."""

    def __init__(self, world: "World", agent_id: str) -> None:
        self._world = world
        self._rows = ask(world, REQUESTS, agent_id=agent_id)

    def used(self, asset: str, since: int) -> int:
        """In a window that began at `since`: fees too, where the asset pays for them."""
        spent = sum(self._spent(row, asset, since) + self._fee(row, asset, since) for row in self._rows)
        return spent + self._takeable(asset)

    def used_by(self, sessions: Iterable[str], asset: str) -> int:
        """By some sessions since they began, without fees, and of what others may take only what has not landed."""
        mine = [row for row in self._rows if row["session_id"] in sessions]
        open_ = sum(moves(row["request"], row["chain"]).takeable(asset) for row in mine if row["finished_at"] is None)
        return sum(self._spent(row, asset, -1) for row in mine) + open_

    def _spent(self, row: Any, asset: str, since: int) -> int:
        found = moves(row["request"], row["chain"])
        if row["finished_at"] is None:
            return found.leaving(asset)
        if row["status"] in NOTHING_SPENT or row["finished_at"] <= since:
            return 0
        # Solana tells what really left: nothing, of what was sent to oneself
        return found.leaving(asset, row["own"] if row["chain"] == "solana" else None)

    def _fee(self, row: Any, asset: str, since: int) -> int:
        """What was paid; or, of what is under way, what is signed, and what its books say may be paid."""
        if asset != NATIVE[row["chain"]]:
            return 0
        if row["finished_at"] is None:
            assert row["set_aside"] is not None, f"I3: nothing is set aside for the fee of {row['id']}"
            assert row["bound"] <= int(row["set_aside"]), (
                f"I3: {row['id']} may cost {row['bound']}, {row['set_aside']} is set aside for its fee"
            )
            return int(row["set_aside"])
        if row["status"] in ("CANCELLED", "EXPIRED") or row["finished_at"] <= since or not row["fee"]:
            return 0
        return int(json.loads(row["fee"])["amount"])

    def _takeable(self, asset: str) -> int:
        """What approvals under way allow, and what stands on chain: only where none of those can have landed."""
        under_way = [row for row in self._rows if row["finished_at"] is None]
        granting = [
            row for row in under_way if any(of == asset for _, of in moves(row["request"], row["chain"]).allowed)
        ]
        asked = sum(moves(row["request"], row["chain"]).takeable(asset) for row in granting)
        if any(row["bound"] >= 0 for row in granting) or not self._rows:
            return asked
        return asked + standing(self._world, self._rows[0]["own"], self._rows[0]["chain"], asset)


def ask(world: "World", sql: str, **params: Any) -> list[Any]:
    """Rows, without the trace."""
    return sqlite3.Connection.execute(world.disk.connection, sql, params).fetchall()
