"""A replay on the wire: what the policies would be, and which stored requests would have been decided otherwise."""

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from waiaas.domain.decision import Decision, Outcome
from waiaas.domain.tier import Tier
from waiaas.domain.transaction import TransactionType
from waiaas.wire.body import Body, Digits, Id, Seconds, StrictBody
from waiaas.wire.policies import Priority

#: flips that are shown
MOST_FLIPS = 500


class CandidatePolicy(StrictBody, frozen=True):
    """A policy as it would be made; without `agentId` for every agent."""

    type: str
    rules: dict[str, Any]
    agent_id: Id | None = None
    priority: Priority | None = None
    override: bool | None = None


class AddPolicy(StrictBody, frozen=True, tag="add", tag_field="op"):
    """One more policy."""

    policy: CandidatePolicy


class UpdatePolicy(StrictBody, frozen=True, tag="update", tag_field="op"):
    """A stored policy otherwise; at least one of them."""

    id: Id
    rules: dict[str, Any] | None = None
    priority: Priority | None = None
    enabled: bool | None = None
    override: bool | None = None


class RemovePolicy(StrictBody, frozen=True, tag="remove", tag_field="op"):
    """Without a stored policy."""

    id: Id


Change = AddPolicy | UpdatePolicy | RemovePolicy


class ReplayRequest(StrictBody, frozen=True):
    """What would be otherwise, and for which requests: the newest `limit` with since ≤ createdAt < until."""

    changes: Annotated[list[Change], Meta(min_length=1, max_length=20)]
    agent_id: Id | None = None
    #: 30 days ago
    since: Seconds | None = None
    until: Seconds | None = None
    limit: Annotated[int, Meta(ge=1, le=5000)] = 1000


class Counted(Body, frozen=True):
    """How many requests pass, then and under the candidate."""

    was: int
    now: int


class TierCounts(Body, frozen=True):
    """How many requests pass in each tier, then and under the candidate."""

    was: dict[str, int]
    now: dict[str, int]


class Verdict(Body, frozen=True):
    """What was decided then."""

    outcome: Outcome
    tier: Tier | None
    code: str | None


class NewVerdict(Verdict, frozen=True):
    """What would be decided, and by which policy it would be refused; null for one that is only a candidate."""

    policy_id: Id | None


class FlippedRequest(Body, frozen=True):
    """A request that would have been decided otherwise."""

    transaction_id: Id
    agent_id: Id
    type: TransactionType
    asset: str | None
    amount: Digits | None
    created_at: Seconds
    was: Verdict
    now: NewVerdict


class ReplayResponse(Body, frozen=True):
    """What the candidate would have changed, oldest first; `truncated` when there are more flips than are shown."""

    evaluated: int
    allowed: Counted
    tiers: TierCounts
    flips: list[FlippedRequest]
    truncated: bool


def tier_counts(counted: Mapping[Tier, int]) -> dict[str, int]:
    """Every tier, those that none passes in too."""
    return {tier.value: counted.get(tier, 0) for tier in Tier}


def verdict(decision: Decision) -> Verdict:
    """The stored decision in short."""
    return Verdict(decision.outcome, decision.tier, decision.code)


def new_verdict(decision: Decision, stored: frozenset[str]) -> NewVerdict:
    """The candidate's decision in short; the ids of policies in `stored` are told."""
    policy_id = decision.policy_id if decision.policy_id in stored else None
    return NewVerdict(**msgspec.structs.asdict(verdict(decision)), policy_id=policy_id)
