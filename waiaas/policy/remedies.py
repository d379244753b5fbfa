"""What would pass instead: each remedy is judged like a request before it is offered."""

from collections.abc import Callable, Iterator, Sequence

import msgspec

from waiaas.domain.policy import (
    After,
    AmountAtMost,
    Decision,
    Outcome,
    OwnerApproval,
    Policy,
    PolicyChange,
    PolicyType,
    Remedy,
    Tier,
)
from waiaas.domain.request import Effect
from waiaas.domain.rules import AssetLimit, SpendingLimit
from waiaas.policy.facts import EXPOSURE, Case
from waiaas.policy.judgement import Judgement, Refused

Judge = Callable[[Case], Decision]


def remedies(case: Case, decision: Decision, judgements: Sequence[Judgement], judge: Judge) -> Iterator[Remedy]:
    """The remedies that `judge` confirms, in the order of api.md."""
    if decision.outcome is Outcome.ALLOW:
        yield from _owner_approval(case, decision, judge)
        return
    refusals = [judgement.refused for judgement in judgements if judgement.refused]
    yield from _amount_at_most(case, refusals, judge)
    yield from _after(case, refusals, judge)
    yield from _policy_change(case, judgements, judge)


def _owner_approval(case: Case, decision: Decision, judge: Judge) -> Iterator[Remedy]:
    if Tier.APPROVAL not in (decision.tier, decision.downgraded_from):
        return
    locked = msgspec.structs.replace(case.facts, owner_locked=True)
    if judge(msgspec.structs.replace(case, facts=locked)).tier is Tier.APPROVAL:
        yield OwnerApproval()


def _amount_at_most(case: Case, refusals: Sequence[Refused], judge: Judge) -> Iterator[Remedy]:
    rooms = [refused.room for refused in refusals]
    money = [effect for effect in case.facts.effects if effect.kind in EXPOSURE]
    if len(money) != 1 or None in rooms:
        return
    least = min(room for room in rooms if room is not None)
    if least > 0 and _allows(judge, _with_amount(case, money[0], least)):
        yield AmountAtMost(money[0].asset, str(least))


def _with_amount(case: Case, money: Effect, amount: int) -> Case:
    effects = tuple(
        msgspec.structs.replace(effect, amount=amount) if effect is money else effect for effect in case.facts.effects
    )
    return msgspec.structs.replace(case, facts=msgspec.structs.replace(case.facts, effects=effects))


def _after(case: Case, refusals: Sequence[Refused], judge: Judge) -> Iterator[Remedy]:
    times = [refused.opens_at for refused in refusals]
    if None in times:
        return
    at = max(time for time in times if time is not None)
    if _allows(judge, msgspec.structs.replace(case, facts=msgspec.structs.replace(case.facts, now=at))):
        yield After(at)


def _policy_change(case: Case, judgements: Sequence[Judgement], judge: Judge) -> Iterator[Remedy]:
    denying = {judgement.verdict.type for judgement in judgements if judgement.refused}
    for kind in PolicyType:
        if kind in denying and _allows(judge, msgspec.structs.replace(case, policies=_widened(case, kind))):
            yield PolicyChange(kind)


def _widened(case: Case, type: PolicyType) -> tuple[Policy, ...]:
    """The policies with those of the type replaced by one that caps nothing the request can reach."""
    facts = case.facts
    unreachable = AssetLimit(per_transaction=sum(effect.amount for effect in facts.effects))
    rules = SpendingLimit(limits=dict.fromkeys(facts.assets(), unreachable))
    wide = Policy("", facts.agent_id, type, rules, 0, True, False, 0, facts.now, facts.now)
    return (*(policy for policy in case.policies if policy.type is not type), wide)


def _allows(judge: Judge, case: Case) -> bool:
    return judge(case).outcome is Outcome.ALLOW
