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
#: verified tokens kept, so that a program's every request does not verify the same signature
MOST_REMEMBERED = 10_000
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
        self._jws = jwt.PyJWS(algorithms=[ALGORITHM])
        self._decode = msgspec.json.Decoder(Claims).decode
        #: claims of tokens whose signature was verified, by `token_hash`
        self._verified: dict[str, Claims] = {}

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

    def read(self, token: str, hashed: str) -> Claims:
        """The claims of a token signed here, `hashed` by `token_hash`; InvalidToken, or TokenExpired from `exp` on."""
        claims = self._verified.get(hashed) or self._verify(token)
        if claims.exp <= self._clock.now():
            raise TokenExpired()
        if not claims.complete:
            raise InvalidToken()
        self._verified[hashed] = claims
        if len(self._verified) > MOST_REMEMBERED:
            del self._verified[next(iter(self._verified))]
        return claims

    def _verify(self, token: str) -> Claims:
        if not (parts := TOKEN.fullmatch(token)):
            raise InvalidToken()
        try:
            return self._decode(self._jws.decode(parts[1], self._secret, algorithms=[ALGORITHM]))
        except (jwt.InvalidTokenError, msgspec.DecodeError, UnicodeDecodeError):
            raise InvalidToken() from None


def token_hash(token: str) -> str:
    """What is stored of a token: SHA-256 in hex of the whole text, prefix included."""
    return hashlib.sha256(token.encode()).hexdigest()
