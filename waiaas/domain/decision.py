"""What is decided about a request: the outcome, its trace and its remedies; stored, and shown in part."""

from enum import StrEnum
from typing import Any

import msgspec

from waiaas.domain.policy import PolicyType
from waiaas.domain.tier import Tier
from waiaas.errors import RateLimitExceeded


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
    """A wider policy of that type would let it pass; where several types are named, all of them have to be."""

    type: PolicyType


Remedy = AmountAtMost | After | OwnerApproval | PolicyChange


class Violation(msgspec.Struct, frozen=True):
    """Why a batch is refused: the item by its index and type, or (no index, type BATCH) the batch as a whole."""

    index: int | None
    type: str
    code: str
    reason: str


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
    violations: tuple[Violation, ...] | None = None


class JudgedEffect(msgspec.Struct, frozen=True, omit_defaults=True):
    """An effect as it was judged, its amount in digits."""

    kind: str
    counterparty: str
    asset: str | None = None
    amount: str | None = None
    selector: str | None = None
    decoded: bool = True
    index: int | None = None


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


def retry_after(decision: Decision) -> int | None:
    """Seconds for Retry-After, at least 1, of a refusal by rate; None for any other."""
    if decision.code != RateLimitExceeded.code or decision.denial is None or decision.denial.next_allowed_at is None:
        return None
    return max(1, decision.denial.next_allowed_at - decision.facts.now)


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
