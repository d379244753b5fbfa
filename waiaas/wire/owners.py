"""Owners on the wire: registered, asked, and what they have decided."""

from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

from waiaas.domain.agent import Agent, AgentStatus, OwnerState
from waiaas.domain.chain import Chain, Network
from waiaas.domain.owner import OwnerAction
from waiaas.domain.wording import Worded
from waiaas.wire.body import Body, Digits, Id, Seconds
from waiaas.wire.requests import Provenance


class SetOwnerRequest(Body, frozen=True):
    """The owner's address on the agent's chain; both spellings of the key mean the same."""

    snake: str | None = msgspec.field(name="owner_address", default=None)
    camel: str | None = msgspec.field(name="ownerAddress", default=None)


class AgentOwnerResponse(Body, frozen=True):
    """An agent's owner: GRACE until a signature has proved the key, then LOCKED."""

    id: Id
    name: str
    chain: Chain
    network: Network
    public_key: str
    status: AgentStatus
    owner_address: str | None
    owner_verified: bool
    owner_state: OwnerState
    updated_at: Seconds


class ApprovalMessageQuery(Body, frozen=True):
    """What is to be signed for."""

    action: Literal["approve", "reject"] = "approve"


class OwnerMessageQuery(Body, frozen=True):
    """The address that the present owner hands over to."""

    new_owner: str | None = None


class OwnerEffect(Body, frozen=True):
    """One thing that happens when it is executed; amounts in base units, `dataDigest` SHA-256 of a call's data."""

    kind: str
    to: str
    asset: str | None
    amount: Digits | None
    selector: str | None
    data_digest: str | None
    #: in words, as the text has it
    display: str
    #: false: the request does not say it, a simulation saw it
    declared: bool


class OwnerMessageResponse(Body, frozen=True, kw_only=True):
    """A text to sign byte for byte; good once, until `expiresAt`."""

    action: OwnerAction
    subject_id: str
    agent_id: Id | None
    chain: Chain
    network: Network
    address: str
    message: str
    message_base64: str
    nonce: str
    issued_at: Seconds
    expires_at: Seconds
    digest: str | UnsetType = UNSET
    effects: list[OwnerEffect] | UnsetType = UNSET
    provenance: Provenance | UnsetType | None = UNSET


class TxApproveResponse(Body, frozen=True):
    """The owner's yes."""

    id: Id
    status: Literal["EXECUTING"]
    approved_at: Seconds


class TxRejectResponse(Body, frozen=True):
    """The owner's no."""

    id: Id
    status: Literal["CANCELLED"]
    rejected_at: Seconds


def agent_owner(agent: Agent) -> AgentOwnerResponse:
    """The agent and who owns it."""
    return AgentOwnerResponse(
        id=agent.id,
        name=agent.name,
        chain=agent.chain,
        network=agent.network,
        public_key=agent.public_key,
        status=agent.status,
        owner_address=agent.owner_address,
        owner_verified=agent.owner_verified,
        owner_state=agent.owner_state,
        updated_at=agent.updated_at,
    )


def owner_effect(word: Worded) -> OwnerEffect:
    """An effect as the owner is shown it."""
    effect = word.effect
    return OwnerEffect(
        kind=effect.kind,
        to=effect.counterparty,
        asset=effect.asset,
        amount=None if effect.amount is None else str(effect.amount),
        selector=effect.selector,
        data_digest=word.data_digest,
        display=word.display,
        declared=word.declared,
    )
