"""A preview on the wire: the decision, what would become of it, its fee, and what the chain says."""

from typing import Literal

import msgspec

from waiaas.domain.decision import Decision as Decided
from waiaas.domain.decision import wire as decision_to_wire
from waiaas.domain.transaction import Status
from waiaas.wire.body import Body, Digits, Id, Seconds
from waiaas.wire.transactions import Decision


class SimulateQuery(Body, frozen=True):
    """Of which agent, for the operator: it is then judged without a session's constraints."""

    agent_id: Id | None = None


class Fee(Body, frozen=True):
    """What a send would cost; `max` is an upper bound of what signed bytes could cost, rent included."""

    asset: str
    expected: Digits
    max: Digits
    #: Solana: for token accounts that it opens
    account_rent: Digits
    gas_limit: int | None
    max_fee_per_gas: Digits | None
    max_priority_fee_per_gas: Digits | None
    compute_units: int | None
    valid_until: Seconds


class WouldBe(Body, frozen=True):
    """The status that a send would answer with; CANCELLED is what a denial stores."""

    status: Status
    execute_at: Seconds | None
    approval_timeout_seconds: int | None


class SimulationResult(Body, frozen=True):
    """What the chain says: `skipped` for a denial, `unavailable` when no node answers. Gas or compute units."""

    status: Literal["ok", "failed", "unavailable", "skipped"]
    error: str | None
    logs: tuple[str, ...]
    units_consumed: int | None


class TxSimulateResponse(Body, frozen=True):
    """What a send would come to; nothing was stored."""

    decision: Decision
    would_be: WouldBe
    fee: Fee | None
    simulation: SimulationResult


def decision_shown(decision: Decided, *, show_lists: bool) -> Decision:
    """The decision as a send's refusal or a transaction shows it."""
    return msgspec.convert(decision_to_wire(decision, show_lists=show_lists), Decision)
