"""A request becomes a transaction: replayed, denied, or accepted with its money set aside, in one commit."""

from typing import Any

import msgspec

from waiaas.db import Statement
from waiaas.domain.agent import Agent
from waiaas.domain.approval import Approval
from waiaas.domain.decision import Decision, Outcome, details, retry_after, wire
from waiaas.domain.event import Actor, AuditEvent, EventType
from waiaas.domain.ledger import LedgerRow
from waiaas.domain.request import Request, canonical, digest
from waiaas.domain.session import Session
from waiaas.domain.tier import QUEUING, Tier
from waiaas.domain.transaction import FINAL, Transaction
from waiaas.errors import (
    ConstraintFailed,
    IdempotencyConflict,
    Refusal,
    StaleState,
    StorageBusy,
    denial,
)
from waiaas.pipeline.core import Core
from waiaas.pipeline.requests.assess import assess, fee
from waiaas.pipeline.requests.rows import (
    Ask,
    asked_for,
    asked_of_owner,
    due,
    items,
    needs_owner,
    new_transaction,
    queued,
    reserved,
)
from waiaas.repositories import agents, approvals, audit, ledger, outbox, sessions, settings, switch, transactions

#: how often a decision is made anew when the facts change under it
ROUNDS = 20
#: how long after the end of its transaction a key answers with it
KEY_SECONDS = 7 * 86_400
#: a key that a tool or an SDK made for the tries of one call; no caller has chosen it
MADE_BY_A_TOOL = "auto:"


class Accepted(msgspec.Struct, frozen=True):
    """What a send answers with; `replayed` when its key, `duplicate` when the same request, was accepted before."""

    tx: Transaction
    replayed: bool = False
    duplicate: bool = False
    #: until when the owner may decide; None where the owner is not asked
    approval_expires_at: int | None = None


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
    assessed = await assess(core, ask.agent, ask.session, ask.request)
    generation, version, decision = assessed.generation, assessed.ledger_version, assessed.decision
    tx = new_transaction(ask, decision, core.clock.now())
    if decision.outcome is Outcome.DENY:
        await core.db.commit(*_deny(ask, tx, decision))
        raise _refusal(tx, decision)
    due_at = due(decision, tx.created_at)
    children = items(tx, ask.request)
    approval = asked_of_owner(assessed.agent, decision, queued(tx, due_at)) if due_at is not None else None
    await core.db.commit(
        ledger.raise_version(ask.agent.id, was=version),
        switch.is_off(generation),
        agents.is_active(ask.agent.id),
        sessions.is_live(ask.session.id),
        settings.policy_version_is(decision.policy_version),
        *await _free_key(core, ask),
        transactions.insert(tx),
        *(transactions.insert(child) for child, _ in children),
        *(ledger.reserve(row) for row in _reservations(core, ask, tx, children, waits=assessed.waits)),
        *_told(ask, tx, decision, due_at, approval),
        *_owner_asked(assessed.agent, decision, approval),
    )
    if due_at is not None:
        (core.approvals_soon if decision.tier is Tier.APPROVAL else core.delays_soon).set()
        return Accepted(queued(tx, due_at), approval_expires_at=approval.expires_at if approval else None)
    core.metrics.began(tx.id)
    core.execute_soon.set()
    return Accepted(tx)


async def _bound(core: Core, ask: Ask, key: str) -> Transaction | None:
    """The transaction that the key is bound to: until KEY_SECONDS after its end."""
    known = await transactions.find_by_key(core.db, ask.agent.id, key)
    if known is None or known.finished_at is None or known.finished_at + KEY_SECONDS > core.clock.now():
        return known
    return None


async def _free_key(core: Core, ask: Ask) -> list[Statement]:
    """A key that has outlived its transaction leaves it, in the commit that binds it anew."""
    if ask.key is None or (known := await transactions.find_by_key(core.db, ask.agent.id, ask.key)) is None:
        return []
    return [transactions.free_key(known.id, ask.key, finished_before=core.clock.now() - KEY_SECONDS)]


