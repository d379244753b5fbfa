"""What a judge says: a line of the trace, and with it a refusal, a tier, and the sums it looked up."""

from collections.abc import Iterator, Sequence

import msgspec

from waiaas.domain.decision import Denial, Finding, RuleVerdict, Scope, Sum
from waiaas.domain.policy import Policy, PolicyType
from waiaas.domain.tier import Tier

#: as much of what was observed as a trace keeps
SHOWN = 64


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
    #: the item of a batch that it is about; None for the request as a whole
    index: int | None = None


class Subject(msgspec.Struct, frozen=True):
    """What a list is asked about, and the item of a batch that names it."""

    text: str
    index: int | None


def by_policy(
    policy: Policy,
    outcome: Finding,
    message: str,
    *,
    tier: Tier | None = None,
    observed: int | str | None = None,
    limit: int | str | None = None,
) -> RuleVerdict:
    """A policy's trace line; observed and limit in base units, counts or times."""
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


def builtin(
    rule: str, outcome: Finding, message: str, *, tier: Tier | None = None, observed: str | None = None
) -> RuleVerdict:
    """The trace line of a rule that no policy writes."""
    return RuleVerdict(None, rule, Scope.BUILTIN, outcome, tier, observed, None, message)


def refusal(
    verdict: RuleVerdict,
    code: str,
    *,
    index: int | None = None,
    room: int | None = None,
    opens_at: int | None = None,
) -> Judgement:
    """A refusal whose facts are those of its trace line; its limit is told only where it is an amount."""
    denial = Denial(
        policy_id=verdict.policy_id,
        observed=verdict.observed,
        limit=None if room is None else verdict.limit,
        next_allowed_at=opens_at,
    )
    return Judgement(verdict, Refused(code=code, denial=denial, room=room, opens_at=opens_at), index=index)


def by_list(policy: Policy, asked: Sequence[Subject], unlisted: Sequence[Subject], code: str) -> Iterator[Judgement]:
    """A refusal for each subject that is not on the policy's list, or one line that all are."""
    for subject in dict.fromkeys(unlisted):
        message = f"{subject.text} is not on the list"
        yield refusal(by_policy(policy, Finding.DENY, message, observed=subject.text), code, index=subject.index)
    if not asked:
        yield Judgement(by_policy(policy, Finding.NOT_APPLICABLE, "nothing of this kind in the request"))
    elif not unlisted:
        observed = ", ".join(dict.fromkeys(subject.text for subject in asked))[:SHOWN]
        yield Judgement(by_policy(policy, Finding.PASS, "on the list", observed=observed))


def without_list(type: PolicyType, asked: Sequence[Subject], code: str) -> Iterator[Judgement]:
    """A refusal for each subject where no policy holds the list it would have to be on."""
    for subject in dict.fromkeys(asked):
        message = f"no {type} policy is in force, so {subject.text} is not allowed"
        yield refusal(builtin(type, Finding.DENY, message, observed=subject.text), code, index=subject.index)
