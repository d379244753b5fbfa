"""Many steps at once, each for itself: one that fails stops no other."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import structlog

from waiaas.errors import StaleState, StorageCorrupt, Transient

log = structlog.get_logger()


async def each(*steps: Coroutine[Any, Any, None]) -> None:
    """Run all steps to their end; one that fails is logged, and whoever called tries it again at the next look.

    StorageCorrupt is raised: nothing can go on then.
    """
    for outcome in await asyncio.gather(*steps, return_exceptions=True):
        if isinstance(outcome, StaleState):
            log.info("moved_by_another_step")
        elif isinstance(outcome, Transient):
            log.warning("chain_unclear", error=outcome.message)
        elif isinstance(outcome, StorageCorrupt) or (outcome is not None and not isinstance(outcome, Exception)):
            raise outcome
        elif outcome is not None:
            log.error("step_failed", exc_info=outcome)
