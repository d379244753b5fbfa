"""Session tokens: `wai_sess_` and a JWT (RFC 7519), signed with HS256 and nothing else."""

import hashlib
import re

import jwt
import msgspec

from waiaas.clock import Clock
from waiaas.db import Database
from waiaas.errors import InvalidToken, TokenExpired
from waiaas.ids import entropy, new_id
from waiaas.keystore import Keystore
from waiaas.repositories import settings

KEY = "jwt_secret_current"
PLACE = f"key_value_store|value|{KEY}"
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


class Tokens:
    """Makes and reads tokens under one secret of 32 bytes."""

    def __init__(self, secret: bytes, clock: Clock) -> None:
        self._secret = secret
        self._clock = clock
        #: SHA-256 of a token that was found to be signed here → what it says
        self._known: dict[bytes, Claims] = {}
        self._jws = jwt.PyJWS(algorithms=[ALGORITHM])
        self._decode = msgspec.json.Decoder(Claims).decode

    @classmethod
    async def load(cls, db: Database, keystore: Keystore, clock: Clock) -> "Tokens":
        """Under the stored secret; the first start makes it."""
        stored = await settings.find(db, KEY)
        if stored is not None:
            return cls(keystore.unseal(PLACE, msgspec.convert(stored, StoredSecret).secret), clock)
        secret = entropy(32)
        now = clock.now()
        await db.commit(settings.put(KEY, StoredSecret(keystore.seal(PLACE, secret), now), now))
        return cls(secret, clock)

    def issue(self, session_id: str, agent_id: str, *, now: int, expires_at: int) -> str:
        """A token for a session; its random `jti` makes two tokens of one second differ."""
        claims = Claims(
            exp=expires_at, sub=session_id, sid=session_id, session_id=session_id, agt=agent_id, iat=now, jti=new_id()
        )
        return PREFIX + self._jws.encode(msgspec.json.encode(claims), self._secret, algorithm=ALGORITHM)

    def read(self, token: str) -> Claims:
        """The claims of a token signed here; InvalidToken, or TokenExpired from its `exp` on."""
        if len(token) > LONGEST:
            raise InvalidToken()
        digest = hashlib.sha256(token.encode()).digest()
        claims = self._known.get(digest) or self._verified(token)
        if claims.exp <= self._clock.now():
            raise TokenExpired()
        if not claims.complete:
            raise InvalidToken()
        self._remember(digest, claims)
        return claims

    def _verified(self, token: str) -> Claims:
        """What it says, whether or not it is enough or still good; InvalidToken if it was not signed here."""
        if not (parts := TOKEN.fullmatch(token)):
            raise InvalidToken()
        try:
            return self._decode(self._jws.decode(parts[1], self._secret, algorithms=[ALGORITHM]))
        except (jwt.InvalidTokenError, msgspec.DecodeError, UnicodeDecodeError):
            raise InvalidToken() from None

    def _remember(self, digest: bytes, claims: Claims) -> None:
        """The same text under the same secret has the same signature: a tenth of a millisecond for every request."""
        self._known[digest] = claims
        if len(self._known) > MOST_KNOWN:
            del self._known[next(iter(self._known))]
