"""Invariants that are checked while a run goes on: at every commit, and when bytes leave.

Triggers in the connection's temporary schema hear what each transaction changes, so nothing of the product is asked.
"""

import json
import sqlite3
from base64 import b64decode
from typing import TYPE_CHECKING, Any

from tests.conftest import PASSWORD
from tests.invariants import ARROWS, FINAL, becoming, breaches, read
from tests.ledgers import Chain, Landed, books_of
from tests.simulation.limits import Limits, ask
from tests.simulation.told import HEAR_CHANGES, check_told
from tests.simulation.truth import Truth

if TYPE_CHECKING:
    from tests.simulation.world import World

#: who may act, in the moment of a statement and not of its commit, which others share
WHO = """(SELECT state FROM kill_switch) || ' ' || (SELECT status FROM agents WHERE id = {tx}.agent_id)
  || ' ' || (SELECT IIF(revoked_at IS NULL, 'live', 'revoked') FROM sessions WHERE id = {tx}.session_id)"""
HEAR = f"""
CREATE TEMP TABLE heard (what TEXT, id TEXT, was TEXT, now TEXT, detail TEXT, who TEXT);
CREATE TEMP TRIGGER hear_new AFTER INSERT ON main.transactions BEGIN
  INSERT INTO heard VALUES ('tx', NEW.id, '', NEW.status, NEW.parent_id, {WHO.format(tx="NEW")}); END;
CREATE TEMP TRIGGER hear_move AFTER UPDATE ON main.transactions WHEN OLD.status <> NEW.status BEGIN
  INSERT INTO heard VALUES ('tx', NEW.id, OLD.status, NEW.status, NEW.parent_id, NULL); END;
CREATE TEMP TRIGGER hear_final AFTER UPDATE ON main.transactions
 WHEN OLD.finished_at IS NOT NULL OR OLD.request <> NEW.request OR OLD.request_hash <> NEW.request_hash BEGIN
  INSERT INTO heard VALUES ('changed', NEW.id, OLD.status, NEW.status, NULL, NULL); END;
CREATE TEMP TRIGGER hear_attempt AFTER INSERT ON main.attempts BEGIN
  INSERT INTO heard SELECT 'attempt', NEW.id, NEW.kind, NEW.tx_id, NEW.network, {WHO.format(tx="t")}
    FROM transactions t WHERE t.id = NEW.tx_id; END;
CREATE TEMP TRIGGER hear_policy AFTER UPDATE ON main.key_value_store WHEN NEW.key = 'policy_version' BEGIN
  INSERT INTO heard VALUES ('policies', NULL, OLD.value, NEW.value, NULL, NULL); END;
CREATE TEMP TRIGGER hear_audit AFTER INSERT ON main.audit_log BEGIN
  INSERT INTO heard VALUES ('audit', NEW.tx_id, '', NEW.event_type, NEW.details, NULL); END;
"""
HEAR += HEAR_CHANGES
TAKE = "SELECT what, id, was, now, detail, who FROM heard"
FORGET = "DELETE FROM heard"
OPEN_NETWORKS = "SELECT DISTINCT network FROM attempts WHERE finished_at IS NULL"
IN_FILE = "SELECT 1 FROM attempts WHERE tx_hash = :hash AND raw = :raw"
TX = "SELECT * FROM transactions WHERE id = :id"
GOES = ("NORMAL", "ACTIVE", "live")

Heard = list[tuple[str, str, str, str, str | None, str | None]]