async def _accepted_before(core: Core, ask: Ask) -> Accepted | None:
    """By its key while that lives; without a caller's key, by being the same request while the first is under way."""
    if ask.key is not None and (known := await _bound(core, ask, ask.key)):
        if known.request_hash != ask.hash:
            raise IdempotencyConflict(transactionId=known.id)
        return Accepted(known, replayed=True, approval_expires_at=await _asked_until(core, known))
    window = core.config.security.duplicate_window_seconds
    if ask.distinct or window == 0 or not (ask.key is None or ask.key.startswith(MADE_BY_A_TOOL)):
        return None
    since = core.clock.now() - window
    twin = await transactions.find_twin(core.db, ask.session.id, ask.hash, since)
    if twin is None or twin.status in FINAL:
        return None
    return Accepted(twin, duplicate=True, approval_expires_at=await _asked_until(core, twin))


async def _asked_until(core: Core, tx: Transaction) -> int | None:
    approval = await approvals.find(core.db, tx.id) if tx.tier in QUEUING else None
    return approval.expires_at if approval else None


def _reservations(
    core: Core, ask: Ask, tx: Transaction, children: list[tuple[Transaction, Request]], *, waits: bool
) -> list[LedgerRow]:
    """Of an EVM batch each item has its own rows, so that each is settled by itself."""
    booked = children or [(tx, ask.request)]
    sender = ask.agent.public_key
    return [
        row for each, item in booked for row in reserved(each, item, sender, fee(core, tx.network, item, waits=waits))
    ]


def _deny(ask: Ask, tx: Transaction, decision: Decision) -> list[Statement]:
    now = tx.created_at
    violation = {"code": decision.code, "policyId": decision.policy_id, "reason": decision.reason}
    return [
        transactions.insert(tx),
        audit.record(AuditEvent.TX_REQUESTED, ask.actor, now, tx.about, requestHash=tx.request_hash, outcome="deny"),
        audit.record(AuditEvent.POLICY_VIOLATION, ask.actor, now, tx.about, **violation),
        outbox.emit(EventType.TX_REQUESTED, now, tx.about, **asked_for(tx)),
        outbox.emit(EventType.POLICY_VIOLATION, now, tx.about, **violation),
        outbox.emit(EventType.TX_CANCELLED, now, tx.about, errorCode=tx.error_code, error=tx.error),
    ]


def _refusal(tx: Transaction, decision: Decision) -> Refusal:
    assert decision.code is not None
    shown = wire(decision, show_lists=False)
    told = {"transactionId": tx.id, "decision": shown, **details(decision)}
    return denial(decision.code)(decision.reason, retry_after=retry_after(decision), **told)


def _owner_asked(agent: Agent, decision: Decision, approval: Approval | None) -> list[Statement]:
    """The open approval; and, where the owner's state made the decision, that it is still what it was."""
    asked = [approvals.open_approval(approval)] if approval else []
    return [*asked, agents.owner_is(agent)] if needs_owner(decision) else asked


def _told(
    ask: Ask, tx: Transaction, decision: Decision, due_at: int | None, approval: Approval | None
) -> list[Statement]:
    """The move to QUEUED if it waits, and the rows that tell of it all."""
    now = tx.created_at
    asked = {"requestHash": tx.request_hash, "outcome": decision.outcome, "tier": tx.tier}
    told = [
        audit.record(AuditEvent.TX_REQUESTED, ask.actor, now, tx.about, **asked),
        outbox.emit(EventType.TX_REQUESTED, now, tx.about, **asked_for(tx)),
    ]
    if due_at is None:
        return told
    audited = AuditEvent.TX_DOWNGRADED if decision.downgraded_from else AuditEvent.TX_QUEUED
    return [
        transactions.mark_queued(tx.id, due_at=due_at, now=now),
        *told,
        audit.record(audited, ask.actor, now, tx.about, tier=tx.tier, dueAt=due_at),
        _queued(tx, decision, due_at, approval),
    ]


def _queued(tx: Transaction, decision: Decision, due_at: int, approval: Approval | None) -> Statement:
    """The event that tells what it waits for, and what the owner is asked about."""
    asked: dict[str, Any] = {}
    if approval is not None:
        asked = {"approvalExpiresAt": approval.expires_at, "effects": decision.effects}
    if decision.tier is Tier.APPROVAL:
        return outbox.emit(EventType.TX_APPROVAL_REQUIRED, tx.created_at, tx.about, **asked)
    event = EventType.TX_DOWNGRADED_DELAY if decision.downgraded_from else EventType.TX_QUEUED
    return outbox.emit(event, tx.created_at, tx.about, executeAt=due_at, **asked)
