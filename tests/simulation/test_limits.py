"""I3 with a product that forgets to count something: each check of the shadow can fail."""

from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest

from tests.simulation import bounds
from tests.simulation.bounds import SOL, TOKENS
from tests.simulation.faults import CALM
from tests.simulation.season import play
from tests.simulation.shrink import Case
from tests.simulation.wallet import SOLANA
from tests.simulation.workload import STRANGERS, Want
from tests.simulation.world import Broken
from waiaas.domain.decision import Finding
from waiaas.domain.ledger import Book, LedgerKind
from waiaas.policy import approvals, judgement, sessions, spending
from waiaas.policy.facts import OUTFLOW

SENT: dict[str, Any] = {"to": STRANGERS[SOLANA][0], "amount": str(SOL // 2)}
TOKEN = bounds.token_of(SOLANA)
TOKEN_SENT: dict[str, Any] = {
    "type": "TOKEN_TRANSFER",
    "to": STRANGERS[SOLANA][0],
    "amount": "1000000",
    "token": TOKENS[SOLANA],
}
ALLOWED: list[dict[str, Any]] = [
    {"type": "APPROVE", "spender": spender, "amount": "1000000", "token": TOKENS[SOLANA]}
    for spender in STRANGERS[SOLANA]
]


def sent(first: Want, *bodies: dict[str, Any]) -> Case:
    """What the operator sets, and two seconds later everything that is sent at once."""
    wants = [Want(number, 2.0, "send", 0, f"key-{number}", body) for number, body in enumerate(bodies, 1)]
    return Case(0, CALM, (first, *wants), ())


def a_cap(**rules: Any) -> Want:
    """On the first agent."""
    return Want(0, 0.0, "cap", 0, body=rules)


def a_session(*, children: int = 0, **constraints: Any) -> Want:
    """Of the first agent."""
    return Want(0, 0.0, "limit", 0, body=constraints, amount=children)


def is_found_out(case: Case, what: str) -> None:
    """By the limit of that name."""
    with pytest.raises(Broken, match=f"I3: .* of {what}, "):
        play(case)


# --- products that forget --------------------------------------------------------------------------


def native_alone(entries: Callable[..., Any]) -> Callable[..., Any]:
    """Limits of other assets are not seen."""
    return lambda *about: [(asset, entry) for asset, entry in entries(*about) if asset.startswith("native:")]


def without_fee(total: Callable[..., Any]) -> Callable[..., Any]:
    """The fee of the request that is judged is not counted."""
    return lambda *about: total(*about[:-1], msgspec.structs.replace(about[-1], fee=0))


def but_allowances(self: Book, asset: str, window_seconds: int, now: int, *, without: str | None = None) -> int:
    """In place of `Book.used`."""
    kinds = (LedgerKind.AMOUNT, LedgerKind.FEE)
    set_aside = sum(self.reserved(asset, kind, without=without) for kind in kinds)
    return self._spent_in(asset).since(now - window_seconds) + set_aside


def of_the_nearest(amounts: Callable[..., Any]) -> Callable[..., Iterator[Any]]:
    """Sessions above the one that sends are not asked."""
    return lambda session, constraints, facts: (
        amounts(session, constraints, facts) if session is facts.sessions[0] else iter(())
    )


def passed(policy: Any) -> Any:
    """A line of the trace that refuses nothing."""
    return judgement.by_policy(policy, Finding.PASS, "not looked at")


# --- are found out ---------------------------------------------------------------------------------


def test_limits_that_hold_are_no_finding() -> None:
    play(sent(a_cap(daily_total=str(SOL), limits={TOKEN: {"daily_total": "1000000"}}), SENT, SENT, SENT, *ALLOWED))
    play(sent(a_session(children=1, maxTotalAmount=str(SOL)), SENT, SENT, SENT))


def test_tokens_that_nobody_counts_are_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spending, "_entries", native_alone(spending._entries))
    is_found_out(
        sent(a_cap(limits={TOKEN: {"daily_total": "1000000"}}), TOKEN_SENT, TOKEN_SENT), f"daily_total of {TOKEN}"
    )


def test_allowances_that_nobody_counts_are_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spending, "EXPOSURE", OUTFLOW)
    is_found_out(sent(a_cap(limits={TOKEN: {"weekly_total": "1000000"}}), *ALLOWED), f"weekly_total of {TOKEN}")


def test_an_allowance_that_is_forgotten_once_it_stands_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Book, "used", but_allowances)
    cap = a_cap(limits={TOKEN: {"monthly_total": "1000000"}})
    later = Want(9, 100.0, "send", 0, "later", TOKEN_SENT)
    case = sent(cap, ALLOWED[0])
    is_found_out(msgspec.structs.replace(case, wants=(*case.wants, later)), f"monthly_total of {TOKEN}")


def test_fees_that_nobody_counts_are_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spending, "_total", without_fee(spending._total))
    is_found_out(sent(a_cap(hourly_total=str(SOL // 2)), SENT), "hourly_total of native:solana")


def test_a_transaction_above_its_cap_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spending, "_per_transaction", lambda *about: iter(()))
    is_found_out(sent(a_cap(per_transaction=str(SOL // 2 - 1)), SENT), "per_transaction of native:solana")


def test_an_allowance_above_what_may_be_allowed_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(approvals, "_limited", lambda policy, *about: judgement.Judgement(passed(policy)))
    too_much = ALLOWED[0] | {"amount": "1000000001"}
    is_found_out(sent(a_cap(daily_total=str(SOL)), too_much), "the most that may be allowed")


def test_a_session_that_sends_too_often_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "_count", lambda *about: iter(()))
    is_found_out(sent(a_session(maxTransactions=2), SENT, SENT, SENT), "maxTransactions")


def test_a_session_above_its_total_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "_amounts", lambda *about: iter(()))
    is_found_out(sent(a_session(maxTotalAmount=str(SOL)), SENT, SENT, SENT), "maxTotalAmount of native:solana")
    is_found_out(sent(a_session(maxAmountPerTx="1"), SENT), "maxAmountPerTx of native:solana")


def test_a_child_that_spends_for_itself_alone_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "_amounts", of_the_nearest(sessions._amounts))
    # even numbers are sent by the session itself, odd ones by its child
    by_parent, *by_child = (Want(number, 2.0 + number, "send", 0, f"key-{number}", SENT) for number in (2, 3, 5))
    case = Case(0, CALM, (a_session(children=1, maxTotalAmount=str(SOL)), by_parent, *by_child), ())
    is_found_out(case, "maxTotalAmount of native:solana")
