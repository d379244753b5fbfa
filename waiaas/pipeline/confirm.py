"""SUBMITTED until the chain says otherwise: look up in batches, land, finalise, send again, or prove dead."""

from collections.abc import Iterable

import msgspec
import structlog

from waiaas.chains import base
from waiaas.db import Statement
from waiaas.domain.chain import Network, native_of
from waiaas.domain.control import KillSwitchState
from waiaas.domain.event import SYSTEM, AuditEvent, EventType
from waiaas.domain.ledger import LedgerKind
from waiaas.domain.transaction import Attempt, AttemptStatus, Reason, Status, Transaction
from waiaas.errors import KeystoreError, KeystoreLocked, Permanent
from waiaas.pipeline.core import Core
from waiaas.pipeline.each import each
from waiaas.pipeline.end import end_unspent
from waiaas.pipeline.execute import Ready, fee_statements, make_ready, send, stored_request
from waiaas.pipeline.gate import Stopped
from waiaas.repositories import attempts, audit, ledger, outbox, transactions

#: attempts that may be signed for one transaction, each after proof that the one before is dead
MOST_ATTEMPTS = 3

log = structlog.get_logger()


async def confirm(core: Core, network: Network) -> int:
    """Look once at everything that may still land on a network; how many attempts are left open.

    Transient when no endpoint answers: then nothing is known and nothing changes.
    """
    followed = await attempts.open_on(core.db, network)
    if not followed:
        return 0
    chain = core.chains.chain(network)
    sightings = await chain.statuses([attempt.tx_hash for attempt in followed])
    seen = [(attempt, sightings[attempt.tx_hash]) for attempt in followed if attempt.tx_hash in sightings]
    unseen = [attempt for attempt in followed if attempt.tx_hash not in sightings]
    await each(_land_all(core, chain, seen), _follow_unseen(core, chain, unseen))
    return len(followed)


# --- what was seen -----------------------------------------------------------------------------


async def _land_all(core: Core, chain: base.Chain, seen: list[tuple[Attempt, base.Sighting]]) -> None:
    landing = [
        (attempt, sighting)
        for attempt, sighting in seen
        if attempt.status is AttemptStatus.LIVE and (sighting.confirmed if sighting.ok else sighting.finalized)
    ]
    receipts = await chain.receipts([attempt.tx_hash for attempt, _ in landing]) if landing else {}
    final = [a for a, sighting in seen if a.status is AttemptStatus.LANDED and sighting.finalized]
    await each(
        *(_note(core, attempt, sighting) for attempt, sighting in seen if in_doubt(attempt)),
        *(_land(core, attempt, sighting, receipts.get(attempt.tx_hash)) for attempt, sighting in landing),
        *(_finalize(core, attempt) for attempt in final),
    )


def in_doubt(attempt: Attempt) -> bool:
    """Whether no endpoint has reported a live attempt since its last send."""
    if attempt.status is not AttemptStatus.LIVE:
        return False
    return attempt.last_seen_at is None or attempt.last_seen_at < (attempt.last_broadcast_at or 0)


async def _note(core: Core, attempt: Attempt, sighting: base.Sighting) -> None:
    await core.db.commit(attempts.seen(attempt.id, sighting.block, core.clock.now()))


async def _land(core: Core, attempt: Attempt, sighting: base.Sighting, receipt: base.Receipt | None) -> None:
    """SUBMITTED → CONFIRMED, or FAILED once the failure is final; the ledger is settled in the same commit."""
    if receipt is None:
        return
    tx = await transactions.get(core.db, attempt.tx_id)
    now = core.clock.now()
    landed = attempts.land(
        attempt,
        block=receipt.block,
        confirmations=sighting.confirmations,
        fee=receipt.fee,
        error=sighting.error,
        finalized=sighting.finalized,
        now=now,
    )
    ending = _confirmed(tx, attempt, receipt, now) if sighting.ok else _reverted(tx, sighting, receipt, now)
    final = [_finalized_event(tx, attempt, now)] if sighting.ok and sighting.finalized else []
    await core.db.commit(landed, *ending, *final)


def _confirmed(tx: Transaction, attempt: Attempt, receipt: base.Receipt, now: int) -> list[Statement]:
    fee = paid(tx, receipt)
    return [
        transactions.mark_confirmed(tx.id, tx_hash=attempt.tx_hash, fee=fee, now=now),
        ledger.touch(tx.agent_id),
        ledger.settle(tx.id, LedgerKind.AMOUNT, receipt.outflow, now),
        ledger.settle(tx.id, LedgerKind.FEE, receipt.fee, now),
        audit.record(
            AuditEvent.TX_CONFIRMED,
            SYSTEM,
            now,
            tx.about,
            txHash=attempt.tx_hash,
            block=receipt.block,
            fee=str(receipt.fee),
        ),
        outbox.emit(EventType.TX_CONFIRMED, now, tx.about, txHash=attempt.tx_hash, fee=msgspec.Raw(fee.encode())),
    ]


