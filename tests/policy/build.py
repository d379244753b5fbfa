"""One factory per thing, with defaults for all but the point of a test."""

from itertools import count
from typing import Any

from waiaas.domain.chain import Chain
from waiaas.domain.decision import Decision
from waiaas.domain.effects import effects
from waiaas.domain.ledger import Book, LedgerKind, LedgerRow, LedgerState
from waiaas.domain.policy import Policy, PolicyType, parse_rules
from waiaas.domain.request import Approve, Batch, ContractCall, Effect, Request, Token, TokenTransfer, Transfer
from waiaas.domain.session import Constraints, parse_constraints
from waiaas.policy import Facts, SessionFacts, decide

SOL, ETH = "native:solana", "native:ethereum"
MINT = "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v"
USDC = f"solana:{MINT}"
ALICE = "4vJ9JU1bJJE96FWSJKvHsmmFADCg4gpZQff4P3bkLKi"
BOB = "8qbHbw2BbbTHBW1sbeqakYXVKRQM8Ne7pLK7m6CVfeR9"
OWN = "9WzDXwBbmkg8ZTbNMqUxvQRAyrZzDsGYdLVL9zYtAWWM"
DAI = "0x6B175474E89094C44Da98b954EedeAC495271d0F"
ROUTER = "0xE592427A0AEce92De3Edee1F18E0157C05861564"
EVE = "0xd8dA6BF26964aF9D7eEd9e03E53415D37aA96045"
OWN_ETH = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
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
    return policy("SPENDING_LIMIT", id=id, agent_id=agent_id, priority=priority, enabled=enabled, **rules)


def policy(
    type: str,
    *,
    id: str = "",
    agent_id: str | None = None,
    priority: int = 0,
    enabled: bool = True,
    override: bool = False,
    **rules: Any,
) -> Policy:
    kind = PolicyType(type)
    parsed = parse_rules(kind, rules, chain=None)
    return Policy(id or type, agent_id, kind, parsed, priority, enabled, override, 1, NOW, NOW)


def tokens(*addresses: str, **more: Any) -> Policy:
    return policy("ALLOWED_TOKENS", tokens=[{"address": address} for address in addresses], **more)


def contracts(*addresses: str, **more: Any) -> Policy:
    return policy("CONTRACT_WHITELIST", contracts=[{"address": address} for address in addresses], **more)


def spenders(*addresses: str, **more: Any) -> Policy:
    return policy("APPROVED_SPENDERS", spenders=[{"address": address} for address in addresses], **more)


def token_transfer(amount: int, to: str = ALICE, mint: str = MINT) -> TokenTransfer:
    return TokenTransfer(to, str(amount), Token(mint, 6, "USDC"))


def approval(amount: int, spender: str = BOB, mint: str = MINT) -> Approve:
    return Approve(spender, Token(mint, 6, "USDC"), str(amount))


def call(data: str = "0x12345678", *, to: str = ROUTER, value: int = 0) -> ContractCall:
    return ContractCall(to=to, calldata=data, value=str(value))


def batch(*items: Any) -> Batch:
    return Batch(items)


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
        "recent": (),
        "sessions": (),
        "owner_locked": False,
        "policy_version": 1,
        "default_delay_seconds": 300,
        "default_approval_timeout": 3600,
    }
    return Facts(**(known | changed))


def send(amount: int, *policies: Policy, rows: tuple[LedgerRow, ...] = (), to: str = ALICE, **changed: Any) -> Decision:
    """What is decided about a native transfer of the amount."""
    return ask(Transfer(to, str(amount)), *policies, rows=rows, **changed)


def ask(request: Request, *policies: Policy, rows: tuple[LedgerRow, ...] = (), **changed: Any) -> Decision:
    """What is decided about the request."""
    chain = changed.get("chain", Chain.SOLANA)
    asked = effects(request, chain, sender=OWN if chain is Chain.SOLANA else OWN_ETH)
    return decide(request, policies, facts(asked, *rows, **changed))


def ask_eth(request: Request, *policies: Policy, **changed: Any) -> Decision:
    """What is decided about the request of an agent on ethereum."""
    return ask(request, *policies, chain=Chain.ETHEREUM, **changed)


def session(
    *, id: str = "session", spent: dict[str, int] | None = None, transactions: int = 0, **constraints: Any
) -> SessionFacts:
    return SessionFacts(id, constrained(**constraints), spent or {}, transactions)


def constrained(**constraints: Any) -> Constraints:
    return parse_constraints(constraints, Chain.SOLANA, lambda text: text)
