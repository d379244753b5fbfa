"""What lies between the daemon and its nodes: an exchange is an act, and any fate may befall it."""

import asyncio
from collections.abc import Callable

import httpx
import msgspec

from tests.simulation.acts import Acts, never
from tests.simulation.faults import Weather
from tests.simulation.node import Node

#: called with every raw transaction in the moment in which it leaves
Leaving = Callable[[str], None]
SENDING = {"sendTransaction", "eth_sendRawTransaction"}


class Wire(httpx.AsyncBaseTransport):
    """The endpoints of one network: `embedded-1` is the first seat of its node, `embedded-2` the second."""

    def __init__(self, network: str, node: Node, weather: Weather, acts: Acts, leaving: Leaving) -> None:
        self._network, self._node, self._weather, self._acts = network, node, weather, acts
        self._leaving = leaving

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        body = await request.aread()
        seat = self._node.seats[int(request.url.host[-1]) - 1]
        if not self._acts.begin(f"{self._network}#{seat.place} {methods(body)}", body):
            await never()
        for raw in leaving(body):
            if not self._acts.must_hold(self._leaving, raw):
                await never()
        loop = asyncio.get_running_loop()
        fate, now = self._weather.fate(), loop.time()
        ticket = self._node.post(now + fate.there, seat, body) if fate.kind != "lost" else None
        if ticket and fate.again is not None:
            self._node.repeat(now + fate.again, ticket)
        await asyncio.sleep(fate.there)
        self._node.catch_up(loop.time())
        if not self._acts.done():
            await never()
        await asyncio.sleep(fate.back)
        if fate.kind != "answered":
            self._acts.note(f"{fate.kind} {fate.status if fate.kind == 'status' else ''}")
        match fate.kind:
            case "lost" | "unheard":
                raise httpx.ReadError("the connection broke")
            case "status":
                return httpx.Response(fate.status, content=b"busy", headers={"retry-after": "3"})
            case "garbage":
                return httpx.Response(200, content=fate.body)
        assert ticket is not None
        assert ticket.body is not None
        return httpx.Response(200, content=ticket.body)


def methods(body: bytes) -> str:
    """What is asked for, in a few words."""
    calls = msgspec.json.decode(body)
    names = [call["method"] for call in (calls if isinstance(calls, list) else [calls])]
    return ", ".join(f"{name}×{names.count(name)}" if names.count(name) > 1 else name for name in dict.fromkeys(names))


def leaving(body: bytes) -> list[str]:
    """The raw transactions in an exchange, as they are spelled in it."""
    calls = msgspec.json.decode(body)
    return [call["params"][0] for call in (calls if isinstance(calls, list) else [calls]) if call["method"] in SENDING]
