"""Signed bytes that nobody has seen in a block: send them again, replace them, or bury them with the chain's proof."""

from collections.abc import Iterator, Mapping, Sequence

import structlog

from waiaas.chains import base
from waiaas.db import Statement
from waiaas.domain.control import KillSwitchState
from waiaas.domain.event import SYSTEM, About, EventType
from waiaas.domain.transaction import Attempt, AttemptKind, AttemptStatus, Followed, Reason, Status, Transaction
from waiaas.errors import (
    ChainError,
    ChainNotSupported,
    FeeAboveApproved,
    KeystoreError,
    KeystoreLocked,
    Permanent,
    Transient,
)
from waiaas.pipeline import family
from waiaas.pipeline.core import Core
from waiaas.pipeline.each import each
from waiaas.pipeline.execute import send, sign_again, slot_of
from waiaas.pipeline.gate import Stopped
from waiaas.pipeline.replace import replace
from waiaas.pipeline.strangers import suspension, unknown_spend
from waiaas.repositories import agents, attempts, outbox, transactions

#: attempts that may be signed for one transaction, each after proof that the one before is dead
MOST_ATTEMPTS = 3
#: unseen for so long, bytes are told of as stuck
STUCK_SECONDS = 600

log = structlog.get_logger()

#: the open attempts of one transaction, oldest first, and what was seen of the network's attempts
Unlanded = tuple[Sequence[Followed], Mapping[str, base.Sighting]]


async def follow(core: Core, chain: base.Chain, groups: Sequence[Unlanded]) -> None:
    """One look at every transaction of which nothing has landed deep enough yet."""
    noted = (one for group, sightings in groups for one in _first_seen(group, sightings))
    await each(*(_note(core, attempt, seen) for attempt, seen in noted))
    due = [group for group, sightings in groups if _is_due(core, chain, group, sightings)]
    if not due:
        return
    followed = [base.Attempt(a.tx_hash, a.signer, slot_of(a)) for group in due for a in group]
    proofs = await chain.deaths(followed)
    may_send = (await core.switch.get("")).state is KillSwitchState.NORMAL
    await each(*(_follow(core, chain, group, proofs, may_send) for group in due))


def _live(group: Sequence[Followed]) -> Followed:
    """The newest bytes; of a transaction that is followed there is always one that is LIVE."""
    return next((attempt for attempt in reversed(group) if attempt.status is AttemptStatus.LIVE), group[-1])


def _first_seen(
    group: Sequence[Followed], sightings: Mapping[str, base.Sighting]
) -> Iterator[tuple[Followed, base.Sighting]]:
    """What was sighted for the first time since its last send: until then the transaction is in doubt."""
    for attempt in group:
        seen = sightings.get(attempt.tx_hash)
        if seen and attempt.status is AttemptStatus.LIVE and _in_doubt(attempt):
            yield attempt, seen


async def _note(core: Core, attempt: Followed, seen: base.Sighting) -> None:
    await core.db.commit(attempts.seen(attempt.id, seen.block, core.clock.now()))


def _in_doubt(attempt: Followed) -> bool:
    return attempt.last_seen_at is None or attempt.last_seen_at < (attempt.last_broadcast_at or 0)


def _is_due(core: Core, chain: base.Chain, group: Sequence[Followed], sightings: Mapping[str, base.Sighting]) -> bool:
    if any(attempt.tx_hash in sightings for attempt in group):
        return False
    sent = _live(group).last_broadcast_at
    return sent is None or sent + chain.rebroadcast_seconds <= core.clock.now()


async def _follow(
    core: Core, chain: base.Chain, group: Sequence[Followed], proofs: Mapping[str, base.Proof], may_send: bool
) -> None:
    live = _live(group)
    if all(attempt.tx_hash in proofs for attempt in group):
        await _bury(core, group, proofs[live.tx_hash])
        return
    await _tell_if_stuck(core, group)
    if may_send and not await _made_dearer(core, chain, attempt := await attempts.get(core.db, live.id)):
        await send(core, attempt)


