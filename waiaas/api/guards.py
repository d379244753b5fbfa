"""Who may call a route: kinds of callers as small values, combined by `|`, written on the route."""

from collections.abc import Awaitable, Callable

import msgspec

from waiaas.api.call import AnyCall, Caller
from waiaas.domain.event import OPERATOR, Actor
from waiaas.errors import InvalidMasterPassword, InvalidSignature, InvalidToken, SessionNotFound, Unauthenticated

Find = Callable[[AnyCall], Awaitable[Caller]]


class Kind(msgspec.Struct, frozen=True):
    """One kind of credential: its header, its scheme in the document, and who it proves."""

    header: bytes
    scheme: str
    find: Find


class Guard(msgspec.Struct, frozen=True):
    """The kinds a route accepts, in the order in which they count; with none of them anyone may call."""

    kinds: tuple[Kind, ...]
    #: what is said when no credential is shown
    missing: type[Unauthenticated]

    def __or__(self, other: "Guard") -> "Guard":
        """Either; the password counts before a bearer, and the guard written first is what is asked for."""
        return Guard(tuple(sorted((*self.kinds, *other.kinds), key=PRECEDENCE.index)), self.missing)

    async def find(self, call: AnyCall) -> Caller:
        """The caller: the first credential shown counts, a wrong one fails; Unauthenticated if none is shown."""
        for kind in self.kinds:
            if call.headers.get(kind.header):
                return await kind.find(call)
        if self.kinds:
            await call.services.failures.record(call.peer, self.missing.code)
            raise self.missing()
        return call.caller


async def _operator(call: AnyCall) -> Caller:
    await call.services.operator.authenticate(call.headers[b"x-master-password"], call.peer)
    return Caller(Actor(OPERATOR, call.peer))


async def _session(call: AnyCall) -> Caller:
    services = call.services
    try:
        session = await services.sessions.authenticate(call.headers[b"authorization"])
    except (Unauthenticated, SessionNotFound) as refusal:
        await services.failures.record(call.peer, refusal.code)
        raise
    return Caller(Actor(f"session:{session.id}", call.peer), session)


async def _renewing(call: AnyCall) -> Caller:
    """As `_session`, but a token that was renewed away is left to the handler to refuse."""
    services = call.services
    try:
        session, _ = await services.sessions.identify(call.headers[b"authorization"])
    except (Unauthenticated, SessionNotFound) as refusal:
        await services.failures.record(call.peer, refusal.code)
        raise
    return Caller(Actor(f"session:{session.id}", call.peer), session)


async def _owner(call: AnyCall) -> Caller:
    """Whose signature it is the handler finds out: it knows what must have been signed."""
    return call.caller


BY_PASSWORD = Kind(b"x-master-password", "masterAuth", _operator)
BY_TOKEN = Kind(b"authorization", "sessionAuth", _session)
BY_SIGNATURE = Kind(b"x-owner-address", "ownerAuth", _owner)
PRECEDENCE = (BY_PASSWORD, BY_TOKEN, BY_SIGNATURE)

anyone = Guard((), Unauthenticated)
operator = Guard((BY_PASSWORD,), InvalidMasterPassword)
session = Guard((BY_TOKEN,), InvalidToken)
#: its handler calls `signatures.signed`
owner = Guard((BY_SIGNATURE,), InvalidSignature)
#: for the renewal alone
renewing = Guard((Kind(b"authorization", "sessionAuth", _renewing),), InvalidToken)
