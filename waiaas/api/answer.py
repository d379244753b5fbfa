"""Errors as answers: one envelope, one place where foreign errors are translated."""

import structlog
from msgspec import UNSET

from waiaas.api.call import AnyCall, Headers, Reply, encode
from waiaas.errors import (
    AdapterNotAvailable,
    BodyTooLarge,
    BodyTooSlow,
    ChainFailed,
    KeystoreLocked,
    KeyUnreadable,
    KeyUnwritable,
    NoEndpoint,
    Refusal,
    ShuttingDown,
    Stale,
    StorageBusy,
    StorageClosed,
    StorageFull,
    StorageUnavailable,
    Transient,
)
from waiaas.wire.system import ErrorResponse

log = structlog.get_logger()

#: what a caller is told of an error from further in; the first match counts
MEANING: tuple[tuple[type[Exception], type[Refusal]], ...] = (
    (NoEndpoint, AdapterNotAvailable),
    (Transient, ChainFailed),
    (Stale, ChainFailed),
    (StorageBusy, StorageUnavailable),
    (StorageFull, StorageUnavailable),
    (StorageClosed, StorageUnavailable),
    (KeyUnreadable, KeystoreLocked),
    (KeyUnwritable, StorageUnavailable),
)
#: after these the connection is of no further use
CLOSING = (BodyTooLarge, BodyTooSlow, ShuttingDown)


def reply_to(error: Exception, call: AnyCall) -> Reply:
    """The answer to an error; one that nobody foresaw is logged and told as INTERNAL_ERROR."""
    return refused(translate(error, call), call)


def translate(error: Exception, call: AnyCall) -> Refusal:
    """The refusal that an error amounts to."""
    if isinstance(error, Refusal):
        return error
    for kind, meaning in MEANING:
        if isinstance(error, kind):
            log.warning("request_refused", route=call.route, error=str(error))
            return meaning()
    log.error("request_failed", route=call.route, exc_info=error)
    return Refusal()


def refused(refusal: Refusal, call: AnyCall) -> Reply:
    """Status, envelope and headers of a refusal, which is counted."""
    call.core.metrics.refused(refusal.code)
    body = ErrorResponse(
        code=refusal.code,
        message=refusal.message,
        details=dict(refusal.details) or UNSET,
        request_id=call.request_id.decode(),
        retryable=refusal.retryable,
        hint=refusal.hint or UNSET,
    )
    headers: Headers = []
    if refusal.retry_after is not None:
        headers.append((b"retry-after", b"%d" % refusal.retry_after))
    if isinstance(refusal, CLOSING):
        headers.append((b"connection", b"close"))
    return Reply(refusal.status, encode(body), headers)
