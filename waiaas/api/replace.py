"""Replacing what is signed, by request: the fees that are asked for, and what each refusal amounts to."""

from waiaas.api.call import AnyCall
from waiaas.api.chain import reading_chain
from waiaas.chains.base import Fees
from waiaas.domain.transaction import Attempt, Reason
from waiaas.errors import (
    AgentIsSuspended,
    AgentIsTerminated,
    AlreadyProcessed,
    ChainFailed,
    Denied,
    FeeAboveApproved,
    FeeAboveCap,
    FeeNotCovered,
    InsufficientBalance,
    InsufficientForFee,
    KillSwitchActive,
    Permanent,
    Reconciling,
    Refusal,
    ReplacementFails,
    ValidationFailed,
    denial,
    tree,
)
from waiaas.pipeline.signing.gate import Stopped
from waiaas.pipeline.signing.replace import speed_up
from waiaas.repositories import transactions
from waiaas.wire.requests import CancelRequest, ReplaceRequest

MOST, TIP = "maxFeePerGas", "maxPriorityFeePerGas"
LARGEST = 2**256 - 1
DENIALS = frozenset(kind.code for kind in tree(Denied) if kind is not Denied)
#: the gate's own codes; any other is a denial's
STOPS: dict[str, type[Refusal]] = {
    Reason.KILL_SWITCH: KillSwitchActive,
    Reason.AGENT_SUSPENDED: AgentIsSuspended,
    Reason.AGENT_TERMINATED: AgentIsTerminated,
}


def asked_fees(body: CancelRequest | ReplaceRequest) -> Fees | None:
    """What the caller wants to pay, None for the least; ValidationFailed for one without the other, or nonsense."""
    given = {MOST: body.max_fee_per_gas, TIP: body.max_priority_fee_per_gas}
    absent = [name for name, text in given.items() if text is None]
    if len(absent) == len(given):
        return None
    if absent:
        raise ValidationFailed((absent[0], "must be given too: both fees, or neither"))
    fees = {name: int(text or "") for name, text in given.items()}
    if too_large := [(name, "must be at most 2^256-1") for name, fee in fees.items() if fee > LARGEST]:
        raise ValidationFailed(*too_large)
    return Fees(fees[MOST], fees[TIP])


async def replaced(call: AnyCall, *, cancel: bool, fees: Fees | None) -> Attempt:
    """The further attempt, durable and sent; the refusals of the contract."""
    core, agent_id = call.core, call.caller.agent_id
    tx = (await transactions.view(core.db, call.id, agent_id)).tx
    if tx.network in core.reconciling:
        raise Reconciling()
    try:
        async with reading_chain():
            return await speed_up(core, call.id, agent_id, cancel=cancel, fees=fees, actor=call.caller.actor)
    except Stopped as stop:
        raise stopped(stop) from stop
    except Permanent as refusal:
        raise refused(refusal) from refusal
    except (FeeAboveCap, FeeAboveApproved) as above:
        raise _above_cap(above, fees) from above


def stopped(stop: Stopped, status: str = "SUBMITTED") -> Refusal:
    """The gate's word as an answer; `status` is where the transaction stands now."""
    if kind := STOPS.get(stop.code):
        return kind(stop.message)
    if stop.code in DENIALS:
        return denial(stop.code)(stop.message)
    return AlreadyProcessed(stop.message, status=status, reason=stop.code)


def refused(refusal: Permanent) -> Refusal:
    """The chain's or the adapter's word as an answer; fees that nodes would not take are an issue at their field."""
    if isinstance(refusal, InsufficientForFee | InsufficientBalance):
        return FeeNotCovered(refusal.message, **refusal.details)
    if type(refusal) is Permanent:
        return ValidationFailed((MOST, refusal.message))
    return ReplacementFails(refusal.message)


def _above_cap(above: FeeAboveCap | FeeAboveApproved, fees: Fees | None) -> Refusal:
    if fees is not None:
        return ValidationFailed((MOST, above.message))
    return ChainFailed(above.message)
