"""The schema says what the domain says: values of enums, final states, moves; and docs/schema.sql shows it."""

import importlib
import inspect
import pkgutil
import re
import sqlite3
import subprocess
import sys
from contextlib import nullcontext
from enum import StrEnum
from itertools import product
from pathlib import Path
from typing import get_args, get_type_hints

import msgspec
import pytest

import waiaas.domain
from waiaas.domain.agent import AgentStatus
from waiaas.domain.chain import Chain, Network
from waiaas.domain.event import Severity
from waiaas.domain.ledger import LedgerKind, LedgerState
from waiaas.domain.policy import PolicyType, Tier
from waiaas.domain.switch import KillSwitchState
from waiaas.domain.transaction import (
    FINAL,
    MOVES,
    AttemptKind,
    AttemptStatus,
    Status,
    TransactionOrigin,
    TransactionType,
)

ROOT = Path(__file__).parents[2]

ENUMS = {
    ("agents", "chain"): Chain,
    ("agents", "network"): Network,
    ("agents", "status"): AgentStatus,
    ("policies", "type"): PolicyType,
    ("transactions", "chain"): Chain,
    ("transactions", "network"): Network,
    ("transactions", "origin"): TransactionOrigin,
    ("transactions", "type"): TransactionType,
    ("transactions", "status"): Status,
    ("transactions", "tier"): Tier,
    ("attempts", "kind"): AttemptKind,
    ("attempts", "network"): Network,
    ("attempts", "status"): AttemptStatus,
    ("spend_ledger", "kind"): LedgerKind,
    ("spend_ledger", "state"): LedgerState,
    ("audit_log", "severity"): Severity,
    ("kill_switch", "state"): KillSwitchState,
}


def listed(text: str) -> list[tuple[str, set[str]]]:
    """(column, values) of every `column IN ('…', …)`, in order."""
    found = re.findall(r"(\w+) (?:NOT )?IN \(([^()]*)\)", text)
    return [(column, set(re.findall(r"'([^']*)'", values))) for column, values in found]


def objects(migrated: sqlite3.Connection, kind: str) -> dict[str, str]:
    rows = migrated.execute("SELECT name, sql FROM sqlite_master WHERE type = ? AND sql IS NOT NULL", (kind,))
    return dict(rows.fetchall())


def split(table: str) -> tuple[str, dict[str, str]]:
    """The columns of a CREATE TABLE, and its named constraints."""
    columns, *constraints = re.split(r"\bCONSTRAINT\b", table)
    return columns, {text.split()[0]: text for text in constraints}


def test_every_list_of_a_column_equals_its_enum(migrated):
    found = {
        (table, column): values
        for table, sql in objects(migrated, "table").items()
        for column, values in listed(split(sql)[0])
        if values
    }
    assert found == {place: {member.value for member in enum} for place, enum in ENUMS.items()}


def test_columns_typed_as_an_enum_carry_its_check():
    """A struct that says it is a row of a table is one: its enum fields are checked there."""
    unchecked = []
    for found in pkgutil.iter_modules(waiaas.domain.__path__):
        module = importlib.import_module(f"waiaas.domain.{found.name}")
        for _, kind in inspect.getmembers(module, inspect.isclass):
            if (row := re.match(r"A row of `(\w+)`", kind.__doc__ or "")) and issubclass(kind, msgspec.Struct):
                unchecked += [
                    (row[1], name, enum) for name, enum in enums(kind) if ENUMS.get((row[1], name)) is not enum
                ]
    assert unchecked == []


def enums(kind: type) -> list[tuple[str, type]]:
    """(field, enum) of the fields of a struct that are an enum, or one or None."""
    hints = get_type_hints(kind)
    return [
        (name, part)
        for name, hint in hints.items()
        for part in (get_args(hint) or (hint,))
        if isinstance(part, type) and issubclass(part, StrEnum)
    ]


def test_constraints_know_the_final_states(migrated):
    _, constraints = split(objects(migrated, "table")["transactions"])
    final = {status.value for status in FINAL}
    assert listed(constraints["tx_finished"]) == [("status", final)]
    assert listed(constraints["tx_reason"]) == [("status", final - {Status.CONFIRMED.value})]
    live = objects(migrated, "index")["idx_transactions_live"]
    assert listed(live) == [("status", {status.value for status in Status} - final)]


ROW = """
INSERT INTO transactions (id, agent_id, chain, network, type, status, request, request_hash, created_at, updated_at)
VALUES ('t', 'a', 'solana', 'localnet', 'TRANSFER', ?, '{}', '', 0, 0)
"""


@pytest.fixture
def row(migrated):
    """Puts a transaction of some status into the table, whatever else the schema asks of it."""
    migrated.execute("PRAGMA ignore_check_constraints = ON")
    migrated.execute("BEGIN")
    yield lambda status: migrated.execute(ROW, (status,))
    migrated.execute("ROLLBACK")
    migrated.execute("PRAGMA ignore_check_constraints = OFF")


@pytest.mark.parametrize(("before", "after"), [pair for pair in product(Status, Status) if pair[0] is not pair[1]])
def test_the_trigger_lets_pass_exactly_the_moves(migrated, row, before, after):
    row(before)
    allowed = (before, after) in MOVES
    with nullcontext() if allowed else pytest.raises(sqlite3.IntegrityError, match="no such move"):
        migrated.execute("UPDATE transactions SET status = ? WHERE id = 't'", (after,))


def test_nothing_moves_out_of_a_final_state():
    assert {before for before, _ in MOVES} == set(Status) - FINAL


def test_the_schema_page_is_what_the_migrations_make():
    made = subprocess.run(
        [sys.executable, ROOT / "scripts" / "schema.py", "--stdout"], capture_output=True, text=True, check=True
    )
    assert (ROOT / "docs" / "schema.sql").read_text() == made.stdout, "run scripts/schema"
