"""What a SPENDING_LIMIT says: bounds and caps per asset, read strictly and written canonically."""

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

import msgspec

from waiaas.domain.asset import chain_of_asset, parse_asset
from waiaas.domain.chain import Chain, native_asset
from waiaas.domain.fields import Fields, digits, integer
from waiaas.domain.money import LARGEST
from waiaas.errors import ValidationFailed

BOUNDS = ("instant_max", "notify_max", "delay_max")
#: a rolling total and the seconds it looks back
WINDOWS = {"hourly_total": 3600, "daily_total": 86400, "weekly_total": 604800, "monthly_total": 2592000}
CAPS = ("per_transaction", *WINDOWS)
SECONDS = {"delay_seconds": (1, 604800), "approval_timeout": (60, 604800)}
AMOUNTS = (*BOUNDS, *CAPS)


class AssetLimit(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of the tiers and caps for one asset, in base units; the bounds are all given or all None."""

    instant_max: int | None = None
    notify_max: int | None = None
    delay_max: int | None = None
    per_transaction: int | None = None
    hourly_total: int | None = None
    daily_total: int | None = None
    weekly_total: int | None = None
    monthly_total: int | None = None
    delay_seconds: int | None = None
    approval_timeout: int | None = None

    @property
    def limits_something(self) -> bool:
        """Whether a bound or a cap is given; without one there is nothing to allow by."""
        return any(getattr(self, name) is not None for name in AMOUNTS)


class SpendingLimit(AssetLimit, frozen=True, kw_only=True):
    """The rules of a SPENDING_LIMIT: its own values are for native money unless `limits` names that."""

    limits: Mapping[str, AssetLimit] = {}

    def entry(self, asset: str, chain: Chain) -> AssetLimit | None:
        """What limits this asset for an agent of that chain; None if nothing here does."""
        if found := self.limits.get(asset):
            return found
        return self if asset == native_asset(chain) and self.limits_something else None


def parse_spending_limit(raw: object, chain: Chain | None) -> SpendingLimit:
    """The rules of a SPENDING_LIMIT; `chain` is the agent's, None for a global one. ValidationFailed lists all issues.

    Keys are taken in snake_case and camelCase; amounts are digit strings no larger than the asset's chain can carry.
    """
    issues: list[tuple[str, str]] = []
    fields = Fields(raw, "rules", (*AMOUNTS, *SECONDS, "limits"), issues)
    largest = LARGEST[chain] if chain else max(LARGEST.values())
    limits = dict(_parse_limits(fields, issues))
    rules = SpendingLimit(**_parse_entry(fields, largest), limits=limits)
    if not issues and not limits and not rules.limits_something:
        fields.refuse(None, "must give at least one bound or cap, here or in limits")
    if issues:
        raise ValidationFailed(*issues)
    return rules


def spending_limit_to_wire(rules: SpendingLimit) -> dict[str, Any]:
    """The rules as JSON: snake_case keys, amounts as digit strings, what is absent left out."""
    wire = _entry_to_wire(rules)
    if rules.limits:
        wire["limits"] = {asset: _entry_to_wire(entry) for asset, entry in rules.limits.items()}
    return wire


def _parse_entry(fields: Fields, largest: int) -> dict[str, int | None]:
    entry = {name: fields.read(name, digits(largest)) for name in AMOUNTS}
    entry |= {name: fields.read(name, integer(*bounds)) for name, bounds in SECONDS.items()}
    _check_bounds(fields, entry)
    return entry


def _check_bounds(fields: Fields, entry: Mapping[str, int | None]) -> None:
    given = [name for name in BOUNDS if fields.get(name) is not None]
    if given and len(given) < len(BOUNDS):
        for name in BOUNDS:
            if name not in given:
                fields.refuse(name, "must be given: instant_max, notify_max and delay_max stand together or not at all")
        return
    for lower, upper in pairwise(BOUNDS):
        low, high = entry[lower], entry[upper]
        if low is not None and high is not None and high < low:
            fields.refuse(upper, f"must be at least {lower}")


def _parse_limits(fields: Fields, issues: list[tuple[str, str]]) -> Iterator[tuple[str, AssetLimit]]:
    seen: set[str] = set()
    for name, value in fields.entries("limits", "assets"):
        path = f"{fields.path('limits')}.{name[:80]}"
        try:
            asset = parse_asset(name)
        except ValueError as error:
            issues.append((path, str(error)))
            continue
        if asset in seen:
            issues.append((path, "names the same asset as another entry"))
        seen.add(asset)
        yield asset, _parse_asset_limit(value, path, asset, issues)


def _parse_asset_limit(raw: object, path: str, asset: str, issues: list[tuple[str, str]]) -> AssetLimit:
    before = len(issues)
    inner = Fields(raw, path, (*AMOUNTS, *SECONDS), issues)
    entry = AssetLimit(**_parse_entry(inner, LARGEST[chain_of_asset(asset)]))
    if len(issues) == before and not entry.limits_something:
        inner.refuse(None, "must give at least one bound or cap")
    return entry


def _entry_to_wire(entry: AssetLimit) -> dict[str, Any]:
    amounts = {name: str(value) for name in AMOUNTS if (value := getattr(entry, name)) is not None}
    seconds = {name: value for name in SECONDS if (value := getattr(entry, name)) is not None}
    return amounts | seconds
