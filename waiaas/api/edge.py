"""The edge: a pure ASGI layer that makes the checks in their order, and the only place that sends."""

import re
from collections.abc import Iterable

from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send
from structlog.contextvars import bind_contextvars, reset_contextvars, unbind_contextvars

from waiaas.api.answer import reply_to
from waiaas.api.call import AnyCall, Call, Headers, Reply, Services, encode
from waiaas.api.rates import Rates
from waiaas.api.routing import Resource, Route, Router, answer
from waiaas.domain.event import OPERATOR, OWNER
from waiaas.domain.switch import KillSwitchState
from waiaas.errors import (
    InvalidHost,
    KillSwitchActive,
    MethodNotAllowed,
    Reconciling,
    RouteNotFound,
    ShuttingDown,
)

HOST = re.compile(rb"(?:127\.0\.0\.1|localhost|\[::1\])(?::([1-9][0-9]{0,4}))?")
HIGHEST_PORT = 65535
#: on every response
HEADERS: Headers = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
]
#: on every response to a page of an origin that may call
CORS: Headers = [
    (b"vary", b"Origin"),
    (b"access-control-allow-methods", b"GET, POST, PUT, DELETE"),
    (
        b"access-control-allow-headers",
        b"Authorization, Content-Type, Idempotency-Key, Last-Event-ID, X-Master-Password, X-Owner-Address, "
        b"X-Owner-Message, X-Owner-Signature, X-Request-Id",
    ),
    (
        b"access-control-expose-headers",
        b"X-Request-Id, Retry-After, Idempotent-Replayed, X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset",
    ),
    (b"access-control-max-age", b"600"),
]
PREFLIGHT = Reply(204, b"")


class Edge:
    """The ASGI application."""

    def __init__(self, services: Services, rates: Rates, router: Router, origins: Iterable[str]) -> None:
        self._services = services
        self._core = services.core
        self._rates = rates
        self._router = router
        self._origins = frozenset(origin.encode() for origin in origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request; other protocols are turned away."""
        if scope["type"] == "http":
            await self._http(Call(self._services, scope, receive), send)
        elif scope["type"] == "lifespan":
            await lifespan(receive, send)
        else:
            await send({"type": "websocket.close", "code": 1008})

    async def _http(self, call: AnyCall, send: Send) -> None:
        """Whatever is logged meanwhile carries the request's id."""
        began = self._core.clock.monotonic()
        bound = bind_contextvars(request_id=call.request_id.decode())
        try:
            reply = await self._reply(call)
        except ClientDisconnect:
            return
        except Exception as error:
            reply = reply_to(error, call)
        finally:
            reset_contextvars(**bound)
            unbind_contextvars("tx_id")
        self._core.metrics.answered(call.route, reply.status, self._core.clock.monotonic() - began)
        await send({"type": "http.response.start", "status": reply.status, "headers": headers(call, reply)})
        await send({"type": "http.response.body", "body": b"" if call.method == "HEAD" else reply.body})

    async def _reply(self, call: AnyCall) -> Reply:
        """The order of checks of docs/api.md."""
        check_host(call.headers.get(b"host"))
        if (origin := call.headers.get(b"origin")) in self._origins:
            call.origin = origin
        if call.method == "OPTIONS" and origin and b"access-control-request-method" in call.headers:
            return PREFLIGHT
        resource, call.id = self._router.find(call.path)
        route = resource.routes.get(call.method) if resource else None
        if route is not None:
            call.route = route.name
        if route is None or not route.always:
            if self._core.stopping:
                raise ShuttingDown()
            await self._rates.ip.take(call.peer or "", call)
        if (route is None or not route.despite_switch) and not is_page(call.path):
            await self._check_switch(route)
        if route is None:
            return missing(call, resource)
        call.caller = await route.guard.find(call)
        await self._count(route, call)
        result = await answer(route, call)
        return result if isinstance(result, Reply) else Reply(route.status, encode(result))

    async def _check_switch(self, route: Route | None) -> None:
        kill_switch = await self._core.switch.get("")
        if kill_switch.state is KillSwitchState.RECOVERING and route is not None and route.while_recovering:
            return
        if kill_switch.state is not KillSwitchState.NORMAL:
            raise KillSwitchActive(activatedAt=kill_switch.activated_at)

    async def _count(self, route: Route, call: AnyCall) -> None:
        """Buckets of the caller, then whether its network is ready for it."""
        session = call.caller.session
        if session is not None:
            await self._rates.session.take(session.id, call)
            if route.is_send:
                await self._rates.send.take(session.id, call)
            if route.after_recovery and self._core.reconciling:
                agent = await self._core.agents.get(session.agent_id)
                if agent.network in self._core.reconciling:
                    raise Reconciling()
        elif route.guard.kinds:
            who = OPERATOR if call.caller.is_operator else OWNER
            await self._rates.session.take(f"{who} {call.peer}", call)


def is_page(path: str) -> bool:
    """Whether it belongs to the web page, which shows the operator what to do when the kill switch is on."""
    return path == "/admin" or path.startswith("/admin/")


def check_host(host: bytes | None) -> None:
    """InvalidHost unless the request was meant for this machine: a page elsewhere may have rebound its name to it."""
    found = HOST.fullmatch(host) if host else None
    if found is None or int(found[1] or 1) > HIGHEST_PORT:
        raise InvalidHost()


def missing(call: AnyCall, resource: Resource | None) -> Reply:
    """404 for a path that is not there, 405 with Allow for a method that is not."""
    if resource is None:
        raise RouteNotFound()
    reply = reply_to(MethodNotAllowed(), call)
    return reply._replace(headers=[*reply.headers, (b"allow", resource.allow)])


def headers(call: AnyCall, reply: Reply) -> Headers:
    """Those of every response, those of this reply, and what the checks have found."""
    found = [(b"content-type", reply.kind), *HEADERS, (b"x-request-id", call.request_id), *reply.headers]
    if reply.status != 204:
        found.append((b"content-length", b"%d" % len(reply.body)))
    if call.tally is not None:
        limit, remaining, reset = call.tally
        found += (
            (b"x-ratelimit-limit", b"%d" % limit),
            (b"x-ratelimit-remaining", b"%d" % remaining),
            (b"x-ratelimit-reset", b"%d" % reset),
        )
    if call.origin is not None:
        found += ((b"access-control-allow-origin", call.origin), *CORS)
    return found


async def lifespan(receive: Receive, send: Send) -> None:
    """Start and stop belong to the composition root; the server is only told that it may go on."""
    while True:
        event = (await receive())["type"]
        await send({"type": f"{event}.complete"})
        if event == "lifespan.shutdown":
            return
