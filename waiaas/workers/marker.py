"""`epoch.json`: what the database last held, noted outside it: an older database cannot pass for the present."""

import asyncio
from pathlib import Path

import msgspec
import structlog

from waiaas.clock import Clock
from waiaas.db import Database
from waiaas.domain.event import SYSTEM, AuditEvent
from waiaas.errors import ClockWentBack
from waiaas.files import write_atomic
from waiaas.repositories import audit, settings

#: a wall clock before this has not been set since power-on (2024-01-01)
FIRST_SANE = 1_704_067_200
#: seconds by which the wall clock may be behind what the database last saw
TOLERANCE = 60

log = structlog.get_logger()


class Mark(msgspec.Struct, frozen=True, rename="camel"):
    """The file's content; `audit_id` and `audit_hash` are the head of the audit log at `at`."""

    installation: str
    epoch: int
    clean: bool
    audit_id: int
    audit_hash: str
    at: int


class Marker:
    """Writes the mark at start, every minute in which the audit log grew, and at a clean stop."""

    def __init__(self, db: Database, clock: Clock, path: Path, installation: str, epoch: int) -> None:
        self._db = db
        self._clock = clock
        self._path = path
        self._installation = installation
        self._epoch = epoch
        self._marked: int | None = None

    async def note(self) -> None:
        """Mark the present head, if it moved, and store the wall clock as seen."""
        now = self._clock.now()
        head = await audit.head(self._db)
        if head is None or head[0] == self._marked:
            return
        await self._db.commit(settings.put("clock_seen", now, now))
        await self._write(*head, clean=False)

    async def close(self) -> None:
        """The last mark of a clean stop."""
        head = await audit.head(self._db)
        if head is not None:
            await self._write(*head, clean=True)

    async def _write(self, audit_id: int, audit_hash: str, *, clean: bool) -> None:
        mark = Mark(self._installation, self._epoch, clean, audit_id, audit_hash, self._clock.now())
        await asyncio.to_thread(write_atomic, self._path, msgspec.json.encode(mark) + b"\n")
        self._marked = audit_id


async def open_marker(db: Database, clock: Clock, path: Path, installation: str, *, accept_clock: bool) -> Marker:
    """Begin a new epoch; ClockWentBack if the wall clock is behind what the database saw, unless that is accepted."""
    now = clock.now()
    seen = await settings.find(db, "clock_seen") or 0
    if not accept_clock and (now < FIRST_SANE or now + TOLERANCE < seen):
        raise ClockWentBack(
            f"The wall clock says {now}, the database has seen {max(seen, FIRST_SANE)} (epoch seconds)."
        )
    if not accept_clock:
        # a step back within the tolerance revives no session, nonce or approval either
        clock.hold_at(seen)
        now = clock.now()
    epoch = (await settings.find(db, "epoch") or 0) + 1
    await db.commit(settings.put("epoch", epoch, now), settings.put("clock_seen", now, now))
    if epoch > 1 and not was_clean(path):
        log.warning("unclean_stop")
        await db.commit(audit.record(AuditEvent.DAEMON_UNCLEAN_STOP, SYSTEM, now, epoch=epoch - 1))
    return Marker(db, clock, path, installation, epoch)


def was_clean(path: Path) -> bool:
    """Whether the last run ended with a mark of its own; an unreadable file counts as not."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Mark).clean
    except (OSError, msgspec.MsgspecError):
        return False
