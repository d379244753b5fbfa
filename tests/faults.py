"""A node's bad days: an ASGI application in front of a chain that loses, refuses, holds and alters what passes.

It sits between a client and a node either way the product reaches one: inside `httpx.ASGITransport`, or served on a
socket. Rules name a JSON-RPC method and are used up in the order in which they were made; one HTTP exchange may carry
many calls, and a rule meets the exchange that carries its method.
"""

import asyncio
import socket
from base64 import b64decode
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import hypercorn.asyncio
import hypercorn.config
import msgspec
from starlette.types import ASGIApp, Receive, Scope, Send

Reply = list[dict[str, Any]]
Act = Callable[["Exchange"], Awaitable[None]]
Meanwhile = Callable[[], Awaitable[Any] | None]


class Lost(httpx.ReadError):
    """The connection broke: whoever asked does not know what became of it."""


class Gate:
    """Holds an exchange: `arrived` is set when it is there, `open` lets it go on."""

    def __init__(self) -> None:
        self.arrived = asyncio.Event()
        self._opened = asyncio.Event()

    def open(self) -> None:
        self._opened.set()

    async def passed(self) -> None:
        self.arrived.set()
        await self._opened.wait()


class Exchange:
    """One HTTP exchange on its way: the calls in it, and after `forward` what the node said."""

    def __init__(self, node: ASGIApp, scope: Scope, body: bytes) -> None:
        self._node, self._scope, self._body = node, scope, body
        decoded = msgspec.json.decode(body)
        self.is_batch = isinstance(decoded, list)
        self.calls: list[dict[str, Any]] = decoded if self.is_batch else [decoded]
        self.methods = [str(call.get("method")) for call in self.calls]
        self.replies: Reply | None = None

    async def forward(self) -> Reply:
        """Let the node see it, once."""
        if self.replies is None:
            decoded = msgspec.json.decode(await self._pass_on())
            self.replies = decoded if self.is_batch else [decoded]
        return self.replies

    def answer(self, method: str, **member: Any) -> None:
        """Put `result` or `error` in the place of what the node said to every call of the method."""
        ids = {call["id"] for call in self.calls if call["method"] == method}
        known = {reply["id"]: reply for reply in self.replies or ()}
        self.replies = [
            {"jsonrpc": "2.0", "id": call["id"], **member} if call["id"] in ids else known[call["id"]]
            for call in self.calls
        ]

    async def _pass_on(self) -> bytes:
        said = bytearray()

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": self._body, "more_body": False}

        async def send(message: Any) -> None:
            said.extend(message.get("body", b""))

        await self._node(self._scope, receive, send)
        return bytes(said)


class FaultLayer:
    """Passes exchanges on to `node`, unless a rule says otherwise; keeps what arrived."""

    def __init__(self, node: ASGIApp) -> None:
        self.node = node
        #: nothing passes
        self.down = False
        #: how often each method was called, and every raw transaction that left the client, lost ones too, in order
        self.seen: Counter[str] = Counter()
        self.sent: list[bytes] = []
        #: called with the methods of every exchange before anything else
        self.listeners: list[Callable[[list[str]], Any]] = []
        self._rules: list[tuple[str, Act, list[int]]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST":
            await self.node(scope, receive, send)
            return
        exchange = Exchange(self.node, scope, await _read(receive))
        self._note(exchange)
        for act in self._take(exchange.methods):
            await act(exchange)
        replies = await exchange.forward()
        body = msgspec.json.encode(replies if exchange.is_batch else replies[0])
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    # --- rules: each holds for the next `times` exchanges that carry the method -------------------

    def on(self, method: str, act: Act, *, times: int = 1) -> None:
        """Do something with the exchange, which then goes on unless that raised."""
        self._rules.append((method, act, [times]))

    def drop(self, method: str, *, times: int = 1) -> None:
        """The node never sees it."""
        self.on(method, _lose, times=times)

    def lose_reply(self, method: str, *, times: int = 1) -> None:
        """The node takes it, and nobody hears so."""

        async def act(exchange: Exchange) -> None:
            await exchange.forward()
            raise Lost("the reply was lost")

        self.on(method, act, times=times)

    def refuse(self, method: str, code: int, message: str = "refused", data: Any = None, *, times: int = 1) -> None:
        """The node answers with an error and does nothing."""
        error = {"code": code, "message": message} | ({} if data is None else {"data": data})
        self._replace(method, times, forward=False, error=error)

    def answer(self, method: str, result: Any, *, times: int = 1) -> None:
        """The node does what it was asked, and says something else."""
        self._replace(method, times, forward=True, result=result)

    def hold(self, method: str, *, times: int = 1) -> Gate:
        """Keep the exchange in front of the node until the gate is opened."""
        gate = Gate()
        self.before(method, gate.passed, times=times)
        return gate

    def hold_reply(self, method: str) -> Gate:
        """The node has seen it; keep the reply until the gate is opened."""
        gate = Gate()
        self.after(method, gate.passed)
        return gate

    def before(self, method: str, meanwhile: Meanwhile, *, times: int = 1) -> None:
        """Something happens just before the node sees it."""

        async def act(_: Exchange) -> None:
            await _done(meanwhile())

        self.on(method, act, times=times)

    def after(self, method: str, meanwhile: Meanwhile, *, times: int = 1) -> None:
        """Something happens when the node has answered and nobody has heard it yet."""

        async def act(exchange: Exchange) -> None:
            await exchange.forward()
            await _done(meanwhile())

        self.on(method, act, times=times)

    def heal(self) -> None:
        """Forget every rule; the node answers again."""
        self.down = False
        self._rules.clear()

    def _replace(self, method: str, times: int, *, forward: bool, **member: Any) -> None:
        async def act(exchange: Exchange) -> None:
            if forward or len(set(exchange.methods)) > 1:
                await exchange.forward()
            exchange.answer(method, **member)

        self.on(method, act, times=times)

    def _note(self, exchange: Exchange) -> None:
        self.seen.update(exchange.methods)
        sent = (call["params"][0] for call in exchange.calls if call["method"] == "sendTransaction")
        self.sent += [b64decode(text) for text in sent]
        raws = (call["params"][0] for call in exchange.calls if call["method"] == "eth_sendRawTransaction")
        self.sent += [bytes.fromhex(text[2:]) for text in raws]
        if self.down:
            raise Lost("the node is down")
        for listener in self.listeners:
            listener(exchange.methods)

    def _take(self, methods: list[str]) -> list[Act]:
        taken = []
        for method, act, left in self._rules:
            if method in methods and left[0] > 0:
                left[0] -= 1
                taken.append(act)
        self._rules = [rule for rule in self._rules if rule[2][0] > 0]
        return taken


async def _lose(_: Exchange) -> None:
    raise Lost("it never arrived")


async def _done(result: Awaitable[Any] | None) -> None:
    if result is not None:
        await result


async def _read(receive: Receive) -> bytes:
    body = bytearray()
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            return bytes(body)


@asynccontextmanager
async def on_socket(app: ASGIApp) -> AsyncIterator[str]:
    """Serve an application on a loopback port; its URL."""
    stop = asyncio.Event()
    served: Any = app
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setblocking(False)
    port = listener.getsockname()[1]
    config = hypercorn.config.Config()
    config.bind = [f"fd://{listener.detach()}"]
    config.errorlog, config.graceful_timeout = None, 0.1
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(hypercorn.asyncio.serve(served, config, shutdown_trigger=stop.wait))
        yield f"http://127.0.0.1:{port}"
        stop.set()
