"""The state of the embedded Solana chain in SQLite: accounts, history and identity, one commit per block."""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec
from msgspec import structs
from solders.account import Account

from waiaas.errors import LocalnetUnusable
from waiaas.localnet.solana.tokens import holding

SCHEMA_VERSION = 1

SCHEMA = """
-- who this chain is, and how far it has come
CREATE TABLE chain (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  genesis_hash BLOB NOT NULL,
  genesis_milliseconds INTEGER NOT NULL,
  seed BLOB NOT NULL,
  faucet BLOB NOT NULL,
  last_slot INTEGER NOT NULL
) STRICT;
-- every account as it stands, in the runtime's own encoding
CREATE TABLE accounts (
  address BLOB PRIMARY KEY,
  account BLOB NOT NULL,
  program BLOB NOT NULL,
  executable INTEGER NOT NULL,
  token_owner BLOB,
  token_mint BLOB
) STRICT, WITHOUT ROWID;
CREATE INDEX accounts_by_token_owner ON accounts (token_owner) WHERE token_owner IS NOT NULL;
-- every transaction that landed, in the order of execution
CREATE TABLE transactions (
  id INTEGER PRIMARY KEY,
  signature BLOB NOT NULL UNIQUE,
  slot INTEGER NOT NULL,
  raw BLOB NOT NULL,
  error TEXT,
  meta BLOB NOT NULL
) STRICT;
-- which addresses a transaction names
CREATE TABLE mentions (
  address BLOB NOT NULL,
  transaction_id INTEGER NOT NULL,
  PRIMARY KEY (address, transaction_id)
) STRICT, WITHOUT ROWID;
"""

INSERT_CHAIN = """
INSERT INTO chain (id, genesis_hash, genesis_milliseconds, seed, faucet, last_slot)
VALUES (1, :genesis_hash, :genesis_milliseconds, :seed, :faucet, 0)
"""

SELECT_CHAIN = "SELECT genesis_hash, genesis_milliseconds, seed, faucet, last_slot FROM chain"

UPDATE_LAST_SLOT = "UPDATE chain SET last_slot = max(last_slot, :slot)"

UPSERT_ACCOUNT = """
INSERT INTO accounts (address, account, program, executable, token_owner, token_mint)
VALUES (:address, :account, :program, :executable, :token_owner, :token_mint)
ON CONFLICT (address) DO UPDATE SET account = excluded.account, program = excluded.program,
  executable = excluded.executable, token_owner = excluded.token_owner, token_mint = excluded.token_mint
"""

DELETE_ACCOUNT = "DELETE FROM accounts WHERE address = :address"

# a program can be loaded only after the account that holds its code
SELECT_ACCOUNTS = "SELECT address, account FROM accounts ORDER BY executable, address"

SELECT_TOKEN_ACCOUNTS = """
SELECT address, account FROM accounts
 WHERE token_owner = :owner AND (token_mint = :mint OR program = :program) ORDER BY address
"""

INSERT_TRANSACTION = """
INSERT INTO transactions (id, signature, slot, raw, error, meta) VALUES (:id, :signature, :slot, :raw, :error, :meta)
"""

INSERT_MENTION = "INSERT INTO mentions (address, transaction_id) VALUES (:address, :id)"

SELECT_COUNT = "SELECT coalesce(max(id), 0) FROM transactions"

SELECT_STATUS = "SELECT slot, error FROM transactions WHERE signature = :signature"

SELECT_TRANSACTION = "SELECT id, signature, slot, raw, error, meta FROM transactions WHERE signature = :signature"

SELECT_MENTIONING = """
SELECT t.id, t.signature, t.slot, t.raw, t.error, t.meta FROM mentions m JOIN transactions t ON t.id = m.transaction_id
 WHERE m.address = :address AND m.transaction_id < :before AND m.transaction_id > :until
 ORDER BY m.transaction_id DESC LIMIT :limit
"""


class Identity(msgspec.Struct, frozen=True):
    """What makes this chain this chain; `seed` and `faucet` are secret."""

    genesis_hash: bytes
    genesis_milliseconds: int
    seed: bytes
    faucet: bytes
    last_slot: int = 0


class Landed(msgspec.Struct, frozen=True):
    """A transaction in a block; `error` is JSON or None, `meta` the JSON that getTransaction shows."""

    signature: bytes
    slot: int
    raw: bytes
    error: str | None
    meta: bytes
    mentions: tuple[bytes, ...] = ()
    id: int = 0


class Block(msgspec.Struct, frozen=True):
    """What one slot changed; an account that ceased to exist is None."""

    slot: int
    transactions: Sequence[Landed]
    accounts: Mapping[bytes, Account | None]


