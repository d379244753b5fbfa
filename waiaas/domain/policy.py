"""Policies: their types, and the rules of each as they are read, stored and shown."""

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any

import msgspec

from waiaas.domain.chain import Chain
from waiaas.domain.request import canonical
from waiaas.domain.rules.approvals import (
    ApproveAmountLimit,
    ApprovedSpenders,
    ApproveTierOverride,
    parse_approve_amount_limit,
    parse_approve_tier_override,
    parse_approved_spenders,
)
from waiaas.domain.rules.lists import (
    AllowedTokens,
    ContractWhitelist,
    MethodWhitelist,
    Whitelist,
    parse_allowed_tokens,
    parse_contract_whitelist,
    parse_method_whitelist,
    parse_whitelist,
)
from waiaas.domain.rules.spending import SpendingLimit, parse_spending_limit, spending_limit_to_wire
from waiaas.domain.rules.times import (
    AutoStop,
    RateLimit,
    TimeRestriction,
    parse_auto_stop,
    parse_rate_limit,
    parse_time_restriction,
)
from waiaas.domain.tier import Tier as Tier
from waiaas.errors import ValidationFailed


class PolicyType(StrEnum):
    """`policies.type`."""

    SPENDING_LIMIT = "SPENDING_LIMIT"
    WHITELIST = "WHITELIST"
    TIME_RESTRICTION = "TIME_RESTRICTION"
    RATE_LIMIT = "RATE_LIMIT"
    ALLOWED_TOKENS = "ALLOWED_TOKENS"
    CONTRACT_WHITELIST = "CONTRACT_WHITELIST"
    METHOD_WHITELIST = "METHOD_WHITELIST"
    APPROVED_SPENDERS = "APPROVED_SPENDERS"
    APPROVE_AMOUNT_LIMIT = "APPROVE_AMOUNT_LIMIT"
    APPROVE_TIER_OVERRIDE = "APPROVE_TIER_OVERRIDE"
    AUTO_STOP = "AUTO_STOP"


Rules = (
    SpendingLimit
    | Whitelist
    | TimeRestriction
    | RateLimit
    | AllowedTokens
    | ContractWhitelist
    | MethodWhitelist
    | ApprovedSpenders
    | ApproveAmountLimit
    | ApproveTierOverride
    | AutoStop
)

PARSERS: Mapping[PolicyType, Callable[[object, Chain | None], Rules]] = {
    PolicyType.SPENDING_LIMIT: parse_spending_limit,
    PolicyType.WHITELIST: parse_whitelist,
    PolicyType.TIME_RESTRICTION: parse_time_restriction,
    PolicyType.RATE_LIMIT: parse_rate_limit,
    PolicyType.ALLOWED_TOKENS: parse_allowed_tokens,
    PolicyType.CONTRACT_WHITELIST: parse_contract_whitelist,
    PolicyType.METHOD_WHITELIST: parse_method_whitelist,
    PolicyType.APPROVED_SPENDERS: parse_approved_spenders,
    PolicyType.APPROVE_AMOUNT_LIMIT: parse_approve_amount_limit,
    PolicyType.APPROVE_TIER_OVERRIDE: parse_approve_tier_override,
    PolicyType.AUTO_STOP: parse_auto_stop,
}

#: the types of which an agent's policy may set aside the global ones
OVERRIDABLE = frozenset(
    {
        PolicyType.WHITELIST,
        PolicyType.ALLOWED_TOKENS,
        PolicyType.CONTRACT_WHITELIST,
        PolicyType.METHOD_WHITELIST,
        PolicyType.APPROVED_SPENDERS,
        PolicyType.APPROVE_AMOUNT_LIMIT,
        PolicyType.APPROVE_TIER_OVERRIDE,
    }
)


class Policy(msgspec.Struct, frozen=True):
    """A row of `policies`, its rules parsed; `agent_id` None means every agent, each by itself."""

    id: str
    agent_id: str | None
    type: PolicyType
    rules: Rules
    priority: int
    enabled: bool
    override: bool
    version: int
    created_at: int
    updated_at: int


def canonical_type(text: str) -> PolicyType:
    """The type of that name or 1.4.1 alias; ValidationFailed at `type`."""
    try:
        return PolicyType.WHITELIST if text == "ALLOWED_ADDRESSES" else PolicyType(text)
    except ValueError:
        raise ValidationFailed(("type", f"must be one of {', '.join(PolicyType)}")) from None


def parse_rules(type: PolicyType, raw: Mapping[str, Any], *, chain: Chain | None) -> Rules:
    """Rules as sent; `chain` is the agent's, None for a global policy. ValidationFailed names every issue."""
    return PARSERS[type](raw, chain)


def check_override(type: PolicyType, *, agent_id: str | None, override: bool) -> None:
    """ValidationFailed at `override` where setting global policies aside is not possible."""
    if override and (agent_id is None or type not in OVERRIDABLE):
        raise ValidationFailed(("override", "is only for an agent's policy of a type that holds a list"))


def rules_to_wire(rules: Rules) -> dict[str, Any]:
    """Rules as they are shown: keys as api.md spells them, amounts as digit strings, absent ones left out."""
    if isinstance(rules, SpendingLimit):
        return spending_limit_to_wire(rules)
    return {key: value for key, value in msgspec.to_builtins(rules).items() if value is not None}


def encode_rules(rules: Rules) -> bytes:
    """Canonical JSON for `policies.rules`."""
    return canonical(rules_to_wire(rules))


def decode_rules(type: PolicyType, text: str | bytes) -> Rules:
    """The rules of a stored policy; msgspec.DecodeError or ValidationFailed if the column is not what was written."""
    return parse_rules(type, msgspec.json.decode(text, type=dict[str, Any]), chain=None)