class Watch:
    """One run's."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._truth = Truth(world.cluster, world.evm)
        self._limits = Limits(world)
        self._hearing: sqlite3.Connection | None = None
        #: networks that must neither accept nor sign until their recovery is told of
        self._closed: set[str] = set()

    def life_begins(self) -> None:
        """A process starts."""
        connection = self._world.disk.connection
        if connection is not self._hearing:
            connection.executescript(HEAR)
            self._hearing = connection
        self._closed = {row[0] for row in connection.execute(OPEN_NETWORKS).fetchall()}

    def committed(self) -> None:
        """After each commit; AssertionError names the invariant."""
        connection = self._world.disk.connection
        heard: Heard = [tuple(row) for row in sqlite3.Connection.execute(connection, TAKE).fetchall()]
        if not heard:
            return
        sqlite3.Connection.execute(connection, FORGET)
        check_told(heard)
        told: dict[str, list[str | None]] = {}
        for what, key, _, now, detail, _ in heard:
            if what == "audit":
                told.setdefault(key, []).append(becoming(now, json.loads(detail or "{}")))
                if now == "DAEMON_RECOVERED":
                    self._closed.discard(json.loads(detail or "{}")["network"])
        for what, key, was, now, detail, who in heard:
            if what == "tx":
                self._moved(key, was, now, detail, told.get(key, []))
                if not was and now not in FINAL and detail is None:
                    goes_on(key, "accepted", who, GOES)
            elif what == "attempt":
                self._signed(key, now, str(detail), may_spend=was != "CANCEL")
                # a cancel on chain must work for an agent that was stopped
                goes_on(now, "signed", who, GOES[:1] if was == "CANCEL" else GOES)
            elif what == "policies":
                self._limits.read()
            elif what == "changed":
                raise AssertionError(f"I4: a final transaction or a request was changed: {key} ({was} → {now})")

    def leaves(self, spelled: str) -> None:
        """Bytes leave the process."""
        raw = bytes.fromhex(spelled[2:]) if spelled.startswith("0x") else b64decode(spelled)
        params = {"hash": read(raw).hash, "raw": raw}
        assert self._world.disk.durable(IN_FILE, params), f"I2: {params['hash']} left before it was on disk"

    def end(self) -> None:
        """Everything once more, from scratch."""
        broken = list(breaches(books_of(self._world.disk.connection), self.chains(), whole=True))
        assert not broken, "\n".join(broken)
        image = self._world.disk.connection.serialize()
        secrets = [PASSWORD, *(member.token for member in self._world.wallet.members)]
        assert not any(secret.encode() in image for secret in secrets), "I5: a password or a token is in the database"

    def chains(self) -> dict[str, Chain]:
        """What both chains say at this moment."""
        world = self._world
        world.cluster.pass_time(world.loop.time())
        world.evm.pass_time(world.loop.time())
        solana = tuple(
            Landed(one.said, one.error is None, one.said.fee, one.pre[0] - one.post[0] - one.said.fee, block=one.slot)
            for one in world.cluster.landed.values()
        )
        evm = tuple(
            Landed(one.said, one.ok, one.fee, one.said.value if one.ok else 0, block=one.block)
            for one in world.evm.landed.values()
        )
        held = {address: account.lamports for address, account in world.cluster.accounts.items()}
        return {
            "solana": Chain(solana, held, {key: one.lamports for key, one in world.accounts().items()}),
            "ethereum": Chain(
                evm, world.evm.head.state.balances, world.state().balances, frozenset(world.evm.strangers)
            ),
        }

    # --- one by one -------------------------------------------------------------------------------

    def _moved(self, key: str, was: str, now: str, parent: str | None, told: list[str | None]) -> None:
        assert now in ARROWS[was], f"I4: {key} went from {was or 'nothing'} to {now}"
        if was or parent is None:
            assert now in told, f"I6: {key} went from {was or 'nothing'} to {now} without an audit row in that commit"
        tx = self._row(key)
        if not was and now not in FINAL:
            assert tx["network"] not in self._closed, f"I7: {key} was accepted before {tx['network']} was recovered"
            # what a child costs was set aside with its parent
            if parent is None:
                self._limits.check(tx)
        elif was == "SUBMITTED":
            self._truth.check_end(self._world, tx)

    def _signed(self, attempt_id: str, tx_id: str, network: str, *, may_spend: bool) -> None:
        tx = self._row(tx_id)
        number = self._truth.check_signature(self._world, attempt_id, tx)
        # further bytes are signed when everything has been looked at, which recovery ends with
        is_open = number > 1 or network not in self._closed
        assert is_open, f"I7: {attempt_id} was signed before {network} was recovered"
        # a cancel takes a payment back, whatever the limits have become
        if may_spend:
            self._limits.check(tx)

    def _row(self, key: str) -> Any:
        return ask(self._world, TX, id=key)[0]


def goes_on(key: str, what: str, who: str | None, wanted: tuple[str, ...]) -> None:
    """F13: nothing is accepted or signed for whoever was stopped."""
    found = tuple((who or "").split())[: len(wanted)]
    assert found == wanted, f"F13: {key} was {what} while switch, agent and session were {who}"
