"""What a judge says: a line of the trace, and with it a refusal, a tier, and the sums it looked up."""

import msgspec

from waiaas.domain.policy import Denial, Finding, Policy, RuleVerdict, Scope, Sum, Tier


class Refused(msgspec.Struct, frozen=True, kw_only=True):
    """Why not: the code, the facts for the caller, and what would pass instead."""

    code: str
    denial: Denial
    #: the largest amount this rule lets pass; None if the refusal is not about an amount
    room: int | None = None
    #: from when this rule lets the same request pass; None if no time is known
    opens_at: int | None = None


class Terms(msgspec.Struct, frozen=True):
    """On what terms a rule lets a request pass; seconds are None where the rule has no say."""

    tier: Tier
    delay_seconds: int | None = None
    approval_timeout: int | None = None


class Judgement(msgspec.Struct, frozen=True):
    """One rule's word on a request."""

    verdict: RuleVerdict
    refused: Refused | None = None
    terms: Terms | None = None
    sums: tuple[Sum, ...] = ()


def by_policy(
    policy: Policy,
    outcome: Finding,
    message: str,
    *,
    tier: Tier | None = None,
    observed: int | None = None,
    limit: int | None = None,
) -> RuleVerdict:
    """A policy's trace line; observed and limit in base units."""
    return RuleVerdict(
        policy_id=policy.id,
        type=policy.type,
        scope=Scope.GLOBAL if policy.agent_id is None else Scope.AGENT,
        outcome=outcome,
        tier=tier,
        observed=None if observed is None else str(observed),
        limit=None if limit is None else str(limit),
        message=message,
    )


def builtin(rule: str, outcome: Finding, message: str, *, tier: Tier | None = None) -> RuleVerdict:
    """The trace line of a rule that no policy writes."""
    return RuleVerdict(None, rule, Scope.BUILTIN, outcome, tier, None, None, message)