async def _tell_if_stuck(core: Core, group: Sequence[Followed]) -> None:
    """Once, when nobody has seen any of it for long."""
    now, tx_id = core.clock.now(), group[0].tx_id
    since = max(group[0].created_at, *(attempt.last_seen_at or 0 for attempt in group))
    if since + STUCK_SECONDS > now or await outbox.has(core.db, tx_id, EventType.TX_STUCK):
        return
    tx = await transactions.get(core.db, tx_id)
    await core.db.commit(outbox.emit(EventType.TX_STUCK, now, tx.about, txHash=group[-1].tx_hash, since=since))


async def _made_dearer(core: Core, chain: base.Chain, live: Attempt) -> bool:
    """Whether a replacement went out, for bytes sent long ago and below the present price.

    It waits where a fee cap, a limit, the owner's word or the gate says no, or where the key cannot be used.
    """
    since = live.first_broadcast_at or live.created_at
    if chain.stuck_seconds is None or since + chain.stuck_seconds > core.clock.now():
        return False
    tx = await transactions.get(core.db, live.tx_id)
    if tx.status is not Status.SUBMITTED:
        return False
    try:
        if not await chain.underpriced(live.raw):
            return False
        await replace(core, tx, live, kind=AttemptKind.SPEED_UP, fees=None, actor=SYSTEM)
    except (Stopped, ChainError, KeystoreError, KeystoreLocked) as refusal:
        reason = refusal.waiting if isinstance(refusal, Transient) else "FEE_BUDGET"
        core.wait(tx.id, reason, int(chain.rebroadcast_seconds))
        log.warning("not_replaced", tx_id=tx.id, code=refusal.code, reason=refusal.message)
        return False
    return True


async def _bury(core: Core, group: Sequence[Followed], proof: base.Proof) -> None:
    """All its bytes are provably dead: sign once more under the same id, or end it. Never both, never before proof."""
    tx, live = await transactions.get(core.db, group[-1].tx_id), _live(group)
    now, agent = core.clock.now(), await agents.get(core.db, tx.agent_id)
    is_theft = live.nonce is not None and agent.key_exported_at is None
    told = [] if live.nonce is None else unknown_spend(tx.network, live.nonce, About(tx.agent_id, None, tx.id), now)
    deaths = [attempts.die(attempt.id, now) for attempt in group]
    # the items beside it end with their batch
    stop = await suspension(core, agent, now, but_items_of=tx.parent_id) if is_theft else []
    if tx.status is not Status.SUBMITTED:
        # it had been CONFIRMED before a reorganisation; the money stays counted as spent
        await core.db.commit(*deaths, *told, *stop)
        return
    if not is_theft and live.kind is not AttemptKind.CANCEL and live.number < MOST_ATTEMPTS:
        fresh = await _signed_again(core, tx, group, proof, told)
        if fresh is not None:
            await send(core, fresh)
            return
    to, code, message = _end_of(live)
    ending = await family.ending(core.db, tx, to, code, message, now, SYSTEM, **proof.evidence)
    await core.db.commit(*deaths, *ending, *told, *stop)
    core.execute_soon.set()


def _end_of(live: Followed) -> tuple[Status, Reason, str]:
    if live.nonce is not None:
        message = "Another transaction of this key, not signed by this wallet, took its nonce."
        return Status.FAILED, Reason.NONCE_CONSUMED, message
    message = "Its blockhash ran out before it landed; the chain has proven that it never will."
    return Status.EXPIRED, Reason.BLOCKHASH_EXPIRED, message


async def _signed_again(
    core: Core, tx: Transaction, group: Sequence[Followed], proof: base.Proof, told: Sequence[Statement]
) -> Attempt | None:
    """A further attempt, durable; None if the gate is closed or the chain refuses it now."""
    try:
        return await sign_again(core, tx, group, proof, told)
    except (Stopped, Permanent, FeeAboveApproved, ChainNotSupported, KeystoreError, KeystoreLocked) as refusal:
        log.info("not_signed_again", tx_id=tx.id, code=refusal.code, reason=refusal.message)
        return None
