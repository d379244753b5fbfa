"""What a decision is made from besides the request and the policies: facts, read beforehand."""

from collections.abc import Mapping

import msgspec

from waiaas.domain.chain import Chain, native_asset
from waiaas.domain.ledger import Book
from waiaas.domain.policy import Policy
from waiaas.domain.request import Effect, Request
from waiaas.domain.session import Constraints

#: effects that move money out now
OUTFLOW = frozenset({"TRANSFER", "TOKEN_TRANSFER"})
#: effects that let money out, now or later by another's hand
EXPOSURE = OUTFLOW | {"APPROVE"}


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
    sessions: tuple[SessionFacts, ...]
    owner_locked: bool
    policy_version: int
    default_delay_seconds: int
    default_approval_timeout: int
    #: the transaction that is judged again, whose own reservation does not count against it
    without: str | None = None

    def total(self, asset: str, kinds: frozenset[str]) -> int:
        """The request's sum in the asset over effects of these kinds."""
        return sum(effect.amount for effect in self.effects if effect.asset == asset and effect.kind in kinds)

    def moves(self, asset: str, kinds: frozenset[str]) -> bool:
        """Whether the request has an effect of these kinds in the asset, be it of 0."""
        return any(effect.asset == asset and effect.kind in kinds for effect in self.effects)

    def assets(self) -> tuple[str, ...]:
        """The assets of the effects in order, then the native one that pays the fee; each once."""
        moved = (effect.asset for effect in self.effects if effect.kind in EXPOSURE)
        return tuple(dict.fromkeys((*moved, native_asset(self.chain))))


class Case(msgspec.Struct, frozen=True):
    """One request before the judges: the enabled policies that hold for its agent, in the order of the trace."""

    request: Request
    policies: tuple[Policy, ...]
    facts: Facts
