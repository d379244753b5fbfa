"""`attempts`: signed bytes, from the commit that makes them durable to their end on chain."""

import sqlite3
from collections.abc import Sequence

import msgspec

from waiaas.db import Database, Statement
from waiaas.domain.transaction import Attempt, Followed
from waiaas.repositories.rows import decodable, to_struct

FOLLOWED = """id, tx_id, number, kind, network, signer, tx_hash, nonce, blockhash, last_valid_block_height,
       context_slot, max_fee, status, broadcasts, endpoint, first_broadcast_at, last_broadcast_at, last_seen_at,
       block_number, block_hash, confirmations, fee, error, rejected_at, created_at, finished_at"""
COLUMNS = f"{FOLLOWED}, raw"
GET = f"SELECT {COLUMNS} FROM attempts WHERE id = :id"
#: without the bytes: it is read at every look, for thousands of rows
OPEN = f"""
SELECT {FOLLOWED} FROM attempts
 WHERE network = :network AND finished_at IS NULL AND tx_id > :after ORDER BY tx_id, number LIMIT :limit
"""
OF_TRANSACTION = f"SELECT {COLUMNS} FROM attempts WHERE tx_id = :tx_id ORDER BY number"
OPEN_NETWORKS = "SELECT DISTINCT network FROM attempts WHERE finished_at IS NULL"

INSERT = """
INSERT INTO attempts (id, tx_id, number, kind, network, signer, tx_hash, raw, nonce, blockhash,
  last_valid_block_height, context_slot, max_fee, created_at)
VALUES (:id, :tx_id, :number, :kind, :network, :signer, :tx_hash, :raw, :nonce, :blockhash,
  :last_valid_block_height, :context_slot, :max_fee, :created_at)
"""
SENT = """
UPDATE attempts SET broadcasts = broadcasts + 1, endpoint = :endpoint, last_broadcast_at = :now,
       first_broadcast_at = COALESCE(first_broadcast_at, :now), rejected_at = NULL
 WHERE id = :id
"""
REFUSED = "UPDATE attempts SET error = :error, last_broadcast_at = :now WHERE id = :id AND status = 'LIVE'"
REJECTED = """
UPDATE attempts SET error = :error, last_broadcast_at = :now, rejected_at = COALESCE(rejected_at, :now)
 WHERE id = :id AND status = 'LIVE'
"""
SEEN = """
UPDATE attempts SET last_seen_at = :now, block_number = :block, rejected_at = NULL WHERE id = :id AND status = 'LIVE'
"""
LAND = """
UPDATE attempts SET status = 'LANDED', last_seen_at = :now, block_number = :block, block_hash = :block_hash,
       confirmations = :confirmations, fee = :fee, error = :error, rejected_at = NULL, finished_at = :finished_at
 WHERE id = :id AND status IN ('LIVE', 'REPLACED')
"""
FINALIZE = """
UPDATE attempts SET finished_at = :now, last_seen_at = :now WHERE id = :id AND status = 'LANDED' AND finished_at IS NULL
"""
REVIVE = """
UPDATE attempts SET status = 'LIVE', block_number = NULL, block_hash = NULL, confirmations = NULL
 WHERE id = :id AND status = 'LANDED' AND finished_at IS NULL
"""
REPLACE = "UPDATE attempts SET status = 'REPLACED' WHERE id = :id AND status = 'LIVE'"
BURY_RIVALS = """
UPDATE attempts SET status = 'DEAD', finished_at = :now
 WHERE network = :network AND signer = :signer AND nonce = :nonce AND id <> :id AND finished_at IS NULL
"""
HELD_NONCES = """
SELECT nonce, status FROM attempts
 WHERE network = :network AND signer = :signer AND nonce >= :lowest AND status IN ('LIVE', 'LANDED', 'DEAD')
"""
KNOWN_HASHES = """
SELECT tx_hash AS mark FROM attempts WHERE network = :network AND tx_hash IN (SELECT value FROM json_each(:marks))
"""
KNOWN_NONCES = """
SELECT nonce AS mark FROM attempts
 WHERE network = :network AND signer = :signer AND nonce IN (SELECT value FROM json_each(:marks))
   AND status IN ('LIVE', 'LANDED')
"""
#: that they were lost was told of when their bytes were buried; no index, for hardly any nonce gets here
LOST_NONCES = """
SELECT nonce AS mark FROM attempts
 WHERE network = :network AND signer = :signer AND nonce IN (SELECT value FROM json_each(:marks))
"""
DIE = "UPDATE attempts SET status = 'DEAD', finished_at = :now WHERE id = :id AND status IN ('LIVE', 'REPLACED')"
ANY_OPEN = "SELECT 1 FROM attempts WHERE tx_id = :tx_id AND finished_at IS NULL"


def _attempt(row: sqlite3.Row) -> Attempt:
    return to_struct(row, Attempt, "attempts")


def _followed(row: sqlite3.Row) -> Followed:
    return to_struct(row, Followed, "attempts")


async def get(db: Database, attempt_id: str) -> Attempt:
    """An attempt that was found before, with its bytes: no row of the table is ever deleted."""
    row = await db.fetch_one(GET, {"id": attempt_id})
    assert row is not None
    return _attempt(row)


