"""What would pass instead: each remedy is judged like a request before it is offered."""

from collections.abc import Callable, Iterator, Mapping, Sequence

import msgspec

from waiaas.domain.asset import token_of
from waiaas.domain.decision import After, AmountAtMost, Decision, Outcome, OwnerApproval, PolicyChange, Remedy
from waiaas.domain.policy import Policy, PolicyType, Rules
from waiaas.domain.request import Effect
from waiaas.domain.rules.approvals import ApproveAmountLimit, ApprovedSpenders, ListedSpender
from waiaas.domain.rules.lists import AllowedTokens, ContractWhitelist, ListedContract, ListedToken
from waiaas.domain.rules.spending import AssetLimit, SpendingLimit
from waiaas.domain.tier import Tier
from waiaas.policy.facts import EXPOSURE, Case, Facts
from waiaas.policy.judgement import Judgement, Refused

Judge = Callable[[Case], tuple[Decision, list[Judgement]]]

#: how often the time is moved on to where every rule that refuses opens, until none does
MOST_MOVES = 8


def remedies(case: Case, decision: Decision, judgements: Sequence[Judgement], judge: Judge) -> Iterator[Remedy]:
    """The remedies that `judge` confirms, in the order of api.md."""
    if decision.outcome is Outcome.ALLOW:
        yield from _owner_approval(case, decision, judge)
        return
    yield from _amount_at_most(case, _refusals(judgements), judge)
    yield from _after(case, _refusals(judgements), judge)
    yield from _policy_change(case, judgements, judge)


def _refusals(judgements: Sequence[Judgement]) -> list[Refused]:
    return [judgement.refused for judgement in judgements if judgement.refused]


def _owner_approval(case: Case, decision: Decision, judge: Judge) -> Iterator[Remedy]:
    if Tier.APPROVAL not in (decision.tier, decision.downgraded_from):
        return
    locked = msgspec.structs.replace(case.facts, owner_locked=True)
    if judge(msgspec.structs.replace(case, facts=locked))[0].tier is Tier.APPROVAL:
        yield OwnerApproval()


def _amount_at_most(case: Case, refusals: Sequence[Refused], judge: Judge) -> Iterator[Remedy]:
    rooms = [refused.room for refused in refusals]
    money = [effect for effect in case.facts.effects if effect.kind in EXPOSURE]
    if len(money) != 1 or None in rooms or (asset := money[0].asset) is None:
        return
    least = min(room for room in rooms if room is not None)
    if least > 0 and _allows(judge, _with_amount(case, money[0], least)):
        yield AmountAtMost(asset, str(least))


def _with_amount(case: Case, money: Effect, amount: int) -> Case:
    effects = tuple(
        msgspec.structs.replace(effect, amount=amount) if effect is money else effect for effect in case.facts.effects
    )
    return msgspec.structs.replace(case, facts=msgspec.structs.replace(case.facts, effects=effects))


def _after(case: Case, refusals: Sequence[Refused], judge: Judge) -> Iterator[Remedy]:
    """One rule may open when another has closed again, so each time that is reached is judged."""
    for _ in range(MOST_MOVES):
        times = [refused.opens_at for refused in refusals]
        if not times or None in times:
            return
        at = max(time for time in times if time is not None)
        case = msgspec.structs.replace(case, facts=msgspec.structs.replace(case.facts, now=at))
        decision, judgements = judge(case)
        if decision.outcome is Outcome.ALLOW:
            yield After(at)
            return
        refusals = _refusals(judgements)


def _policy_change(case: Case, judgements: Sequence[Judgement], judge: Judge) -> Iterator[Remedy]:
    denying = {judgement.verdict.type for judgement in judgements if judgement.refused}
    types = [kind for kind in PolicyType if kind in denying]
    if types and _allows(judge, msgspec.structs.replace(case, policies=_widened(case, types))):
        yield from map(PolicyChange, types)


def _widened(case: Case, types: Sequence[PolicyType]) -> tuple[Policy, ...]:
    """The policies with those of the types replaced by ones that refuse nothing of this request."""
    facts = case.facts
    kept = [policy for policy in case.policies if policy.type not in types]
    for kind in types:
        if kind in WIDE:
            rules = WIDE[kind](facts)
            kept.append(Policy("", facts.agent_id, kind, rules, 0, True, False, 0, facts.now, facts.now))
    return tuple(kept)


def _wide_limit(facts: Facts) -> Rules:
    unreachable = AssetLimit(per_transaction=sum(effect.amount or 0 for effect in facts.effects))
    return SpendingLimit(limits=dict.fromkeys(facts.assets(), unreachable))


def _wide_tokens(facts: Facts) -> Rules:
    tokens = (token_of(asset) for asset in facts.assets())
    return AllowedTokens(tuple(ListedToken(address=token) for token in tokens if token is not None))


def _wide_contracts(facts: Facts) -> Rules:
    calls = (effect.counterparty for effect in facts.effects if effect.kind == "CONTRACT_CALL")
    return ContractWhitelist(tuple(ListedContract(address=contract) for contract in dict.fromkeys(calls)))


def _wide_spenders(facts: Facts) -> Rules:
    spenders = (effect.counterparty for effect in facts.effects if effect.kind == "APPROVE")
    return ApprovedSpenders(tuple(ListedSpender(address=spender) for spender in dict.fromkeys(spenders)))


def _no_amount_limit(facts: Facts) -> Rules:
    return ApproveAmountLimit(block_unlimited=False)


#: types of which a policy must be there to allow; without one of any other type nothing is refused by it
WIDE: Mapping[PolicyType, Callable[[Facts], Rules]] = {
    PolicyType.SPENDING_LIMIT: _wide_limit,
    PolicyType.ALLOWED_TOKENS: _wide_tokens,
    PolicyType.CONTRACT_WHITELIST: _wide_contracts,
    PolicyType.APPROVED_SPENDERS: _wide_spenders,
    PolicyType.APPROVE_AMOUNT_LIMIT: _no_amount_limit,
}


def _allows(judge: Judge, case: Case) -> bool:
    return judge(case)[0].outcome is Outcome.ALLOW
