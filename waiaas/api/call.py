"""One request on its way through the API, and what it is answered with."""

from collections.abc import Callable
from typing import Any, Generic, NamedTuple, TypeVar

import msgspec
from starlette.types import Receive, Scope

from waiaas.auth.failures import Failures
from waiaas.auth.operator import OperatorAuth
from waiaas.auth.sessions import SessionAuth
from waiaas.auth.tokens import Tokens
from waiaas.domain.agent import Agent
from waiaas.domain.event import OPERATOR, UNKNOWN, Actor
from waiaas.domain.session import Session
from waiaas.errors import ValidationFailed
from waiaas.ids import new_id
from waiaas.pipeline.core import Core

Query = TypeVar("Query")
Body = TypeVar("Body")
Headers = list[tuple[bytes, bytes]]
#: what a request for no route counts as
UNROUTED = "none"


class Services(msgspec.Struct, frozen=True):
    """What handlers work with; `stop` asks the daemon to stop as SIGTERM does."""

    core: Core
    operator: OperatorAuth
    sessions: SessionAuth
    tokens: Tokens
    failures: Failures
    stop: Callable[[], None]
    #: the OpenAPI document as JSON
    document: Callable[[], bytes]


class Caller(msgspec.Struct, frozen=True):
    """Who a guard found: the operator, a session, or nobody it knows."""

    actor: Actor
    session: Session | None = None

    @property
    def is_operator(self) -> bool:
        """Whether it showed the master password."""
        return self.actor.name == OPERATOR

    @property
    def agent_id(self) -> str | None:
        """The one agent whose things it may see; None: every agent's."""
        return self.session.agent_id if self.session else None


class Reply(NamedTuple):
    """Status, body, the headers beside those that every response has, and what kind of body it is."""

    status: int
    body: bytes
    headers: Headers = []  # noqa: RUF012 nobody appends to it
    kind: bytes = b"application/json"


class Call(Generic[Query, Body]):
    """A request: its raw parts from the start, and what the checks in front of its handler have found."""

    __slots__ = (
        "body",
        "caller",
        "headers",
        "id",
        "method",
        "origin",
        "path",
        "peer",
        "query",
        "receive",
        "request_id",
        "route",
        "scope",
        "services",
        "tally",
    )

    query: Query
    body: Body
    #: the path parameter {id}
    id: str

    def __init__(self, services: Services, scope: Scope, receive: Receive) -> None:
        self.services = services
        self.scope = scope
        self.receive = receive
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        self.method: str = scope["method"]
        #: as it came, percent signs and all: an encoded slash stays inside its segment
        self.path: str = scope.get("raw_path", b"").decode("latin-1") or scope["path"]
        client = scope.get("client")
        self.peer: str | None = client[0] if client else None
        self.request_id = request_id(self.headers.get(b"x-request-id"))
        self.origin: bytes | None = None
        self.tally: tuple[int, int, int] | None = None
        self.id = ""
        #: method and template of the path, once it is found
        self.route = UNROUTED
        #: until a guard has found out
        self.caller = Caller(Actor(UNKNOWN, self.peer))

    @property
    def core(self) -> Core:
        return self.services.core

    @property
    def session(self) -> Session:
        """The session of a route that takes nobody else."""
        assert self.caller.session is not None
        return self.caller.session

    async def agent(self, wanted: str | None) -> Agent:
        """The session's agent, or the one the operator names; AgentNotFound, ValidationFailed at `agentId`."""
        agent_id = self.caller.agent_id or wanted
        if agent_id is None:
            raise ValidationFailed(("agentId", "required"))
        return await self.core.agents.get(agent_id)


AnyCall = Call[Any, Any]


def request_id(header: bytes | None) -> bytes:
    """The caller's id if it is 1 to 128 harmless characters, else a new one."""
    if header is not None and len(header) <= 128 and header and not header.translate(None, HARMLESS):
        return header
    return new_id().encode()


HARMLESS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:-"


def encode(value: Any) -> bytes:
    """JSON of a body."""
    return _encoder.encode(value)


_encoder = msgspec.json.Encoder()
