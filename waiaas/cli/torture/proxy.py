"""The only way to a chain: an HTTP endpoint on loopback that sees every call, breaks what the weather says, and holds.

Each endpoint of the daemon's configuration is one proxy; all proxies of a network lead to the same node.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from waiaas.cli.torture.exchange import Exchange, Node, Reply
from waiaas.cli.torture.faults import ELSEWHERE
from waiaas.cli.torture.weather import Weather

MOST_HEADER_BYTES = 65536
MOST_BODY_BYTES = 4 * 2**20

#: told of every call before anything else happens to it
Look = Callable[[dict[str, Any]], None]


class Trap:
    """Holds the n-th exchange that carries a method, before or after the node has seen it."""

    def __init__(self, method: str, when: str, count: int) -> None:
        self.method, self.when, self._left = method, when, count
        self.sprung = asyncio.Event()
        self._opened = asyncio.Event()

    def takes(self, exchange: Exchange) -> bool:
        """Whether this is the one."""
        self._left -= self.method in exchange.methods
        return self.method in exchange.methods and self._left == 0

    async def hold(self) -> None:
        """Tell that it is here, and stay."""
        self.sprung.set()
        await self._opened.wait()

    def open(self) -> None:
        """Let go of what was held: whoever asked is gone."""
        self._opened.set()


class Proxy:
    """One endpoint in front of a node."""

    def __init__(self, number: int, node: Node, weather: Weather, look: Look) -> None:
        self._number, self._node, self._weather, self._look = number, node, weather, look
        self.trap: Trap | None = None
        #: requests that came where only a redirect leads
        self.followed = 0
        self.url = ""

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Listen on a free port of 127.0.0.1, at `url`."""
        running: set[asyncio.Task[None]] = set()

        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            running.add(task)
            try:
                await self._converse(reader, writer)
            except asyncio.CancelledError:
                # only the end of the proxy cancels it, and asyncio's streams cannot bear a cancelled conversation
                return
            finally:
                running.discard(task)

        server = await asyncio.start_server(connected, "127.0.0.1", 0, limit=MOST_HEADER_BYTES)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield
        finally:
            server.close()
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request after the other until the connection ends, or is broken here."""
        try:
            while (body := await self._read(reader)) is not None:
                reply = await self._answer(body)
                if reply is None or not await write(writer, reply):
                    writer.transport.abort()
                    return
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            # the other side was killed: that is what this is for
            return
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def _read(self, reader: asyncio.StreamReader) -> bytes | None:
        """The body of the next request; None at the end of the connection."""
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        except asyncio.IncompleteReadError:
            return None
        first, *lines = head.split("\r\n")
        if first.split(" ")[1] == ELSEWHERE:
            self.followed += 1
        fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        size = int(fields.get("content-length", 0))
        return await reader.readexactly(size) if size <= MOST_BODY_BYTES else None

    async def _answer(self, body: bytes) -> Reply | None:
        try:
            exchange = Exchange(self._node, body)
        except msgspec.DecodeError:
            return Reply(b"bad request", status=400)
        for call in exchange.calls:
            self._look(call)
        trap = self.trap
        if trap is None or not trap.takes(exchange):
            return await self._weather.pass_on(self._number, exchange)
        if trap.when == "after":
            await exchange.forward()
        await trap.hold()
        return None


async def write(writer: asyncio.StreamWriter, reply: Reply) -> bool:
    """Send it; whether the connection can go on."""
    headers = {"content-type": "application/json", **dict(reply.headers)}
    headers["content-length"] = str(len(reply.body) if reply.announced is None else reply.announced)
    head = f"HTTP/1.1 {reply.status} -\r\n" + "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    writer.write(head.encode() + b"\r\n")
    if reply.pause:
        for place in range(len(reply.body)):
            writer.write(reply.body[place : place + 1])
            await writer.drain()
            await asyncio.sleep(reply.pause)
    else:
        writer.write(reply.body)
        await writer.drain()
    return reply.announced is None
