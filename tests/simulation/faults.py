"""Faults by chance: what becomes of an exchange, of a commit, of a transaction on its way into a block."""

from random import Random

import msgspec

from tests.simulation.node import Node, Seat
from waiaas.errors import StorageBusy, StorageFull

#: what an endpoint may lie about at a time; the product must not believe any of it of one endpoint alone
LIES = (("unseen",), ("unseen", "height"), ("hash",), ("receipt",), ("height",), ("identity",), ("send",), ("outcome",))
#: what an HTTP server in front of a node answers when it is not well
STATUSES = (502, 503, 429, 500)
GARBAGE = (b"<html>busy</html>", b'{"jsonrpc":"2.0","id":1e400}', b"", b'[{"jsonrpc":"2.0"', b"null")


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """How likely things go wrong; per exchange, per commit, per transaction, or (`_every`) in seconds between two."""

    name: str
    #: of an exchange: the node never sees it, or nobody hears what it said
    lost: float = 0.0
    unheard: float = 0.0
    #: of an exchange: a status, something unreadable, no answer for longer than anybody waits, and a second arrival
    status: float = 0.0
    garbage: float = 0.0
    hangs: float = 0.0
    twice: float = 0.0
    latency: float = 0.05
    #: of a transaction: it never reaches a block
    dropped: float = 0.0
    #: of a commit: the disk is full or another program holds the lock
    refused: float = 0.0
    lies: bool = False
    lags: bool = False
    reorganisations: bool = False
    prices: bool = False
    #: kills at most, and whether the power may fail with them
    kills: int = 3
    power: bool = False
    #: stops of all kinds among the operations, in percent
    stops: int = 5


PROFILES = {
    profile.name: profile
    for profile in (
        Profile(name="calm", kills=5),
        Profile(
            name="flaky", lost=0.04, unheard=0.04, status=0.03, garbage=0.01, hangs=0.01, twice=0.03, latency=0.4,
            dropped=0.15, lags=True, prices=True,
        ),
        Profile(name="liar", lost=0.01, unheard=0.02, twice=0.02, dropped=0.1, lies=True, lags=True),
        Profile(name="reorg", lost=0.01, unheard=0.02, dropped=0.05, reorganisations=True, prices=True),
        Profile(name="power", unheard=0.02, dropped=0.05, refused=0.02, kills=5, power=True),
        Profile(name="stop-race", latency=1.5, unheard=0.03, dropped=0.05, kills=2, stops=35),
    )
}  # fmt: skip
CALM = PROFILES["calm"]


class Fate(msgspec.Struct, frozen=True):
    """What becomes of an exchange: seconds until the node has it and until it is answered, and how."""

    there: float
    back: float
    kind: str = "answered"
    status: int = 200
    body: bytes = b""
    again: float | None = None


class Weather:
    """The faults of one run; `still` from when they stop."""

    def __init__(self, profile: Profile, chance: Random) -> None:
        self.profile = profile
        self.chance = chance
        self.is_still = False
        #: the one of two that lies, if any does
        self.liar = chance.randrange(2)
        #: of base fee and tip, on EVM
        self.price = 1.0
        #: every transaction that is sent is forgotten
        self.nothing_lands = False

    def still(self, nodes: list[Node]) -> None:
        """Everything is well from now on."""
        self.is_still, self.nothing_lands, self.price = True, False, 1.0
        for node in nodes:
            for seat in node.seats:
                seat.lag_seconds, seat.loses = 0.0, False
                seat.lies.clear()

    def fate(self) -> Fate:
        """Of the next exchange."""
        chance, profile = self.chance, self.profile
        there, back = chance.random() * profile.latency, chance.random() * profile.latency
        if self.is_still:
            return Fate(there / 10, back / 10)
        again = there + chance.random() * 5 if self._is(profile.twice) else None
        if self._is(profile.lost):
            return Fate(there, back, "lost")
        if self._is(profile.unheard):
            return Fate(there, back, "unheard", again=again)
        if self._is(profile.status):
            return Fate(there, back, "status", status=chance.choice(STATUSES), again=again)
        if self._is(profile.garbage):
            return Fate(there, back, "garbage", body=chance.choice(GARBAGE), again=again)
        if self._is(profile.hangs):
            return Fate(there, 60.0, again=again)
        return Fate(there, back, again=again)

    def refusal(self) -> Exception | None:
        """Of the next commit."""
        if self.is_still or not self._is(self.profile.refused):
            return None
        return self.chance.choice([StorageBusy(), StorageFull()])

    def slots(self) -> int | None:
        """How many slots a transaction waits for its block; None: it never reaches one."""
        if not self.is_still and (self.nothing_lands or self._is(self.profile.dropped)):
            return None
        return self.chance.choice((1, 1, 1, 2, 3, 8))

    def blocks(self) -> int | None:
        """How many blocks of an EVM chain."""
        slots = self.slots()
        return None if slots is None else max(1, slots)

    def prices(self) -> float:
        """The present price, against the usual one."""
        return self.price

    def turn(self, node: Node) -> str | None:
        """Some seconds later: another lag, lie, price or fork; in words, if anything changed."""
        if self.is_still:
            return None
        chance, profile = self.chance, self.profile
        seat: Seat = node.seats[self.liar] if profile.lies else chance.choice(node.seats)
        if profile.lies and chance.random() < 0.5:
            seat.lies = set() if seat.lies else set(chance.choice(LIES))
            return f"seat {seat.place} lies about {sorted(seat.lies) or 'nothing'}"
        if profile.lags and chance.random() < 0.4:
            seat.lag_seconds = chance.choice((0.0, 0.0, 3.0, 15.0, 45.0))
            return f"seat {seat.place} is {seat.lag_seconds} s behind"
        if profile.reorganisations and chance.random() < 0.7:
            depth = chance.choice((1, 1, 2, 2, 3, 6))
            node.ledger.reorganise(depth)
            return f"a fork of {depth}"
        if profile.prices and chance.random() < 0.3:
            self.price = chance.choice((1.0, 1.0, 3.0, 10.0, 0.5))
            return f"prices times {self.price}"
        if profile.dropped and chance.random() < (0.5 if self.nothing_lands else 0.15):
            self.nothing_lands = not self.nothing_lands and chance.random() < 0.5
            return f"{'nothing' if self.nothing_lands else 'what is sent'} lands"
        if profile.dropped and chance.random() < 0.2:
            seat.loses = not seat.loses
            return f"seat {seat.place} {'loses' if seat.loses else 'passes on'} what it takes"
        return None

    def _is(self, likely: float) -> bool:
        return likely > 0 and self.chance.random() < likely
