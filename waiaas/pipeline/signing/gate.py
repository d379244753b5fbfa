"""The gate in front of everything that signs: switch, agent, session, and the limits as they are now."""

from collections.abc import Sequence

import msgspec

from waiaas.db import Statement
from waiaas.domain.agent import Agent, AgentStatus, OwnerState
from waiaas.domain.decision import Outcome
from waiaas.domain.request import Effect, Request, Sweep, SweepToken, TokenTransfer, Transfer
from waiaas.domain.switch import KillSwitchState
from waiaas.domain.transaction import Reason, Transaction
from waiaas.errors import WaiaasError
from waiaas.pipeline.core import Core
from waiaas.pipeline.requests.judge import judge
from waiaas.repositories import agents, ledger, sessions, settings, switch

THROWN = "The kill switch was thrown before this was signed."


class Stopped(WaiaasError):
    """This transaction must not go on."""

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        super().__init__(message)


class Pass(msgspec.Struct, frozen=True):
    """The gate was open when this was read; the guards make a commit find out whether it still is."""

    agent: Agent
    generation: int
    ledger_version: int
    #: None: only the switch was asked (an on-chain cancel must work for a suspended agent too)
    policy_version: int | None
    session_id: str | None
    #: of a withdrawal: who must still be the owner
    owner: str | None = None

    def guards(self) -> tuple[Statement, ...]:
        """Stale if the switch, the agent, the session or any policy changed since."""
        if self.owner is not None:
            return (switch.is_off(self.generation), agents.may_withdraw(self.agent.id, self.owner))
        if self.policy_version is None:
            return (switch.is_off(self.generation),)
        live = () if self.session_id is None else (sessions.is_live(self.session_id),)
        return (
            switch.is_off(self.generation),
            agents.is_active(self.agent.id),
            *live,
            settings.policy_version_is(self.policy_version),
        )

    def ledger_guard(self) -> Statement:
        """Stale if the agent's ledger changed since; the first statement of a commit that raises what is used."""
        return ledger.raise_version(self.agent.id, was=self.ledger_version)


async def open_generation(core: Core) -> int:
    """The generation of a kill switch that is off; Stopped if it is on."""
    kill_switch = await core.switch.get("")
    if kill_switch.state is not KillSwitchState.NORMAL:
        raise Stopped(Reason.KILL_SWITCH, THROWN)
    return kill_switch.generation


async def pass_switch(core: Core, tx: Transaction) -> Pass:
    """Stopped if the kill switch is on."""
    generation = await open_generation(core)
    agent = await core.agents.get(tx.agent_id)
    ledger_version = (await core.books.book(agent.id)).version
    return Pass(agent, generation, ledger_version, None, None)


def _pass_owner(passed: Pass, request: Request) -> Pass:
    """Stopped unless the money goes to the present owner, who has signed; a stopped agent's money may go home."""
    assert isinstance(request, Sweep | SweepToken | Transfer | TokenTransfer)
    agent = passed.agent
    if agent.status is AgentStatus.TERMINATED:
        raise Stopped(Reason.AGENT_TERMINATED, "The agent was terminated before this was signed.")
    if agent.owner_state is not OwnerState.LOCKED or agent.owner_address != request.to:
        raise Stopped(Reason.OWNER_CHANGED, "The agent's owner changed before this was signed.")
    return msgspec.structs.replace(passed, owner=request.to)


async def pass_gate(
    core: Core, tx: Transaction, request: Request, *, fee: int, undeclared: Sequence[Effect] = ()
) -> Pass:
    """Stopped if the switch is on, the agent or session stopped, or the limits now refuse; `fee` is what is reserved.

    `undeclared` is what a simulation saw leave beyond the declared effects. A milder verdict changes nothing: tier and
    delay stay as accepted.
    """
    passed = await pass_switch(core, tx)
    if tx.is_withdrawal:
        return _pass_owner(passed, request)
    agent = passed.agent
    if agent.status is AgentStatus.SUSPENDED:
        raise Stopped(Reason.AGENT_SUSPENDED, "The agent was suspended before this was signed.")
    if agent.status is not AgentStatus.ACTIVE:
        raise Stopped(Reason.AGENT_TERMINATED, "The agent was terminated before this was signed.")
    session = await core.sessions.get(tx.session_id) if tx.session_id else None
    if session is not None and session.revoked_at is not None:
        raise Stopped(Reason.SESSION_REVOKED, "The session was revoked before this was signed.")
    decision = await judge(core, agent, session, request, fee=fee, again=tx, undeclared=undeclared)
    if decision.outcome is Outcome.DENY:
        assert decision.code is not None
        assert decision.reason is not None
        raise Stopped(decision.code, decision.reason)
    return msgspec.structs.replace(passed, policy_version=decision.policy_version, session_id=tx.session_id)
