"""What invariants are recomputed from: the rows of the database, and every chain's own word of what landed on it."""

import json
import shutil
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from solders.account import Account
from solders.pubkey import Pubkey

from tests import signed
from tests.signed import EvmBytes, SolanaBytes


class Landed(NamedTuple):
    """A landed transaction; `outflow` is the native money that left its signer besides the fee.

    What an EVM transaction sends to its own signer counts as having left and come back.
    """

    said: SolanaBytes | EvmBytes
    ok: bool
    fee: int
    outflow: int
    #: nothing takes it away any more
    final: bool = True
    #: where it stands among the others
    block: int = 0

    @property
    def hash(self) -> str:
        return self.said.hash

    @property
    def signer(self) -> str:
        return self.said.payer if isinstance(self.said, SolanaBytes) else self.said.signer

    def incomes(self) -> Iterator[tuple[str, int]]:
        """Native money and to whom it went."""
        if not self.ok:
            return
        if isinstance(self.said, EvmBytes):
            yield self.said.to, self.said.value
            return
        for one in self.said.instructions:
            if one.program == signed.SYSTEM and one.data[:4] == b"\x02\0\0\0" and one.accounts[0] != one.accounts[1]:
                yield one.accounts[1], int.from_bytes(one.data[4:12], "little")


class Chain(NamedTuple):
    """A chain's own word: everything that landed, in order, what every address holds, and what it held at first.

    Addresses are spelled as agents spell them, EVM's in lower case. `strangers` are hashes that an agent's key signed
    elsewhere.
    """

    landed: tuple[Landed, ...]
    balances: dict[str, int]
    endowed: Mapping[str, int] = MappingProxyType({})
    strangers: frozenset[str] = frozenset()


class Books(NamedTuple):
    """The rows of the database that invariants speak of."""

    installation: str
    agents: list[sqlite3.Row]
    sessions: list[sqlite3.Row]
    policies: list[sqlite3.Row]
    policy_version: int
    transactions: list[sqlite3.Row]
    attempts: list[sqlite3.Row]
    ledger: list[sqlite3.Row]
    audit: list[sqlite3.Row]
    outbox: list[sqlite3.Row]
    last_audit_id: int
    approvals: list[sqlite3.Row]
    switch: sqlite3.Row


def read_books(database: Path) -> Books:
    """Everything out of one snapshot of the file."""
    connection = sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)
    connection.row_factory = sqlite3.Row
    try:
        connection.execute("BEGIN")
        return books_of(connection)
    finally:
        connection.close()


def books_of(connection: sqlite3.Connection) -> Books:
    """Everything there is now."""
    facts = dict(connection.execute("SELECT key, value FROM key_value_store").fetchall())
    (last,) = connection.execute("SELECT max(seq) FROM sqlite_sequence WHERE name = 'audit_log'").fetchone()

    def rows(table: str, order: str) -> list[sqlite3.Row]:
        return connection.execute(f"SELECT * FROM {table} ORDER BY {order}").fetchall()

    return Books(
        json.loads(facts["installation"]),
        rows("agents", "id"),
        rows("sessions", "id"),
        rows("policies", "id"),
        int(facts["policy_version"]),
        rows("transactions", "id"),
        rows("attempts", "tx_id, number"),
        rows("spend_ledger", "id"),
        rows("audit_log", "id"),
        rows("outbox", "seq"),
        last or 0,
        rows("pending_approvals", "id"),
        rows("kill_switch", "id")[0],
    )


def read_solana(localnet: Path) -> Chain:
    """The embedded chain's file, of which a copy is read: whoever runs the chain holds the file alone."""
    with _copied(localnet / "solana.sqlite") as copy:
        connection = sqlite3.connect(copy)
        try:
            landed = connection.execute("SELECT raw, error, meta FROM transactions ORDER BY id").fetchall()
            accounts = connection.execute("SELECT address, account FROM accounts").fetchall()
        finally:
            connection.close()
    balances = {str(Pubkey(address)): Account.from_bytes(account).lamports for address, account in accounts}
    return Chain(tuple(_landed(*row) for row in landed), balances)


@contextmanager
def _copied(file: Path) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as directory:
        for suffix in ("", "-wal"):
            if (part := file.with_name(file.name + suffix)).exists():
                shutil.copy(part, directory)
        yield Path(directory) / file.name


def _landed(raw: bytes, error: str | None, meta: bytes) -> Landed:
    told = json.loads(meta)
    outflow = told["preBalances"][0] - told["postBalances"][0] - told["fee"]
    # what the faucet gives is not signed by anybody
    return Landed(signed.solana(raw, verify=False), error is None, told["fee"], outflow)


def events(rows: Iterable[sqlite3.Row], column: str) -> dict[str, dict[str, int]]:
    """How often each event was told of each agent, session or transaction."""
    found: dict[str, dict[str, int]] = {}
    for row in rows:
        if row[column] is not None:
            known = found.setdefault(row[column], {})
            known[row["event_type"]] = known.get(row["event_type"], 0) + 1
    return found
