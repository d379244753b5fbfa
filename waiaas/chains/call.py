"""JSON-RPC 2.0 as it goes over the wire: questions, replies, and calls that wait for one."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Generic, Literal, TypeVar

import msgspec

from waiaas.errors import NodeRefused, Transient

T = TypeVar("T")

#: agave refuses a request body above 50 KiB with 413
BATCH_CALLS = 100
BATCH_BYTES = 48_000


class Fault(msgspec.Struct, frozen=True):
    """The error member of a reply."""

    code: int
    message: str = ""
    data: Any = None


class Reply(msgspec.Struct, frozen=True):
    """One JSON-RPC 2.0 reply; `result` stays bytes until the call that asked reads it."""

    jsonrpc: Literal["2.0"]
    id: int | None = None
    result: msgspec.Raw = msgspec.Raw(b"")
    error: Fault | None = None


class Question(msgspec.Struct, frozen=True):
    """One JSON-RPC 2.0 request."""

    id: int
    method: str
    params: Sequence[Any]
    jsonrpc: str = "2.0"


ONE = msgspec.json.Decoder(Reply)
MANY = msgspec.json.Decoder(list[Reply])


class Call(Generic[T]):
    """One question on its way: its JSON, how to read the answer, and the future that waits for it.

    `accepted` tells which refusals are as good as an answer (a node that knows the transaction already).
    """

    def __init__(
        self,
        id: int,
        method: str,
        params: Sequence[Any],
        decode: Callable[[bytes], T],
        *,
        slow: bool = False,
        accepted: Callable[[NodeRefused], bool] | None = None,
    ) -> None:
        self.id = id
        self.method = method
        self.body = msgspec.json.encode(Question(id, method, params))
        self.decode = decode
        self.slow = slow
        self.accepted = accepted
        self.future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self.endpoint = ""
        self.doubt: Exception = Transient()
        self._refusals: list[NodeRefused] = []

    def answer(self, value: T, endpoint: str) -> None:
        """Hand the answer over, unless the caller has gone or another endpoint was faster."""
        if not self.future.done():
            self.endpoint = endpoint
            self.future.set_result(value)

    def unclear(self, error: Exception) -> None:
        """Remember why there is no answer yet; a node's refusal says more than silence."""
        if not isinstance(self.doubt, NodeRefused):
            self.doubt = error

    def refused(self, error: NodeRefused, *, of: int) -> None:
        """As `unclear`; once all `of` endpoints have refused, the doubt tells what each of them said."""
        self.unclear(error)
        self._refusals.append(error)
        if isinstance(self.doubt, NodeRefused) and len(self._refusals) == of:
            self.doubt.by_all = tuple(self._refusals)

    def fail(self, error: Exception) -> None:
        """Hand the error over, unless the caller has gone."""
        if not self.future.done():
            self.future.set_exception(error)


def chunks(calls: Sequence[Call[Any]]) -> Iterator[list[Call[Any]]]:
    """Groups that fit into one request body."""
    group: list[Call[Any]] = []
    size = 0
    for call in calls:
        if group and (len(group) == BATCH_CALLS or size + len(call.body) >= BATCH_BYTES):
            yield group
            group, size = [], 0
        group.append(call)
        size += len(call.body) + 1
    if group:
        yield group