def _reverted(tx: Transaction, sighting: base.Sighting, receipt: base.Receipt, now: int) -> list[Statement]:
    error = f"It landed and failed: {sighting.error or 'the chain gives no reason'}"[:500]
    code = Reason.ONCHAIN_FAILURE
    return [
        transactions.mark_ended(
            tx.id, was=tx.status, to=Status.FAILED, error=error, error_code=code, now=now, fee=paid(tx, receipt)
        ),
        ledger.touch(tx.agent_id),
        ledger.release(tx.id, LedgerKind.AMOUNT, now),
        ledger.settle(tx.id, LedgerKind.FEE, receipt.fee, now),
        audit.record(AuditEvent.TX_FAILED, SYSTEM, now, tx.about, code=code, txHash=tx.tx_hash, fee=str(receipt.fee)),
        outbox.emit(EventType.TX_FAILED, now, tx.about, errorCode=code, error=error),
    ]


def paid(tx: Transaction, receipt: base.Receipt) -> str:
    """`transactions.fee`: JSON {amount, asset} as paid."""
    fee = {"amount": str(receipt.fee), "asset": native_of(tx.network).asset}
    return msgspec.json.encode(fee, order="sorted").decode()


async def _finalize(core: Core, attempt: Attempt) -> None:
    """Nobody watches it any more."""
    tx = await transactions.get(core.db, attempt.tx_id)
    now = core.clock.now()
    await core.db.commit(attempts.finalize(attempt.id, now), _finalized_event(tx, attempt, now))


def _finalized_event(tx: Transaction, attempt: Attempt, now: int) -> Statement:
    return outbox.emit(EventType.TX_FINALIZED, now, tx.about, txHash=attempt.tx_hash)


# --- what was not seen -------------------------------------------------------------------------


async def _follow_unseen(core: Core, chain: base.Chain, unseen: list[Attempt]) -> None:
    live = [attempt for attempt in unseen if attempt.status is AttemptStatus.LIVE]
    now = core.clock.now()
    due = [a for a in live if a.last_broadcast_at is None or a.last_broadcast_at + chain.rebroadcast_seconds <= now]
    if not due:
        return
    proofs = await chain.deaths([_followed(attempt) for attempt in due])
    may_send = (await core.switch.get("")).state is KillSwitchState.NORMAL
    await each(
        *(send(core, attempt) for attempt in due if may_send and attempt.tx_hash not in proofs),
        *(_bury(core, attempt, proofs[attempt.tx_hash]) for attempt in due if attempt.tx_hash in proofs),
    )


def _followed(attempt: Attempt) -> base.Attempt:
    slot = base.Slot(attempt.blockhash, attempt.last_valid_block_height, attempt.context_slot)
    return base.Attempt(attempt.tx_hash, attempt.signer, slot)


async def _bury(core: Core, attempt: Attempt, proof: base.Proof) -> None:
    """Its bytes are provably dead: sign once more under the same id, or end EXPIRED. Never both, never before proof."""
    tx = await transactions.get(core.db, attempt.tx_id)
    fresh = await _sign_again(core, tx, attempt, proof) if attempt.number < MOST_ATTEMPTS else None
    if fresh is not None:
        await send(core, fresh)
        return
    message = "Its blockhash ran out before it landed; the chain has proven that it never will."
    now = core.clock.now()
    await core.db.commit(
        attempts.die(attempt.id, now),
        *end_unspent(tx, Status.EXPIRED, Reason.BLOCKHASH_EXPIRED, message, now, **proof.evidence),
    )


async def _sign_again(core: Core, tx: Transaction, dead: Attempt, proof: base.Proof) -> Attempt | None:
    """A further attempt, durable; None if the gate is closed, the key unusable, or the chain refuses it now."""
    try:
        request = stored_request(tx)
        prepared = await core.chains.chain(tx.network).prepare(request, dead.signer)
        ready = await make_ready(core, tx, request, prepared, number=dead.number + 1)
    except (Stopped, Permanent, KeystoreError, KeystoreLocked) as refusal:
        log.info("not_signed_again", tx_id=tx.id, code=refusal.code, reason=refusal.message)
        return None
    await core.db.commit(*_replace(tx, dead, ready, proof))
    return ready.attempt


def _replace(tx: Transaction, dead: Attempt, ready: Ready, proof: base.Proof) -> Iterable[Statement]:
    fresh, now = ready.attempt, ready.attempt.created_at
    return (
        attempts.die(dead.id, now),
        *ready.gate.guards(),
        *fee_statements(tx, ready),
        attempts.insert(fresh),
        transactions.mark_signed_again(tx.id, was=dead.tx_hash, tx_hash=fresh.tx_hash, now=now),
        audit.record(
            AuditEvent.TX_REPLACED, SYSTEM, now, tx.about, dead=dead.tx_hash, txHash=fresh.tx_hash, **proof.evidence
        ),
        outbox.emit(EventType.TX_REPLACED, now, tx.about, kind=fresh.kind, txHash=fresh.tx_hash),
    )
