"""Signed bytes that nobody has seen in a block: send them again, replace them, or bury them with the chain's proof."""

from collections.abc import Iterator, Mapping, Sequence

import structlog

from waiaas.chains import base
from waiaas.db import Statement
from waiaas.domain.event import SYSTEM, About, EventType
from waiaas.domain.switch import KillSwitchState
from waiaas.domain.transaction import Attempt, AttemptKind, AttemptStatus, Followed, Reason, Status, Transaction
from waiaas.errors import (
    ChainError,
    ChainNotSupported,
    ChainRejected,
    FeeAboveApproved,
    InsufficientBalance,
    InsufficientForFee,
    KeystoreError,
    KeystoreLocked,
    Permanent,
    SpendingLimitExceeded,
    Stale,
    StaleState,
    Transient,
    WaiaasError,
)
from waiaas.pipeline import family
from waiaas.pipeline.core import Core
from waiaas.pipeline.each import each
from waiaas.pipeline.elsewhere.strangers import suspension, unknown_spend
from waiaas.pipeline.signing.execute import send, sign_again, slot_of
from waiaas.pipeline.signing.gate import Stopped
from waiaas.pipeline.signing.replace import is_current, replace
from waiaas.pipeline.stops.restored import MAY_HAVE_LANDED
from waiaas.repositories import agents, attempts, outbox, transactions

#: attempts that may be signed for one transaction, each after proof that the one before is dead
MOST_ATTEMPTS = 3
#: unseen for so long, bytes are told of as stuck
STUCK_SECONDS = 600
#: what a dearer fee goes beyond
BOUNDS = frozenset({SpendingLimitExceeded.code, InsufficientBalance.code, InsufficientForFee.code})

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
    await _tell_if_stuck(core, chain, group)
    if may_send and not await _made_dearer(core, chain, group, attempt := await attempts.get(core.db, live.id)):
        await send(core, attempt)


async def _tell_if_stuck(core: Core, chain: base.Chain, group: Sequence[Followed]) -> None:
    """Once, when nobody has seen any of it for long, or what was corrected is refused again."""
    now, tx_id, live = core.clock.now(), group[0].tx_id, _live(group)
    since = max(group[0].created_at, *(attempt.last_seen_at or 0 for attempt in group))
    told: dict[str, object] = {"txHash": group[-1].tx_hash, "since": since}
    if _is_rejected_again(group, live):
        core.wait(tx_id, ChainRejected.code, int(chain.rebroadcast_seconds))
        told |= {"code": ChainRejected.code, "reason": live.error}
    elif since + STUCK_SECONDS > now:
        return
    if not await outbox.has(core.db, tx_id, EventType.TX_STUCK):
        tx = await transactions.get(core.db, tx_id)
        await core.db.commit(outbox.emit(EventType.TX_STUCK, now, tx.about, **told))


def _is_rejected_again(group: Sequence[Followed], live: Followed) -> bool:
    """Whether every endpoint refuses the newest bytes for good, and did so with bytes that these have replaced."""
    return live.rejected_at is not None and any(one.rejected_at for one in group if one.number < live.number)


async def _made_dearer(core: Core, chain: base.Chain, group: Sequence[Followed], live: Attempt) -> bool:
    """Whether other bytes are to be sent: a replacement for bytes that are below the present price and were sent long
    ago, or, once, for bytes that every endpoint refuses for good.

    It waits where a fee cap, a limit, the owner's word or the gate says no, or where the key cannot be used.
    """
    corrects = live.rejected_at is not None and not _is_rejected_again(group, live)
    since = live.first_broadcast_at or live.created_at
    if chain.stuck_seconds is None or (not corrects and since + chain.stuck_seconds > core.clock.now()):
        return False
    tx = await transactions.get(core.db, live.tx_id)
    if tx.status is not Status.SUBMITTED:
        return False
    try:
        if not corrects and not await chain.underpriced(live.raw):
            return False
        await replace(core, tx, live, kind=AttemptKind.SPEED_UP, fees=None, actor=SYSTEM, afresh=corrects)
    except (Stopped, ChainError, KeystoreError, KeystoreLocked) as refusal:
        core.wait(tx.id, _waits_for(refusal), int(chain.rebroadcast_seconds))
        log.warning("not_replaced", tx_id=tx.id, code=refusal.code, reason=refusal.message)
        return False
    except StaleState:
        log.info("moved_by_another_step", tx_id=tx.id)
        return not await is_current(core, live)
    return True


