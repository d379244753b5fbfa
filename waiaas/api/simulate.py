"""A send tried beforehand: what would be decided of it, and what it would cost. Nothing is stored."""

from typing import Any

from waiaas.api.call import Call
from waiaas.api.chain import CHAIN_SECONDS, reading_chain
from waiaas.api.transactions import asked, provenance_of
from waiaas.domain.agent import Agent
from waiaas.domain.request import Request
from waiaas.errors import ChainFailed, FeeAboveCap, Permanent, WouldFail
from waiaas.pipeline.requests.simulate import Preview, Quote, simulate
from waiaas.pipeline.requests.simulate import estimate as ask_price
from waiaas.wire.simulate import Fee, SimulateQuery, SimulationResult, TxSimulateResponse, WouldBe, decision_shown

#: lines of the chain's log that are shown
MOST_LOGS = 50

SendCall = Call[SimulateQuery, dict[str, Any]]


async def preview(call: SendCall) -> TxSimulateResponse:
    """What a send of this body would answer now: the same decision, then what the chain says."""
    agent, request = await _asked(call)
    found = await simulate(call.core, agent, call.caller.session, request, within_seconds=CHAIN_SECONDS)
    return _shown(found, show_lists=call.caller.is_operator)


async def estimate(call: SendCall) -> Fee:
    """What it would cost now, whatever the limits say."""
    agent, request = await _asked(call)
    try:
        async with reading_chain():
            return _fee(await ask_price(call.core, agent, request))
    except Permanent as refusal:
        raise WouldFail(refusal.message, errorCode=refusal.code) from refusal
    except FeeAboveCap as above:
        raise ChainFailed(above.message) from above


async def _asked(call: SendCall) -> tuple[Agent, Request]:
    agent = await call.agent(call.query.agent_id)
    ask = asked(call.core, agent, call.body)
    provenance_of(ask)
    return agent, ask.request


def _shown(found: Preview, *, show_lists: bool) -> TxSimulateResponse:
    trial = found.trial
    return TxSimulateResponse(
        decision=decision_shown(found.decision, show_lists=show_lists),
        would_be=WouldBe(found.status, found.execute_at, found.approval_timeout),
        fee=_fee(found.quote) if found.quote else None,
        simulation=SimulationResult(trial.status.value, trial.error, trial.logs[:MOST_LOGS], trial.consumed),
    )


def _fee(quote: Quote) -> Fee:
    terms = quote.terms
    return Fee(
        asset=quote.asset,
        expected=str(quote.expected),
        max=str(quote.most),
        account_rent=str(quote.rent),
        gas_limit=terms.gas_limit,
        max_fee_per_gas=_digits(terms.max_fee_per_gas),
        max_priority_fee_per_gas=_digits(terms.max_priority_fee_per_gas),
        compute_units=terms.compute_units,
        valid_until=quote.valid_until,
    )


def _digits(number: int | None) -> str | None:
    return None if number is None else str(number)
