"""How many requests count: those of sessions, and those in a window of time."""

from bisect import bisect_left, bisect_right, insort
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Protocol

import msgspec

from waiaas.domain.ledger import KEPT_SECONDS


class Standing(msgspec.Struct, frozen=True):
    """A request as it stands; its `place` is above that of every request stored before it.

    `counts` unless it is CANCELLED or EXPIRED; what `is_final` stays as it is.
    """

    id: str
    place: int
    session_id: str | None
    made_at: int
    counts: bool
    is_final: bool


class Times(Protocol):
    """When requests were made, newest first."""

    def __len__(self) -> int: ...
    def __getitem__(self, number: int, /) -> int: ...


class Tally:
    """One agent's requests that count; an EVM batch is one.

    A look costs the logarithm of what is kept, the last 31 days; a change does not depend on the history.
    `ended` tells of final ones made before that how many there are for each session, `newest` the highest place of all.
    """

    def __init__(self, ended: Mapping[str | None, int], newest: int, standings: Iterable[Standing]) -> None:
        self._of_session = Counter(ended)
        self._times: list[int] = []
        #: those that may still end without effect; one that failed without a row of the ledger stays, and counts
        self._open: dict[str, Standing] = {}
        self._newest = newest
        for each in standings:
            self._add(each)

    def take(self, standings: Iterable[Standing]) -> None:
        """Go on by the requests that changed, each as it stands now; one may be handed in again."""
        for each in sorted(standings, key=attrgetter("place")):
            if each.place > self._newest:
                self._newest = each.place
                if each.counts:
                    self._add(each)
                    self._drop(each.made_at - KEPT_SECONDS)
            elif each.id in self._open and (each.is_final or not each.counts):
                before = self._open.pop(each.id)
                if not each.counts:
                    self._remove(before)

    def of(self, sessions: Iterable[str], *, without: str | None = None) -> int:
        """How many requests these sessions have made, the open one `without` left out."""
        sessions = tuple(sessions)
        left_out = self._open.get(without) if without is not None else None
        found = sum(self._of_session[session_id] for session_id in sessions)
        return found - (left_out is not None and left_out.session_id in sessions)

    def recent(self, *, without: str | None = None) -> Times:
        """When the requests were made, the open one `without` left out; good until the next change."""
        left_out = self._open.get(without) if without is not None else None
        return _Newest(self._times, None if left_out is None else self._position(left_out))

    def _add(self, request: Standing) -> None:
        self._of_session[request.session_id] += 1
        if not request.is_final:
            self._open[request.id] = request
        insort(self._times, request.made_at)

    def _drop(self, gone: int) -> None:
        """Once half of the times are as old. `gone` is told by the newest request: a time may be ahead of the clock."""
        if self._times[len(self._times) // 2] <= gone:
            del self._times[: bisect_right(self._times, gone)]

    def _remove(self, request: Standing) -> None:
        self._of_session[request.session_id] -= 1
        if (position := self._position(request)) is not None:
            del self._times[position]

    def _position(self, request: Standing) -> int | None:
        """Of its time; None if that is too long ago to be kept."""
        position = bisect_left(self._times, request.made_at)
        return position if self._times[position : position + 1] == [request.made_at] else None


class _Newest:
    """Times from the last to the first, one left out."""

    def __init__(self, times: Sequence[int], left_out: int | None) -> None:
        self._times = times
        self._left_out = -1 if left_out is None else left_out

    def __len__(self) -> int:
        return len(self._times) - (self._left_out >= 0)

    def __getitem__(self, number: int, /) -> int:
        if not 0 <= number < len(self):
            raise IndexError(number)
        position = len(self._times) - 1 - number
        return self._times[position - (position <= self._left_out)]
