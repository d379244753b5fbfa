"""What a decision is made from besides the request and the policies: facts, read beforehand."""

from collections.abc import Iterable, Mapping
from typing import TypeVar

import msgspec

from waiaas.domain.chain import Chain, native_asset
from waiaas.domain.ledger import Book
from waiaas.domain.policy import Policy, Rules
from waiaas.domain.request import Effect, Request
from waiaas.domain.rules.times import RateLimit
from waiaas.domain.session import Constraints
from waiaas.domain.tally import Times

#: effects that move money out now
OUTFLOW = frozenset({"TRANSFER", "TOKEN_TRANSFER"})
#: effects that let money out, now or later by another's hand
EXPOSURE = OUTFLOW | {"APPROVE"}

R = TypeVar("R", bound=Rules)


class SessionFacts(msgspec.Struct, frozen=True):
    """A session of the request, or an ancestor, with what its subtree has used: AMOUNT settled and reserved, requests.

    The judged request itself is in neither.
    """

    id: str
    constraints: Constraints | None
    spent: Mapping[str, int]
    transactions: int


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What is known at `now`; `fee` is the reservation in native base units, `sessions` nearest first."""

    now: int
    chain: Chain
    agent_id: str
    effects: tuple[Effect, ...]
    fee: int
    book: Book
    #: as far back as a RATE_LIMIT in scope looks at least; the judged one is not in it
    recent: Times
    sessions: tuple[SessionFacts, ...]
    owner_locked: bool
    policy_version: int
    default_delay_seconds: int
    default_approval_timeout: int
    #: the transaction that is judged again, whose own reservation does not count against it
    without: str | None = None

    def total(self, asset: str, kinds: frozenset[str]) -> int:
        """The request's sum in the asset over effects of these kinds."""
        return sum(effect.amount or 0 for effect in self.effects if effect.asset == asset and effect.kind in kinds)

    def moves(self, asset: str, kinds: frozenset[str]) -> bool:
        """Whether the request has an effect of these kinds in the asset, be it of 0."""
        return any(effect.asset == asset and effect.kind in kinds for effect in self.effects)

    def assets(self) -> tuple[str, ...]:
        """The assets of the effects in order, then the native one that pays the fee; each once."""
        moved = (effect.asset for effect in self.effects if effect.kind in EXPOSURE and effect.asset is not None)
        return tuple(dict.fromkeys((*moved, native_asset(self.chain))))


class Case(msgspec.Struct, frozen=True):
    """One request before the judges: the enabled policies that hold for its agent, in the order of the trace."""

    request: Request
    policies: tuple[Policy, ...]
    facts: Facts

    def having(self, kind: type[R]) -> list[tuple[Policy, R]]:
        """The policies of one type, with their rules."""
        return [(policy, policy.rules) for policy in self.policies if isinstance(policy.rules, kind)]

    def effects(self, kind: str) -> list[Effect]:
        """The effects of that kind."""
        return [effect for effect in self.facts.effects if effect.kind == kind]


def in_scope(policies: Iterable[Policy], agent_id: str) -> tuple[Policy, ...]:
    """The enabled policies that hold for the agent, higher priority first, ties by id.

    Where one of its own has `override`, the global ones of that type are set aside.
    """
    held = [policy for policy in policies if policy.enabled and policy.agent_id in (None, agent_id)]
    overridden = {policy.type for policy in held if policy.override and policy.agent_id is not None}
    held = [policy for policy in held if policy.agent_id is not None or policy.type not in overridden]
    return tuple(sorted(held, key=lambda policy: (-policy.priority, policy.id)))


def lookback(policies: Iterable[Policy], agent_id: str) -> tuple[int, int]:
    """How many seconds back a RATE_LIMIT in scope looks, and at how many requests at most; (0, 0) for none."""
    rates = [policy.rules for policy in in_scope(policies, agent_id) if isinstance(policy.rules, RateLimit)]
    seconds = max((rate.window_seconds for rate in rates), default=0)
    return seconds, max((rate.max_requests for rate in rates), default=0)
