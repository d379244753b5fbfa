"""JSON-RPC 2.0 over HTTP as an ASGI application; it knows no chain (https://www.jsonrpc.org/specification)."""

import asyncio
from collections.abc import Callable, Collection, Mapping, MutableMapping
from typing import Any

import msgspec
import structlog
from starlette.types import Receive, Scope, Send

from waiaas.errors import RpcRefusal

MAX_BODY_BYTES = 1_048_576

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
INTERNAL_ERROR = -32603

log = structlog.get_logger(__name__)

Method = Callable[[list[Any]], Any]


class JsonRpc:
    """Serves `methods`, each a function of its positional params; `settle` runs before each."""

    def __init__(
        self, methods: Mapping[str, Method], settle: Callable[[], None], slow: Collection[str] = frozenset()
    ) -> None:
        self._methods = methods
        self._settle = settle
        self._slow = slow

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One HTTP request, or the server's lifespan; a WebSocket is closed at once."""
        if scope["type"] == "lifespan":
            await live(receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000})
        else:
            status, body = await self.respond(scope, await read(receive))
            headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
            await send({"type": "http.response.start", "status": status, "headers": headers})
            await send({"type": "http.response.body", "body": body})

    async def respond(self, scope: MutableMapping[str, Any], body: bytes | None) -> tuple[int, bytes]:
        """HTTP status and body. As on a node, GET /health is "ok" and a body must call itself JSON."""
        if scope["method"] == "GET" and scope["path"] == "/health":
            return 200, b"ok"
        if scope["method"] != "POST":
            return 405, b"Use POST."
        if not dict(scope["headers"]).get(b"content-type", b"").startswith(b"application/json"):
            # also what keeps a web page from posting here without asking
            return 415, b"Content-Type: application/json is required."
        if body is None:
            return 413, b"The request is too large."
        return 200, await self.answer(body)

    async def answer(self, body: bytes) -> bytes:
        """The reply to one call or to a batch, in its order; empty if nothing in it wants a reply.

        Whoever else the process serves has a turn after each call of a method that is `slow`.
        """
        try:
            request = msgspec.json.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return msgspec.json.encode(fault(None, PARSE_ERROR, "Parse error"))
        if isinstance(request, list) and request:
            replies = [reply for call in request if (reply := await self._in_turn(call)) is not None]
            return msgspec.json.encode(replies) if replies else b""
        reply = self.reply(request)
        return b"" if reply is None else msgspec.json.encode(reply)

    async def _in_turn(self, request: Any) -> dict[str, Any] | None:
        reply = self.reply(request)
        if isinstance(request, dict) and request.get("method") in self._slow:
            await asyncio.sleep(0)
        return reply

    def reply(self, request: Any) -> dict[str, Any] | None:
        """The reply to one call; None for a notification."""
        if not isinstance(request, dict) or request.get("jsonrpc") != "2.0":
            return fault(None, INVALID_REQUEST, "Invalid request")
        call_id = request.get("id")
        try:
            result = self.call(request.get("method"), request.get("params") or [])
        except RpcRefusal as refusal:
            reply = fault(call_id, refusal.number, refusal.message, refusal.data)
        except Exception:
            log.exception("a call of the embedded chain failed", method=request.get("method"))
            reply = fault(call_id, INTERNAL_ERROR, "Internal error")
        else:
            reply = {"jsonrpc": "2.0", "result": result, "id": call_id}
        return reply if "id" in request else None

    def call(self, name: Any, params: Any) -> Any:
        """Run one method; RpcRefusal if there is no such method or it refuses."""
        method = self._methods.get(name) if isinstance(name, str) else None
        if method is None:
            raise RpcRefusal(METHOD_NOT_FOUND, "Method not found")
        if not isinstance(params, list):
            raise RpcRefusal(INVALID_PARAMS, "`params` should be an array")
        self._settle()
        return method(params)


def fault(id: Any, number: int, message: str, data: Any = None) -> dict[str, Any]:
    """An error reply."""
    error = {"code": number, "message": message} | ({} if data is None else {"data": data})
    return {"jsonrpc": "2.0", "error": error, "id": id}


async def read(receive: Receive) -> bytes | None:
    """The body; None if it is longer than MAX_BODY_BYTES."""
    chunks, size = [], 0
    while size <= MAX_BODY_BYTES:
        message = await receive()
        chunks.append(message.get("body", b""))
        size += len(chunks[-1])
        if not message.get("more_body"):
            return b"".join(chunks) if size <= MAX_BODY_BYTES else None
    return None


async def live(receive: Receive, send: Send) -> None:
    """Acknowledge the server's start and stop: whoever opened the chain closes it."""
    for _ in range(2):
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
