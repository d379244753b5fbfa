"""The state of the embedded EVM chain in SQLite: blocks, receipts, logs and trie nodes, one commit per block.

What nodes show of blocks and transactions is kept as the JSON they show, so that reading it needs no virtual machine.
"""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
from msgspec import structs

from waiaas.localnet.sqlite import open_file, transaction

SCHEMA_VERSION = 1

SCHEMA = """
-- headers in RLP, what nodes show, and for eth_feeHistory the tips with their gas, cheapest first
CREATE TABLE blocks (
  number INTEGER PRIMARY KEY,
  hash BLOB NOT NULL UNIQUE,
  header BLOB NOT NULL,
  shown BLOB NOT NULL,
  tips BLOB NOT NULL
) STRICT;
CREATE TABLE transactions (
  hash BLOB PRIMARY KEY,
  block INTEGER NOT NULL,
  position INTEGER NOT NULL,
  shown BLOB NOT NULL,
  receipt BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX transactions_by_block ON transactions (block, position);
-- addresses and topics in lower-case hexadecimal, as filters name them
CREATE TABLE logs (
  block INTEGER NOT NULL,
  position INTEGER NOT NULL,
  address TEXT NOT NULL,
  topics INTEGER NOT NULL,
  topic0 TEXT,
  topic1 TEXT,
  topic2 TEXT,
  topic3 TEXT,
  shown BLOB NOT NULL,
  PRIMARY KEY (block, position)
) STRICT, WITHOUT ROWID;
CREATE INDEX logs_by_address ON logs (address, block);
-- trie nodes and contract codes of every root there ever was
CREATE TABLE nodes (
  hash BLOB PRIMARY KEY,
  value BLOB NOT NULL
) STRICT, WITHOUT ROWID;
-- what a stop in good order found in no block
CREATE TABLE pool (
  id INTEGER PRIMARY KEY,
  raw BLOB NOT NULL
) STRICT;
"""

INSERT_BLOCK = """
INSERT INTO blocks (number, hash, header, shown, tips) VALUES (:number, :hash, :header, :shown, :tips)
"""

INSERT_TRANSACTION = """
INSERT INTO transactions (hash, block, position, shown, receipt) VALUES (:hash, :block, :position, :shown, :receipt)
"""

INSERT_LOG = """
INSERT INTO logs (block, position, address, topics, topic0, topic1, topic2, topic3, shown)
VALUES (:block, :position, :address, :topics, :topic0, :topic1, :topic2, :topic3, :shown)
"""

INSERT_NODE = "INSERT INTO nodes (hash, value) VALUES (:hash, :value) ON CONFLICT (hash) DO NOTHING"

INSERT_POOLED = "INSERT INTO pool (raw) VALUES (:raw)"

SELECT_HEAD = "SELECT header FROM blocks ORDER BY number DESC LIMIT 1"

SELECT_HEADER = "SELECT header FROM blocks WHERE number = :number"

SELECT_NUMBER = "SELECT number FROM blocks WHERE hash = :hash"

SELECT_ANCESTORS = "SELECT hash FROM blocks WHERE number < :number ORDER BY number DESC LIMIT 256"

SELECT_BLOCK = "SELECT shown FROM blocks WHERE number = :number"

SELECT_TIPS = "SELECT header, tips FROM blocks WHERE number BETWEEN :first AND :last ORDER BY number"

SELECT_TRANSACTION = "SELECT shown FROM transactions WHERE hash = :hash"

SELECT_RECEIPT = "SELECT receipt FROM transactions WHERE hash = :hash"

SELECT_TRANSACTIONS = "SELECT shown FROM transactions WHERE block = :block ORDER BY position"

SELECT_RECEIPTS = "SELECT receipt FROM transactions WHERE block = :block ORDER BY position"

# a list of alternatives is JSON; NULL takes anything
SELECT_LOGS = """
SELECT shown FROM logs
 WHERE block BETWEEN :first AND :last AND topics >= :topics
   AND (:addresses IS NULL OR address IN (SELECT value FROM json_each(:addresses)))
   AND (:topic0 IS NULL OR topic0 IN (SELECT value FROM json_each(:topic0)))
   AND (:topic1 IS NULL OR topic1 IN (SELECT value FROM json_each(:topic1)))
   AND (:topic2 IS NULL OR topic2 IN (SELECT value FROM json_each(:topic2)))
   AND (:topic3 IS NULL OR topic3 IN (SELECT value FROM json_each(:topic3)))
 ORDER BY block, position
"""

SELECT_NODE = "SELECT value FROM nodes WHERE hash = :hash"

SELECT_POOL = "SELECT raw FROM pool ORDER BY id"

DELETE_POOL = "DELETE FROM pool"

DELETE_BLOCKS = "DELETE FROM blocks WHERE number > :number"

DELETE_TRANSACTIONS = "DELETE FROM transactions WHERE block > :number"

DELETE_LOGS = "DELETE FROM logs WHERE block > :number"

Json = msgspec.Raw


class Landed(msgspec.Struct, frozen=True):
    """A transaction of a block and its receipt, each as JSON."""

    hash: bytes
    block: int
    position: int
    shown: bytes
    receipt: bytes


class Logged(msgspec.Struct, frozen=True):
    """A log of a block; address and up to four topics in lower-case hexadecimal."""

    block: int
    position: int
    address: str
    topics: Sequence[str]
    shown: bytes


