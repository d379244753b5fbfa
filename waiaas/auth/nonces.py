"""Nonces that anyone may ask for and that are good once: 32 random bytes for 300 seconds."""

from waiaas.db import Database
from waiaas.ids import entropy
from waiaas.repositories import nonces

LIFE_SECONDS = 300


async def issue(db: Database, *, now: int, most: int) -> tuple[str, int]:
    """(nonce in hex, when it expires), stored; of the unused ones the newest `most` are kept."""
    nonce, expires_at = entropy(32).hex(), now + LIFE_SECONDS
    await db.commit(nonces.open_nonce(nonce, now=now, expires_at=expires_at), nonces.keep_newest(most))
    return nonce, expires_at
