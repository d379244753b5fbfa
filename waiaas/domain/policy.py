"""Policies and what they decide: tiers, rules, and a decision with its trace and remedies."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import msgspec

from waiaas.domain.chain import Chain
from waiaas.domain.request import canonical
from waiaas.domain.rules import SpendingLimit, parse_spending_limit, spending_limit_to_wire
from waiaas.errors import ValidationFailed


class Tier(StrEnum):
    """How a request that is allowed goes on, in rising severity."""

    #: at once
    INSTANT = "INSTANT"
    #: at once, and the channels hear of it
    NOTIFY = "NOTIFY"
    #: after a delay in which it can be cancelled
    DELAY = "DELAY"
    #: after the owner's signature
    APPROVAL = "APPROVAL"

    @property
    def severity(self) -> int:
        """0 for INSTANT to 3 for APPROVAL."""
        return _SEVERITY[self]


_SEVERITY = {tier: place for place, tier in enumerate(Tier)}


def stricter(first: Tier, second: Tier) -> Tier:
    """The more severe of two tiers."""
    return first if first.severity >= second.severity else second


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


Rules = SpendingLimit

#: the types this version can enforce; any other is refused, because a stored rule that nothing obeys is a lie
ENFORCED = (PolicyType.SPENDING_LIMIT,)

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
    if type not in ENFORCED:
        raise ValidationFailed(("type", f"is not enforced by this version, which knows {', '.join(ENFORCED)}"))
    return parse_spending_limit(raw, chain=chain)


def check_override(type: PolicyType, *, agent_id: str | None, override: bool) -> None:
    """ValidationFailed at `override` where setting global policies aside is not possible."""
    if override and (agent_id is None or type not in OVERRIDABLE):
        raise ValidationFailed(("override", "is only for an agent's policy of a type that holds a list"))


def rules_to_wire(rules: Rules) -> dict[str, Any]:
    """Rules as they are shown: snake_case keys, amounts as digit strings, absent ones left out."""
    return spending_limit_to_wire(rules)


def encode_rules(rules: Rules) -> bytes:
    """Canonical JSON for `policies.rules`."""
    return canonical(rules_to_wire(rules))


def decode_rules(type: PolicyType, text: str | bytes) -> Rules:
    """The rules of a stored policy; msgspec.DecodeError or ValidationFailed if the column is not what was written."""
    return parse_rules(type, msgspec.json.decode(text, type=dict[str, Any]), chain=None)


class Outcome(StrEnum):
    """Whether a request may go on."""

    ALLOW = "allow"
    DENY = "deny"


class Finding(StrEnum):
    """What one rule says of a request."""

    PASS = "pass"
    #: passes, and raises the tier
    TIER = "tier"
    DENY = "deny"
    NOT_APPLICABLE = "not_applicable"


class Scope(StrEnum):
    """Whose rule it is."""

    AGENT = "agent"
    GLOBAL = "global"
    SESSION = "session"
    BUILTIN = "builtin"


#: rules whose limit is a list, which a refused caller is not told
LISTS = frozenset(
    {
        "allowedOperations",
        "allowedDestinations",
        "allowedTokens",
        "allowedContracts",
        "allowedSpenders",
        PolicyType.WHITELIST,
        PolicyType.ALLOWED_TOKENS,
        PolicyType.CONTRACT_WHITELIST,
        PolicyType.METHOD_WHITELIST,
        PolicyType.APPROVED_SPENDERS,
    }
)


class RuleVerdict(msgspec.Struct, frozen=True, rename="camel"):
    """One line of the trace: a policy, session constraint or built-in rule; observed and limit in the rule's units."""

    policy_id: str | None
    type: str
    scope: Scope
    outcome: Finding
    tier: Tier | None
    observed: str | None
    limit: str | None
    message: str


class AmountAtMost(msgspec.Struct, frozen=True, tag="amount_at_most", tag_field="kind"):
    """This much of the asset would pass now."""

    asset: str
    value: str


class After(msgspec.Struct, frozen=True, tag="after", tag_field="kind"):
    """The same request would pass from then on if nothing else happens."""

    at: int


class OwnerApproval(msgspec.Struct, frozen=True, tag="owner_approval", tag_field="kind"):
    """The owner's signature lets it pass."""


class PolicyChange(msgspec.Struct, frozen=True, tag="policy_change", tag_field="kind"):
    """A wider policy of that type would let it pass."""

    type: PolicyType


Remedy = AmountAtMost | After | OwnerApproval | PolicyChange


class Denial(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """The facts of the first denial, for `details` of the refusal."""

    policy_id: str | None = None
    asset: str | None = None
    window: str | None = None
    limit: str | None = None
    used: str | None = None
    requested: str | None = None
    next_allowed_at: int | None = None
    constraint: str | None = None
    session_id: str | None = None
    observed: str | None = None


class JudgedEffect(msgspec.Struct, frozen=True):
    """An effect as it was judged, its amount in digits."""

    kind: str
    counterparty: str
    asset: str
    amount: str


class Sum(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """A sum that was looked up: used in the window, or (no window) the AMOUNT in flight; of a session where named."""

    asset: str
    value: str
    window_seconds: int | None = None
    session_id: str | None = None


class UsedFacts(msgspec.Struct, frozen=True, rename="camel"):
    """What was known when the decision was made."""

    now: int
    fee: str
    owner_locked: bool
    ledger_version: int
    sums: tuple[Sum, ...]


class Decision(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What was decided and why; stored as canonical JSON in `transactions.decision`, complete in itself."""

    outcome: Outcome
    tier: Tier | None
    code: str | None
    reason: str | None
    policy_id: str | None
    downgraded_from: Tier | None
    rules: tuple[RuleVerdict, ...]
    remedies: tuple[Remedy, ...]
    #: given for the tier DELAY
    delay_seconds: int | None
    #: given for the tier APPROVAL
    approval_timeout: int | None
    policy_version: int
    effects: tuple[JudgedEffect, ...]
    facts: UsedFacts
    denial: Denial | None


WIRE = ("outcome", "tier", "code", "reason", "policyId", "downgradedFrom", "rules", "remedies")


def decode_decision(text: str | bytes) -> Decision:
    """A stored decision; msgspec.ValidationError if it is not one."""
    return msgspec.json.decode(text, type=Decision)


def wire(decision: Decision, *, show_lists: bool) -> dict[str, Any]:
    """The decision as api.md's object; without `show_lists` the rules that hold a list do not tell it."""
    whole = msgspec.to_builtins(decision)
    shown = {key: whole[key] for key in WIRE}
    if not show_lists:
        shown["rules"] = [rule | {"limit": None} if rule["type"] in LISTS else rule for rule in whole["rules"]]
    return shown


def details(decision: Decision) -> dict[str, Any]:
    """What a refusal says beside the decision: the cap with its window and sums, or the session's constraint."""
    if decision.denial is None:
        return {}
    told: dict[str, Any] = dict(msgspec.to_builtins(decision.denial))
    if decision.denial.window is not None:
        told.setdefault("nextAllowedAt", None)
    if decision.denial.constraint is not None:
        told.setdefault("limit", None)
    return told
