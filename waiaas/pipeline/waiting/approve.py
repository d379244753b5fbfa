"""The owner's decision, once: QUEUED → EXECUTING on a yes, → CANCELLED on a no, → EXPIRED when none came in time."""

from collections.abc import Awaitable, Callable

import structlog

from waiaas.auth.owner import OwnerProof
from waiaas.db import Statement
from waiaas.domain.agent import Agent, OwnerState
from waiaas.domain.approval import Approval, approval_digest, read_undeclared
from waiaas.domain.event import About, Actor, AuditEvent, EventType
from waiaas.domain.ledger import LedgerKind, LedgerState
from waiaas.domain.tier import Tier
from waiaas.domain.transaction import Reason, Status, Transaction
from waiaas.errors import (
    AlreadyProcessed,
    ApprovalNotFound,
    ApprovalTimeout,
    InvalidSignature,
    OwnerNotConnected,
    Reconciling,
    StaleState,
    StorageBusy,
)
from waiaas.pipeline import family
from waiaas.pipeline.alarm import Alarm
from waiaas.pipeline.core import Core
from waiaas.pipeline.each import each
from waiaas.pipeline.signing.execute import stored_request
from waiaas.pipeline.signing.gate import Stopped, pass_gate
from waiaas.repositories import agents, approvals, audit, ledger, outbox, queue, transactions

#: how often a decision is composed anew when the facts change under it
ROUNDS = 20

Step = Callable[[Core, Transaction, Agent, Approval, OwnerProof, Actor, int], Awaitable[None]]

log = structlog.get_logger()


async def subject(core: Core, tx_id: str) -> tuple[Transaction, Agent]:
    """The transaction and its agent, which has an owner; TransactionNotFound, OwnerNotConnected, Reconciling."""
    tx = await transactions.get(core.db, tx_id)
    agent = await agents.get(core.db, tx.agent_id)
    if agent.owner_address is None:
        raise OwnerNotConnected()
    if tx.network in core.reconciling:
        raise Reconciling()
    return tx, agent


async def set_aside(core: Core, tx: Transaction) -> int:
    """What is reserved for the fee, of an EVM batch for all its items, in native base units."""
    rows = [*await ledger.of_transaction(core.db, tx.id), *await ledger.of_items(core.db, tx.id)]
    return sum(row.reserved for row in rows if row.kind is LedgerKind.FEE and row.state is LedgerState.RESERVED)


async def approve(core: Core, tx_id: str, proof: OwnerProof, actor: Actor) -> int:
    """QUEUED → EXECUTING, with what was signed; when it was approved.

    AlreadyProcessed, ApprovalTimeout, ApprovalNotFound; InvalidSignature if this is not what was shown; Stopped if the
    gate now refuses, and then it is CANCELLED with that code.
    """
    return await _decide(core, tx_id, proof, actor, _approve)


async def reject(core: Core, tx_id: str, proof: OwnerProof, actor: Actor) -> int:
    """QUEUED → CANCELLED, with what was signed; when it was rejected. Errors as of `approve`, but Stopped."""
    return await _decide(core, tx_id, proof, actor, _reject)


async def _decide(core: Core, tx_id: str, proof: OwnerProof, actor: Actor, step: Step) -> int:
    tx, _ = await subject(core, tx_id)
    async with core.lock(tx.agent_id):
        for _ in range(ROUNDS):
            tx, agent = await subject(core, tx_id)
            approval = await find_open(core, tx)
            try:
                now = core.clock.now()
                await step(core, tx, agent, approval, proof, actor, now)
            except StaleState:
                core.books.forget(agent.id)
            else:
                return now
    raise StorageBusy("The transaction kept changing while it was decided: nothing was done.")