class Store:
    """One SQLite connection, held by one process alone; every call is short and blocks."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self.count: int = connection.execute(SELECT_COUNT).fetchone()[0]

    def identity(self) -> Identity | None:
        """Who this chain is; None before its genesis."""
        row = self._connection.execute(SELECT_CHAIN).fetchone()
        return Identity(*row) if row else None

    def begin(self, identity: Identity, accounts: Mapping[bytes, Account]) -> None:
        """Write the genesis."""
        with self._transaction():
            self._connection.execute(INSERT_CHAIN, structs.asdict(identity))
            self._put(accounts)

    def save(self, block: Block) -> None:
        """Commit a block: all of it or nothing (sqlite3.Error)."""
        numbered = [structs.replace(each, id=number) for number, each in enumerate(block.transactions, self.count + 1)]
        with self._transaction():
            self._connection.executemany(INSERT_TRANSACTION, [as_row(landed) for landed in numbered])
            self._connection.executemany(
                INSERT_MENTION, [{"address": key, "id": each.id} for each in numbered for key in each.mentions]
            )
            self._put(block.accounts)
            self._connection.execute(UPDATE_LAST_SLOT, {"slot": block.slot})
        self.count += len(numbered)

    def accounts(self) -> Iterator[tuple[bytes, Account]]:
        """Every account, programs last."""
        for address, account in self._connection.execute(SELECT_ACCOUNTS):
            yield address, Account.from_bytes(account)

    def token_accounts(
        self, owner: bytes, *, mint: bytes | None = None, program: bytes | None = None
    ) -> list[tuple[bytes, Account]]:
        """The token accounts of an owner, of one mint or of one token program, by address."""
        rows = self._connection.execute(SELECT_TOKEN_ACCOUNTS, {"owner": owner, "mint": mint, "program": program})
        return [(address, Account.from_bytes(account)) for address, account in rows]

    def status(self, signature: bytes) -> tuple[int, str | None] | None:
        """(slot, error) of a landed transaction."""
        row: tuple[int, str | None] | None = self._connection.execute(
            SELECT_STATUS, {"signature": signature}
        ).fetchone()
        return row

    def transaction(self, signature: bytes) -> Landed | None:
        """A landed transaction."""
        row = self._connection.execute(SELECT_TRANSACTION, {"signature": signature}).fetchone()
        return from_row(row) if row else None

    def mentioning(self, address: bytes, *, before: int | None, until: int | None, limit: int) -> list[Landed]:
        """Landed transactions that name an address, newest first; `before` and `until` are ids, both exclusive."""
        params = {"address": address, "before": before or self.count + 1, "until": until or 0, "limit": limit}
        return [from_row(row) for row in self._connection.execute(SELECT_MENTIONING, params)]

    def _put(self, accounts: Mapping[bytes, Account | None]) -> None:
        present = [as_account_row(address, account) for address, account in accounts.items() if account]
        absent = [{"address": address} for address, account in accounts.items() if not account]
        self._connection.executemany(UPSERT_ACCOUNT, present)
        self._connection.executemany(DELETE_ACCOUNT, absent)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise


def as_row(landed: Landed) -> dict[str, bytes | int | str | None]:
    return {
        "id": landed.id,
        "signature": landed.signature,
        "slot": landed.slot,
        "raw": landed.raw,
        "error": landed.error,
        "meta": landed.meta,
    }


def from_row(row: tuple[int, bytes, int, bytes, str | None, bytes]) -> Landed:
    number, signature, slot, raw, error, meta = row
    return Landed(signature, slot, raw, error, meta, id=number)


def as_account_row(address: bytes, account: Account) -> dict[str, bytes | int | None]:
    held = holding(account)
    return {
        "address": address,
        "account": bytes(account),
        "program": bytes(account.owner),
        "executable": account.executable,
        "token_owner": held.owner if held else None,
        "token_mint": held.mint if held else None,
    }


@contextmanager
def open_store(directory: Path) -> Iterator[Store]:
    """The store in `directory`, made if it is missing; LocalnetUnusable if another process has it or it is damaged."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = directory / "solana.sqlite"
    file.touch(mode=0o600)
    connection = sqlite3.connect(file, isolation_level=None, timeout=1)
    try:
        try:
            prepare(connection)
            store = Store(connection)
        except sqlite3.Error as error:
            raise LocalnetUnusable(f"The embedded chain in {file} cannot be used: {error}.") from error
        yield store
    finally:
        connection.close()


def prepare(connection: sqlite3.Connection) -> None:
    """Take the file for this process alone and make the tables if there are none."""
    # exclusive locking refuses a second process; NORMAL may lose the last block to a power cut, as a cluster may
    for setting in ("locking_mode = EXCLUSIVE", "journal_mode = WAL", "synchronous = NORMAL"):
        connection.execute(f"PRAGMA {setting}").fetchall()
    connection.execute("BEGIN IMMEDIATE")
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version == 0:
        for statement in SCHEMA.split(";"):
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    connection.execute("COMMIT")
    if version not in (0, SCHEMA_VERSION):
        raise LocalnetUnusable(f"The embedded chain was written by another version (schema {version}).")
