"""The contracts of the modelled EVM chain: an ERC-20 token, one that takes money, and one that always reverts."""

import msgspec

from tests import signed

TOKEN = "0x" + "70" * 20
SINK = "0x" + "51" * 20
REVERTER = "0x" + "de" * 20
#: takes money whenever it is tried, and when it comes to it, every other time
FICKLE = "0x" + "fc" * 20
ALL = (TOKEN, SINK, REVERTER, FICKLE)
DECIMALS = 6

TRANSFER_GAS, TOKEN_GAS, SINK_GAS = 21_000, 30_000, 5_000
ERROR = bytes.fromhex("08c379a0")
BALANCE_OF, ALLOWANCE, DECIMALS_OF = "70a08231", "dd62ed3e", "313ce567"


class State(msgspec.Struct, frozen=True):
    """Balances and nonces by address in lower case; the token's balances, and allowances by (owner, spender)."""

    balances: dict[str, int]
    nonces: dict[str, int]
    tokens: dict[str, int]
    allowances: dict[tuple[str, str], int]

    def copy(self) -> "State":
        """One that can be changed."""
        return State(dict(self.balances), dict(self.nonces), dict(self.tokens), dict(self.allowances))


class Reverted(Exception):
    """The call reverts with data."""

    def __init__(self, reason: str) -> None:
        text = reason.encode()
        self.reason = reason
        self.data = (
            ERROR
            + (32).to_bytes(32, "big")
            + len(text).to_bytes(32, "big")
            + text.ljust(-(-len(text) // 32) * 32, b"\0")
        )


def call(state: State, sender: str, to: str, value: int, data: bytes) -> tuple[bytes, int]:
    """Run a call on `state`, which it changes: what it returns, and its gas. Reverted leaves `state` half changed."""
    if state.balances.get(sender, 0) < value:
        raise Reverted("not enough money")
    state.balances[sender] = state.balances.get(sender, 0) - value
    state.balances[to] = state.balances.get(to, 0) + value
    gas = TRANSFER_GAS + sum(16 if byte else 4 for byte in data)
    if to == REVERTER:
        raise Reverted("never")
    if to in (SINK, FICKLE):
        return b"", gas + SINK_GAS
    if to == TOKEN:
        return _token(state, sender, data), gas + TOKEN_GAS
    return b"", gas


def _token(state: State, sender: str, data: bytes) -> bytes:
    match data[:4].hex():
        case signed.ERC20_TRANSFER:
            to, amount = signed.address(data, 0), signed.word(data, 1)
            if state.tokens.get(sender, 0) < amount:
                raise Reverted("not enough tokens")
            state.tokens[sender] = state.tokens.get(sender, 0) - amount
            state.tokens[to] = state.tokens.get(to, 0) + amount
        case signed.ERC20_APPROVE:
            spender, amount = signed.address(data, 0), signed.word(data, 1)
            if amount and state.allowances.get((sender, spender), 0):
                raise Reverted("set it to 0 first")
            state.allowances[sender, spender] = amount
        case "70a08231":
            return _word(state.tokens.get(signed.address(data, 0), 0))
        case "dd62ed3e":
            return _word(state.allowances.get((signed.address(data, 0), signed.address(data, 1)), 0))
        case "313ce567":
            return _word(DECIMALS)
        case _:
            raise Reverted("no such method")
    return _word(1)


def _word(number: int) -> bytes:
    return number.to_bytes(32, "big")
