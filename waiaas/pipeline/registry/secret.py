"""The secret that tokens are signed with is replaced; the one before stays good for five minutes."""

import asyncio

from waiaas.auth.tokens import OVERLAP_SECONDS, Tokens
from waiaas.domain.event import Actor, AuditEvent
from waiaas.errors import RotationTooRecent, StaleState
from waiaas.pipeline.core import Core
from waiaas.repositories import audit


async def rotate(core: Core, tokens: Tokens, actor: Actor) -> int:
    """When it was done (epoch seconds), on disk before any token is signed anew; RotationTooRecent.

    A caller that goes away does not stop it: the secret on disk is the one that is used.
    """
    return await asyncio.shield(_rotate(core, tokens, actor))


async def _rotate(core: Core, tokens: Tokens, actor: Actor) -> int:
    now = core.clock.now()
    left = tokens.overlap_left(now)
    if left > 0:
        raise RotationTooRecent(retry_after=left)
    turned, statements = tokens.turn(core.keystore, now)
    try:
        await core.db.commit(*statements, audit.record(AuditEvent.SECRET_ROTATED, actor, now))
    except StaleState:
        raise RotationTooRecent(retry_after=OVERLAP_SECONDS) from None
    tokens.use(turned)
    return now
