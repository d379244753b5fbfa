"""Session tokens: `wai_sess_` and a JWT (RFC 7519), signed with HS256 and nothing else."""

import hashlib
import re

import jwt
import msgspec

from waiaas.clock import Clock
from waiaas.db import Database, Statement
from waiaas.errors import InvalidToken, TokenExpired
from waiaas.ids import entropy, new_id
from waiaas.keystore import Keystore
from waiaas.repositories import settings

CURRENT = "jwt_secret_current"
PREVIOUS = "jwt_secret_previous"
ROTATED_AT = "jwt_rotated_at"
#: how long tokens of the secret before a rotation are good, and until when there is no other
OVERLAP_SECONDS = 300
PREFIX = "wai_sess_"
ALGORITHM = "HS256"
LONGEST = 4096
MOST_KNOWN = 4096
#: 32 bytes in base64url end in a character whose two low bits are unused: one spelling of a signature is taken
TOKEN = re.compile(PREFIX + r"([A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048])", re.ASCII)


class Claims(msgspec.Struct, frozen=True, kw_only=True):
    """What a token says; the session's id stands in it three times, for the clients that read one or the other."""

    exp: int
    sub: str | None = None
    sid: str | None = None
    session_id: str | None = msgspec.field(default=None, name="sessionId")
    agt: str | None = None
    iat: int | None = None
    jti: str | None = None

    @property
    def complete(self) -> bool:
        """Whether every claim is there and the three session ids are one."""
        same = self.sub is not None and self.sub == self.sid == self.session_id
        return same and None not in (self.agt, self.iat, self.jti)


class StoredSecret(msgspec.Struct, frozen=True, rename="camel"):
    """A signing secret as it is kept: sealed."""

    secret: str
    created_at: int


class Secrets(msgspec.Struct, frozen=True):
    """32 bytes that sign, those that signed before the last rotation, and when that was (epoch seconds)."""

    current: bytes
    previous: bytes | None = None
    rotated_at: int | None = None
    #: the present one as it is stored, so that a rotation replaces nothing but what it read
    stored: StoredSecret | None = None


class Tokens:
    """Makes tokens under the present secret; reads those, and for 300 s after a rotation those of the one before."""

    def __init__(self, secrets: Secrets | bytes, clock: Clock) -> None:
        self._secrets = secrets if isinstance(secrets, Secrets) else Secrets(secrets)
        self._clock = clock
        #: SHA-256 of a token that was found to be signed here → what it says
        self._known: dict[bytes, Claims] = {}
        self._jws = jwt.PyJWS(algorithms=[ALGORITHM])
        self._decode = msgspec.json.Decoder(Claims).decode

    @classmethod
    async def load(cls, db: Database, keystore: Keystore, clock: Clock) -> "Tokens":
        """Under the stored secrets; the first start makes one, which is no rotation."""
        current, previous = await settings.find(db, CURRENT), await settings.find(db, PREVIOUS)
        if current is None:
            secret, now = entropy(32), clock.now()
            stored = StoredSecret(keystore.seal(_place(CURRENT), secret), now)
            await db.commit(settings.put(CURRENT, stored, now))
            return cls(Secrets(secret, stored=stored), clock)
        stored = msgspec.convert(current, StoredSecret)
        before = msgspec.convert(previous, StoredSecret) if previous else None
        secrets = Secrets(
            current=keystore.unseal(_place(CURRENT), stored.secret),
            previous=keystore.unseal(_place(PREVIOUS), before.secret) if before else None,
            rotated_at=await settings.find(db, ROTATED_AT),
            stored=stored,
        )
        return cls(secrets, clock)

    def now(self) -> int:
        """The second at which tokens are judged."""
        return self._clock.now()

    def overlap_left(self, now: int) -> int:
        """Seconds for which tokens of the secret before are still good; 0 or less when they are not."""
        rotated_at = self._secrets.rotated_at
        return 0 if rotated_at is None else rotated_at + OVERLAP_SECONDS - now

    def turn(self, keystore: Keystore, now: int) -> tuple[Secrets, list[Statement]]:
        """New secrets, and the statements after which `use` may take them; stale if others were stored meanwhile."""
        before, secret = self._secrets, entropy(32)
        stored = StoredSecret(keystore.seal(_place(CURRENT), secret), now)
        created_at = before.stored.created_at if before.stored else now
        kept = StoredSecret(keystore.seal(_place(PREVIOUS), before.current), created_at)
        statements = [
            settings.swap(CURRENT, before.stored, stored, now),
            settings.put(PREVIOUS, kept, now),
            settings.put(ROTATED_AT, now, now),
        ]
        return Secrets(secret, before.current, now, stored), statements

    def use(self, secrets: Secrets) -> None:
        """From now on: what was found to be signed before is looked at again."""
        self._secrets = secrets
        self._known.clear()

    def issue(self, session_id: str, agent_id: str, *, now: int, expires_at: int) -> str:
        """A token for a session; its random `jti` makes two tokens of one second differ."""
        claims = Claims(
            exp=expires_at, sub=session_id, sid=session_id, session_id=session_id, agt=agent_id, iat=now, jti=new_id()
        )
        return PREFIX + self._jws.encode(msgspec.json.encode(claims), self._secrets.current, algorithm=ALGORITHM)

    def read(self, token: str) -> Claims:
        """The claims of a token signed here; InvalidToken, or TokenExpired from its `exp` on."""
        if len(token) > LONGEST:
            raise InvalidToken()
        digest = hashlib.sha256(token.encode()).digest()
        if known := self._known.get(digest):
            return self._usable(known)
        try:
            claims = self._usable(self._verified(token, self._secrets.current))
        except InvalidToken:
            if self._secrets.previous is None or self.overlap_left(self._clock.now()) <= 0:
                raise
            return self._usable(self._verified(token, self._secrets.previous))
        self._remember(digest, claims)
        return claims

    def is_passing(self, token: str) -> bool:
        """Whether the secret before the present one signed it, so that it ends with the overlap at the latest."""
        try:
            self._verified(token, self._secrets.current)
        except InvalidToken:
            return True
        return False

    def _usable(self, claims: Claims) -> Claims:
        """What it says, if that is enough and still good."""
        if claims.exp <= self._clock.now():
            raise TokenExpired()
        if not claims.complete:
            raise InvalidToken()
        return claims

    def _verified(self, token: str, secret: bytes) -> Claims:
        """What it says, whether or not it is enough or still good; InvalidToken if that secret did not sign it."""
        if not (parts := TOKEN.fullmatch(token)):
            raise InvalidToken()
        try:
            return self._decode(self._jws.decode(parts[1], secret, algorithms=[ALGORITHM]))
        except (jwt.InvalidTokenError, msgspec.DecodeError, UnicodeDecodeError):
            raise InvalidToken() from None

    def _remember(self, digest: bytes, claims: Claims) -> None:
        """The same text under the same secret has the same signature: a tenth of a millisecond for every request."""
        self._known[digest] = claims
        if len(self._known) > MOST_KNOWN:
            del self._known[next(iter(self._known))]


def _place(key: str) -> str:
    """Where a secret is sealed to: it opens nowhere else."""
    return f"key_value_store|value|{key}"
