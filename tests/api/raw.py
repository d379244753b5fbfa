"""A request as an ASGI server makes it, for what an HTTP client would not send."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any


async def ask(
    app: Any,
    method: str,
    path: str,
    headers: Mapping[str, str],
    pieces: Sequence[bytes],
    *,
    query: str = "",
    host: str | None = "127.0.0.1:3100",
    leaves: bool = False,
    stalls: bool = False,
) -> tuple[int | None, bytes]:
    """Status and body of the answer to a body that comes in pieces, and may end with the caller gone or silent."""
    messages: list[dict[str, Any]] = [{"type": "http.request", "body": piece, "more_body": True} for piece in pieces]
    messages.append({"type": "http.disconnect"} if leaves else {"type": "http.request", "body": b""})
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        if stalls and len(messages) == 1:
            await asyncio.Event().wait()
        return messages.pop(0)

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]
    await app(
        {
            "type": "http",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "headers": [*raw, *([(b"host", host.encode())] if host is not None else [])],
            "client": ("127.0.0.1", 50000),
        },
        receive,
        send,
    )
    if not sent:
        return None, b""
    return sent[0]["status"], b"".join(message.get("body", b"") for message in sent[1:])
