"""A session: a bearer token's right to act for one agent, and the constraints it lives under."""

from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from waiaas.domain.asset import chain_of_asset, parse_asset
from waiaas.domain.chain import Chain, native_asset
from waiaas.domain.event import About
from waiaas.domain.fields import Fields, digits, integer
from waiaas.domain.money import LARGEST
from waiaas.domain.transaction import TransactionType
from waiaas.errors import ValidationFailed

#: canonicalises an address of the agent's chain; ValueError says why it is none
Canonical = Callable[[str], str]

LONGEST_LIST = 200
AMOUNTS = ("max_amount_per_tx", "max_total_amount")
ADDRESSES = ("allowed_destinations", "allowed_tokens", "allowed_contracts", "allowed_spenders")
COUNTS = {"max_transactions": (1, 1_000_000), "max_renewals": (0, 100)}


class AssetConstraint(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """The most of one asset, per transaction and in all, as digits in base units."""

    max_amount_per_tx: str | None = None
    max_total_amount: str | None = None


class Constraints(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """What a session may do; None is no limit. The amounts at the top are of native money, fees not counted."""

    max_amount_per_tx: str | None = None
    max_total_amount: str | None = None
    limits: dict[str, AssetConstraint] | None = None
    max_transactions: int | None = None
    allowed_operations: tuple[TransactionType, ...] | None = None
    allowed_destinations: tuple[str, ...] | None = None
    allowed_tokens: tuple[str, ...] | None = None
    allowed_contracts: tuple[str, ...] | None = None
    allowed_spenders: tuple[str, ...] | None = None
    max_renewals: int | None = None

    def amounts(self, chain: Chain) -> Iterator[tuple[str, str, AssetConstraint]]:
        """Path, asset and limits of every amount that is limited: the native ones first, then by asset."""
        if self.max_amount_per_tx is not None or self.max_total_amount is not None:
            own = AssetConstraint(max_amount_per_tx=self.max_amount_per_tx, max_total_amount=self.max_total_amount)
            yield "", native_asset(chain), own
        for asset, limit in sorted((self.limits or {}).items()):
            yield f"limits.{asset}.", asset, limit

    @property
    def has_totals(self) -> bool:
        """Whether anything here is judged by what was spent before."""
        limits = (self.limits or {}).values()
        return self.max_total_amount is not None or any(limit.max_total_amount is not None for limit in limits)


class Session(msgspec.Struct, frozen=True):
    """A row of `sessions`; only the SHA-256 of the token is known."""

    id: str
    agent_id: str
    parent_id: str | None
    name: str | None
    token_hash: str
    constraints: Constraints | None
    expires_at: int
    absolute_expires_at: int
    renewal_count: int
    max_renewals: int
    last_renewed_at: int | None
    revoked_at: int | None
    created_at: int
    #: when it was told that its renewals or its life come to an end
    expiring_noted_at: int | None = None

    @property
    def about(self) -> About:
        return About(self.agent_id, self.id)


def parse_constraints(raw: object, chain: Chain, address: Canonical) -> Constraints:
    """Constraints as sent, for an agent of that chain; ValidationFailed names every issue."""
    issues: list[tuple[str, str]] = []
    fields = Fields(raw, "constraints", Constraints.__struct_encode_fields__, issues)
    values: dict[str, Any] = {name: _read_amount(fields, name, chain) for name in AMOUNTS}
    values |= {name: fields.read(_wire_name(name), integer(*bounds)) for name, bounds in COUNTS.items()}
    values["allowed_operations"] = fields.read("allowedOperations", _operations)
    for name in ADDRESSES:
        values[name] = _read_addresses(fields, _wire_name(name), address)
    values["limits"] = dict(_read_limits(fields, chain, issues)) or None
    if issues:
        raise ValidationFailed(*issues)
    return Constraints(**values)


def decode_constraints(text: str | bytes) -> Constraints:
    """The constraints of a stored session; msgspec.ValidationError if the column is not what was written."""
    return msgspec.json.decode(text, type=Constraints)


_WIRE_NAMES = dict(zip(Constraints.__struct_fields__, Constraints.__struct_encode_fields__, strict=True))


def _wire_name(name: str) -> str:
    return _WIRE_NAMES[name]


def _read_amount(fields: Fields, name: str, chain: Chain) -> str | None:
    amount = fields.read(_wire_name(name), digits(LARGEST[chain]))
    return None if amount is None else str(amount)


def _operations(value: Any) -> tuple[TransactionType, ...]:
    known = list(TransactionType)
    if not isinstance(value, list) or not value or any(item not in known for item in value):
        raise ValueError(f"must be a list of {', '.join(TransactionType)}")
    return tuple(TransactionType(item) for item in dict.fromkeys(value))


def _read_addresses(fields: Fields, name: str, address: Canonical) -> tuple[str, ...] | None:
    value = fields.get(name)
    if value is None:
        return None
    if not isinstance(value, list) or not 1 <= len(value) <= LONGEST_LIST:
        fields.refuse(name, f"must be a list of 1 to {LONGEST_LIST} addresses")
        return None
    found = (_read_address(fields, f"{name}.{index}", item, address) for index, item in enumerate(value))
    return tuple(dict.fromkeys(item for item in found if item is not None))


def _read_address(fields: Fields, name: str, value: Any, address: Canonical) -> str | None:
    if not isinstance(value, str):
        fields.refuse(name, "must be an address")
        return None
    try:
        return address(value)
    except ValueError as error:
        fields.refuse(name, str(error))
        return None


def _read_limits(fields: Fields, chain: Chain, issues: list[tuple[str, str]]) -> Iterator[tuple[str, AssetConstraint]]:
    seen: set[str] = set()
    for name, value in fields.entries("limits", "assets"):
        inner = Fields(value, fields.path(f"limits.{name[:80]}"), AssetConstraint.__struct_encode_fields__, issues)
        asset = _own_asset(inner, name, chain)
        if asset in seen:
            inner.refuse(None, "names the same asset as another entry")
        seen.add(asset)
        limit = AssetConstraint(**{key: _read_amount(inner, key, chain) for key in AMOUNTS})
        if limit == AssetConstraint():
            inner.refuse(None, "must give maxAmountPerTx or maxTotalAmount")
        yield asset, limit


def _own_asset(inner: Fields, name: str, chain: Chain) -> str:
    try:
        asset = parse_asset(name)
    except ValueError as error:
        inner.refuse(None, str(error))
        return name
    if chain_of_asset(asset) is not chain:
        inner.refuse(None, f"is not an asset of {chain}")
    return asset
