"""A request becomes a transaction: replayed, denied, or accepted with its money set aside, in one commit."""

from typing import Any

import msgspec

from waiaas.clock import Clock
from waiaas.db import Statement
from waiaas.domain.agent import Agent, AgentStatus
from waiaas.domain.chain import native_asset
from waiaas.domain.control import KillSwitchState
from waiaas.domain.event import Actor, AuditEvent, EventType
from waiaas.domain.ledger import LedgerRow, LedgerState
from waiaas.domain.policy import Decision, Outcome, Tier, details, wire
from waiaas.domain.request import Request, canonical, digest, effects
from waiaas.domain.session import Session
from waiaas.domain.transaction import Reason, Status, Transaction, TransactionOrigin, TransactionType
from waiaas.errors import (
    AgentIsSuspended,
    AgentIsTerminated,
    AlreadyProcessed,
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
    TransactionNotFound,
    denial,
)
from waiaas.ids import new_id
from waiaas.pipeline.core import Core
from waiaas.pipeline.end import end_unspent
from waiaas.pipeline.judge import judge
from waiaas.policy import reservation
from waiaas.repositories import agents, audit, ledger, outbox, sessions, settings, switch, transactions

#: how often a decision is made anew when the facts change under it
ROUNDS = 20


class Accepted(msgspec.Struct, frozen=True):
    """What a send answers with; `replayed` when the key had been used for this request before."""

    tx: Transaction
    replayed: bool = False


class Ask(msgspec.Struct, frozen=True):
    """One request as it came in, ready to be judged."""

    agent: Agent
    session: Session
    request: Request
    text: str
    hash: str
    key: str | None
    provenance: str | None
    actor: Actor


async def submit(
    core: Core,
    agent: Agent,
    session: Session,
    request: Request,
    *,
    key: str | None,
    provenance: dict[str, Any] | None,
    actor: Actor,
) -> Accepted:
    """Accept, replay or refuse; what is accepted is on disk with its reservation when this returns.

    Denied kinds carry details {transactionId, decision}; AgentIsSuspended, AgentIsTerminated, KeystoreLocked,
    KillSwitchActive, Reconciling, SessionRevoked, IdempotencyConflict and PendingLimitExceeded store nothing.
    """
    text = canonical(request)
    told = msgspec.json.encode(provenance, order="sorted").decode() if provenance else None
    ask = Ask(agent, session, request, text.decode(), digest(text), key, told, actor)
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
    if ask.key is not None and (known := await transactions.find_by_key(core.db, ask.agent.id, ask.key)):
        if known.request_hash != ask.hash:
            raise IdempotencyConflict(transactionId=known.id)
        return Accepted(known, replayed=True)
    agent, generation = await _check_open(core, ask)
    chain = core.chains.chain(ask.agent.network)
    fee = chain.fee_bound(ask.request)
    version = (await core.books.book(ask.agent.id)).version
    decision = await judge(core, agent, ask.session, ask.request, fee=fee)
    tx = new_transaction(ask, decision, core.clock)
    if decision.outcome is Outcome.DENY:
        await core.db.commit(*_deny(ask, tx, decision))
        raise _refusal(tx, decision)
    due_at = due(decision, tx.created_at)
    if (
        due_at is not None
        and await transactions.count_queued(core.db, ask.agent.id) >= core.config.security.max_pending_tx
    ):
        raise PendingLimitExceeded()
    await core.db.commit(
        ledger.raise_version(ask.agent.id, was=version),
        switch.is_off(generation),
        agents.is_active(ask.agent.id),
        sessions.is_live(ask.session.id),
        settings.policy_version_is(decision.policy_version),
        transactions.insert(tx),
        *(ledger.reserve(row) for row in _reservations(ask, tx, fee)),
        *_told(ask, tx, decision, due_at),
    )
    (core.delays_soon if due_at is not None else core.execute_soon).set()
    return Accepted(queued(tx, due_at) if due_at is not None else tx)


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


