"""Acts: what a process does to the outside. They are counted, told in a trace, and one of them may be the last."""

import asyncio
import hashlib
from collections.abc import Callable
from typing import Any

import msgspec

from tests.simulation.loop import SimLoop

#: acts of the trace that a failure shows
SHOWN = 40


class Kill(msgspec.Struct, frozen=True):
    """The act, counted over all lives of a run, at which the process ends: before it, or done and not yet heard of."""

    act: int
    after: bool = False
    #: the power fails too: what is not on disk is gone
    power: bool = False


class Acts:
    """One run's acts, over all the lives of its daemon."""

    def __init__(self, kills: list[Kill]) -> None:
        self.count = 0
        self.kills = sorted(kills, key=lambda kill: (kill.act, kill.after))
        #: the kill that ended the last life
        self.fatal: Kill | None = None
        #: the invariant that does not hold any more: it ends the run, whoever would catch it
        self.broken = ""
        self.loop: SimLoop
        #: the whole trace, and a digest after each line, for finding where two of them part
        self.lines: list[str] = []
        self.digests: list[str] = []
        self._hash = hashlib.blake2b(digest_size=16)

    def begin(self, what: str, *details: Any) -> bool:
        """Count an act that is about to be done; False if the process is gone before it."""
        if self.loop.killed:
            return False
        self.count += 1
        self.note(what, *details)
        return not self._is_fatal(after=False)

    def done(self) -> bool:
        """The act is done; False if the process is gone before it heard so."""
        return not self.loop.killed and not self._is_fatal(after=True)

    def must_hold(self, check: Callable[..., None], *about: Any) -> bool:
        """Check something; False if it does not hold, and then the run is over."""
        try:
            check(*about)
        except AssertionError as error:
            self.broken = str(error)
            self.loop.kill()
            return False
        return True

    def note(self, what: str, *details: Any) -> None:
        """A line of the trace."""
        line = f"{self.count:5} {self.loop.time():10.3f} {what}"
        self.lines.append(line)
        self._hash.update(f"{line}{details!r}\n".encode())
        self.digests.append(self._hash.hexdigest())

    @property
    def digest(self) -> str:
        """What tells two runs apart."""
        return self._hash.hexdigest()

    @property
    def last(self) -> list[str]:
        """The end of the trace."""
        return self.lines[-SHOWN:]

    def _is_fatal(self, *, after: bool) -> bool:
        if not self.kills or (self.kills[0].act, self.kills[0].after) > (self.count, after):
            return False
        self.fatal = self.kills.pop(0)
        self.note("the power fails" if self.fatal.power else "the process is killed")
        self.loop.kill()
        return True


async def never() -> None:
    """What the dead wait for."""
    await asyncio.get_running_loop().create_future()
