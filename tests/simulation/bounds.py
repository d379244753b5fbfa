"""The limits that the operator sets in front of a burst, too tight for all of it: of policies and of sessions."""

from random import Random
from typing import Any

from tests.simulation import contracts
from tests.simulation.wallet import EVM, SOLANA
from waiaas.domain.chain import Network, chain_of

SOL, ETHER = 10**9, 10**18
UNIT = {SOLANA: SOL, EVM: ETHER}
MINT = "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v"
TOKENS = {
    SOLANA: {"address": MINT, "decimals": 6, "symbol": "USDX"},
    EVM: {"address": contracts.TOKEN, "decimals": contracts.DECIMALS, "symbol": "USDX"},
}
#: requests move 1 or 1,000,000 base units of the token, and allow 5 or 1,000,000
TOKEN_TOTALS, TOKEN_EACH = (1_000_000, 2_000_004, 3_000_000), (5, 1_000_000)
WINDOWS = ("hourly_total", "daily_total", "weekly_total", "monthly_total")


def a_cap(network: Network, chance: Random, *, in_tokens: bool) -> dict[str, Any]:
    """Rules of a SPENDING_LIMIT: a window or, one time in four, a transaction."""
    name = "per_transaction" if chance.random() < 0.25 else chance.choice(WINDOWS)
    if in_tokens:
        most = chance.choice(TOKEN_EACH if name == "per_transaction" else TOKEN_TOTALS)
        return {"limits": {token_of(network): {name: str(most)}}}
    return {name: str(_native(network, chance, each=name == "per_transaction"))}


def constraints(network: Network, chance: Random, *, in_tokens: bool) -> dict[str, Any]:
    """Of a session: a total, and now and then what a transaction may move, or how many there may be."""
    held: dict[str, Any] = {}
    if in_tokens:
        held["limits"] = {token_of(network): {"maxTotalAmount": str(chance.choice(TOKEN_TOTALS))}}
    else:
        held["maxTotalAmount"] = str(_native(network, chance, each=False))
    if chance.random() < 0.25:
        held["maxAmountPerTx"] = str(_native(network, chance, each=True))
    if chance.random() < 0.25:
        held["maxTransactions"] = chance.choice((2, 5))
    return held


def narrower(held: dict[str, Any]) -> dict[str, Any]:
    """What a child may be given: as much in all, in fewer transactions."""
    return held | {"maxTransactions": 3} if held.get("maxTransactions", 5) > 3 else held


def token_of(network: Network) -> str:
    """The token's asset, as limits name it."""
    return f"{chain_of(network)}:{TOKENS[network]['address']}"


def _native(network: Network, chance: Random, *, each: bool) -> int:
    return chance.choice((20, 300, 2000) if each else (1000, 2000, 5000)) * UNIT[network] // 1000
