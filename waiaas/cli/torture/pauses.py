"""Time that passes unless somebody is told to stop."""

import asyncio
import contextlib


async def pause(stop: asyncio.Event, seconds: float) -> bool:
    """Let time pass; whether to stop."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stop.wait()
    return stop.is_set()
