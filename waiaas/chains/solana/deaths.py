"""Proof that signed bytes can never land: finality has passed them, and history does not know them.

A proof needs three answers of every healthy endpoint, and of two if two are configured: the finalized
block height is above the attempt's last valid height; then, at a slot not older than that, the whole
history has no such signature; and that history reaches back to the slot at signing. Wall time proves
nothing.
"""

from collections.abc import Iterable, Iterator, Sequence

import msgspec
import structlog

from waiaas.chains.base import Attempt, Blockhash, Proof
from waiaas.chains.rpc import Rpc, Witness
from waiaas.chains.solana import answers
from waiaas.chains.solana.watch import HISTORY, SIGNATURES
from waiaas.errors import NodeRefused, Transient

log = structlog.get_logger(__name__)

FINALIZED = ({"commitment": "finalized"},)


class Testimony(msgspec.Struct, frozen=True):
    """What one endpoint says of the attempts asked about."""

    endpoint: str
    height: int
    slot: int
    first_available: int
    dead: frozenset[str]


async def prove(rpc: Rpc, attempts: Iterable[Attempt]) -> dict[str, Proof]:
    """A proof for each attempt that is dead beyond doubt; Transient if no endpoint answers."""
    waiting = list(attempts)
    if not waiting or not passed(
        waiting, (await rpc.call("getEpochInfo", FINALIZED, answers.EPOCH.decode)).block_height
    ):
        return {}
    witnesses = await rpc.witnesses(behind=True)
    if len(witnesses) < rpc.quorum:
        return {}
    testimonies: list[Testimony] = []
    for witness in witnesses:
        try:
            testimonies.append(await testify(witness, waiting))
        except (Transient, NodeRefused) as error:
            log.info("no proof of death", network=rpc.network, endpoint=witness.name, reason=error.message)
            return {}
        waiting = [attempt for attempt in waiting if attempt.hash in testimonies[-1].dead]
    return {attempt.hash: proof(attempt, testimonies) for attempt in waiting}


async def testify(witness: Witness, attempts: Sequence[Attempt]) -> Testimony:
    """One endpoint's word, asked in the order that makes it binding."""
    epoch = await witness.call("getEpochInfo", FINALIZED, answers.EPOCH.decode)
    unknown: list[Attempt] = []
    for chunk in chunks(passed(attempts, epoch.block_height)):
        params = [[attempt.hash for attempt in chunk], HISTORY]
        seen = await witness.call("getSignatureStatuses", params, answers.statuses(len(chunk)))
        if seen.context.slot >= epoch.absolute_slot:
            unknown += [attempt for attempt, status in zip(chunk, seen.value, strict=True) if status is None]
    first = await witness.call("getFirstAvailableBlock", (), answers.COUNT.decode)
    dead = frozenset(attempt.hash for attempt in unknown if first <= life(attempt).context_slot)
    return Testimony(witness.name, epoch.block_height, epoch.absolute_slot, first, dead)


def passed(attempts: Iterable[Attempt], height: int) -> list[Attempt]:
    """Those whose last valid block height is below a finalized one; at it they may still have landed."""
    return [attempt for attempt in attempts if height > life(attempt).last_valid_block_height]


def life(attempt: Attempt) -> Blockhash:
    """What limits the life of Solana's bytes."""
    assert isinstance(attempt.slot, Blockhash)
    return attempt.slot


def proof(attempt: Attempt, testimonies: Sequence[Testimony]) -> Proof:
    """The weakest of what the endpoints said, and who they are."""
    evidence: dict[str, int | str] = {
        "lastValidBlockHeight": life(attempt).last_valid_block_height,
        "finalizedBlockHeight": min(one.height for one in testimonies),
        "finalizedSlot": min(one.slot for one in testimonies),
        "firstAvailableBlock": max(one.first_available for one in testimonies),
        "slotAtSigning": life(attempt).context_slot,
        "endpoints": ", ".join(one.endpoint for one in testimonies),
    }
    return Proof(attempt.hash, evidence)


def chunks(attempts: Sequence[Attempt]) -> Iterator[Sequence[Attempt]]:
    """As many at once as the node takes."""
    for start in range(0, len(attempts), SIGNATURES):
        yield attempts[start : start + SIGNATURES]
