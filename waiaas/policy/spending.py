"""SPENDING_LIMIT: cover, caps per transaction and rolling window, and the bounds that set the tier."""

from collections.abc import Iterator

from waiaas.domain.chain import native_asset
from waiaas.domain.decision import Denial, Finding, Sum
from waiaas.domain.ledger import LedgerKind
from waiaas.domain.policy import Policy, PolicyType
from waiaas.domain.rules.spending import WINDOWS, AssetLimit, SpendingLimit
from waiaas.domain.tier import Tier
from waiaas.errors import PolicyDenied, SpendingLimitExceeded
from waiaas.policy.facts import EXPOSURE, OUTFLOW, Case, Facts
from waiaas.policy.judgement import Judgement, Refused, Terms, builtin, by_policy

#: what a caller is told of a window
WINDOW_NAMES = {"hourly_total": "hour", "daily_total": "day", "weekly_total": "week", "monthly_total": "month"}


def cover(case: Case) -> Iterator[Judgement]:
    """Native money moves only where some limit in scope speaks of it, whatever other policies there are."""
    facts, asset = case.facts, native_asset(case.facts.chain)
    if _covered(case, asset):
        return
    for index in dict.fromkeys(effect.index for effect in case.effects("TRANSFER") if effect.asset == asset):
        denial = Denial(asset=asset, requested=str(facts.total(asset, EXPOSURE)))
        verdict = builtin(PolicyType.SPENDING_LIMIT, Finding.DENY, f"no SPENDING_LIMIT in scope covers {asset}")
        yield Judgement(verdict, Refused(code=PolicyDenied.code, denial=denial), index=index)


def caps(case: Case) -> Iterator[Judgement]:
    """Every cap of every policy that speaks of what the request moves, its fee included; equal passes."""
    for policy, rules in case.having(SpendingLimit):
        entries = _entries(rules, case.facts)
        if not entries:
            yield Judgement(by_policy(policy, Finding.NOT_APPLICABLE, "says nothing of what this request moves"))
        for asset, entry in entries:
            yield from _per_transaction(policy, asset, entry, case.facts)
            for name, window_seconds in WINDOWS.items():
                if (limit := getattr(entry, name)) is not None:
                    yield _total(policy, asset, name, window_seconds, limit, case.facts)


def tiers(case: Case) -> Iterator[Judgement]:
    """The tier of every policy that speaks of an asset which is sent, and NOTIFY for a token that none speaks of."""
    for policy, rules in case.having(SpendingLimit):
        for asset, entry in _entries(rules, case.facts):
            if case.facts.moves(asset, OUTFLOW):
                yield _tier(policy, rules, asset, entry, case.facts)
    for token in dict.fromkeys(effect.asset for effect in case.effects("TOKEN_TRANSFER")):
        if token is not None and not _covered(case, token):
            message = f"no SPENDING_LIMIT in scope covers {token}"
            verdict = builtin(PolicyType.SPENDING_LIMIT, Finding.TIER, message, tier=Tier.NOTIFY)
            yield Judgement(verdict, terms=Terms(Tier.NOTIFY))


def seconds(case: Case) -> tuple[int, int]:
    """Delay and time to approve where no asset decides: the longest and the shortest of the limits in scope."""
    delay, timeout = case.facts.default_delay_seconds, case.facts.default_approval_timeout
    limits = [rules for _, rules in case.having(SpendingLimit)]
    return (
        max((rules.delay_seconds or delay for rules in limits), default=delay),
        min((rules.approval_timeout or timeout for rules in limits), default=timeout),
    )


def _covered(case: Case, asset: str) -> bool:
    return any(rules.entry(asset, case.facts.chain) for _, rules in case.having(SpendingLimit))


def _entries(rules: SpendingLimit, facts: Facts) -> list[tuple[str, AssetLimit]]:
    found = ((asset, rules.entry(asset, facts.chain)) for asset in facts.assets())
    return [(asset, entry) for asset, entry in found if entry is not None]


def _item(asset: str, facts: Facts) -> int | None:
    """The item of a batch that alone moves the asset."""
    items = {effect.index for effect in facts.effects if effect.asset == asset and effect.kind in EXPOSURE}
    return items.pop() if len(items) == 1 else None