class Block(msgspec.Struct, frozen=True):
    """A block and all it changed; `tips` is JSON: [[wei per gas, gas], …], cheapest first."""

    number: int
    hash: bytes
    header: bytes
    shown: bytes
    tips: bytes
    transactions: Sequence[Landed]
    logs: Sequence[Logged]
    nodes: Mapping[bytes, bytes]


class Filter(msgspec.Struct, frozen=True):
    """Which logs are asked for: blocks, both included; alternatives for the address and each topic; least topics."""

    first: int
    last: int
    addresses: Sequence[str] | None
    topics: Sequence[Sequence[str] | None]


class Store:
    """One SQLite connection, held by one process alone; every call is short and blocks."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def save(self, block: Block) -> None:
        """Commit a block: all of it or nothing (sqlite3.Error)."""
        row = {name: getattr(block, name) for name in ("number", "hash", "header", "shown", "tips")}
        nodes = [{"hash": key, "value": value} for key, value in block.nodes.items()]
        with transaction(self._connection):
            self._connection.execute(INSERT_BLOCK, row)
            self._connection.executemany(INSERT_TRANSACTION, map(structs.asdict, block.transactions))
            self._connection.executemany(INSERT_LOG, map(as_log_row, block.logs))
            self._connection.executemany(INSERT_NODE, nodes)

    def cut(self, number: int) -> None:
        """Forget every block after `number`."""
        with transaction(self._connection):
            for statement in (DELETE_BLOCKS, DELETE_TRANSACTIONS, DELETE_LOGS):
                self._connection.execute(statement, {"number": number})

    def keep(self, pooled: Sequence[bytes]) -> None:
        """Keep raw transactions for the next start."""
        with transaction(self._connection):
            self._connection.executemany(INSERT_POOLED, [{"raw": raw} for raw in pooled])

    def take(self) -> list[bytes]:
        """The raw transactions that were kept, once."""
        with transaction(self._connection):
            kept = [raw for (raw,) in self._connection.execute(SELECT_POOL)]
            self._connection.execute(DELETE_POOL)
        return kept

    def head(self) -> bytes | None:
        """The newest header; None before the genesis."""
        header: bytes | None = self._one(SELECT_HEAD)
        return header

    def header(self, number: int) -> bytes | None:
        header: bytes | None = self._one(SELECT_HEADER, number=number)
        return header

    def number_of(self, hash: bytes) -> int | None:
        """The number of the block with that hash."""
        number: int | None = self._one(SELECT_NUMBER, hash=hash)
        return number

    def ancestors(self, number: int) -> Iterator[bytes]:
        """Hashes of the 256 blocks before `number`, newest first; asked for when the first is taken."""
        for (ancestor,) in self._connection.execute(SELECT_ANCESTORS, {"number": number}).fetchall():
            yield ancestor

    def node(self, hash: bytes) -> bytes | None:
        """A trie node or code."""
        node: bytes | None = self._one(SELECT_NODE, hash=hash)
        return node

    def block(self, number: int) -> bytes | None:
        """A block as JSON, with the hashes of its transactions."""
        shown: bytes | None = self._one(SELECT_BLOCK, number=number)
        return shown

    def transaction(self, hash: bytes) -> Json | None:
        shown = self._one(SELECT_TRANSACTION, hash=hash)
        return Json(shown) if shown else None

    def receipt(self, hash: bytes) -> Json | None:
        shown = self._one(SELECT_RECEIPT, hash=hash)
        return Json(shown) if shown else None

    def transactions(self, block: int) -> list[Json]:
        """The transactions of a block."""
        return self._json(SELECT_TRANSACTIONS, {"block": block})

    def receipts(self, block: int) -> list[Json]:
        """The receipts of a block."""
        return self._json(SELECT_RECEIPTS, {"block": block})

    def logs(self, filter: Filter) -> list[Json]:
        """The logs that a filter lets through, oldest first."""
        topics = {f"topic{at}": as_json(filter.topics[at]) if at < len(filter.topics) else None for at in range(4)}
        params = {"first": filter.first, "last": filter.last, "topics": len(filter.topics), **topics}
        return self._json(SELECT_LOGS, {**params, "addresses": as_json(filter.addresses)})

    def tips(self, first: int, last: int) -> list[tuple[bytes, bytes]]:
        """(header, tips) of some blocks, both included."""
        return self._connection.execute(SELECT_TIPS, {"first": first, "last": last}).fetchall()

    def _one(self, statement: str, **params: bytes | int) -> Any:
        row = self._connection.execute(statement, params).fetchone()
        return row[0] if row else None

    def _json(self, statement: str, params: Mapping[str, int | str | None]) -> list[Json]:
        return [Json(shown) for (shown,) in self._connection.execute(statement, params)]


def as_log_row(log: Logged) -> dict[str, bytes | int | str | None]:
    topics = {f"topic{at}": log.topics[at] if at < len(log.topics) else None for at in range(4)}
    return {
        "block": log.block,
        "position": log.position,
        "address": log.address,
        "topics": len(log.topics),
        **topics,
        "shown": log.shown,
    }


def as_json(alternatives: Sequence[str] | None) -> str | None:
    return None if alternatives is None else msgspec.json.encode(alternatives).decode()


@contextmanager
def open_store(directory: Path) -> Iterator[Store]:
    """The store in `directory`, made if it is missing; LocalnetUnusable if another process has it or it is damaged."""
    with open_file(directory / "evm.sqlite", SCHEMA, SCHEMA_VERSION) as connection:
        yield Store(connection)
