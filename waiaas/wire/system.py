"""Health, readiness, nonces, and the body of every error."""

from typing import Any, Literal

from msgspec import UNSET, UnsetType

from waiaas.wire.body import Body, Seconds


class ErrorResponse(Body, frozen=True, kw_only=True):
    """Why a request was refused; `hint` says what to do about it."""

    code: str
    message: str
    details: dict[str, Any] | UnsetType = UNSET
    request_id: str
    retryable: bool
    hint: str | UnsetType = UNSET


class HealthChecks(Body, frozen=True):
    """What the daemon stands on."""

    database: Literal["ok", "down"]
    keystore: Literal["ok", "locked"]
    networks: dict[str, Literal["ok", "down"]]


class HealthResponse(Body, frozen=True):
    """How the daemon is; answered as long as it answers at all.

    `reconciling`: networks that start-up recovery has not looked at yet, and how many signed transactions wait there.
    """

    status: Literal["ok", "degraded", "locked", "reconciling"]
    version: str
    uptime: int
    timestamp: Seconds
    checks: HealthChecks
    warnings: list[str]
    reconciling: dict[str, int]


class ReadyChecks(Body, frozen=True):
    """What readiness needs."""

    database: bool
    keystore: bool
    reconciled: bool
    accepting: bool

    @property
    def all_hold(self) -> bool:
        """Whether requests can be served in full."""
        return self.database and self.keystore and self.reconciled and self.accepting


class ReadyResponse(Body, frozen=True):
    """Whether all checks hold."""

    ready: bool
    checks: ReadyChecks


class NonceResponse(Body, frozen=True):
    """64 hex digits, good once."""

    nonce: str
    expires_at: Seconds