def _waits_for(refusal: WaiaasError) -> str:
    """Why there are no dearer bytes: a bound of money, silence, or what the refusal says itself."""
    if refusal.code in BOUNDS:
        return FeeAboveApproved.waiting
    if isinstance(refusal, Transient):
        return refusal.waiting
    return Transient.waiting if isinstance(refusal, Stale) else str(refusal.code)


async def _bury(core: Core, group: Sequence[Followed], proof: base.Proof) -> None:
    """All its bytes are provably dead: sign once more under the same id, or end it. Never both, never before proof."""
    tx, live = await transactions.get(core.db, group[-1].tx_id), _live(group)
    now, agent = core.clock.now(), await agents.get(core.db, tx.agent_id)
    is_theft = live.nonce is not None and agent.key_exported_at is None
    told = [] if live.nonce is None else unknown_spend(tx.network, live.nonce, About(tx.agent_id, None, tx.id), now)
    deaths = [*(attempts.die(attempt.id, now) for attempt in group), attempts.none_open(tx.id)]
    # the items beside it end with their batch
    stop = await suspension(core, agent, now, but_items_of=tx.parent_id) if is_theft else []
    if tx.status is not Status.SUBMITTED:
        # it had been CONFIRMED before a reorganisation; the money stays counted as spent
        await core.db.commit(*deaths, *told, *stop)
        return
    if not is_theft and live.kind is not AttemptKind.CANCEL and live.number < MOST_ATTEMPTS and not _is_hopeless(live):
        fresh = await _signed_again(core, tx, group, proof, told)
        if fresh is not None:
            await send(core, fresh)
            return
    to, code, message = _end_of(core, tx, live)
    ending = await family.ending(core.db, tx, to, code, message, now, SYSTEM, **proof.evidence)
    await core.db.commit(*deaths, *ending, *told, *stop)
    core.execute_soon.set()


def _is_hopeless(live: Followed) -> bool:
    """Whether bytes made the same way would be refused again: not on EVM, where each are priced and measured anew."""
    return live.rejected_at is not None and live.nonce is None


def _end_of(core: Core, tx: Transaction, live: Followed) -> tuple[Status, Reason, str]:
    if _is_before_gap(core, tx):
        # these bytes are dead, but others for the same payment may have been signed in the gap, and have landed
        return (Status.EXPIRED if live.nonce is None else Status.FAILED), Reason.RESTORED, MAY_HAVE_LANDED
    if live.nonce is not None:
        message = "Another transaction of this key, not signed by this wallet, took its nonce."
        return Status.FAILED, Reason.NONCE_CONSUMED, message
    if live.rejected_at is not None:
        return Status.FAILED, Reason.CHAIN_REJECTED, f"Every endpoint refused it for good: {live.error}"[:500]
    message = "Its blockhash ran out before it landed; the chain has proven that it never will."
    return Status.EXPIRED, Reason.BLOCKHASH_EXPIRED, message


def _is_before_gap(core: Core, tx: Transaction) -> bool:
    """Whether the books say nothing of a time in which more may have been signed for it."""
    return core.gap is not None and tx.created_at <= core.gap.noticed_at


async def _signed_again(
    core: Core, tx: Transaction, group: Sequence[Followed], proof: base.Proof, told: Sequence[Statement]
) -> Attempt | None:
    """A further attempt, durable; None if the gate is closed or the chain refuses it now.

    None too for what is older than a gap in the books: its further attempt may be in the gap, and land.
    """
    if _is_before_gap(core, tx):
        log.info("not_signed_again", tx_id=tx.id, code=Reason.RESTORED)
        return None
    try:
        return await sign_again(core, tx, group, proof, told)
    except (Stopped, Permanent, FeeAboveApproved, ChainNotSupported, KeystoreError, KeystoreLocked) as refusal:
        log.info("not_signed_again", tx_id=tx.id, code=refusal.code, reason=refusal.message)
        return None
