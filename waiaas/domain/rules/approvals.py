"""Rules about letting others spend: APPROVED_SPENDERS, APPROVE_AMOUNT_LIMIT, APPROVE_TIER_OVERRIDE."""

from typing import Any

import msgspec

from waiaas.domain.chain import Chain
from waiaas.domain.fields import Fields, boolean, digits, parse_object
from waiaas.domain.money import LARGEST
from waiaas.domain.rules.lists import Listed, label, place, read_list
from waiaas.domain.tier import Tier


class ListedSpender(Listed, frozen=True, kw_only=True, omit_defaults=True, rename={"max_amount": "maxAmount"}):
    """A spender, and the most it may be let spend of any one token, as digits; the name is for people."""

    name: str | None = None
    max_amount: str | None = None


class ApprovedSpenders(msgspec.Struct, frozen=True):
    """APPROVED_SPENDERS: who may be let spend."""

    spenders: tuple[ListedSpender, ...]


class ApproveAmountLimit(
    msgspec.Struct, frozen=True, kw_only=True, rename={"max_amount": "maxAmount", "block_unlimited": "blockUnlimited"}
):
    """APPROVE_AMOUNT_LIMIT: the most that anybody may be let spend of any one token, as digits."""

    max_amount: str | None = None
    block_unlimited: bool = True


class ApproveTierOverride(msgspec.Struct, frozen=True):
    """APPROVE_TIER_OVERRIDE: how approvals go on, in place of APPROVAL."""

    tier: Tier


def parse_approved_spenders(raw: object, chain: Chain | None) -> ApprovedSpenders:
    """The rules of an APPROVED_SPENDERS; `chain` is the agent's, None for a global one. ValidationFailed lists all."""

    def read(fields: Fields) -> ApprovedSpenders:
        entries = read_list(fields, "spenders", ("address", "name", "max_amount", "chain"))
        return ApprovedSpenders(tuple(_spender(entry, chain) for entry in entries))

    return parse_object(raw, "rules", ("spenders",), read)


def parse_approve_amount_limit(raw: object, chain: Chain | None) -> ApproveAmountLimit:
    """The rules of an APPROVE_AMOUNT_LIMIT; otherwise as `parse_approved_spenders`."""

    def read(fields: Fields) -> ApproveAmountLimit:
        block = fields.read("block_unlimited", boolean)
        return ApproveAmountLimit(max_amount=_amount(fields, chain), block_unlimited=block is not False)

    return parse_object(raw, "rules", ("max_amount", "block_unlimited"), read)


def parse_approve_tier_override(raw: object, chain: Chain | None) -> ApproveTierOverride:
    """The rules of an APPROVE_TIER_OVERRIDE; otherwise as `parse_approved_spenders`."""
    return parse_object(raw, "rules", ("tier",), lambda fields: ApproveTierOverride(fields.need("tier", _tier)))


def _spender(entry: Fields, chain: Chain | None) -> ListedSpender:
    where = place(entry, chain)
    return ListedSpender(**where, name=entry.read("name", label), max_amount=_amount(entry, where["chain"] or chain))


def _amount(fields: Fields, chain: Chain | None) -> str | None:
    most = fields.read("max_amount", digits(LARGEST[chain] if chain else max(LARGEST.values())))
    return None if most is None else str(most)


def _tier(value: Any) -> Tier:
    if value not in list(Tier):
        raise ValueError(f"must be one of {', '.join(Tier)}")
    return Tier(value)
