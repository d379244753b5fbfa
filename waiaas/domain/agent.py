"""An agent: one key pair on one network, and its life."""

from enum import StrEnum

import msgspec

from waiaas.domain.chain import Chain, Network
from waiaas.errors import AgentIsSuspended, AgentIsTerminated


class AgentStatus(StrEnum):
    """CREATING → ACTIVE ⇄ SUSPENDED → TERMINATING → TERMINATED."""

    #: the row exists, the key file perhaps: finished or undone at the next start
    CREATING = "CREATING"
    ACTIVE = "ACTIVE"
    #: by the operator, the kill switch, auto-stop or a stranger's spend; only the operator resumes it
    SUSPENDED = "SUSPENDED"
    #: terminated while signed bytes can still land: the confirm worker ends it
    TERMINATING = "TERMINATING"
    TERMINATED = "TERMINATED"


class OwnerState(StrEnum):
    """Derived, never stored: no owner, a registered address, an address that has signed."""

    NONE = "NONE"
    GRACE = "GRACE"
    LOCKED = "LOCKED"


class Agent(msgspec.Struct, frozen=True):
    """A row of `agents`."""

    id: str
    name: str
    chain: Chain
    network: Network
    public_key: str
    status: AgentStatus
    owner_address: str | None
    owner_verified: bool
    #: when the key left this wallet, or came from elsewhere: others may sign with it; no step does either yet
    key_exported_at: int | None
    ledger_version: int
    suspended_at: int | None
    suspension_reason: str | None
    created_at: int
    updated_at: int

    @property
    def is_ended(self) -> bool:
        """Whether the operator has ended it, be it that a signed transaction may still land."""
        return self.status in (AgentStatus.TERMINATING, AgentStatus.TERMINATED)

    @property
    def owner_state(self) -> OwnerState:
        if self.owner_address is None:
            return OwnerState.NONE
        return OwnerState.LOCKED if self.owner_verified else OwnerState.GRACE


def check_running(agent: Agent) -> None:
    """AgentIsSuspended or AgentIsTerminated unless it is ACTIVE."""
    if agent.status is AgentStatus.SUSPENDED:
        raise AgentIsSuspended()
    if agent.status is not AgentStatus.ACTIVE:
        raise AgentIsTerminated()
