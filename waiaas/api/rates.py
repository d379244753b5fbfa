"""Rate limits: sliding windows of 60 seconds, per address, session and send."""

import math
from collections import deque

from waiaas.api.call import AnyCall
from waiaas.clock import Clock
from waiaas.db import Database
from waiaas.domain.event import AuditEvent
from waiaas.errors import RateLimited
from waiaas.repositories import audit

WINDOW_SECONDS = 60
#: keys kept before those that have been quiet for a window are swept out
MOST_KEYS = 10_000


class Bucket:
    """When each key was let through during the last window; `limit` 0 lets everything through."""

    def __init__(self, name: str, limit: int, clock: Clock, db: Database) -> None:
        self._name = name
        self._limit = limit
        self._clock = clock
        self._db = db
        self._passed: dict[str, deque[float]] = {}
        #: until when a refusal of a key has been told to the audit log
        self._told: dict[str, float] = {}

    async def take(self, key: str, call: AnyCall) -> None:
        """Let a request through and note the tally on it; RateLimited, not counted, when the window is full."""
        if not self._limit:
            return
        now = self._clock.monotonic()
        passed = self._passed.get(key) or self._begin(key, now)
        while passed and passed[0] <= now - WINDOW_SECONDS:
            passed.popleft()
        full = len(passed) >= self._limit
        if not full:
            passed.append(now)
        remaining = self._limit - len(passed)
        wait = passed[0] + WINDOW_SECONDS - now
        if full or call.tally is None or remaining < call.tally[1]:
            call.tally = (self._limit, remaining, math.ceil(self._clock.wall() + wait))
        if full:
            await self._refuse(key, call, now, wait)

    def _begin(self, key: str, now: float) -> deque[float]:
        if len(self._passed) >= MOST_KEYS:
            self._passed = {k: times for k, times in self._passed.items() if times[-1] > now - WINDOW_SECONDS}
        return self._passed.setdefault(key, deque())

    async def _refuse(self, key: str, call: AnyCall, now: float, wait: float) -> None:
        """One audit row for a bucket and minute."""
        if self._told.get(key, now) <= now:
            self._told = {k: until for k, until in self._told.items() if until > now} | {key: now + WINDOW_SECONDS}
            at = self._clock.now()
            row = audit.record(
                AuditEvent.RATE_LIMIT_EXCEEDED, call.caller.actor, at, bucket=self._name, limit=self._limit
            )
            await self._db.commit(row)
        raise RateLimited(
            bucket=self._name, limit=self._limit, windowSeconds=WINDOW_SECONDS, retry_after=max(1, math.ceil(wait))
        )


class Rates:
    """The three buckets."""

    def __init__(self, ip: int, session: int, send: int, clock: Clock, db: Database) -> None:
        self.ip = Bucket("ip", ip, clock, db)
        self.session = Bucket("session", session, clock, db)
        self.send = Bucket("send", send, clock, db)
