"""One decision about one request: every judge speaks, the first refusal counts, the strictest tier holds."""

from collections.abc import Callable, Iterator, Sequence
from functools import reduce

import msgspec

from waiaas.domain.chain import Chain, native_asset
from waiaas.domain.ledger import LedgerKind
from waiaas.domain.policy import Decision, JudgedEffect, Outcome, Policy, Tier, UsedFacts, stricter
from waiaas.domain.request import Effect, Request
from waiaas.policy.facts import OUTFLOW, Case, Facts
from waiaas.policy.judgement import Judgement, Terms
from waiaas.policy.owner import DOWNGRADE, downgraded
from waiaas.policy.remedies import remedies
from waiaas.policy.sessions import session_constraints
from waiaas.policy.spending import caps, cover, tiers
from waiaas.policy.unjudged import unjudged

#: in the order of the trace, which is the order in which a refusal's code is taken
JUDGES: tuple[Callable[[Case], Iterator[Judgement]], ...] = (session_constraints, unjudged, cover, caps, tiers)


def decide(request: Request, policies: Sequence[Policy], facts: Facts) -> Decision:
    """Whether the request may go on and on what terms, with the trace and what would pass instead; pure.

    `policies` may hold any: those of other agents and disabled ones are passed over.
    """
    case = Case(request, _in_scope(policies, facts.agent_id), facts)
    judgements = _judgements(case)
    decision = _conclude(case, judgements)
    offered = tuple(remedies(case, decision, judgements, lambda other: _conclude(other, _judgements(other))))
    return msgspec.structs.replace(decision, remedies=offered)


def reservation(effects: Sequence[Effect], fee: int, chain: Chain) -> list[tuple[str, LedgerKind, int]]:
    """What to set aside for a request that is accepted: its outflow per asset, and the fee in native money."""
    amounts: dict[str, int] = {}
    for effect in effects:
        if effect.kind in OUTFLOW:
            amounts[effect.asset] = amounts.get(effect.asset, 0) + effect.amount
    booked = [(asset, LedgerKind.AMOUNT, amount) for asset, amount in amounts.items()]
    return [*booked, (native_asset(chain), LedgerKind.FEE, fee)]


def _in_scope(policies: Sequence[Policy], agent_id: str) -> tuple[Policy, ...]:
    found = (policy for policy in policies if policy.enabled and policy.agent_id in (None, agent_id))
    return tuple(sorted(found, key=lambda policy: (-policy.priority, policy.id)))


def _judgements(case: Case) -> list[Judgement]:
    return [judgement for judge in JUDGES for judgement in judge(case)]


def _conclude(case: Case, judgements: Sequence[Judgement]) -> Decision:
    facts = case.facts
    terms = _strictest([judgement.terms for judgement in judgements if judgement.terms], facts)
    refusing = next((judgement for judgement in judgements if judgement.refused), None)
    if refusing is not None:
        return _decision(facts, judgements, refusing, None, None)
    if terms.tier is Tier.APPROVAL and not facts.owner_locked:
        return _decision(facts, (*judgements, DOWNGRADE), None, downgraded(terms), Tier.APPROVAL)
    return _decision(facts, judgements, None, terms, None)


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
    refusing: Judgement | None,
    terms: Terms | None,
    downgraded_from: Tier | None,
) -> Decision:
    """The decision without its remedies: refused where a judgement is handed in, else on these terms."""
    refused = refusing.refused if refusing else None
    tier = terms.tier if terms else None
    return Decision(
        outcome=Outcome.DENY if refused else Outcome.ALLOW,
        tier=tier,
        code=refused.code if refused else None,
        reason=refusing.verdict.message if refusing else None,
        policy_id=refusing.verdict.policy_id if refusing else None,
        downgraded_from=downgraded_from,
        rules=tuple(judgement.verdict for judgement in judgements),
        remedies=(),
        delay_seconds=terms.delay_seconds if terms and tier is Tier.DELAY else None,
        approval_timeout=terms.approval_timeout if terms and tier is Tier.APPROVAL else None,
        policy_version=facts.policy_version,
        effects=tuple(JudgedEffect(e.kind, e.counterparty, e.asset, str(e.amount)) for e in facts.effects),
        facts=_used(facts, judgements),
        denial=refused.denial if refused else None,
    )


def _used(facts: Facts, judgements: Sequence[Judgement]) -> UsedFacts:
    sums = dict.fromkeys(known for judgement in judgements for known in judgement.sums)
    return UsedFacts(facts.now, str(facts.fee), facts.owner_locked, facts.book.version, tuple(sums))
