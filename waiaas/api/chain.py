"""Requests that ask a node."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from waiaas.chains.base import Chain
from waiaas.domain.agent import Agent
from waiaas.errors import AdapterNotAvailable, ChainFailed, ChainNotSupported
from waiaas.pipeline.core import Core

#: seconds that a node has in all to answer what a request asks it
CHAIN_SECONDS = 10


@asynccontextmanager
async def reading_chain() -> AsyncIterator[None]:
    """A node is asked in here; ChainFailed when it takes too long."""
    try:
        async with asyncio.timeout(CHAIN_SECONDS):
            yield
    except TimeoutError:
        raise ChainFailed(f"The node did not answer within {CHAIN_SECONDS} seconds.") from None


def chain_of(core: Core, agent: Agent) -> Chain:
    """The agent's chain; AdapterNotAvailable if its network is no longer configured."""
    try:
        return core.chains.chain(agent.network)
    except ChainNotSupported as error:
        raise AdapterNotAvailable(error.message) from None
