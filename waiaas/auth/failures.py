"""AUTH_FAILED rows: at most 60 a minute and address, what goes beyond as one count, so that strangers fill no disk."""

import msgspec

from waiaas.clock import Clock
from waiaas.db import Database, Statement
from waiaas.domain.event import UNKNOWN, Actor, AuditEvent
from waiaas.repositories import audit

MOST_PER_MINUTE = 60


class Minute(msgspec.Struct):
    """What an address has failed at since its minute began."""

    ends: int
    told: int = 0
    suppressed: int = 0


class Failures:
    """Counts failed authentications by address of the socket."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock
        self._minutes: dict[str | None, Minute] = {}

    async def record(self, peer: str | None, code: str) -> None:
        """Audit one failure by the code it was answered with; what was presented is told nowhere."""
        await self.commit(self.note(peer, code))

    def note(self, peer: str | None, code: str) -> list[Statement]:
        """The rows that a failure from this address asks for; none once its minute is full."""
        now = self._clock.now()
        due = self._ended(now)
        minute = self._minutes.setdefault(peer, Minute(ends=now + 60))
        if minute.told >= MOST_PER_MINUTE:
            minute.suppressed += 1
            return due
        minute.told += 1
        return [*due, audit.record(AuditEvent.AUTH_FAILED, Actor(UNKNOWN, peer), now, code=code)]

    async def settle(self) -> None:
        """Write the counts of the minutes that are over."""
        await self.commit(self._ended(self._clock.now()))

    async def commit(self, statements: list[Statement]) -> None:
        """Commit these rows, if there are any."""
        if statements:
            await self._db.commit(*statements)

    def _ended(self, now: int) -> list[Statement]:
        ended = {peer: minute for peer, minute in self._minutes.items() if minute.ends <= now}
        for peer in ended:
            del self._minutes[peer]
        return [
            audit.record(AuditEvent.AUTH_FAILED, Actor(UNKNOWN, peer), now, suppressed=minute.suppressed)
            for peer, minute in ended.items()
            if minute.suppressed
        ]
