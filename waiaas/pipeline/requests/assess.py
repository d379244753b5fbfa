"""What a send is before its commit: whether anything may be asked at all, the decision, and the fee it counts with.

A preview stops here; a send goes on to commit under the guards that this was read with.
"""

import msgspec

from waiaas.domain.agent import Agent, check_running
from waiaas.domain.chain import Chain, Network, chain_of
from waiaas.domain.decision import Decision
from waiaas.domain.request import Batch, Request
from waiaas.domain.session import Session
from waiaas.domain.switch import KillSwitchState
from waiaas.errors import (
    KeystoreLocked,
    KillSwitchActive,
    PendingLimitExceeded,
    Reconciling,
    SessionRevoked,
)
from waiaas.pipeline.core import Core
from waiaas.pipeline.requests.judge import judge
from waiaas.pipeline.requests.rows import due
from waiaas.repositories import unfinished


class Assessed(msgspec.Struct, frozen=True):
    """A decision, and what it was made on: the switch's generation and the ledger's version are for the commit."""

    agent: Agent
    generation: int
    ledger_version: int
    decision: Decision
    #: set aside for the fee, in native base units; of an EVM batch for all its items
    fee: int
    #: whether it waits for a delay or an owner, so that its fee is set aside with more room
    waits: bool


async def assess(core: Core, agent: Agent, session: Session | None, request: Request) -> Assessed:
    """Decide about a request as it is now; nothing is written.

    Reconciling, KillSwitchActive, AgentIsSuspended, AgentIsTerminated, SessionRevoked, KeystoreLocked, and
    PendingLimitExceeded for one more that would wait.
    """
    agent, generation = await _check_open(core, agent, session)
    version = (await core.books.book(agent.id)).version
    set_aside = fee(core, agent.network, request, waits=False)
    decision = await judge(core, agent, session, request, fee=set_aside)
    if waits := due(decision, core.clock.now()) is not None:
        set_aside = fee(core, agent.network, request, waits=True)
        decision = await judge(core, agent, session, request, fee=set_aside)
        waits = due(decision, core.clock.now()) is not None
    if waits and await _queue_is_full(core, agent.id):
        raise PendingLimitExceeded()
    return Assessed(agent, generation, version, decision, set_aside, waits)


def fee(core: Core, network: Network, request: Request, *, waits: bool) -> int:
    """What is set aside for the fee of a request, of a batch as the sum of its items.

    Half as much again where it `waits` for a delay or an owner: prices move.
    """
    if isinstance(request, Batch) and chain_of(network) is not Chain.SOLANA:
        return sum(fee(core, network, item, waits=waits) for item in request.instructions)
    return margin(core.chains.chain(network).fee_bound(request), waits=waits)


def margin(bound: int, *, waits: bool) -> int:
    """A fee bound with the room that waiting needs."""
    return -(-bound * 3 // 2) if waits else bound


async def _check_open(core: Core, agent: Agent, session: Session | None) -> tuple[Agent, int]:
    """The agent as it is now and the generation of a switch that is off; a refusal if the agent cannot act."""
    if agent.network in core.reconciling:
        raise Reconciling()
    kill_switch = await core.switch.get("")
    if kill_switch.state is not KillSwitchState.NORMAL:
        raise KillSwitchActive(activatedAt=kill_switch.activated_at)
    agent = await core.agents.get(agent.id)
    check_running(agent)
    if session is not None:
        await _check_live(core, session)
    if not core.keystore.usable(agent.id):
        raise KeystoreLocked()
    return agent, kill_switch.generation


async def _check_live(core: Core, session: Session) -> None:
    found = await core.sessions.get(session.id)
    if found is None or found.revoked_at is not None:
        raise SessionRevoked()


async def _queue_is_full(core: Core, agent_id: str) -> bool:
    return await unfinished.count_queued(core.db, agent_id) >= core.config.security.max_pending_tx
