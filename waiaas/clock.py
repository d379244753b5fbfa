"""The only reader of clocks: wall time, time since boot, and time for measuring."""

import time


class Clock:
    """Wall seconds that never go back while the process runs, and seconds since boot.

    Tests hand in a subclass whose time they set; no other module reads a clock.
    """

    def __init__(self) -> None:
        self._latest = 0

    def wall(self) -> float:
        """Seconds since 1970 as the system tells them, fraction included; may step."""
        return time.time()

    def now(self) -> int:
        """Whole epoch seconds, UTC; holds still while the system's clock is set back."""
        self._latest = max(self._latest, int(self.wall()))
        return self._latest

    def hold_at(self, seconds: int) -> None:
        """`now` is never before this: what a run before saw as past stays past."""
        self._latest = max(self._latest, seconds)

    def boot(self) -> float:
        """Seconds since boot, suspended time included; cannot be set (CLOCK_BOOTTIME, else monotonic)."""
        return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))

    def monotonic(self) -> float:
        """Seconds for measuring durations."""
        return time.monotonic()
