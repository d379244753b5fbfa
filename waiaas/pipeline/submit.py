"""A request becomes a transaction: replayed, denied, or accepted with its money set aside, in one commit."""

from typing import Any

import msgspec

from waiaas.db import Statement
from waiaas.domain.agent import Agent, AgentStatus
from waiaas.domain.chain import Chain
from waiaas.domain.control import KillSwitchState
from waiaas.domain.decision import Decision, Outcome, details, retry_after, wire
from waiaas.domain.event import Actor, AuditEvent, EventType
from waiaas.domain.ledger import LedgerRow
from waiaas.domain.request import Batch, Request, canonical, digest
from waiaas.domain.session import Session
from waiaas.domain.transaction import FINAL, Transaction
from waiaas.errors import (
    AgentIsSuspended,
    AgentIsTerminated,
    ConstraintFailed,
    IdempotencyConflict,
    KeystoreLocked,
    KillSwitchActive,
    PendingLimitExceeded,
    Reconciling,
    Refusal,
    SessionRevoked,
    StaleState,
    StorageBusy,
    denial,
)
from waiaas.pipeline.begin import Ask, due, items, new_transaction, queued, reserved
from waiaas.pipeline.core import Core
from waiaas.pipeline.judge import judge
from waiaas.repositories import agents, audit, ledger, outbox, sessions, settings, switch, transactions

#: how often a decision is made anew when the facts change under it
ROUNDS = 20
#: a key that a tool or an SDK made for the tries of one call; no caller has chosen it
MADE_BY_A_TOOL = "auto:"


class Accepted(msgspec.Struct, frozen=True):
    """What a send answers with; `replayed` when its key, `duplicate` when the same request, was accepted before."""

    tx: Transaction
    replayed: bool = False
    duplicate: bool = False


async def submit(
    core: Core,
    agent: Agent,
    session: Session,
    request: Request,
    *,
    key: str | None,
    distinct: bool,
    provenance: dict[str, Any] | None,
    actor: Actor,
) -> Accepted:
    """Accept, replay or refuse; what is accepted is on disk with its reservation when this returns.

    Denied kinds carry details {transactionId, decision}; AgentIsSuspended, AgentIsTerminated, KeystoreLocked,
    KillSwitchActive, Reconciling, SessionRevoked, IdempotencyConflict and PendingLimitExceeded store nothing.
    """
    text = canonical(request)
    told = msgspec.json.encode(provenance, order="sorted").decode() if provenance else None
    ask = Ask(agent, session, request, text.decode(), digest(text), key, distinct, told, actor)
    async with core.lock(agent.id):
        for _ in range(ROUNDS):
            try:
                return await _answer(core, ask)
            except StaleState:
                core.books.forget(agent.id)
            except ConstraintFailed as error:
                if "idempotency_key" not in error.name:
                    raise
    raise StorageBusy("The agent's limits kept changing while this was judged: nothing was done.")


async def _answer(core: Core, ask: Ask) -> Accepted:
    if before := await _accepted_before(core, ask):
        return before
    agent, generation = await _check_open(core, ask)
    version = (await core.books.book(ask.agent.id)).version
    fee = _fee(core, ask, ask.request, waits=False)
    decision = await judge(core, agent, ask.session, ask.request, fee=fee)
    if waits := due(decision, core.clock.now()) is not None:
        fee = _fee(core, ask, ask.request, waits=True)
        decision = await judge(core, agent, ask.session, ask.request, fee=fee)
    tx = new_transaction(ask, decision, core.clock.now())
    if decision.outcome is Outcome.DENY:
        await core.db.commit(*_deny(ask, tx, decision))
        raise _refusal(tx, decision)
    due_at = due(decision, tx.created_at)
    if due_at is not None and await _queue_is_full(core, ask.agent.id):
        raise PendingLimitExceeded()
    children = items(tx, ask.request)
    await core.db.commit(
        ledger.raise_version(ask.agent.id, was=version),
        switch.is_off(generation),
        agents.is_active(ask.agent.id),
        sessions.is_live(ask.session.id),
        settings.policy_version_is(decision.policy_version),
        transactions.insert(tx),
        *(transactions.insert(child) for child, _ in children),
        *(ledger.reserve(row) for row in _reservations(core, ask, tx, children, waits=waits)),
        *_told(ask, tx, decision, due_at),
    )
    if due_at is not None:
        core.delays_soon.set()
        return Accepted(queued(tx, due_at))
    core.metrics.began(tx.id)
    core.execute_soon.set()
    return Accepted(tx)


