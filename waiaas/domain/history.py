"""What is kept of an agent's past, as it is read to be played again."""

import msgspec

from waiaas.domain.decision import Decision, Outcome
from waiaas.domain.ledger import LedgerRow
from waiaas.domain.request import Effect, Request


class Entry(msgspec.Struct, frozen=True):
    """A ledger row as it is stored, the version that last wrote it, and whose request set it aside."""

    row: LedgerRow
    version: int
    #: the transaction that was asked for: of a batch's item the batch, of a reset the approval
    root: str
    #: when its transaction was signed; None if it never was
    signed_at: int | None


class Made(msgspec.Struct, frozen=True):
    """A request that was made; `gone` when it is CANCELLED or EXPIRED, as denied ones are."""

    id: str
    session_id: str | None
    created_at: int
    gone: bool


class Past(msgspec.Struct, frozen=True):
    """A stored request with its effects, as it was judged then."""

    made: Made
    request: Request
    effects: tuple[Effect, ...]
    decision: Decision

    @property
    def version(self) -> int:
        """Of the ledger that it was judged on."""
        return self.decision.facts.ledger_version

    @property
    def was_allowed(self) -> bool:
        """Whether it was accepted then."""
        return self.decision.outcome is Outcome.ALLOW
