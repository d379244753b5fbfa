"""What the process counts of itself: how long each stage of a transaction takes, and what HTTP was answered.

Plain arithmetic, so that the steps of the pipeline pay next to nothing for it; `GET /metrics` puts it into words.
"""

import math
from bisect import bisect_left
from collections import Counter, defaultdict
from enum import StrEnum
from itertools import accumulate

from waiaas.clock import Clock

#: upper bounds of the lifecycle histogram, in seconds
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600)
#: transactions under way whose times are remembered; of more than these the oldest are not measured
MOST_MARKS = 20_000


class Stage(StrEnum):
    """What a transaction has reached; each but the last is measured from the one before."""

    #: taken up by the execute worker, since it was accepted or its delay was over
    EXECUTING = "executing"
    #: signed bytes are durable
    SUBMITTED = "submitted"
    #: in a block, as deep as it takes
    CONFIRMED = "confirmed"
    #: can never be undone
    FINAL = "final"
    #: from accepted to confirmed
    WHOLE = "whole"


class Distribution:
    """How often values fell under each bound."""

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def add(self, value: float, times: int = 1) -> None:
        """One more value, or the same one so many times."""
        self.counts[bisect_left(self.bounds, value)] += times
        self.total += value * times

    def cumulated(self) -> list[tuple[float, int]]:
        """(upper bound, how many values are not above it), the last bound being infinite."""
        return list(zip((*self.bounds, math.inf), accumulate(self.counts), strict=True))


class Metrics:
    """Figures that nothing else keeps: how long each stage took, and what HTTP was answered."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.stages: defaultdict[tuple[str, Stage], Distribution] = defaultdict(lambda: Distribution(SECONDS))
        self.requests: Counter[tuple[str, int]] = Counter()
        #: route → how many requests were answered, and in how many seconds together
        self.times: dict[str, tuple[int, float]] = {}
        self.refusals: Counter[str] = Counter()
        #: transaction → when it was accepted (None: before this process began), and when it reached its present stage
        self._marks: dict[str, tuple[float | None, float]] = {}

    def began(self, tx_id: str) -> None:
        """A transaction may be executed from now on."""
        now = self._clock.monotonic()
        self._mark(tx_id, now, now)

    def reached(self, tx_id: str, network: str, stage: Stage) -> None:
        """It has come to a stage; what it took is observed if the stage before was seen by this process."""
        now = self._clock.monotonic()
        began, last = self._marks.pop(tx_id, (None, None))
        if last is not None:
            self.stage(network, stage, now - last)
        if stage is Stage.CONFIRMED and began is not None:
            self.stage(network, Stage.WHOLE, now - began)
        if stage is not Stage.FINAL:
            self._mark(tx_id, began, now)

    def stage(self, network: str, stage: Stage, seconds: float) -> None:
        """One more transaction has taken so long."""
        self.stages[network, stage].add(seconds)

    def answered(self, route: str, status: int, seconds: float) -> None:
        """One more request was answered; `route` is a method and a template, never a path as it came."""
        self.requests[route, status] += 1
        count, total = self.times.get(route, (0, 0.0))
        self.times[route] = (count + 1, total + seconds)

    def refused(self, code: str) -> None:
        """One more answer was a refusal."""
        self.refusals[code] += 1

    def _mark(self, tx_id: str, began: float | None, now: float) -> None:
        if len(self._marks) >= MOST_MARKS:
            del self._marks[next(iter(self._marks))]
        self._marks[tx_id] = (began, now)