async def _accepted_before(core: Core, ask: Ask) -> Accepted | None:
    """By its key, for good; without a caller's key, by being the same request while the first is still under way."""
    if ask.key is not None and (known := await transactions.find_by_key(core.db, ask.agent.id, ask.key)):
        if known.request_hash != ask.hash:
            raise IdempotencyConflict(transactionId=known.id)
        return Accepted(known, replayed=True)
    window = core.config.security.duplicate_window_seconds
    if ask.distinct or window == 0 or not (ask.key is None or ask.key.startswith(MADE_BY_A_TOOL)):
        return None
    since = core.clock.now() - window
    twin = await transactions.find_twin(core.db, ask.session.id, ask.hash, since)
    return Accepted(twin, duplicate=True) if twin and twin.status not in FINAL else None


async def _queue_is_full(core: Core, agent_id: str) -> bool:
    return await transactions.count_queued(core.db, agent_id) >= core.config.security.max_pending_tx


async def _check_open(core: Core, ask: Ask) -> tuple[Agent, int]:
    """The agent as it is now and the generation of a switch that is off; a refusal if the agent cannot act."""
    if ask.agent.network in core.reconciling:
        raise Reconciling()
    kill_switch = await core.switch.get("")
    if kill_switch.state is not KillSwitchState.NORMAL:
        raise KillSwitchActive(activatedAt=kill_switch.activated_at)
    agent = await core.agents.get(ask.agent.id)
    if agent.status is AgentStatus.SUSPENDED:
        raise AgentIsSuspended()
    if agent.status is not AgentStatus.ACTIVE:
        raise AgentIsTerminated()
    session = await core.sessions.get(ask.session.id)
    if session is None or session.revoked_at is not None:
        raise SessionRevoked()
    if not core.keystore.usable(agent.id):
        raise KeystoreLocked()
    return agent, kill_switch.generation


def _fee(core: Core, ask: Ask, request: Request, *, waits: bool) -> int:
    """What is set aside for the fee of a request, of a batch as the sum of its items.

    Half as much again where it `waits` for a delay or an owner: prices move.
    """
    if isinstance(request, Batch) and ask.agent.chain is not Chain.SOLANA:
        return sum(_fee(core, ask, item, waits=waits) for item in request.instructions)
    bound = core.chains.chain(ask.agent.network).fee_bound(request)
    return -(-bound * 3 // 2) if waits else bound


def _reservations(
    core: Core, ask: Ask, tx: Transaction, children: list[tuple[Transaction, Request]], *, waits: bool
) -> list[LedgerRow]:
    """Of an EVM batch each item has its own rows, so that each is settled by itself."""
    booked = children or [(tx, ask.request)]
    sender = ask.agent.public_key
    return [row for each, item in booked for row in reserved(each, item, sender, _fee(core, ask, item, waits=waits))]


def _deny(ask: Ask, tx: Transaction, decision: Decision) -> list[Statement]:
    now = tx.created_at
    violation = {"code": decision.code, "policyId": decision.policy_id, "reason": decision.reason}
    return [
        transactions.insert(tx),
        audit.record(AuditEvent.TX_REQUESTED, ask.actor, now, tx.about, requestHash=tx.request_hash, outcome="deny"),
        audit.record(AuditEvent.POLICY_VIOLATION, ask.actor, now, tx.about, **violation),
        outbox.emit(EventType.TX_REQUESTED, now, tx.about, type=tx.type, tier=tx.tier, status=tx.status),
        outbox.emit(EventType.POLICY_VIOLATION, now, tx.about, **violation),
        outbox.emit(EventType.TX_CANCELLED, now, tx.about, errorCode=tx.error_code, error=tx.error),
    ]


def _refusal(tx: Transaction, decision: Decision) -> Refusal:
    assert decision.code is not None
    shown = wire(decision, show_lists=False)
    told = {"transactionId": tx.id, "decision": shown, **details(decision)}
    return denial(decision.code)(decision.reason, retry_after=retry_after(decision), **told)


def _told(ask: Ask, tx: Transaction, decision: Decision, due_at: int | None) -> list[Statement]:
    """The move to QUEUED if it waits, and the rows that tell of it all."""
    now = tx.created_at
    asked = {"requestHash": tx.request_hash, "outcome": decision.outcome, "tier": tx.tier}
    told = [
        audit.record(AuditEvent.TX_REQUESTED, ask.actor, now, tx.about, **asked),
        outbox.emit(EventType.TX_REQUESTED, now, tx.about, type=tx.type, tier=tx.tier, status=tx.status),
    ]
    if due_at is None:
        return told
    downgraded = decision.downgraded_from is not None
    audited = AuditEvent.TX_DOWNGRADED if downgraded else AuditEvent.TX_QUEUED
    event = EventType.TX_DOWNGRADED_DELAY if downgraded else EventType.TX_QUEUED
    return [
        transactions.mark_queued(tx.id, due_at=due_at, now=now),
        *told,
        audit.record(audited, ask.actor, now, tx.about, tier=tx.tier, dueAt=due_at),
        outbox.emit(event, now, tx.about, executeAt=due_at),
    ]
