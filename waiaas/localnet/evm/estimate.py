"""The least gas a call needs, found as geth finds it: run it, guess from what it took, then halve the doubt."""

from collections.abc import Callable

from msgspec import structs

from waiaas.localnet.evm.machine import Outcome
from waiaas.localnet.evm.reasons import failure
from waiaas.localnet.evm.transactions import Call, check_gas, refused

#: gas that a call with value hands on for nothing
STIPEND = 2_300
#: the search ends when what is left of the doubt is this part of the estimate
TOLERANCE = 0.015


def estimate(call: Call, run: Callable[[Call], Outcome]) -> int:
    """Gas, at most that of `call`; RpcRefusal if it fails with all of it."""
    check_gas(call.gas, call, is_creation=not call.to)
    outcome = run(call)
    if outcome.error == "out of gas":
        raise refused(f"gas required exceeds allowance ({call.gas})")
    if outcome.error is not None:
        raise failure(outcome)
    return search(call, run, low=outcome.gas_used - 1, guess=(outcome.peak_gas + STIPEND) * 64 // 63)


def search(call: Call, run: Callable[[Call], Outcome], *, low: int, guess: int) -> int:
    """The least gas with which it succeeds, TOLERANCE apart: it fails with `low` and succeeds with that of `call`."""
    high = call.gas
    while low + 1 < high and (high - low) / high >= TOLERANCE:
        # most calls need little more than they took, so the doubt is halved towards the lower end
        middle = guess if low < guess < high else min((low + high) // 2, low * 2)
        guess = 0
        if enough(call, run, middle):
            high = middle
        else:
            low = middle
    return high


def enough(call: Call, run: Callable[[Call], Outcome], gas: int) -> bool:
    """Whether it succeeds with so much gas."""
    return gas >= call.intrinsic_gas and run(structs.replace(call, gas=gas)).error is None
