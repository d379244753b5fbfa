"""The operator: the master password in a header, and the lock that five wrong ones close."""

import msgspec
import structlog

from waiaas.auth.failures import Failures
from waiaas.clock import Clock
from waiaas.db import Database, Statement
from waiaas.domain.event import UNKNOWN, Actor, AuditEvent
from waiaas.errors import InvalidMasterPassword, MasterPasswordLocked, StorageError
from waiaas.keystore import Keystore
from waiaas.repositories import audit, settings

KEY = "master_failures"
MOST_FAILURES = 5
LOCKED_SECONDS = 1800
LONGEST_BYTES = 128

log = structlog.get_logger()


class Count(msgspec.Struct, frozen=True, rename="camel"):
    """`master_failures`: consecutive wrong passwords, and until when (epoch seconds) none is looked at."""

    count: int = 0
    locked_until: int | None = None


class OperatorAuth:
    """Compares passwords at the cost of one HMAC; the count of wrong ones is on disk before they are answered."""

    def __init__(self, db: Database, clock: Clock, keystore: Keystore, failures: Failures, count: Count) -> None:
        self._db = db
        self._clock = clock
        self._keystore = keystore
        self._failures = failures
        self._count = count

    @classmethod
    async def load(cls, db: Database, clock: Clock, keystore: Keystore, failures: Failures) -> "OperatorAuth":
        """With the count that the last run left."""
        stored = await settings.find(db, KEY)
        return cls(db, clock, keystore, failures, msgspec.convert(stored, Count) if stored else Count())

    async def authenticate(self, password: bytes, peer: str | None) -> None:
        """InvalidMasterPassword for an empty or wrong one, MasterPasswordLocked from the fifth wrong one on."""
        if not password:
            raise InvalidMasterPassword()
        now = self._clock.now()
        if self._count.locked_until is not None:
            if now < self._count.locked_until:
                await self._failures.record(peer, MasterPasswordLocked.code)
                raise self._locked(now)
            self._count = Count()
        if not self._keystore.check_password(as_utf8(password)) or len(password) > LONGEST_BYTES:
            await self._refuse(now, peer)
        elif self._count.count:
            self._count = Count()
            await self._note_right(now)

    async def _note_right(self, now: int) -> None:
        """A disk that takes nothing keeps the count as it was: the kill switch must be in reach all the same."""
        try:
            await self._db.commit(settings.put(KEY, self._count, now))
        except StorageError as error:
            log.warning("count_of_wrong_passwords_not_stored", error=error.message)

    async def _refuse(self, now: int, peer: str | None) -> None:
        """The count is raised before anything is awaited, so that parallel guesses cannot share a try."""
        count = self._count.count + 1
        closes = count >= MOST_FAILURES
        self._count = Count(count, now + LOCKED_SECONDS if closes else None)
        told = [self._lock_row(now, peer)] if closes else self._failures.note(peer, InvalidMasterPassword.code)
        await self._db.commit(settings.put(KEY, self._count, now), *told)
        raise self._locked(now) if closes else InvalidMasterPassword()

    def _lock_row(self, now: int, peer: str | None) -> Statement:
        actor = Actor(UNKNOWN, peer)
        return audit.record(AuditEvent.MASTER_PASSWORD_LOCKED, actor, now, lockedUntil=self._count.locked_until)

    def _locked(self, now: int) -> MasterPasswordLocked:
        return MasterPasswordLocked(retry_after=(self._count.locked_until or now) - now)


def as_utf8(password: bytes) -> bytes:
    """A header value as UTF-8; what is not UTF-8 was sent as Latin-1 (RFC 9110 5.5 leaves it open)."""
    try:
        password.decode()
    except UnicodeDecodeError:
        return password.decode("latin-1").encode()
    return password
