"""What a child session may do: nothing that its parent may not."""

from collections.abc import Collection, Iterator

from waiaas.domain.chain import Chain
from waiaas.domain.session import AssetConstraint, Constraints
from waiaas.errors import ValidationFailed

AMOUNTS = {"max_amount_per_tx": "maxAmountPerTx", "max_total_amount": "maxTotalAmount"}
LISTS = {
    "allowed_operations": "allowedOperations",
    "allowed_destinations": "allowedDestinations",
    "allowed_tokens": "allowedTokens",
    "allowed_contracts": "allowedContracts",
    "allowed_spenders": "allowedSpenders",
}

Issue = tuple[str, str]


def narrowed(given: Constraints, parent: Constraints | None, chain: Chain, *, renewals: int) -> Constraints | None:
    """The child's constraints: each that is given, the parent's where it is not; None if there are none at all.

    `renewals` is what the parent has; a child is never renewed, so that one is compared and not kept. ValidationFailed
    names every constraint that is wider than the parent's, at its field.
    """
    above = parent or Constraints()
    issues = [*_amounts(given, above, chain), *_counts(given, above, renewals), *_lists(given, above)]
    if issues:
        raise ValidationFailed(*((f"constraints.{path}", message) for path, message in issues))
    made = _merged(given, above)
    return None if made == Constraints() else made


def _amounts(given: Constraints, above: Constraints, chain: Chain) -> Iterator[Issue]:
    for path, asset, limit in given.amounts(chain):
        for name, wire_name in AMOUNTS.items():
            most = _least(above, chain, asset, name)
            if (value := getattr(limit, name)) is not None and most is not None and int(value) > most:
                yield f"{path}{wire_name}", f"is more than the parent's {most}"


def _least(above: Constraints, chain: Chain, asset: str, name: str) -> int | None:
    """Native money may be limited at the top and in `limits`: the lower one holds."""
    values = [getattr(limit, name) for _, limited, limit in above.amounts(chain) if limited == asset]
    return min((int(value) for value in values if value is not None), default=None)


def _counts(given: Constraints, above: Constraints, renewals: int) -> Iterator[Issue]:
    counts = (
        ("maxTransactions", given.max_transactions, above.max_transactions),
        ("maxRenewals", given.max_renewals, renewals),
    )
    for path, value, most in counts:
        if value is not None and most is not None and value > most:
            yield path, f"is more than the parent's {most}"


def _lists(given: Constraints, above: Constraints) -> Iterator[Issue]:
    for name, path in LISTS.items():
        value: Collection[str] | None = getattr(given, name)
        allowed: Collection[str] | None = getattr(above, name)
        if value is not None and allowed is not None and (more := [each for each in value if each not in allowed]):
            yield path, f"allows {more[0]}, which the parent's list does not"


def _merged(given: Constraints, above: Constraints) -> Constraints:
    """Field by field, in `limits` asset by asset and amount by amount."""
    names = (*AMOUNTS, "max_transactions", *LISTS)
    fields = {name: getattr(above if getattr(given, name) is None else given, name) for name in names}
    assets = sorted({**(above.limits or {}), **(given.limits or {})})
    limits = {
        asset: _merged_limit((given.limits or {}).get(asset), (above.limits or {}).get(asset)) for asset in assets
    }
    return Constraints(**fields, limits=limits or None)


def _merged_limit(given: AssetConstraint | None, above: AssetConstraint | None) -> AssetConstraint:
    given, above = given or AssetConstraint(), above or AssetConstraint()
    return AssetConstraint(
        max_amount_per_tx=given.max_amount_per_tx or above.max_amount_per_tx,
        max_total_amount=given.max_total_amount or above.max_total_amount,
    )
