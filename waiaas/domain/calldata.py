"""EVM calldata read as what it does to the sender's tokens: ERC-20, its approvals, and multicalls of them.

Arguments are read as the most lenient contract reads them (missing bytes are 0, an address is the low 20 bytes of its
word), so no padding makes a payment look like anything else. Selectors: EIP-20, EIP-721, EIP-2612, OpenZeppelin 4.
"""

from collections.abc import Callable, Iterator
from itertools import count

import msgspec

from waiaas.domain.address import checksummed
from waiaas.domain.asset import token_asset
from waiaas.domain.chain import Chain, native_asset
from waiaas.domain.request import Effect

UNLIMITED = 2**256 - 1
TRANSFER, TRANSFER_FROM = "0xa9059cbb", "0x23b872dd"
APPROVE, INCREASE_ALLOWANCE, PERMIT = "0x095ea7b3", "0x39509351", "0xd505accf"
SET_APPROVAL_FOR_ALL = "0xa22cb465"
#: `bytes[]` calls of the contract to itself, and which argument holds them
MULTICALLS = {"0xac9650d8": 0, "0x5ae401dc": 1, "0x1f0464d1": 1}
MOST_NESTED = 4
MOST_CALLS = 32


class Unreadable(ValueError):
    """A multicall that is malformed, too deep or too long to look through."""


class Call(msgspec.Struct, frozen=True):
    """One call of a contract, by the sender or by the contract itself on the sender's behalf."""

    contract: str
    data: bytes
    sender: str

    @property
    def selector(self) -> str | None:
        """The method; None for data too short to name one."""
        return f"0x{self.data[:4].hex()}" if len(self.data) >= 4 else None

    def word(self, place: int) -> int:
        """An argument as a number."""
        start = 4 + 32 * place
        return int.from_bytes(self.data[start : start + 32].ljust(32, b"\0"))

    def address(self, place: int) -> str:
        """An argument as an address."""
        return checksummed(self.word(place) % 2**160)

    def effect(self, kind: str, counterparty: str, amount: int) -> Effect:
        """What the call does with the tokens of its contract."""
        return Effect(kind, counterparty, token_asset(Chain.ETHEREUM, self.contract), amount, self.selector)


def call_effects(contract: str, data: bytes, value: int, sender: str) -> tuple[Effect, ...]:
    """The call, the value it carries, and what its data does to the sender's tokens; never raises."""
    outer = Call(contract, data, sender)
    paid = (Effect("TRANSFER", contract, native_asset(Chain.ETHEREUM), value),) if value else ()
    try:
        read = tuple(_read(outer, MOST_NESTED, count(1)))
    except Unreadable:
        read = (_called(outer, decoded=False), Effect("FORBIDDEN", contract, selector=outer.selector, decoded=False))
    return (read[0], *paid, *read[1:])


def _read(call: Call, nested: int, calls: Iterator[int]) -> Iterator[Effect]:
    """The call, then what it does; Unreadable for a multicall that cannot be looked through."""
    if call.selector in MULTICALLS:
        yield _called(call, decoded=True)
        if not nested:
            raise Unreadable
        for inner in _opened(call.data[4:], call.word(MULTICALLS[call.selector])):
            if next(calls) > MOST_CALLS:
                raise Unreadable
            yield from _read(Call(call.contract, inner, call.sender), nested - 1, calls)
        return
    done = READERS[call.selector](call) if call.selector in READERS else None
    yield _called(call, decoded=done is not None)
    yield from done or ()


def _called(call: Call, *, decoded: bool) -> Effect:
    return Effect("CONTRACT_CALL", call.contract, selector=call.selector, decoded=decoded)


def _opened(body: bytes, start: int) -> Iterator[bytes]:
    """The elements of a `bytes[]` at that offset; Unreadable where it leads out of the data."""
    length = _number(body, start)
    base = start + 32
    for place in range(min(length, MOST_CALLS + 1)):
        at = base + _number(body, base + 32 * place)
        size = _number(body, at)
        if at + 32 + size > len(body):
            raise Unreadable
        yield body[at + 32 : at + 32 + size]


def _number(body: bytes, at: int) -> int:
    if at + 32 > len(body):
        raise Unreadable
    return int.from_bytes(body[at : at + 32])


# --- what a method does; None where the tokens are not the sender's --------------------------------


def _transfer(call: Call) -> list[Effect]:
    return [call.effect("TOKEN_TRANSFER", call.address(0), call.word(1))]


def _transfer_from(call: Call) -> list[Effect] | None:
    own = call.address(0) == call.sender
    return [call.effect("TOKEN_TRANSFER", call.address(1), call.word(2))] if own else None


def _approve(call: Call) -> list[Effect]:
    return [call.effect("APPROVE", call.address(0), call.word(1))]


def _increase_allowance(call: Call) -> list[Effect]:
    # by 0 is no revocation: what was allowed stays
    return [call.effect("APPROVE", call.address(0), call.word(1))] if call.word(1) else []


def _permit(call: Call) -> list[Effect] | None:
    if call.address(0) != call.sender:
        return None
    # contracts with a fallback take a permit they do not know: one of 0 is no proof of a revocation
    return [call.effect("APPROVE", call.address(1), call.word(2))] if call.word(2) else []


def _set_approval_for_all(call: Call) -> list[Effect]:
    return [call.effect("APPROVE", call.address(0), UNLIMITED if call.word(1) else 0)]


READERS: dict[str, Callable[[Call], list[Effect] | None]] = {
    TRANSFER: _transfer,
    TRANSFER_FROM: _transfer_from,
    APPROVE: _approve,
    INCREASE_ALLOWANCE: _increase_allowance,
    PERMIT: _permit,
    SET_APPROVAL_FOR_ALL: _set_approval_for_all,
}
