"""Dearer bytes for the same nonce: because they are stuck, because somebody asks, or to cancel on chain."""

from waiaas.chains import base
from waiaas.db import Statement
from waiaas.domain.event import Actor, AuditEvent, EventType
from waiaas.domain.transaction import Attempt, AttemptKind, AttemptStatus, Status, Transaction
from waiaas.errors import AlreadyProcessed, ChainNotSupported, StaleState, StorageBusy, TransactionNotFound
from waiaas.pipeline.core import Core
from waiaas.pipeline.requests.withdrawal import must_be_its_own
from waiaas.pipeline.signing.execute import (
    ROUNDS,
    check_approved_fee,
    fee_statements,
    make_attempt,
    reserved_fee,
    send,
    slot_of,
    stored_request,
)
from waiaas.pipeline.signing.gate import Pass, pass_gate, pass_switch
from waiaas.repositories import attempts, audit, outbox, transactions


async def speed_up(
    core: Core, tx_id: str, agent_id: str | None, *, cancel: bool, fees: base.Fees | None, actor: Actor
) -> Attempt:
    """Replace by request; the new attempt, durable and sent once.

    TransactionNotFound, AlreadyProcessed (not SUBMITTED, or moved meanwhile), ChainNotSupported, Permanent, Transient,
    Stopped; StorageBusy if what it is judged by kept changing; PolicyDenied for a session (`agent_id` is given) and a
    withdrawal.
    """
    tx = await transactions.get(core.db, tx_id)
    if agent_id is not None and tx.agent_id != agent_id:
        raise TransactionNotFound()
    if agent_id is not None:
        must_be_its_own(tx)
    live = next((a for a in await attempts.of_transaction(core.db, tx_id) if a.status is AttemptStatus.LIVE), None)
    if tx.status is not Status.SUBMITTED or live is None:
        raise AlreadyProcessed(status=tx.status)
    if live.nonce is None:
        raise ChainNotSupported(f"A transaction on {tx.network} cannot be replaced: it lands or its blockhash dies.")
    kind, afresh = AttemptKind.CANCEL if cancel else AttemptKind.SPEED_UP, live.rejected_at is not None
    try:
        return await replace(core, tx, live, kind=kind, fees=fees, actor=actor, afresh=afresh)
    except StaleState:
        if await is_current(core, live):
            raise StorageBusy("The agent's limits kept changing while this was judged: nothing was done.") from None
        raise AlreadyProcessed(status=(await transactions.get(core.db, tx_id)).status) from None


async def is_current(core: Core, live: Attempt) -> bool:
    """Whether these bytes are still the newest of a SUBMITTED transaction."""
    tx, attempt = await transactions.get(core.db, live.tx_id), await attempts.get(core.db, live.id)
    return tx.status is Status.SUBMITTED and attempt.status is AttemptStatus.LIVE


async def replace(
    core: Core,
    tx: Transaction,
    live: Attempt,
    *,
    kind: AttemptKind,
    fees: base.Fees | None,
    actor: Actor,
    afresh: bool = False,
) -> Attempt:
    """One further attempt with the nonce of `live`, under the gate and the caps; a cancel needs only the switch.

    `afresh` estimates its gas anew. StaleState if the transaction has moved, or what the gate read kept changing.
    """
    chain = core.chains.chain(tx.network)
    request = stored_request(tx)
    # who speeds up a cancel wants the cancel: the payment does not come back by it
    kind = AttemptKind.CANCEL if live.kind is AttemptKind.CANCEL else kind
    cancel = kind is AttemptKind.CANCEL
    prepared = await chain.replacement(live.raw, request, live.signer, cancel=cancel, fees=fees, afresh=afresh)
    for rounds_left in reversed(range(ROUNDS)):
        reserved = await reserved_fee(core, tx)
        fee = max(reserved, prepared.max_fee)
        gate = await (pass_switch(core, tx) if cancel else pass_gate(core, tx, request, fee=fee))
        signed = chain.sign(prepared, slot_of(live), core.keystore, tx.agent_id)
        if not cancel:
            await check_approved_fee(core, tx, signed.max_fee)
        number = 1 + max(attempt.number for attempt in await attempts.of_transaction(core.db, tx.id))
        fresh = make_attempt(core, tx, live.signer, signed, number, kind)
        try:
            await core.db.commit(*_statements(tx, live, fresh, gate, reserved, actor))
        except StaleState:
            # a guard failed: the gate says why, unless these bytes are not what is to be replaced any more
            core.books.forget(tx.agent_id)
            if not rounds_left or not await is_current(core, live):
                raise
        else:
            await send(core, fresh)
            return fresh
    raise StaleState


def _statements(
    tx: Transaction, live: Attempt, fresh: Attempt, gate: Pass, reserved: int, actor: Actor
) -> list[Statement]:
    now = fresh.created_at
    told = {"kind": fresh.kind, "txHash": fresh.tx_hash}
    return [
        *gate.guards(),
        # any of the nonce's attempts may land: the dearest of them stays set aside
        *fee_statements(tx, max(fresh.max_fee, reserved), gate, reserved, now),
        attempts.replace(live.id),
        attempts.insert(fresh),
        transactions.mark_signed_again(tx.id, was=live.tx_hash, tx_hash=fresh.tx_hash, now=now),
        audit.record(AuditEvent.TX_REPLACED, actor, now, tx.about, replaces=live.tx_hash, **told),
        outbox.emit(EventType.TX_REPLACED, now, tx.about, **told),
    ]