def _per_transaction(policy: Policy, asset: str, entry: AssetLimit, facts: Facts) -> Iterator[Judgement]:
    if entry.per_transaction is None or not facts.moves(asset, EXPOSURE):
        return
    requested, limit = facts.total(asset, EXPOSURE), entry.per_transaction
    if requested <= limit:
        yield _within(policy, "per_transaction", requested, limit)
        return
    denial = Denial(
        policy_id=policy.id, asset=asset, window="transaction", limit=str(limit), used="0", requested=str(requested)
    )
    message = f"{requested} of {asset} is more than the {limit} that one transaction may move"
    verdict = by_policy(policy, Finding.DENY, message, observed=requested, limit=limit)
    refused = Refused(code=SpendingLimitExceeded.code, denial=denial, room=limit)
    yield Judgement(verdict, refused, index=_item(asset, facts))


def _total(policy: Policy, asset: str, name: str, window_seconds: int, limit: int, facts: Facts) -> Judgement:
    used = facts.book.used(asset, window_seconds, facts.now, without=facts.without)
    fee = facts.fee if asset == native_asset(facts.chain) else 0
    requested = facts.total(asset, EXPOSURE) + fee
    known = (Sum(asset, str(used), window_seconds=window_seconds),)
    if used + requested <= limit:
        return Judgement(_within(policy, name, used + requested, limit).verdict, sums=known)
    opens_at = facts.book.next_release(asset, window_seconds, facts.now, room=limit - requested, without=facts.without)
    denial = Denial(
        policy_id=policy.id,
        asset=asset,
        window=WINDOW_NAMES[name],
        limit=str(limit),
        used=str(used),
        requested=str(requested),
        next_allowed_at=opens_at,
    )
    message = f"{requested} of {asset}, fee included, after {used} in the last {WINDOW_NAMES[name]} would pass {limit}"
    refused = Refused(code=SpendingLimitExceeded.code, denial=denial, room=limit - used - fee, opens_at=opens_at)
    verdict = by_policy(policy, Finding.DENY, message, observed=used + requested, limit=limit)
    return Judgement(verdict, refused, sums=known, index=_item(asset, facts))


def _within(policy: Policy, name: str, observed: int, limit: int) -> Judgement:
    return Judgement(by_policy(policy, Finding.PASS, f"within {name}", observed=observed, limit=limit))


def _tier(policy: Policy, rules: SpendingLimit, asset: str, entry: AssetLimit, facts: Facts) -> Judgement:
    in_flight = facts.book.reserved(asset, LedgerKind.AMOUNT, without=facts.without)
    observed = in_flight + facts.total(asset, OUTFLOW)
    tier, limit, message = bound(entry, observed)
    outcome = Finding.PASS if tier is Tier.INSTANT else Finding.TIER
    verdict = by_policy(policy, outcome, message, tier=tier, observed=observed, limit=limit)
    return Judgement(verdict, terms=_terms(rules, entry, tier, facts), sums=(Sum(asset, str(in_flight)),))


def bound(entry: AssetLimit, observed: int) -> tuple[Tier, int | None, str]:
    """The tier for an amount in flight and requested, the bound that says so, and the sentence for the trace."""
    if entry.instant_max is None or entry.notify_max is None or entry.delay_max is None:
        return Tier.INSTANT, None, "has caps and no bounds"
    if observed <= entry.instant_max:
        return Tier.INSTANT, entry.instant_max, "within instant_max"
    if observed <= entry.notify_max:
        return Tier.NOTIFY, entry.instant_max, "above instant_max, with what is in flight"
    if observed <= entry.delay_max:
        return Tier.DELAY, entry.notify_max, "above notify_max, with what is in flight"
    return Tier.APPROVAL, entry.delay_max, "above delay_max, with what is in flight"


def _terms(rules: SpendingLimit, entry: AssetLimit, tier: Tier, facts: Facts) -> Terms:
    """Seconds of the entry, else of the policy, else (where there are bounds) the installation's."""
    bounded = entry.instant_max is not None
    delay = entry.delay_seconds or rules.delay_seconds or (facts.default_delay_seconds if bounded else None)
    timeout = entry.approval_timeout or rules.approval_timeout or (facts.default_approval_timeout if bounded else None)
    return Terms(tier, delay, timeout)
