"""Agents on the wire."""

from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from waiaas.domain.agent import Agent, AgentStatus, OwnerState
from waiaas.domain.chain import Chain, Network
from waiaas.domain.gap import Gap
from waiaas.wire.body import Body, Digits, Id, Limit, Name, Seconds, StrictBody


class CreateAgentRequest(Body, frozen=True):
    """A new agent; without `network` it lives on the configured default network of its chain."""

    name: Name
    chain: Chain | None = None
    network: str | None = None


class UpdateAgentRequest(Body, frozen=True):
    """A new name."""

    name: Name | None = None


class AgentListQuery(Body, frozen=True):
    """Which agents."""

    status: AgentStatus | None = None
    network: Network | None = None
    limit: Limit | None = None
    cursor: Id | None = None


class AgentResponse(Body, frozen=True):
    """An agent."""

    id: Id
    name: str
    chain: Chain
    network: Network
    public_key: str
    status: AgentStatus
    created_at: Seconds
    workspace_id: Id | None
    suspended_at: Seconds | None
    suspension_reason: str | None


class AgentDetailResponse(AgentResponse, frozen=True):
    """An agent and its owner."""

    owner_address: str | None
    owner_verified: bool
    owner_state: OwnerState
    updated_at: Seconds
    #: of an agent suspended as `restored`: resuming it accepts that nothing is known of this time
    lost_from: Seconds | UnsetType = UNSET
    lost_to: Seconds | UnsetType = UNSET


class AgentListResponse(Body, frozen=True):
    """Agents, newest first; `cursor` and `hasMore` where a limit was given."""

    items: list[AgentResponse]
    cursor: Id | UnsetType | None = UNSET
    has_more: bool | UnsetType = UNSET


class SuspendAgentRequest(StrictBody, frozen=True):
    """Why; for the audit log."""

    reason: Annotated[str, Meta(min_length=1, max_length=500)] | None = None


class InFlight(Body, frozen=True):
    """A signed transaction that may still land."""

    id: Id
    tx_hash: str


class AgentSuspendResponse(AgentDetailResponse, frozen=True, kw_only=True):
    """The suspended agent: how many transactions were cancelled, and what was signed before and may still land."""

    cancelled: int
    in_flight: list[InFlight]


class AgentDeleteResponse(Body, frozen=True):
    """TERMINATING while a signed transaction may still land."""

    id: Id
    status: AgentStatus
    in_flight: list[InFlight] | UnsetType = UNSET


class FaucetRequest(StrictBody, frozen=True):
    """How much to give; absent: 100 SOL or ETH."""

    amount: Digits | None = None


class FaucetResponse(Body, frozen=True):
    """What was given, and the balance once the chain shows it."""

    agent_id: Id
    network: Network
    asset: str
    amount: Digits
    balance: Digits


def agent_response(agent: Agent) -> AgentResponse:
    """The agent as lists show it."""
    return AgentResponse(
        id=agent.id,
        name=agent.name,
        chain=agent.chain,
        network=agent.network,
        public_key=agent.public_key,
        status=agent.status,
        created_at=agent.created_at,
        workspace_id=None,
        suspended_at=agent.suspended_at,
        suspension_reason=agent.suspension_reason,
    )


def agent_detail(agent: Agent, gap: Gap | None = None) -> AgentDetailResponse:
    """The agent with its owner, and the gap for which it is suspended."""
    return AgentDetailResponse(
        **msgspec.structs.asdict(agent_response(agent)),
        owner_address=agent.owner_address,
        owner_verified=agent.owner_verified,
        owner_state=agent.owner_state,
        updated_at=agent.updated_at,
        lost_from=UNSET if gap is None else gap.lost_from,
        lost_to=UNSET if gap is None else gap.lost_to,
    )
