"""The checker itself: each invariant is seen broken when it is broken by hand."""

import asyncio
import sqlite3

import pytest

from tests import invariants
from tests.world import open_world

BREAKAGES = {
    r"I1: .* asked for .* 9\)": "UPDATE transactions SET request = replace(request, '\"1000\"', '\"9\"')",
    "I1: .* belongs to no attempt": "DELETE FROM attempts WHERE number = 1",
    "I1: .* never landed": "UPDATE attempts SET tx_hash = 'x', raw = raw WHERE number = 1",
    "I4: .* from PENDING to CONFIRMED": "DELETE FROM audit_log WHERE event_type IN ('TX_EXECUTING', 'TX_SUBMITTED')",
    "I6: .* audit rows say SUBMITTED": "DELETE FROM audit_log WHERE event_type = 'TX_CONFIRMED'",
    "I6: .* signed 1 times": "DELETE FROM audit_log WHERE event_type = 'TX_SUBMITTED'",
    "I6: .* with events": "DELETE FROM outbox WHERE event_type = 'TX_CONFIRMED'",
    "I6: agent .* without": "DELETE FROM audit_log WHERE event_type = 'AGENT_ACTIVATED'",
    "I6: session .* audited: False": "UPDATE sessions SET revoked_at = 1",
    "I6: policy_version": "UPDATE key_value_store SET value = '7' WHERE key = 'policy_version'",
    "I6: the audit chain breaks at row 3": "UPDATE audit_log SET actor = 'me' WHERE id = 3",
    "I6: 1?[0-9] audit rows were written": "DELETE FROM audit_log WHERE id = (SELECT max(id) FROM audit_log)",
    "ledger: .* not .'AMOUNT': 'SPENT'": "UPDATE spend_ledger SET state = 'RELEASED', settled = NULL",
    "ledger: .* cost 1000 and 5000, booked": "UPDATE spend_ledger SET settled = '999' WHERE kind = 'AMOUNT'",
    "ledger: .* was set aside": "UPDATE spend_ledger SET reserved = '4000' WHERE kind = 'FEE'",
    "balance: agent .* got 100000000000, spent 5999": "UPDATE spend_ledger SET settled = '999' WHERE kind = 'AMOUNT'",
}


@pytest.fixture(scope="module")
def paid(template, tmp_path_factory):
    """The database of a wallet with one payment, as bytes, and its chain."""
    directory = tmp_path_factory.mktemp("paid") / "wallet"

    async def make():
        async with open_world(*template, directory) as world:
            async with world.open_core():
                await world.pay(1000)
            return world.data

    data = asyncio.run(make())
    return (data.data / "waiaas.db").read_bytes(), data.localnet


@pytest.mark.parametrize(("finding", "sql"), BREAKAGES.items())
def test_what_is_broken_is_found(paid, tmp_path, finding, sql):
    database, localnet = paid
    path = tmp_path / "broken.db"
    path.write_bytes(database)
    invariants.check(path, localnet)
    connection = sqlite3.connect(path)
    for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
        connection.execute(f"DROP TRIGGER {name}")
    connection.executescript(sql)
    connection.close()
    with pytest.raises(AssertionError, match=finding):
        invariants.check(path, localnet)


async def test_a_second_effect_of_one_transaction_is_found(world, core):
    first, second = await world.pay(1000), await world.pay(2000)
    await world.by_hand("UPDATE attempts SET tx_id = :to, number = 2 WHERE tx_id = :id", id=second.id, to=first.id)
    with pytest.raises(AssertionError, match="landed 2 times"):
        world.check()
    await world.by_hand(
        "UPDATE attempts SET tx_id = :id, number = 1 WHERE tx_id = :to AND number = 2", id=second.id, to=first.id
    )
