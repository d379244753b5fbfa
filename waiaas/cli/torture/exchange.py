"""One HTTP exchange with a node on its way through the proxy, and what is finally sent back."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

Node = Callable[[bytes], Awaitable[bytes]]

#: what is still on its way, kept from being collected
_late: set["asyncio.Task[None]"] = set()


class NodeRefused(RuntimeError):
    """A node answered a call with an error."""


class Reply(msgspec.Struct, frozen=True):
    """What goes back; `announced` is a content length that is not kept, `pause` the seconds between its bytes."""

    body: bytes
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    announced: int | None = None
    pause: float = 0.0


class Exchange:
    """The calls of one request; the node sees them when `forward` is awaited, each time."""

    def __init__(self, node: Node, body: bytes) -> None:
        self._node, self._body = node, body
        decoded = msgspec.json.decode(body)
        self.is_batch = isinstance(decoded, list)
        self.calls: list[dict[str, Any]] = decoded if self.is_batch else [decoded]
        self.methods = [str(call.get("method")) for call in self.calls]

    async def forward(self) -> list[dict[str, Any]]:
        """Let the node do it; its replies, in the order of the calls."""
        decoded = msgspec.json.decode(await self._node(self._body))
        replies = decoded if self.is_batch else [decoded]
        by_id = {reply["id"]: reply for reply in replies}
        return [by_id[call["id"]] for call in self.calls]

    def forward_later(self, seconds: float) -> None:
        """Let the node see it when that time is over, whoever is still there then."""

        async def deliver() -> None:
            await asyncio.sleep(seconds)
            await self._node(self._body)

        task = asyncio.create_task(deliver())
        _late.add(task)
        task.add_done_callback(_late.discard)

    def reply(self, replies: list[dict[str, Any]]) -> Reply:
        """As a node answers."""
        return Reply(msgspec.json.encode(replies if self.is_batch else replies[0]))


async def deliver_all() -> None:
    """Wait until nothing is on its way to a node any more."""
    await asyncio.gather(*_late)


async def ask(node: Node, *calls: tuple[str, list[Any]]) -> list[Any]:
    """The results of some calls, straight from the node; NodeRefused with the node's own word if it refuses one."""
    asked = [
        {"jsonrpc": "2.0", "id": place, "method": method, "params": params}
        for place, (method, params) in enumerate(calls)
    ]
    replies = {reply["id"]: reply for reply in msgspec.json.decode(await node(msgspec.json.encode(asked)))}
    for place, (method, _) in enumerate(calls):
        if "error" in replies[place]:
            raise NodeRefused(f"{method}: {replies[place]['error']}")
    return [replies[place].get("result") for place in range(len(calls))]
