"""The kill switch on the wire."""

from typing import Annotated, Literal

from msgspec import UNSET, Meta, UnsetType

from waiaas.domain.chain import Network
from waiaas.domain.event import OPERATOR
from waiaas.domain.switch import KillSwitch
from waiaas.domain.transaction import InFlight
from waiaas.wire.body import Body, Id, Seconds

Note = Annotated[str, Meta(min_length=1, max_length=500, description="for the audit log")]


class ActivateKillSwitchRequest(Body, frozen=True):
    """Why."""

    reason: Note | None = None


class KillSwitchMessageQuery(Body, frozen=True):
    """The owner who will sign."""

    address: str | None = None


class KillSwitchResponse(Body, frozen=True):
    """Whether it is on; with `eligibleAt` its recovery has begun and can be finished from then on."""

    state: Literal["NORMAL", "ACTIVATED"]
    activated_at: Seconds | None
    activated_by: Literal["master", "owner"] | None
    eligible_at: Seconds | None


class MayLand(Body, frozen=True):
    """A transaction that was signed before: until that block height, or while nothing else uses its nonce."""

    id: Id
    agent_id: Id
    network: Network
    tx_hash: str
    last_valid_block_height: int | None
    nonce: int | None


class KillSwitchActivateResponse(Body, frozen=True):
    """It is on. `stored` false: the disk takes nothing, it holds in memory until it does, or until a restart."""

    state: Literal["ACTIVATED"]
    activated_at: Seconds
    stored: bool
    sessions_revoked: int
    transactions_cancelled: int
    agents_suspended: int
    in_flight: list[MayLand]


class RecoverResponse(Body, frozen=True):
    """It is off (200), or can be switched off from `eligibleAt` on (202)."""

    state: Literal["NORMAL", "RECOVERING"]
    recovered_at: Seconds | UnsetType = UNSET
    agents_resumed: int | UnsetType = UNSET
    eligible_at: Seconds | UnsetType = UNSET
    retry_after: int | UnsetType = UNSET


def kill_switch_response(found: KillSwitch) -> KillSwitchResponse:
    """RECOVERING is shown as what it is for callers: ACTIVATED."""
    return KillSwitchResponse(
        state="ACTIVATED" if found.is_on else "NORMAL",
        activated_at=found.activated_at,
        activated_by=None if found.activated_by is None else "master" if found.activated_by == OPERATOR else "owner",
        eligible_at=found.eligible_at,
    )


def may_land(found: InFlight) -> MayLand:
    """A line of the manifest."""
    return MayLand(
        id=found.id,
        agent_id=found.agent_id,
        network=found.network,
        tx_hash=found.tx_hash,
        last_valid_block_height=found.last_valid_block_height,
        nonce=found.nonce,
    )
