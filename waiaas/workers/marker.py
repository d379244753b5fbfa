"""`epoch.json`: what the database last held, noted outside it: an older database cannot pass for the present."""

import asyncio
from pathlib import Path

import msgspec
import structlog

from waiaas.clock import Clock
from waiaas.db import Database, Statement
from waiaas.domain.event import SYSTEM, AuditEvent
from waiaas.domain.gap import Gap
from waiaas.errors import ClockWentBack
from waiaas.files import read_bytes, write_atomic
from waiaas.pipeline.core import Core
from waiaas.pipeline.stops import restored
from waiaas.repositories import agents, audit, settings

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


async def first_mark(db: Database, clock: Clock, path: Path, installation: str) -> None:
    """The mark of a new wallet: from here on one that is missing was taken away; one of a former wallet is replaced."""
    left = await asyncio.to_thread(read_mark, path) if await asyncio.to_thread(path.exists) else None
    if left is None or left.installation != installation:
        await Marker(db, clock, path, installation, epoch=0).close()


async def open_marker(core: Core, path: Path, *, accept_clock: bool) -> Marker:
    """Begin a new epoch, before anything else runs; in a database that went back in time everything is void first.

    ClockWentBack if the wall clock is behind what the database saw, unless that is accepted. The mark is replaced after
    the commit: a start that is cut short finds the old one again.
    """
    db, installation = core.db, core.keystore.installation
    now = await _time_to_begin(db, core.clock, accept_clock)
    stored, mark = await settings.find(db, "epoch") or 0, await asyncio.to_thread(read_mark, path)
    epoch = max(stored, mark.epoch if mark else 0) + 1
    beginning = [settings.put("epoch", epoch, now), settings.put("clock_seen", now, now)]
    if why := await doubt(db, mark, installation, stored):
        await restored.void(db, await _gap(db, mark, why, now), *beginning)
    else:
        await db.commit(*beginning, *_unclean(mark, stored, now))
    core.gap = await restored.newest_gap(db)
    marker = Marker(db, core.clock, path, installation, epoch)
    await marker.note()
    return marker


async def _time_to_begin(db: Database, clock: Clock, accept_clock: bool) -> int:
    now = clock.now()
    seen = await settings.find(db, "clock_seen") or 0
    if accept_clock:
        return now
    if now < FIRST_SANE or now + TOLERANCE < seen:
        raise ClockWentBack(
            f"The wall clock says {now}, the database has seen {max(seen, FIRST_SANE)} (epoch seconds)."
        )
    # a step back within the tolerance revives no session, nonce or approval either
    clock.hold_at(seen)
    return clock.now()


def read_mark(path: Path) -> Mark | None:
    """What the file says; None if it is not there or cannot be read, which is logged."""
    try:
        return msgspec.json.decode(read_bytes(path), type=Mark)
    except (OSError, msgspec.MsgspecError) as error:
        log.warning("mark_not_readable", path=path, error=str(error))
        return None


async def doubt(db: Database, mark: Mark | None, installation: str, epoch: int) -> str | None:
    """Why this database, of that epoch, is not the one that was marked, or one that came of it; None if it is.

    A mark may be older than the database, for a process may end between a commit and its mark; never newer.
    """
    if mark is None:
        return "no_mark"
    if mark.installation != installation:
        return "other_installation"
    if mark.epoch > epoch:
        return "older_epoch"
    found = await audit.hash_at(db, mark.audit_id)
    if found is None:
        return "rows_missing"
    return None if found == mark.audit_hash else "other_rows"


async def _gap(db: Database, mark: Mark | None, why: str, now: int) -> Gap:
    """From the newest row to the mark of a clean stop; without one nobody knows until when there was more."""
    lost_from = newest = await audit.newest_at(db) or 0
    if (before := await restored.newest_gap(db)) and await agents.suspended_for(db, restored.RESTORED):
        # whoever resumes those has not accepted that one, be it that its start was cut short before its mark
        lost_from = min(newest, before.lost_from)
    lost_to = mark.at if mark is not None and mark.clean and mark.at >= lost_from else now
    # with a clock that was put back the rows may be of a later time
    return Gap(why, lost_from, lost_to, max(now, newest))


def _unclean(mark: Mark | None, stored: int, now: int) -> list[Statement]:
    """The row that tells that the last run did not end with a mark of its own; nothing before the first."""
    if stored == 0 or (mark is not None and mark.clean and mark.epoch == stored):
        return []
    log.warning("unclean_stop")
    return [audit.record(AuditEvent.DAEMON_UNCLEAN_STOP, SYSTEM, now, epoch=stored)]