async def open_on(
    db: Database, network: str, *, after: str = "", limit: int = 10_000
) -> tuple[list[Followed], str | None]:
    """Attempts of a network whose end is not final yet, by transaction, each one's oldest first.

    The second is the transaction to go on `after`, None at the end: no transaction's attempts are on two pages. `limit`
    is above what one transaction can have.
    """
    rows = await db.fetch_all(OPEN, {"network": network, "after": after, "limit": limit})
    if len(rows) < limit:
        return decodable(rows, _followed), None
    whole = [row for row in rows if row["tx_id"] != rows[-1]["tx_id"]]
    return decodable(whole, _followed), whole[-1]["tx_id"]


async def of_transaction(db: Database, tx_id: str) -> list[Attempt]:
    """All attempts of a transaction, oldest first."""
    return [_attempt(row) for row in await db.fetch_all(OF_TRANSACTION, {"tx_id": tx_id})]


async def held_nonces(db: Database, network: str, signer: str, lowest: int) -> dict[int, str]:
    """Nonces from `lowest` on that signed bytes hold → LIVE, or that are spent → LANDED or DEAD."""
    params = {"network": network, "signer": signer, "lowest": lowest}
    return {row["nonce"]: row["status"] for row in await db.fetch_all(HELD_NONCES, params)}


async def explained(db: Database, network: str, signer: str, marks: Sequence[str | int]) -> set[str | int]:
    """Those of the hashes, or nonces of a signer, that belong to an attempt."""

    async def among(sql: str, marks: Sequence[str | int], **params: str) -> set[str | int]:
        params |= {"network": network, "marks": msgspec.json.encode(marks).decode()}
        return {row["mark"] for row in await db.fetch_all(sql, params)}

    if isinstance(marks[0], str):
        return await among(KNOWN_HASHES, marks)
    known = await among(KNOWN_NONCES, marks, signer=signer)
    rest = [mark for mark in marks if mark not in known]
    return known | (await among(LOST_NONCES, rest, signer=signer) if rest else set())


async def open_networks(db: Database) -> set[str]:
    """Networks with an attempt that must be followed."""
    return {row["network"] for row in await db.fetch_all(OPEN_NETWORKS)}


def insert(attempt: Attempt) -> Statement:
    """LIVE, not sent yet; ConstraintFailed if the transaction has a live one already."""
    return Statement(
        INSERT,
        {
            "id": attempt.id,
            "tx_id": attempt.tx_id,
            "number": attempt.number,
            "kind": attempt.kind,
            "network": attempt.network,
            "signer": attempt.signer,
            "tx_hash": attempt.tx_hash,
            "raw": attempt.raw,
            "nonce": attempt.nonce,
            "blockhash": attempt.blockhash,
            "last_valid_block_height": attempt.last_valid_block_height,
            "context_slot": attempt.context_slot,
            "max_fee": str(attempt.max_fee),
            "created_at": attempt.created_at,
        },
    )


def sent(attempt_id: str, endpoint: str, now: int) -> Statement:
    """An endpoint took the bytes."""
    return Statement(SENT, {"id": attempt_id, "endpoint": endpoint, "now": now})


def refused(attempt_id: str, error: str, now: int) -> Statement:
    """No endpoint took the bytes; what the last one said. They may land all the same."""
    return Statement(REFUSED, {"id": attempt_id, "error": error, "now": now})


def rejected(attempt_id: str, error: str, now: int) -> Statement:
    """Every endpoint refused the bytes for good. Who has them already may still let them land."""
    return Statement(REJECTED, {"id": attempt_id, "error": error, "now": now})


def seen(attempt_id: str, block: int, now: int) -> Statement:
    """Sighted, not yet deep enough."""
    return Statement(SEEN, {"id": attempt_id, "block": block, "now": now})


def land(
    attempt: Followed,
    *,
    block: int,
    block_hash: str | None,
    confirmations: int | None,
    fee: int,
    error: str | None,
    finalized: bool,
    now: int,
) -> Statement:
    """LIVE or REPLACED → LANDED, with the fee as paid."""
    return Statement(
        LAND,
        {
            "id": attempt.id,
            "block": block,
            "block_hash": block_hash,
            "confirmations": confirmations,
            "fee": str(fee),
            "error": error,
            "finished_at": now if finalized else None,
            "now": now,
        },
    )


def finalize(attempt_id: str, now: int) -> Statement:
    """A LANDED attempt is final on chain: nobody watches it any more."""
    return Statement(FINALIZE, {"id": attempt_id, "now": now})


def revive(attempt_id: str) -> Statement:
    """LANDED → LIVE: the block it was in is gone."""
    return Statement(REVIVE, {"id": attempt_id})


def replace(attempt_id: str) -> Statement:
    """LIVE → REPLACED: another attempt has its nonce; both are watched until one has landed."""
    return Statement(REPLACE, {"id": attempt_id})


def bury_rivals(landed: Followed, now: int) -> Statement:
    """Once one attempt of a nonce is final, the others are DEAD."""
    params = {"network": landed.network, "signer": landed.signer, "nonce": landed.nonce, "id": landed.id, "now": now}
    return Statement(BURY_RIVALS, params, expect=None)


def die(attempt_id: str, now: int) -> Statement:
    """LIVE or REPLACED → DEAD, on proof."""
    return Statement(DIE, {"id": attempt_id, "now": now})


def none_open(tx_id: str) -> Statement:
    """Guard: nothing signed for the transaction may still land; one signed since the proof was asked for may."""
    return Statement(ANY_OPEN, {"tx_id": tx_id}, expect=0)
