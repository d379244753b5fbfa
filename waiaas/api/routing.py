"""Routes as data: method, path, handler, who may call it, and the shapes of query, body and answer."""

import re
from collections.abc import Awaitable, Callable, Iterable
from typing import Any
from urllib.parse import unquote

import msgspec
from starlette.routing import compile_path
from structlog.contextvars import bind_contextvars

from waiaas.api.call import AnyCall
from waiaas.api.decode import BodyReader, Nothing, QueryReader
from waiaas.api.guards import Guard
from waiaas.errors import Refusal, ValidationFailed
from waiaas.wire.body import UUID

Handler = Callable[[Any], Awaitable[Any]]
ID = re.compile(UUID)
#: the tag of routes whose id is a transaction's
TRANSACTIONS = "Transactions"


class Route(msgspec.Struct, frozen=True):
    """One operation."""

    method: str
    path: str
    handler: Handler
    guard: Guard
    tag: str
    answer: Any
    status: int
    #: further statuses that carry the same shape
    also: tuple[int, ...]
    query: type[Any]
    body: Any
    #: what the document shows as the body, where `body` is only how it is read
    bodies: tuple[type[Any], ...]
    errors: tuple[type[Refusal], ...]
    #: answered whatever the limits and while stopping
    always: bool
    #: answered while the kill switch is on
    despite_switch: bool
    #: answered while the kill switch is on and its recovery has begun
    while_recovering: bool
    #: bound to the bucket for sends
    is_send: bool
    #: refused for a network whose start-up recovery is not done
    after_recovery: bool
    #: what kind of body it answers with
    media: str
    read_query: QueryReader
    read_body: BodyReader | None

    @property
    def name(self) -> str:
        """`GET /v1/agents/{id}`."""
        return f"{self.method} {self.path}"


def route(
    method: str,
    path: str,
    handler: Handler,
    *,
    guard: Guard,
    tag: str,
    answer: Any,
    status: int = 200,
    also: tuple[int, ...] = (),
    query: type[Any] = Nothing,
    body: Any = Nothing,
    bodies: tuple[type[Any], ...] = (),
    errors: Iterable[type[Refusal]] = (),
    always: bool = False,
    despite_switch: bool = False,
    while_recovering: bool = False,
    is_send: bool = False,
    after_recovery: bool = False,
    media: str = "application/json",
) -> Route:
    """One line of the table."""
    return Route(
        method=method,
        path=path,
        handler=handler,
        guard=guard,
        tag=tag,
        answer=answer,
        status=status,
        also=also,
        query=query,
        body=body,
        bodies=bodies or ((body,) if body is not Nothing else ()),
        errors=tuple(errors),
        always=always,
        despite_switch=despite_switch or always,
        while_recovering=while_recovering,
        is_send=is_send,
        after_recovery=after_recovery,
        media=media,
        read_query=QueryReader(query),
        read_body=None if method == "GET" else BodyReader(body),
    )


class Resource:
    """The operations of one path; HEAD is answered by GET."""

    def __init__(self) -> None:
        self.routes: dict[str, Route] = {}
        self.allow = b""

    def add(self, route: Route) -> None:
        """One more method."""
        assert route.method not in self.routes, f"{route.method} {route.path} twice"
        self.routes[route.method] = route
        if route.method == "GET":
            self.routes["HEAD"] = route
        self.allow = ", ".join(self.routes).encode()


class Router:
    """Finds the resource of a path: those without a parameter by look-up, the others by their patterns."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._exact: dict[str, Resource] = {}
        self._patterns: dict[str, tuple[re.Pattern[str], Resource]] = {}
        for route in routes:
            self._resource(route.path).add(route)

    def find(self, path: str) -> tuple[Resource | None, str]:
        """The resource and the text of its parameter, percent signs undone; None if there is none."""
        if (found := self._exact.get(path)) is not None:
            return found, ""
        for pattern, resource in self._patterns.values():
            if match := pattern.match(path):
                return resource, unquote(match["id"], errors="replace")
        return None, ""

    def _resource(self, path: str) -> Resource:
        if "{" not in path:
            return self._exact.setdefault(path, Resource())
        pattern = compile_path(path)[0]
        return self._patterns.setdefault(path, (pattern, Resource()))[1]


def checked_id(text: str) -> str:
    """A path id; ValidationFailed unless it is a UUID."""
    if len(text) != 36 or not ID.match(text):
        raise ValidationFailed(("id", "must be a UUID"))
    return text


async def answer(route: Route, call: AnyCall) -> Any:
    """Path id, query and body decoded, then the handler."""
    if call.id:
        checked_id(call.id)
        if route.tag == TRANSACTIONS:
            bind_contextvars(tx_id=call.id)
    call.query = route.read_query.read(call.scope["query_string"])
    if route.read_body is not None:
        call.body = await route.read_body.read(call)
    return await route.handler(call)
