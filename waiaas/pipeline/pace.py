"""How often the chain is asked for a transaction: at every look while it moves, less often once nothing does."""

from collections.abc import Sequence

from waiaas.clock import Clock
from waiaas.domain.transaction import Followed

#: age in seconds → seconds between two times that it is asked for
PACES = ((3600, 60.0), (300, 15.0))
LONGEST = max(pause for _, pause in PACES)


class Pace:
    """When each old transaction was last asked for. A restart forgets that, so the first look asks for all of them."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        #: transaction id → monotonic seconds, the earliest first
        self._asked: dict[str, float] = {}

    def due(self, followed: Sequence[Followed]) -> list[Followed]:
        """The attempts of those that are to be asked for now: all of a transaction's, or none."""
        moved: dict[str, int] = {}
        for one in followed:
            moved[one.tx_id] = max(moved.get(one.tx_id, 0), one.created_at, one.last_seen_at or 0)
        now, monotonic = self._clock.now(), self._clock.monotonic()
        due = {
            tx_id
            for tx_id, at in moved.items()
            if tx_id not in self._asked or self._asked[tx_id] + pause(now - at) <= monotonic
        }
        return [one for one in followed if one.tx_id in due]

    def asked(self, followed: Sequence[Followed]) -> None:
        """The chain has told what it knows of these."""
        now = self._clock.monotonic()
        for tx_id in dict.fromkeys(one.tx_id for one in followed):
            self._asked.pop(tx_id, None)
            self._asked[tx_id] = now
        while self._asked and (oldest := next(iter(self._asked))) and self._asked[oldest] + LONGEST <= now:
            del self._asked[oldest]


def pause(age: int) -> float:
    """Seconds between two times that a transaction is asked for of which nothing new is known for `age` seconds."""
    return next((seconds for oldest, seconds in PACES if age >= oldest), 0.0)
