"""What each way of not replacing amounts to over HTTP."""

import pytest

from waiaas.api.replace import refused, stopped
from waiaas.domain.transaction import Reason
from waiaas.errors import (
    Denied,
    InsufficientBalance,
    InsufficientForFee,
    Permanent,
    SimulationFailed,
    TransactionTooLarge,
    tree,
)
from waiaas.pipeline.signing.gate import Stopped


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (Reason.KILL_SWITCH, (409, "KILL_SWITCH_ACTIVE")),
        (Reason.AGENT_SUSPENDED, (409, "AGENT_SUSPENDED")),
        (Reason.AGENT_TERMINATED, (410, "AGENT_TERMINATED")),
        (Reason.SESSION_REVOKED, (409, "TX_ALREADY_PROCESSED")),
        (Reason.REQUEST_CORRUPTED, (409, "TX_ALREADY_PROCESSED")),
        ("RATE_LIMIT_EXCEEDED", (429, "RATE_LIMIT_EXCEEDED")),
        *((kind.code, (kind.status, kind.code)) for kind in tree(Denied) if issubclass(kind, Denied)),
    ],
)
def test_a_closed_gate_is_told_by_its_code(code: str, expected: tuple[int, str]) -> None:
    refusal = stopped(Stopped(code, "why"))
    assert ((refusal.status, refusal.code), refusal.message) == (expected, "why")


def test_a_stop_without_a_code_of_its_own_is_named_in_the_details() -> None:
    assert stopped(Stopped(Reason.SESSION_REVOKED, "why")).details == {
        "status": "SUBMITTED",
        "reason": "SESSION_REVOKED",
    }


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (InsufficientForFee(), (400, "INSUFFICIENT_FOR_FEE")),
        (InsufficientBalance(), (400, "INSUFFICIENT_FOR_FEE")),
        (Permanent("too low"), (400, "ACTION_VALIDATION_FAILED")),
        (SimulationFailed(), (422, "SIMULATION_FAILED")),
        (TransactionTooLarge(), (422, "SIMULATION_FAILED")),
    ],
)
def test_a_chain_that_refuses_is_told_by_what_can_be_done(error: Permanent, expected: tuple[int, str]) -> None:
    refusal = refused(error)
    assert (refusal.status, refusal.code) == expected