def new_transaction(ask: Ask, decision: Decision, clock: Clock) -> Transaction:
    """The row as it is inserted: PENDING, or CANCELLED with the denial's code."""
    now = clock.now()
    denied = decision.outcome is Outcome.DENY
    return Transaction(
        id=new_id(),
        agent_id=ask.agent.id,
        session_id=ask.session.id,
        chain=ask.agent.chain,
        network=ask.agent.network,
        origin=TransactionOrigin.SEND,
        type=TransactionType(str(ask.request.__struct_config__.tag)),
        status=Status.CANCELLED if denied else Status.PENDING,
        tier=decision.tier,
        request=ask.text,
        request_hash=ask.hash,
        decision=canonical(decision).decode(),
        provenance=ask.provenance,
        idempotency_key=None if denied else ask.key,
        amount=ask.request.amount,
        asset=native_asset(ask.agent.chain),
        to_address=ask.request.to,
        tx_hash=None,
        fee=None,
        error=decision.reason if denied else None,
        error_code=decision.code if denied else None,
        queued_at=None,
        due_at=None,
        submitted_at=None,
        executed_at=None,
        finished_at=now if denied else None,
        created_at=now,
        updated_at=now,
    )


def due(decision: Decision, now: int) -> int | None:
    """When a queued transaction's delay or approval ends; None for one that is executed at once."""
    match decision.tier:
        case Tier.DELAY:
            assert decision.delay_seconds is not None
            return now + decision.delay_seconds
        case Tier.APPROVAL:
            assert decision.approval_timeout is not None
            return now + decision.approval_timeout
        case _:
            return None


def queued(tx: Transaction, due_at: int) -> Transaction:
    """The transaction as its accepting commit leaves it when it has to wait."""
    return msgspec.structs.replace(tx, status=Status.QUEUED, queued_at=tx.created_at, due_at=due_at)


def _reservations(ask: Ask, tx: Transaction, fee: int) -> list[LedgerRow]:
    return [
        LedgerRow(
            id=new_id(),
            agent_id=tx.agent_id,
            session_id=tx.session_id,
            tx_id=tx.id,
            asset=asset,
            kind=kind,
            spender=None,
            state=LedgerState.RESERVED,
            reserved=amount,
            settled=None,
            created_at=tx.created_at,
            settled_at=None,
        )
        for asset, kind, amount in reservation(effects(ask.request, tx.chain), fee, tx.chain)
    ]


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
    return denial(decision.code)(decision.reason, transactionId=tx.id, decision=shown, **details(decision))


def _told(ask: Ask, tx: Transaction, decision: Decision, due_at: int | None) -> list[Statement]:
    """The move to QUEUED if it waits, and the rows that tell of it all."""
    now = tx.created_at
    told = [
        audit.record(
            AuditEvent.TX_REQUESTED,
            ask.actor,
            now,
            tx.about,
            requestHash=tx.request_hash,
            outcome="allow",
            tier=tx.tier,
        ),
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


async def cancel(core: Core, tx_id: str, agent_id: str | None, actor: Actor) -> Transaction:
    """PENDING or QUEUED → CANCELLED, once; AlreadyProcessed when another step was first, TransactionNotFound."""
    tx = await transactions.get(core.db, tx_id)
    if agent_id is not None and tx.agent_id != agent_id:
        raise TransactionNotFound()
    if tx.network in core.reconciling:
        raise Reconciling()
    if tx.status not in (Status.PENDING, Status.QUEUED):
        raise AlreadyProcessed(status=tx.status)
    now = core.clock.now()
    ending = end_unspent(tx, Status.CANCELLED, Reason.CANCELLED_BY_CALLER, "Cancelled by its caller.", now, actor)
    try:
        await core.db.commit(*ending)
    except StaleState:
        tx = await transactions.get(core.db, tx_id)
        raise AlreadyProcessed(status=tx.status) from None
    return await transactions.get(core.db, tx_id)
