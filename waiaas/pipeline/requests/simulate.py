"""A send without its commit: what would be decided, what it would cost, and what the chain says of it now."""

import asyncio
from collections.abc import Sequence
from enum import StrEnum

import msgspec
import structlog

from waiaas.chains.base import FeeTerms, Prepared
from waiaas.domain.agent import Agent
from waiaas.domain.chain import Chain, native_asset
from waiaas.domain.decision import Decision, Outcome
from waiaas.domain.request import Batch, Effect, Request
from waiaas.domain.session import Session
from waiaas.domain.tier import Tier
from waiaas.domain.transaction import Status
from waiaas.errors import ChainError, Permanent
from waiaas.pipeline.core import Core
from waiaas.pipeline.requests.assess import Assessed, assess
from waiaas.pipeline.requests.judge import judge
from waiaas.pipeline.requests.rows import due

#: how long a price is worth telling: a few blocks later it is another one
QUOTE_SECONDS = 15

log = structlog.get_logger()


class TrialStatus(StrEnum):
    """What came of trying it on the chain."""

    OK = "ok"
    #: it would fail, or be refused for what the chain shows it to do
    FAILED = "failed"
    #: the node gave no answer
    UNAVAILABLE = "unavailable"
    #: it is denied, so the chain was not asked
    SKIPPED = "skipped"


class Trial(msgspec.Struct, frozen=True):
    """What the chain says of a request as it would be signed now; `consumed` in gas or compute units."""

    status: TrialStatus
    error: str | None = None
    logs: tuple[str, ...] = ()
    consumed: int | None = None


class Quote(msgspec.Struct, frozen=True):
    """What it would cost in native base units, and until when (epoch seconds) that is worth believing."""

    asset: str
    expected: int
    most: int
    rent: int
    terms: FeeTerms
    valid_until: int


class Preview(msgspec.Struct, frozen=True):
    """What a send would come to; `execute_at` is given for a DELAY, `approval_timeout` (seconds) for an APPROVAL."""

    decision: Decision
    status: Status
    execute_at: int | None
    approval_timeout: int | None
    quote: Quote | None
    trial: Trial


async def simulate(
    core: Core, agent: Agent, session: Session | None, request: Request, *, within_seconds: float
) -> Preview:
    """Decide as a send would, then try it on the chain; nothing is written. Refused as `assess` refuses.

    `session` None: judged without a session's constraints.
    """
    assessed = await assess(core, agent, session, request)
    if assessed.decision.outcome is Outcome.DENY:
        return _preview(core, assessed.decision, None, Trial(TrialStatus.SKIPPED))
    quote, trial = await _try(core, assessed, session, request, within_seconds)
    return _preview(core, assessed.decision, quote, trial)


async def estimate(core: Core, agent: Agent, request: Request) -> Quote:
    """What it would cost now, whatever the limits say; Permanent if it would fail, Transient if nobody answers."""
    return _quote(core, agent.chain, await _prepare(core, agent, request))


def _preview(core: Core, decision: Decision, quote: Quote | None, trial: Trial) -> Preview:
    ends_at = due(decision, core.clock.now())
    status = Status.PENDING if ends_at is None else Status.QUEUED
    return Preview(
        decision=decision,
        status=Status.CANCELLED if decision.outcome is Outcome.DENY else status,
        execute_at=ends_at if decision.tier is Tier.DELAY else None,
        approval_timeout=decision.approval_timeout,
        quote=quote,
        trial=trial,
    )


async def _try(
    core: Core, assessed: Assessed, session: Session | None, request: Request, within_seconds: float
) -> tuple[Quote | None, Trial]:
    agent = assessed.agent
    try:
        async with asyncio.timeout(within_seconds):
            prepared = await _prepare(core, agent, request)
    except Permanent as refusal:
        return None, Trial(TrialStatus.FAILED, _told(refusal), tuple(refusal.details.get("logs", ())))
    except ChainError as error:
        log.info("simulation_unavailable", network=agent.network, error=error.message)
        return None, Trial(TrialStatus.UNAVAILABLE, error.message)
    except TimeoutError:
        return None, Trial(TrialStatus.UNAVAILABLE, f"The node did not answer within {within_seconds:g} seconds.")
    quote = _quote(core, agent.chain, prepared)
    refused = await _refused_at_signing(core, assessed, session, request, quote.most, prepared)
    status = TrialStatus.FAILED if refused else TrialStatus.OK
    lines = tuple(line for each in prepared for line in each.logs)
    return quote, Trial(status, refused, lines, _sum([each.consumed for each in prepared]))


async def _prepare(core: Core, agent: Agent, request: Request) -> list[Prepared]:
    """The request as it would be signed; of an EVM batch each item, tried on the present state."""
    chain = core.chains.chain(agent.network)
    if not isinstance(request, Batch) or agent.chain is Chain.SOLANA:
        return [await chain.prepare(request, agent.public_key)]
    prepared = []
    for index, item in enumerate(request.instructions):
        try:
            prepared.append(await chain.prepare(item, agent.public_key))
        except Permanent as refusal:
            refusal.message = f"Item {index}, tried alone: {refusal.message}"
            raise
    return prepared


async def _refused_at_signing(
    core: Core, assessed: Assessed, session: Session | None, request: Request, fee: int, prepared: Sequence[Prepared]
) -> str | None:
    """Why the gate in front of the signature would refuse: a fee above the reserved one, or what leaves undeclared."""
    undeclared: list[Effect] = [effect for each in prepared for effect in each.undeclared]
    if fee <= assessed.fee and not undeclared:
        return None
    fee = max(fee, assessed.fee)
    decision = await judge(core, assessed.agent, session, request, fee=fee, undeclared=undeclared)
    return f"{decision.reason} ({decision.code})" if decision.outcome is Outcome.DENY else None


def _quote(core: Core, chain: Chain, prepared: Sequence[Prepared]) -> Quote:
    """The sum over what would be signed; an allowance that must be reset first costs another transaction."""
    terms = [each.terms() for each in prepared]
    times = [2 if each.needs_reset else 1 for each in prepared]
    return Quote(
        asset=native_asset(chain),
        expected=sum(each.fee * count for each, count in zip(prepared, times, strict=True)),
        most=sum(each.max_fee * count for each, count in zip(prepared, times, strict=True)),
        rent=sum(each.rent for each in prepared),
        terms=FeeTerms(
            gas_limit=_sum([each.gas_limit for each in terms]),
            max_fee_per_gas=_most([each.max_fee_per_gas for each in terms]),
            max_priority_fee_per_gas=_most([each.max_priority_fee_per_gas for each in terms]),
            compute_units=_sum([each.compute_units for each in terms]),
        ),
        valid_until=core.clock.now() + QUOTE_SECONDS,
    )


def _sum(numbers: Sequence[int | None]) -> int | None:
    known = [number for number in numbers if number is not None]
    return sum(known) if known else None


def _most(numbers: Sequence[int | None]) -> int | None:
    return max((number for number in numbers if number is not None), default=None)


def _told(refusal: Permanent) -> str:
    return f"{refusal.message} ({refusal.code})"
