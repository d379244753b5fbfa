"""The pulse: notices when the event loop stood still, so that `/health` can say so."""

from collections.abc import Callable

import structlog

from waiaas.pipeline.core import Core

EVERY_SECONDS = 1.0
#: a beat so late is told of
LATE_SECONDS = 10.0

log = structlog.get_logger()


class Pulse:
    """Beats every second; `now` is the loop's own time."""

    def __init__(self, core: Core, now: Callable[[], float]) -> None:
        self._core = core
        self._now = now
        self._last: float | None = None

    async def tick(self) -> None:
        """One beat; whatever held it up held up everybody."""
        now = self._now()
        late = 0.0 if self._last is None else now - self._last - EVERY_SECONDS
        self._last = now
        if late > LATE_SECONDS:
            log.error("event_loop_stood_still", seconds=round(late, 1))
            self._core.stood_still = (late, self._core.clock.now())
