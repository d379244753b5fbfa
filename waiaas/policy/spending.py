"""SPENDING_LIMIT: cover, caps per transaction and rolling window, and the bounds that set the tier."""

from collections.abc import Iterator

from waiaas.domain.chain import native_asset
from waiaas.domain.ledger import LedgerKind
from waiaas.domain.policy import Denial, Finding, Policy, PolicyType, Sum, Tier
from waiaas.domain.rules import WINDOWS, AssetLimit
from waiaas.errors import PolicyDenied, SpendingLimitExceeded
from waiaas.policy.facts import EXPOSURE, OUTFLOW, Case, Facts
from waiaas.policy.judgement import Judgement, Refused, Terms, builtin, by_policy

#: what a caller is told of a window
WINDOW_NAMES = {"hourly_total": "hour", "daily_total": "day", "weekly_total": "week", "monthly_total": "month"}


def cover(case: Case) -> Iterator[Judgement]:
    """Native money moves only where some limit in scope speaks of it, whatever other policies there are."""
    facts, asset = case.facts, native_asset(case.facts.chain)
    covered = any(policy.rules.entry(asset, facts.chain) for policy in _limits(case))
    if facts.moves(asset, frozenset({"TRANSFER"})) and not covered:
        denial = Denial(asset=asset, requested=str(facts.total(asset, EXPOSURE)))
        message = f"no SPENDING_LIMIT in scope covers {asset}"
        refused = Refused(code=PolicyDenied.code, denial=denial)
        yield Judgement(builtin(PolicyType.SPENDING_LIMIT, Finding.DENY, message), refused)


def caps(case: Case) -> Iterator[Judgement]:
    """Every cap of every policy that speaks of what the request moves, its fee included; equal passes."""
    for policy in _limits(case):
        entries = _entries(policy, case.facts)
        if not entries:
            yield Judgement(by_policy(policy, Finding.NOT_APPLICABLE, "says nothing of what this request moves"))
        for asset, entry in entries:
            yield from _per_transaction(policy, asset, entry, case.facts)
            for name, window_seconds in WINDOWS.items():
                if (limit := getattr(entry, name)) is not None:
                    yield _total(policy, asset, name, window_seconds, limit, case.facts)


def tiers(case: Case) -> Iterator[Judgement]:
    """The tier of every policy that speaks of an asset the request sends: the smallest bound that holds."""
    for policy in _limits(case):
        for asset, entry in _entries(policy, case.facts):
            if case.facts.moves(asset, OUTFLOW):
                yield _tier(policy, asset, entry, case.facts)


def _limits(case: Case) -> Iterator[Policy]:
    return (policy for policy in case.policies if policy.type is PolicyType.SPENDING_LIMIT)


def _entries(policy: Policy, facts: Facts) -> list[tuple[str, AssetLimit]]:
    found = ((asset, policy.rules.entry(asset, facts.chain)) for asset in facts.assets())
    return [(asset, entry) for asset, entry in found if entry is not None]


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
    yield Judgement(verdict, Refused(code=SpendingLimitExceeded.code, denial=denial, room=limit))


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
    return Judgement(verdict, refused, sums=known)


def _within(policy: Policy, name: str, observed: int, limit: int) -> Judgement:
    return Judgement(by_policy(policy, Finding.PASS, f"within {name}", observed=observed, limit=limit))


def _tier(policy: Policy, asset: str, entry: AssetLimit, facts: Facts) -> Judgement:
    in_flight = facts.book.reserved(asset, LedgerKind.AMOUNT, without=facts.without)
    observed = in_flight + facts.total(asset, OUTFLOW)
    tier, limit, message = bound(entry, observed)
    outcome = Finding.PASS if tier is Tier.INSTANT else Finding.TIER
    verdict = by_policy(policy, outcome, message, tier=tier, observed=observed, limit=limit)
    return Judgement(verdict, terms=_terms(policy, entry, tier, facts), sums=(Sum(asset, str(in_flight)),))


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


def _terms(policy: Policy, entry: AssetLimit, tier: Tier, facts: Facts) -> Terms:
    """Seconds of the entry, else of the policy, else (where there are bounds) the installation's."""
    rules, bounded = policy.rules, entry.instant_max is not None
    delay = entry.delay_seconds or rules.delay_seconds or (facts.default_delay_seconds if bounded else None)
    timeout = entry.approval_timeout or rules.approval_timeout or (facts.default_approval_timeout if bounded else None)
    return Terms(tier, delay, timeout)
