"""`key_value_store`: single facts about this installation, as JSON."""

from typing import Any

import msgspec

from waiaas.db import Database, Statement

GET = "SELECT value FROM key_value_store WHERE key = :key"
PUT = """
INSERT INTO key_value_store (key, value, updated_at) VALUES (:key, :value, :now)
    ON CONFLICT (key) DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at
"""
SWAP = "UPDATE key_value_store SET value = :value, updated_at = :now WHERE key = :key AND value = :was"
FORGET = "DELETE FROM key_value_store WHERE key IN (SELECT value FROM json_each(:keys))"
RAISE_POLICY_VERSION = """
UPDATE key_value_store SET value = CAST(CAST(value AS INTEGER) + 1 AS TEXT), updated_at = :now
 WHERE key = 'policy_version'
"""
POLICY_VERSION_IS = "SELECT 1 FROM key_value_store WHERE key = 'policy_version' AND value = :version"


async def find(db: Database, key: str) -> Any:
    """The decoded value of a key; None if it was never written."""
    row = await db.fetch_one(GET, {"key": key})
    return msgspec.json.decode(row["value"]) if row else None


def put(key: str, value: Any, now: int) -> Statement:
    """Write a key, whatever it held."""
    return Statement(PUT, {"key": key, "value": msgspec.json.encode(value).decode(), "now": now})


def swap(key: str, was: Any, value: Any, now: int) -> Statement:
    """Write a key that holds `was`; stale if it holds anything else by now."""
    params = {"key": key, "was": msgspec.json.encode(was).decode(), "value": msgspec.json.encode(value).decode()}
    return Statement(SWAP, {**params, "now": now})


def forget(*keys: str) -> Statement:
    """As if they had never been written."""
    return Statement(FORGET, {"keys": msgspec.json.encode(keys).decode()}, expect=None)


def raise_policy_version(now: int) -> Statement:
    """Part of every policy write: decisions made before it are judged again."""
    return Statement(RAISE_POLICY_VERSION, {"now": now}, touches="policies")


def policy_version_is(version: int) -> Statement:
    """Guard: no policy was written since it was read."""
    return Statement(POLICY_VERSION_IS, {"version": str(version)})
