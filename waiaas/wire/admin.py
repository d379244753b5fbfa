"""The daemon itself on the wire."""

from typing import Literal

from msgspec import UNSET, UnsetType

from waiaas.wire.body import Body, Seconds


class AdminStatusResponse(Body, frozen=True):
    """The daemon in figures; what is optional is for the operator alone."""

    status: Literal["running"]
    version: str
    uptime: int
    agent_count: int
    active_session_count: int
    kill_switch_state: Literal["NORMAL", "ACTIVATED"]
    admin_timeout: int
    timestamp: Seconds
    reconciling: bool
    queued_count: int | UnsetType = UNSET
    pending_approval_count: int | UnsetType = UNSET
    in_flight_count: int | UnsetType = UNSET
    database_bytes: int | UnsetType = UNSET
    networks: dict[str, Literal["ok", "down"]] | UnsetType = UNSET


class ShutdownResponse(Body, frozen=True):
    """The daemon is stopping."""

    message: str
