"""What the chains themselves say of an end or of a further signature: doubt must neither release nor sign (I1, I8)."""

import sqlite3
from typing import TYPE_CHECKING, Any

from tests.simulation.evm import EvmChain
from tests.simulation.solana import FINAL_SLOTS, Cluster

if TYPE_CHECKING:
    from tests.simulation.world import World

ATTEMPTS = "SELECT * FROM attempts WHERE tx_id = :tx_id ORDER BY number"


class Truth:
    """Both chains, as nobody in the product sees them."""

    def __init__(self, cluster: Cluster, evm: EvmChain) -> None:
        self._cluster, self._evm = cluster, evm

    def check_end(self, world: "World", tx: Any) -> None:
        """A transaction left SUBMITTED; AssertionError unless the chain bears that out."""
        self._catch_up(world)
        attempts = attempts_of(world, tx["id"])
        if not attempts:
            return
        code = tx["error_code"]
        if tx["status"] == "CONFIRMED":
            assert any(self._was_seen(one, ok=True) for one in attempts), f"I1: {tx['id']} never landed"
        elif code in ("ONCHAIN_FAILURE", "CANCELLED_ON_CHAIN"):
            ok = code == "CANCELLED_ON_CHAIN"
            final = any(self._is_final(one, ok=ok) for one in attempts)
            assert final, f"I8: {tx['id']} ended {code}, and what landed is not final"
        else:
            alive = [one["tx_hash"] for one in attempts if not self._is_dead(one)]
            assert not alive, f"I8: {tx['id']} ended {code}, and {alive} can still land"

    def check_signature(self, world: "World", attempt_id: str, tx: Any) -> int:
        """Further bytes for a transaction: those before are dead, or compete for the same nonce; their number."""
        self._catch_up(world)
        *before, newest = attempts_of(world, tx["id"])
        assert newest["id"] == attempt_id
        for one in before:
            rivals = one["nonce"] is not None and one["nonce"] == newest["nonce"]
            assert rivals or self._is_dead(one), f"I1: {tx['id']} was signed again, and {one['tx_hash']} can still land"
        return int(newest["number"])

    def _catch_up(self, world: "World") -> None:
        self._cluster.pass_time(world.loop.time())
        self._evm.pass_time(world.loop.time())

    def _was_seen(self, attempt: Any, *, ok: bool) -> bool:
        key = attempt["tx_hash"]
        if attempt["nonce"] is None:
            seen = [one for one in (*self._cluster.undone, *self._cluster.landed.values()) if one.said.hash == key]
            return any((one.error is None) == ok for one in seen)
        return any(one.ok == ok for one in (*self._evm.undone, *self._evm.landed.values()) if one.said.hash == key)

    def _is_final(self, attempt: Any, *, ok: bool) -> bool:
        key = attempt["tx_hash"]
        if attempt["nonce"] is None:
            landing = self._cluster.landed.get(key)
            return landing is not None and landing.slot <= self._cluster.slot - FINAL_SLOTS
        receipt = self._evm.landed.get(key)
        return receipt is not None and receipt.ok == ok and receipt.block <= self._evm.final.number

    def _is_dead(self, attempt: Any) -> bool:
        key = attempt["tx_hash"]
        if attempt["nonce"] is None:
            passed = self._cluster.final_height > attempt["last_valid_block_height"]
            return passed and key not in self._cluster.landed
        counted = self._evm.final.state.nonces.get(attempt["signer"].lower(), 0)
        return counted > attempt["nonce"] and key not in self._evm.landed


def attempts_of(world: "World", tx_id: str) -> list[Any]:
    """Oldest first."""
    return sqlite3.Connection.execute(world.disk.connection, ATTEMPTS, {"tx_id": tx_id}).fetchall()
