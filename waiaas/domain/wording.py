"""What a request does, in words that an owner reads before signing: addresses and amounts in full, nothing invented.

Only characters that EIP-4361 allows in a statement, and nothing that an agent chose but addresses and numbers.
"""

import base64
import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import groupby

import msgspec

from waiaas.domain.asset import token_of
from waiaas.domain.chain import Network, chain_of, native_of
from waiaas.domain.effects import effects
from waiaas.domain.money import in_units
from waiaas.domain.request import Batch, ContractCall, Effect, Request

#: items of a batch and effects that are spelled out; the rest is counted, and all are summed. What is signed travels in
#: a header, and an agent must not be able to ask for what its owner cannot refuse
MOST_ITEMS, MOST_EFFECTS, MOST_SUMS = 5, 10, 10


class Worded(msgspec.Struct, frozen=True):
    """An effect, the SHA-256 of its call's data where it is a call, and both in words."""

    effect: Effect
    data_digest: str | None
    display: str
    #: False: not what the request says, but what a simulation saw leave
    declared: bool = True


def worded(request: Request, network: Network, sender: str) -> tuple[Worded, ...]:
    """Every effect of a canonical request of `sender`, in order."""
    found = effects(request, chain_of(network), sender=sender)
    return tuple(_worded(effect, _item(request, effect), network) for effect in found)


def worded_undeclared(found: Iterable[Effect], network: Network) -> tuple[Worded, ...]:
    """What a simulation saw leave beyond the request; where a payment goes nobody knows, only through whom."""
    return tuple(Worded(effect, None, _undeclared(effect, network), declared=False) for effect in found)


def summary(words: Sequence[Worded], network: Network) -> str:
    """One line: every effect; where they are many the first ones, how many follow, and what all come to."""
    items = {word.effect.index for word in words} - {None}
    spelled = [word for word in words if (word.effect.index or 0) < MOST_ITEMS][:MOST_EFFECTS]
    told = [_line(index, group) for index, group in groupby(spelled, key=lambda word: word.effect.index)]
    if rest := len(words) - len(spelled):
        told.append(f"and {rest} more")
    if items or rest:
        told.append(f"in all {_sums(words, network)}")
    return (f"{len(items)} items: " if items else "") + "; ".join(told)


def money(amount: int, network: Network) -> str:
    """Native money in whole and in base units: `1.5 ETH (1500000000000000000)`."""
    native = native_of(network)
    return f"{in_units(amount, native.decimals)} {native.symbol} ({amount})"


def _line(index: int | None, words: Iterable[Worded]) -> str:
    """The effects of a request, or of one item of a batch."""
    return ("" if index is None else f"({index + 1}) ") + " and ".join(word.display for word in words)


def _item(request: Request, effect: Effect) -> Request:
    if not isinstance(request, Batch):
        return request
    assert effect.index is not None
    return request.instructions[effect.index]


def _worded(effect: Effect, item: Request, network: Network) -> Worded:
    data_digest = _data_digest(item) if isinstance(item, ContractCall) and effect.kind == "CONTRACT_CALL" else None
    return Worded(effect, data_digest, _display(effect, data_digest, network))


def _data_digest(call: ContractCall) -> str:
    if call.program_id is not None:
        data = base64.b64decode(call.instruction_data or "")
    else:
        data = bytes.fromhex((call.calldata or "0x")[2:])
    return hashlib.sha256(data).hexdigest()


def _display(effect: Effect, data_digest: str | None, network: Network) -> str:
    match effect.kind:
        case "APPROVE" if effect.amount == 0:
            return f"take back what {effect.counterparty} may spend of {_asset(effect)}"
        case "APPROVE":
            return f"let {effect.counterparty} spend up to {_amount(effect, network)}"
        case "CONTRACT_CALL":
            method = f" method {effect.selector}" if effect.selector else ""
            kind = "call" if effect.decoded else "make a call that is not understood to"
            return f"{kind} {effect.counterparty}{method} with data of SHA-256 {data_digest}"
        case _:
            return f"send {_amount(effect, network)} to {effect.counterparty}"


def _undeclared(effect: Effect, network: Network) -> str:
    if effect.kind == "APPROVE":
        return f"let {effect.counterparty} spend up to {_amount(effect, network)}"
    return f"lose {_amount(effect, network)} through {effect.counterparty}"


def _asset(effect: Effect) -> str:
    token = token_of(effect.asset) if effect.asset else None
    return f"token {token}" if token else "a token that the call does not name"


def _amount(effect: Effect, network: Network) -> str:
    if effect.amount is None:
        return f"an unknown amount of {_asset(effect)}"
    if effect.asset == native_of(network).asset:
        return money(effect.amount, network)
    return f"{effect.amount} base units of {_asset(effect)}"


def _sums(words: Sequence[Worded], network: Network) -> str:
    """Of each asset what is sent, and what others are let spend; then how much there is of which no sum is known."""
    totals: defaultdict[tuple[str, str], int] = defaultdict(int)
    unknown = blind = 0
    for effect in (word.effect for word in words):
        if effect.kind == "CONTRACT_CALL":
            blind += not effect.decoded
        elif effect.asset and effect.amount is not None:
            totals["allow" if effect.kind == "APPROVE" else "send", effect.asset] += effect.amount
        elif effect.amount != 0:
            unknown += 1
    sums = [
        f"{verb} {_amount(Effect(verb, '', asset, total), network)}"
        for (verb, asset), total in sorted(totals.items())
        if total
    ]
    told = sums[:MOST_SUMS]
    if more := len(sums) - len(told):
        told.append(f"sums of other tokens: {more}")
    if unknown:
        told.append(f"effects of unknown token or amount: {unknown}")
    if blind:
        told.append(f"calls that are not understood: {blind}")
    return ", ".join(told) or "no declared amount"
