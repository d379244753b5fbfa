"""One factory per thing, with defaults for all but the point of a test."""

from itertools import count
from typing import Any

from waiaas.domain.chain import Chain
from waiaas.domain.ledger import Book, LedgerKind, LedgerRow, LedgerState
from waiaas.domain.policy import Decision, Policy, PolicyType, parse_rules
from waiaas.domain.request import Effect, Transfer, effects
from waiaas.domain.session import Constraints, parse_constraints
from waiaas.policy import Facts, SessionFacts, decide

SOL, ETH = "native:solana", "native:ethereum"
MINT = "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v"
USDC = f"solana:{MINT}"
ALICE = "4vJ9JU1bJJE96FWSJKvHsmmFADCg4gpZQff4P3bkLKi"
AGENT, NOW = "agent", 1_000_000_000
TIERS = {"instant_max": "10", "notify_max": "20", "delay_max": "30"}

_numbers = count()


def limit(
    *,
    id: str = "limit",
    agent_id: str | None = None,
    priority: int = 0,
    enabled: bool = True,
    **rules: Any,
) -> Policy:
    parsed = parse_rules(PolicyType.SPENDING_LIMIT, rules, chain=None)
    return Policy(id, agent_id, PolicyType.SPENDING_LIMIT, parsed, priority, enabled, False, 1, NOW, NOW)


def row(
    reserved: int, *, asset: str = SOL, kind: LedgerKind = LedgerKind.AMOUNT, tx_id: str = "", id: str = ""
) -> LedgerRow:
    row_id = id or f"row-{next(_numbers)}"
    tx_id, state = tx_id or f"tx-{row_id}", LedgerState.RESERVED
    spender = "spender" if kind is LedgerKind.ALLOWANCE else None
    return LedgerRow(row_id, AGENT, None, tx_id, asset, kind, spender, state, reserved, None, NOW, None)


def spent(settled: int, *, ago: int = 0, asset: str = SOL, kind: LedgerKind = LedgerKind.AMOUNT) -> LedgerRow:
    row_id, state = f"row-{next(_numbers)}", LedgerState.SPENT
    return LedgerRow(row_id, AGENT, None, f"tx-{row_id}", asset, kind, None, state, settled, settled, NOW, NOW - ago)


def facts(asked: tuple[Effect, ...], *rows: LedgerRow, **changed: Any) -> Facts:
    known: dict[str, Any] = {
        "now": NOW,
        "chain": Chain.SOLANA,
        "agent_id": AGENT,
        "effects": asked,
        "fee": 0,
        "book": Book.of(1, rows),
        "sessions": (),
        "owner_locked": False,
        "policy_version": 1,
        "default_delay_seconds": 300,
        "default_approval_timeout": 3600,
    }
    return Facts(**(known | changed))


def send(amount: int, *policies: Policy, rows: tuple[LedgerRow, ...] = (), to: str = ALICE, **changed: Any) -> Decision:
    """What is decided about a native transfer of the amount."""
    request = Transfer(to, str(amount))
    asked = effects(request, changed.get("chain", Chain.SOLANA))
    return decide(request, policies, facts(asked, *rows, **changed))


def session(
    *, id: str = "session", spent: dict[str, int] | None = None, transactions: int = 0, **constraints: Any
) -> SessionFacts:
    return SessionFacts(id, constrained(**constraints), spent or {}, transactions)


def constrained(**constraints: Any) -> Constraints:
    return parse_constraints(constraints, Chain.SOLANA, lambda text: text)
