"""Policies about letting others spend: APPROVED_SPENDERS, APPROVE_AMOUNT_LIMIT, APPROVE_TIER_OVERRIDE."""

from collections.abc import Iterator

import msgspec

from waiaas.domain.calldata import INCREASE_ALLOWANCE
from waiaas.domain.decision import Finding, RuleVerdict
from waiaas.domain.money import LARGEST
from waiaas.domain.policy import Policy, PolicyType
from waiaas.domain.request import Effect
from waiaas.domain.rules.approvals import ApproveAmountLimit, ApprovedSpenders, ApproveTierOverride
from waiaas.domain.tier import Tier
from waiaas.errors import ApproveAmountExceeded, ApproveDisabled, SpenderNotApproved, UnlimitedApproveBlocked
from waiaas.policy.facts import Case
from waiaas.policy.judgement import Judgement, Subject, Terms, builtin, by_policy, refusal, without_list
from waiaas.policy.spending import seconds


class Grant(msgspec.Struct, frozen=True):
    """A spender that is let spend: `standing` is what it may take afterwards, `before` what of that it could before."""

    effect: Effect
    before: int
    standing: int


def approved_spenders(case: Case) -> Iterator[Judgement]:
    """Every spender must be listed, for at most its amount; taking a grant back always passes."""
    granted = grants(case)
    lists = case.having(ApprovedSpenders)
    if not lists:
        asked = [Subject(grant.effect.counterparty, grant.effect.index) for grant in granted]
        yield from without_list(PolicyType.APPROVED_SPENDERS, asked, ApproveDisabled.code)
    for policy, rules in lists:
        if not granted:
            yield Judgement(by_policy(policy, Finding.NOT_APPLICABLE, "lets nobody spend"))
        for grant in granted:
            yield _spender(policy, rules, grant, case)


def approve_amount_limit(case: Case) -> Iterator[Judgement]:
    """No grant above the amount; none without limit, unless every policy in scope says that it may be."""
    granted = grants(case)
    limits = case.having(ApproveAmountLimit)
    if not limits:
        for grant in granted:
            if grant.standing >= unlimited_from(case):
                message = f"{grant.standing} is as good as no limit, and no APPROVE_AMOUNT_LIMIT policy is in force"
                verdict = builtin(PolicyType.APPROVE_AMOUNT_LIMIT, Finding.DENY, message, observed=str(grant.standing))
                yield _too_much(verdict, grant, unlimited_from(case) - 1, UnlimitedApproveBlocked.code)
    for policy, rules in limits:
        if not granted:
            yield Judgement(by_policy(policy, Finding.NOT_APPLICABLE, "lets nobody spend"))
        for grant in granted:
            yield _limited(policy, rules, grant, case)


def approve_tiers(case: Case) -> Iterator[Judgement]:
    """A grant needs the owner, or what the strictest APPROVE_TIER_OVERRIDE says; taking one back needs nobody."""
    if not grants(case):
        if case.effects("APPROVE"):
            yield Judgement(builtin("REVOKE", Finding.PASS, "takes back what was granted", tier=Tier.INSTANT))
        return
    overrides = case.having(ApproveTierOverride)
    if not overrides:
        verdict = builtin("APPROVE", Finding.TIER, "lets another spend", tier=Tier.APPROVAL)
        yield Judgement(verdict, terms=Terms(Tier.APPROVAL, *seconds(case)))
    for policy, rules in overrides:
        outcome = Finding.PASS if rules.tier is Tier.INSTANT else Finding.TIER
        verdict = by_policy(policy, outcome, "the tier of approvals", tier=rules.tier)
        yield Judgement(verdict, terms=Terms(rules.tier, *seconds(case)))


def grants(case: Case) -> list[Grant]:
    """Every APPROVE of more than 0, in order; an increase stands upon what the spender could take before it."""
    facts = case.facts
    standing: dict[tuple[str | None, str], int] = {}
    found = []
    for effect in case.effects("APPROVE"):
        place, amount, before = (effect.asset, effect.counterparty), effect.amount or 0, 0
        if effect.selector == INCREASE_ALLOWANCE:
            booked = facts.book.allowance(effect.asset or "", effect.counterparty, without=facts.without)
            before = max(booked, standing.get(place, 0))
        standing[place] = before + amount
        if amount:
            found.append(Grant(effect, before, before + amount))
    return found


def unlimited_from(case: Case) -> int:
    """The smallest amount that counts as no limit: half of what the chain can say."""
    return LARGEST[case.facts.chain] // 2


def _spender(policy: Policy, rules: ApprovedSpenders, grant: Grant, case: Case) -> Judgement:
    spender, index = grant.effect.counterparty, grant.effect.index
    entries = [entry for entry in rules.spenders if entry.means(spender, case.facts.chain)]
    if not entries:
        verdict = by_policy(policy, Finding.DENY, f"{spender} is not on the list", observed=spender)
        return refusal(verdict, SpenderNotApproved.code, index=index)
    most = min((int(entry.max_amount) for entry in entries if entry.max_amount is not None), default=None)
    if most is not None and grant.standing > most:
        return _above(policy, grant, most)
    return Judgement(by_policy(policy, Finding.PASS, "on the list", observed=spender))


def _limited(policy: Policy, rules: ApproveAmountLimit, grant: Grant, case: Case) -> Judgement:
    most = None if rules.max_amount is None else int(rules.max_amount)
    if rules.block_unlimited and grant.standing >= unlimited_from(case):
        message = f"{grant.standing} is as good as no limit, which is blocked"
        verdict = by_policy(policy, Finding.DENY, message, observed=grant.standing, limit=most)
        room = unlimited_from(case) - 1 if most is None else min(most, unlimited_from(case) - 1)
        return _too_much(verdict, grant, room, UnlimitedApproveBlocked.code)
    if most is not None and grant.standing > most:
        return _above(policy, grant, most)
    verdict = by_policy(policy, Finding.PASS, "within the amount", observed=grant.standing, limit=most)
    return Judgement(verdict)


def _above(policy: Policy, grant: Grant, most: int) -> Judgement:
    message = f"{grant.effect.counterparty} could take {grant.standing}, which is more than {most}"
    verdict = by_policy(policy, Finding.DENY, message, observed=grant.standing, limit=most)
    return _too_much(verdict, grant, most, ApproveAmountExceeded.code)


def _too_much(verdict: RuleVerdict, grant: Grant, most: int, code: str) -> Judgement:
    return refusal(verdict, code, index=grant.effect.index, room=most - grant.before)
