"""One decision about one request: every judge speaks, the first refusal counts, the strictest tier holds."""

from collections.abc import Callable, Iterator, Sequence
from functools import reduce
from typing import NamedTuple

import msgspec

from waiaas.domain.decision import Decision, Denial, JudgedEffect, Outcome, Scope, UsedFacts
from waiaas.domain.policy import Policy
from waiaas.domain.request import Batch, Effect, Request
from waiaas.domain.tier import Tier, stricter
from waiaas.errors import BatchPolicyViolation
from waiaas.policy.approvals import approve_amount_limit, approve_tiers, approved_spenders
from waiaas.policy.batches import breaks_batch, violations
from waiaas.policy.calls import call_tiers
from waiaas.policy.facts import Case, Facts, in_scope
from waiaas.policy.forbidden import forbidden
from waiaas.policy.judgement import Judgement, Terms
from waiaas.policy.lists import allowed_tokens, contract_whitelist, method_whitelist, whitelist
from waiaas.policy.owner import DOWNGRADE, downgraded
from waiaas.policy.remedies import remedies
from waiaas.policy.sessions import session_constraints
from waiaas.policy.spending import caps, cover, tiers
from waiaas.policy.times import rate_limit, time_restriction

#: in the order of the trace, which is the order in which a refusal's code is taken
JUDGES: tuple[Callable[[Case], Iterator[Judgement]], ...] = (
    session_constraints,
    whitelist,
    time_restriction,
    rate_limit,
    allowed_tokens,
    contract_whitelist,
    method_whitelist,
    approved_spenders,
    approve_amount_limit,
    forbidden,
    cover,
    caps,
    tiers,
    call_tiers,
    approve_tiers,
)


class Why(NamedTuple):
    """A refusal as the decision tells it."""

    code: str
    reason: str
    policy_id: str | None
    denial: Denial


def decide(request: Request, policies: Sequence[Policy], facts: Facts) -> Decision:
    """Whether the request may go on and on what terms, with the trace and what would pass instead; pure.

    `policies` may hold any: those of other agents and disabled ones are passed over.
    """
    case = Case(request, in_scope(policies, facts.agent_id), facts)
    decision, judgements = _judge(case)
    return msgspec.structs.replace(decision, remedies=tuple(remedies(case, decision, judgements, _judge)))


def _judge(case: Case) -> tuple[Decision, list[Judgement]]:
    judgements = [judgement for judge in JUDGES for judgement in judge(case)]
    return _conclude(case, judgements), judgements


def _conclude(case: Case, judgements: Sequence[Judgement]) -> Decision:
    facts = case.facts
    terms = _strictest([judgement.terms for judgement in judgements if judgement.terms], facts)
    if (why := _refusal(case.request, [judgement for judgement in judgements if judgement.refused])) is not None:
        return _decision(facts, judgements, why, None, None)
    if terms.tier is Tier.APPROVAL and not facts.owner_locked:
        return _decision(facts, (*judgements, DOWNGRADE), None, downgraded(terms), Tier.APPROVAL)
    return _decision(facts, judgements, None, terms, None)


def _refusal(request: Request, refusing: Sequence[Judgement]) -> Why | None:
    """The first refusal; where a batch's items are refused, all of theirs."""
    if not refusing:
        return None
    first, refused = refusing[0].verdict, refusing[0].refused
    assert refused is not None
    if not isinstance(request, Batch) or first.scope is Scope.SESSION or not any(map(breaks_batch, refusing)):
        return Why(refused.code, first.message, first.policy_id, refused.denial)
    denial = violations(request, refusing)
    more = len(denial.violations or ()) - 1
    reason = f"{first.message}, and {more} more" if more else first.message
    return Why(BatchPolicyViolation.code, reason, first.policy_id, denial)


def _strictest(terms: Sequence[Terms], facts: Facts) -> Terms:
    """Highest tier, longest delay, shortest time to approve; the installation's where no rule has a say."""
    delays = [each.delay_seconds for each in terms if each.delay_seconds is not None]
    timeouts = [each.approval_timeout for each in terms if each.approval_timeout is not None]
    return Terms(
        reduce(stricter, (each.tier for each in terms), Tier.INSTANT),
        max(delays, default=facts.default_delay_seconds),
        min(timeouts, default=facts.default_approval_timeout),
    )


def _decision(
    facts: Facts,
    judgements: Sequence[Judgement],
    why: Why | None,
    terms: Terms | None,
    downgraded_from: Tier | None,
) -> Decision:
    """The decision without its remedies: refused where it is told why, else on these terms."""
    tier = terms.tier if terms else None
    return Decision(
        outcome=Outcome.DENY if why else Outcome.ALLOW,
        tier=tier,
        code=why.code if why else None,
        reason=why.reason if why else None,
        policy_id=why.policy_id if why else None,
        downgraded_from=downgraded_from,
        rules=tuple(judgement.verdict for judgement in judgements),
        remedies=(),
        delay_seconds=terms.delay_seconds if terms and tier is Tier.DELAY else None,
        approval_timeout=terms.approval_timeout if terms and tier is Tier.APPROVAL else None,
        policy_version=facts.policy_version,
        effects=tuple(map(_judged, facts.effects)),
        facts=_used(facts, judgements),
        denial=why.denial if why else None,
    )


def _judged(effect: Effect) -> JudgedEffect:
    amount = None if effect.amount is None else str(effect.amount)
    return JudgedEffect(
        effect.kind, effect.counterparty, effect.asset, amount, effect.selector, effect.decoded, effect.index
    )


def _used(facts: Facts, judgements: Sequence[Judgement]) -> UsedFacts:
    sums = dict.fromkeys(known for judgement in judgements for known in judgement.sums)
    return UsedFacts(facts.now, str(facts.fee), facts.owner_locked, facts.book.version, tuple(sums))
