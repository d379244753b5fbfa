"""A session by its bearer token: the token is checked first, then the row that may have ended it."""

import hashlib
import hmac

from waiaas.auth.tokens import LONGEST, Tokens
from waiaas.db.cache import Cache
from waiaas.domain.session import Session
from waiaas.errors import InvalidToken, SessionNotFound, SessionRevoked

SCHEME = "Bearer "


class SessionAuth:
    """Finds the live session a header speaks for; a commit that writes a session drops it from `rows` at once."""

    def __init__(self, tokens: Tokens, rows: Cache[Session | None]) -> None:
        self.tokens = tokens
        self._rows = rows

    async def authenticate(self, authorization: bytes) -> Session:
        """The session; InvalidToken, TokenExpired, SessionNotFound or SessionRevoked otherwise."""
        if len(authorization) > len(SCHEME) + LONGEST:
            raise InvalidToken()
        header = authorization.decode("latin-1")
        if not header.startswith(SCHEME):
            raise InvalidToken()
        token = header[len(SCHEME) :]
        claims = self.tokens.read(token)
        session = await self._rows.get(claims.sub or "")
        if session is None:
            raise SessionNotFound()
        if session.revoked_at is not None:
            raise SessionRevoked()
        if session.agent_id != claims.agt or not hmac.compare_digest(session.token_hash, token_hash(token)):
            raise InvalidToken()
        return session


def token_hash(token: str) -> str:
    """What is stored of a token: SHA-256 in hex of the whole text, prefix included."""
    return hashlib.sha256(token.encode()).hexdigest()
