"""An embedded chain that is started when it is first spoken to: its imports take a second, and few need it."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from importlib.util import find_spec

import httpx
import structlog
from starlette.types import ASGIApp

from waiaas.errors import StartError

log = structlog.get_logger(__name__)

Open = Callable[[], AbstractAsyncContextManager[ASGIApp]]


def has_evm() -> bool:
    """Whether the extra `localnet` is installed."""
    return find_spec("eth") is not None


class OnDemand(httpx.AsyncBaseTransport):
    """A transport to what `open` starts; a chain that does not start is a node that does not answer."""

    def __init__(self, open: Open) -> None:
        self._open = open
        self._stack = AsyncExitStack()
        self._starting = asyncio.Lock()
        self._chain: httpx.ASGITransport | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Start the chain if nobody has, and hand the request on; ConnectError if it does not start."""
        chain = self._chain or await self._start()
        return await chain.handle_async_request(request)

    async def aclose(self) -> None:
        """Stop the chain, if it was started."""
        await self._stack.aclose()

    async def _start(self) -> httpx.ASGITransport:
        async with self._starting:
            if self._chain is None:
                try:
                    app = await self._stack.enter_async_context(self._open())
                except StartError as error:
                    log.error("the embedded chain does not start", code=error.code, reason=error.message)
                    raise httpx.ConnectError(error.message) from error
                self._chain = httpx.ASGITransport(app=app)
            return self._chain
