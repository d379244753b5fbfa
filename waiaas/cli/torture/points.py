"""When the daemon is killed: at random moments, and at named points that catch it in the states a to j."""

from collections.abc import Sequence

import msgspec

from waiaas.cli.torture.chance import Chance
from waiaas.errors import UsageWrong

#: seconds between kills on average
MEAN_SECONDS = 1.5
#: of all kills, those that wait for no point
RANDOM_SHARE = 0.35
#: a point may be passed a few times before it is the one
MOST_PASSES = 4

RANDOM = "random"

#: state on disk → named points at which the daemon is likely to be in it
NAMED: dict[str, tuple[str, ...]] = {
    "a": ("sql:TX_REQUESTED:before",),
    "b": ("sql:INSERT INTO transactions:after",),
    "c": ("sql:POLICY_VIOLATION:after",),
    "d": ("sql:TX_QUEUED:after", "sql:TX_CANCELLED:before", "sql:TX_APPROVED:before", "sql:TX_REJECTED:after"),
    "e": (
        "sql:TX_EXECUTING:after",
        "sql:TX_APPROVED:after",
        "rpc:simulateTransaction:before",
        "rpc:eth_estimateGas:after",
    ),
    "f": ("sql:INSERT INTO attempts:after", "rpc:sendTransaction:before", "rpc:eth_sendRawTransaction:before"),
    "g": ("rpc:sendTransaction:after", "rpc:eth_sendRawTransaction:after"),
    "h": ("sql:UPDATE attempts SET broadcasts:after", "rpc:getSignatureStatuses:before"),
    "i": ("rpc:getTransaction:after", "rpc:eth_getTransactionReceipt:after", "sql:TX_CONFIRMED:before"),
    "j": (
        *("sql:AGENT_CREATED:after", "file:????????-*.json", "sql:AGENT_ACTIVATED:before", "file:epoch.json"),
        *("sql:KILL_SWITCH_ACTIVATED:before", "sql:KILL_SWITCH_ACTIVATED:after", "sql:KILL_SWITCH_RECOVERED:before"),
        *("sql:UPDATE sessions:before", "sql:UPDATE sessions:after", "sql:ALLOWANCE_SPENT:after"),
    ),
}
#: a run of this many kills must have caught the daemon in each of these
MANY = 100
MUST = "bdefghi"


#: points that are passed seldom are met at their first time
SELDOM = ("KILL_SWITCH_", "TX_APPROVED", "TX_REJECTED", "UPDATE sessions", "ALLOWANCE_SPENT", "AGENT_")


class Point(msgspec.Struct, frozen=True):
    """`sql:TEXT`, `rpc:METHOD` or `file:NAME`, before or after it, at its n-th time; or `random`, after `seconds`."""

    kind: str
    what: str = ""
    when: str = "before"
    count: int = 1
    seconds: float = 0.0

    def __str__(self) -> str:
        if self.kind == RANDOM:
            return RANDOM
        return f"{self.kind}:{self.what}" + ("" if self.kind == "file" else f":{self.when}")

    @property
    def makes_an_agent(self) -> bool:
        """Whether it is passed only while an agent is made."""
        return "AGENT_" in self.what or self.what.startswith("????????-")

    @property
    def throws_the_switch(self) -> bool:
        """Whether it is passed only while everything is stopped or let go."""
        return "KILL_SWITCH_" in self.what

    @property
    def is_seldom(self) -> bool:
        """Whether it is not to be waited for more than once."""
        return self.kind == "file" or self.makes_an_agent or any(text in self.what for text in SELDOM)

    @property
    def is_elsewhere(self) -> bool:
        """Whether who dies there dies outside the pipeline."""
        return self.kind == "file" or str(self) in NAMED["j"]


def parse(text: str) -> Point:
    """A point by its name; UsageWrong if it is none."""
    if text == RANDOM:
        return Point(RANDOM)
    kind, _, rest = text.partition(":")
    what, _, when = rest.rpartition(":") if rest.endswith((":before", ":after")) else (rest, "", "before")
    if kind not in ("sql", "rpc", "file") or not what:
        raise UsageWrong(f"{text!r} is no point: a letter from a to j, random, sql:…, rpc:… or file:….")
    return Point(kind, what, when)


def parse_list(text: str) -> list[Point]:
    """Letters and named points between commas, as single points in that order."""
    found: list[Point] = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        found += map(parse, NAMED.get(part, (part,)))
    if not found:
        raise UsageWrong("--points names no point.")
    return found


class Schedule:
    """One point after the other, as the seed has it: a share at random, the rest through all points in turn."""

    def __init__(self, chance: Chance, points: Sequence[Point] | None) -> None:
        self._chance = chance
        self._points = points or [parse(name) for names in NAMED.values() for name in names]
        self._share = RANDOM_SHARE if points is None else 0.0
        self._round: list[Point] = []

    def next(self) -> Point:
        """The next kill."""
        if self._chance.happens(self._share):
            return self._timed(Point(RANDOM))
        if not self._round:
            self._round = self._chance.shuffled(self._points)
        return self._timed(self._round.pop())

    def _timed(self, point: Point) -> Point:
        if point.kind == RANDOM:
            return msgspec.structs.replace(point, seconds=self._chance.exponential(MEAN_SECONDS))
        passes = 1 if point.is_seldom else self._chance.whole(1, MOST_PASSES)
        return msgspec.structs.replace(point, count=passes)