async def _approve(
    core: Core, tx: Transaction, agent: Agent, approval: Approval, proof: OwnerProof, actor: Actor, now: int
) -> None:
    """The ledger's version is read first and guards the fee that the digest says."""
    version = (await core.books.book(agent.id)).version
    max_fee = await set_aside(core, tx)
    bound = _check_bound(tx, agent, approval, proof, max_fee)
    if approval.undeclared is not None and not proof.bound:
        # anybody may have the text made; who signs a bare nonce has not read what it says beyond the request
        raise InvalidSignature()
    try:
        seen = read_undeclared(approval.undeclared)
        gate = await pass_gate(core, tx, stored_request(tx), fee=max_fee, undeclared=seen)
    except Stopped as stop:
        ending = await family.ending(core.db, tx, Status.CANCELLED, stop.code, stop.message[:500], now)
        await core.db.commit(*ending)
        raise
    await core.db.commit(
        ledger.raise_version(agent.id, was=version),
        approvals.approve(tx.id, address=proof.address, max_fee=max_fee, undeclared=approval.undeclared, now=now),
        transactions.mark_approved(tx.id, now),
        *gate.guards(),
        *_owner(agent, now, actor),
        audit.record(AuditEvent.TX_APPROVED, actor, now, tx.about, digest=bound, bound=proof.bound),
        outbox.emit(EventType.TX_APPROVED, now, tx.about, address=proof.address),
    )
    core.metrics.began(tx.id)
    core.execute_soon.set()


async def _reject(
    core: Core, tx: Transaction, agent: Agent, approval: Approval, proof: OwnerProof, actor: Actor, now: int
) -> None:
    bound = _check_bound(tx, agent, approval, proof, await set_aside(core, tx))
    code, message = Reason.OWNER_REJECTED, "Rejected by its owner."
    await core.db.commit(
        approvals.reject(tx.id, address=proof.address, now=now),
        audit.record(AuditEvent.TX_REJECTED, actor, now, tx.about, digest=bound, bound=proof.bound),
        *await family.ending(core.db, tx, Status.CANCELLED, code, message, now, actor),
        *_owner(agent, now, actor),
    )


def _check_bound(tx: Transaction, agent: Agent, approval: Approval, proof: OwnerProof, max_fee: int) -> str:
    """The digest of what would execute now; InvalidSignature if another one, or by another owner, was signed."""
    bound = approval_digest(tx, max_fee, approval.undeclared)
    if proof.address != agent.owner_address or (proof.bound and proof.digest != bound):
        raise InvalidSignature()
    return bound


def _owner(agent: Agent, now: int, actor: Actor) -> list[Statement]:
    """GRACE → LOCKED with the first good signature; the owner must still be the one that signed."""
    if agent.owner_state is OwnerState.LOCKED:
        return [agents.owner_is(agent)]
    assert agent.owner_address is not None
    about = About(agent.id)
    return [
        agents.verify_owner(agent.id, agent.owner_address, now),
        audit.record(AuditEvent.OWNER_VERIFIED, actor, now, about, ownerAddress=agent.owner_address),
        outbox.emit(EventType.OWNER_VERIFIED, now, about, ownerAddress=agent.owner_address),
    ]


async def find_open(core: Core, tx: Transaction) -> Approval:
    """The approval that is still to be decided; what has run out is EXPIRED then and there."""
    approval = await approvals.find(core.db, tx.id)
    if approval is None:
        raise ApprovalNotFound()
    tx = await transactions.get(core.db, tx.id)
    if tx.status is Status.QUEUED and approval.is_open and approval.expires_at > core.clock.now():
        return approval
    if tx.status is Status.QUEUED and approval.is_open:
        if tx.tier is Tier.APPROVAL:
            await _expire(core, tx)
        raise ApprovalTimeout()
    raise ApprovalTimeout() if tx.error_code == Reason.APPROVAL_TIMEOUT else AlreadyProcessed(status=tx.status)


class Undecided:
    """Ends what no owner has decided in time, and is woken when the next one runs out."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._alarm = Alarm(core.approvals_soon)

    async def tick(self) -> None:
        """QUEUED → EXPIRED for all of it."""
        await expire(self._core)
        now = self._core.clock.now()
        due_at = await queue.next_undecided(self._core.db, now)
        self._alarm.ring_in([] if due_at is None else [due_at - now])


async def expire(core: Core) -> None:
    """QUEUED → EXPIRED for everything that no owner has decided in time."""
    await each(*(_expire(core, tx) for tx in await queue.undecided(core.db, core.clock.now())))


async def _expire(core: Core, tx: Transaction) -> None:
    await family.end(core, tx, Status.EXPIRED, Reason.APPROVAL_TIMEOUT, "Its owner did not decide in time.")
