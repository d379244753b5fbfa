"""A node, as far as every chain's is alike: exchanges arrive in time, each seat may lag or lie, time makes blocks."""

import heapq
import itertools
from typing import Any, Protocol

import msgspec


class Refused(Exception):
    """A JSON-RPC error."""

    def __init__(self, code: int, message: str, data: Any = None) -> None:
        self.code, self.data = code, data
        super().__init__(message)

    @property
    def member(self) -> dict[str, Any]:
        """As the reply carries it."""
        return {"code": self.code, "message": str(self)} | ({} if self.data is None else {"data": self.data})


class Seat:
    """One endpoint: how far it is behind, which lies it tells, and whether what it takes reaches the others."""

    def __init__(self, place: int) -> None:
        self.place = place
        self.lag_seconds = 0.0
        self.lies: set[str] = set()
        #: takes transactions and loses them
        self.loses = False


class Ticket:
    """An exchange under way: what was asked, and once the node has seen it, what it says."""

    def __init__(self, seat: Seat, calls: list[dict[str, Any]], is_batch: bool) -> None:
        self.seat, self.calls, self.is_batch = seat, calls, is_batch
        self.body: bytes | None = None


class Ledger(Protocol):
    """What a chain adds to a node."""

    def pass_time(self, now: float) -> None:
        """Make the blocks that are due."""

    def reorganise(self, depth: int) -> None:
        """Other blocks take the place of the last ones."""

    def ask(self, seat: Seat, method: str, params: list[Any]) -> Any:
        """The result of one call, or Refused."""


class Node:
    """The endpoints of one network. Nobody has to wait for it: it catches up with time whenever it is asked."""

    def __init__(self, ledger: Ledger, seats: int = 2) -> None:
        self.ledger = ledger
        self.seats = [Seat(place) for place in range(seats)]
        self._inbox: list[tuple[float, int, Ticket]] = []
        self._number = itertools.count()

    def post(self, at: float, seat: Seat, body: bytes) -> Ticket:
        """An exchange leaves the client, and arrives at that time whatever becomes of its sender."""
        asked = msgspec.json.decode(body)
        ticket = Ticket(seat, asked if isinstance(asked, list) else [asked], isinstance(asked, list))
        heapq.heappush(self._inbox, (at, next(self._number), ticket))
        return ticket

    def repeat(self, at: float, ticket: Ticket) -> None:
        """The same exchange arrives once more."""
        heapq.heappush(self._inbox, (at, next(self._number), Ticket(ticket.seat, ticket.calls, ticket.is_batch)))

    def catch_up(self, now: float) -> None:
        """Everything that has happened until now, in the order of its time."""
        while self._inbox and self._inbox[0][0] <= now:
            at, _, ticket = heapq.heappop(self._inbox)
            self.ledger.pass_time(at)
            replies = [self._answer(ticket.seat, call) for call in ticket.calls]
            ticket.body = msgspec.json.encode(replies if ticket.is_batch else replies[0])
        self.ledger.pass_time(now)

    def _answer(self, seat: Seat, call: dict[str, Any]) -> dict[str, Any]:
        said = {"jsonrpc": "2.0", "id": call["id"]}
        try:
            return said | {"result": self.ledger.ask(seat, call["method"], list(call.get("params") or ()))}
        except Refused as error:
            return said | {"error": error.member}
