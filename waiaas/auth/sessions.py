"""A session by its bearer token: the token is checked first, then the row that may have ended it."""

import hashlib
import hmac

from waiaas.auth.tokens import LONGEST, Tokens
from waiaas.db.cache import Cache
from waiaas.domain.session import Session
from waiaas.errors import InvalidToken, SessionNotFound, SessionRevoked, TokenExpired

SCHEME = "Bearer "


class SessionAuth:
    """Finds the live session a header speaks for; a commit that writes a session drops it from `rows` at once."""

    def __init__(self, tokens: Tokens, rows: Cache[Session | None]) -> None:
        self.tokens = tokens
        self._rows = rows

    async def authenticate(self, authorization: bytes) -> Session:
        """The session; InvalidToken, TokenExpired, SessionNotFound or SessionRevoked otherwise."""
        session, token = await self.identify(authorization)
        if not hmac.compare_digest(session.token_hash, token_hash(token)):
            raise InvalidToken()
        return session

    async def identify(self, authorization: bytes) -> tuple[Session, str]:
        """As `authenticate`, but the token may have been renewed away: whose it is, and the token itself."""
        token = bearer(authorization)
        claims = self.tokens.read(token)
        session = await self._alive(claims.sub or "")
        if session.parent_id is not None:
            await self._check_ancestors(session)
        if session.agent_id != claims.agt:
            raise InvalidToken()
        return session, token

    async def _alive(self, session_id: str) -> Session:
        session = await self._rows.get(session_id)
        if session is None:
            raise SessionNotFound()
        if session.revoked_at is not None:
            raise SessionRevoked()
        return session

    async def _check_ancestors(self, session: Session) -> None:
        """A child is alive as long as all above it are, whatever its own row says."""
        while session.parent_id is not None:
            session = await self._alive(session.parent_id)
            if session.expires_at <= self.tokens.now():
                raise TokenExpired()


def bearer(authorization: bytes) -> str:
    """The token of an Authorization header; InvalidToken for any other shape."""
    if len(authorization) > len(SCHEME) + LONGEST:
        raise InvalidToken()
    header = authorization.decode("latin-1")
    if not header.startswith(SCHEME):
        raise InvalidToken()
    return header[len(SCHEME) :]


def token_hash(token: str) -> str:
    """What is stored of a token: SHA-256 in hex of the whole text, prefix included."""
    return hashlib.sha256(token.encode()).hexdigest()
