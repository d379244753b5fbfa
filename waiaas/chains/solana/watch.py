"""Following signed bytes on Solana: where they were seen, and what they really cost."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence

import structlog

from waiaas.chains.base import Receipt, Sighting
from waiaas.chains.rpc import Rpc, Witness
from waiaas.chains.solana import answers, refusals
from waiaas.chains.solana.answers import Landed, Status
from waiaas.errors import NodeRefused, Transient

#: the whole history, not only the last two minutes that a node keeps at hand
HISTORY = {"searchTransactionHistory": True}
#: what getSignatureStatuses takes at once
SIGNATURES = 256
log = structlog.get_logger(__name__)

TRANSACTION = {"commitment": "confirmed", "encoding": "json", "maxSupportedTransactionVersion": 0}


async def statuses(rpc: Rpc, hashes: Sequence[str]) -> dict[str, Sighting]:
    """One request per 256 signatures; absent: not seen."""
    chunks = [hashes[start : start + SIGNATURES] for start in range(0, len(hashes), SIGNATURES)]
    found = await asyncio.gather(
        *(rpc.call("getSignatureStatuses", [chunk, HISTORY], answers.statuses(len(chunk))) for chunk in chunks)
    )
    seen = [status for answer in found for status in answer.value]
    return {key: sighting(key, status) for key, status in zip(hashes, seen, strict=True) if status is not None}


async def seconded(rpc: Rpc, sightings: Mapping[str, Sighting]) -> set[str]:
    """Those of which as many witnesses as a proof needs say the same."""
    if rpc.quorum < 2:
        return set(sightings)
    testimonies = await asyncio.gather(*(_testimony(witness, sightings) for witness in await rpc.witnesses()))
    votes = Counter(key for testimony in testimonies for key in testimony)
    return {key for key, count in votes.items() if count >= rpc.quorum}


async def _testimony(witness: Witness, sightings: Mapping[str, Sighting]) -> set[str]:
    hashes = list(sightings)
    chunks = [hashes[start : start + SIGNATURES] for start in range(0, len(hashes), SIGNATURES)]
    try:
        found = [
            await witness.call("getSignatureStatuses", [one, HISTORY], answers.statuses(len(one))) for one in chunks
        ]
    except (Transient, NodeRefused) as error:
        log.info("nothing seconded", endpoint=witness.name, reason=error.message)
        return set()
    seen = zip(hashes, (status for answer in found for status in answer.value), strict=True)
    there = [sighting(key, status) for key, status in seen if status is not None]
    return {one.hash for one in there if sightings[one.hash].is_seconded_by(one)}


async def receipts(rpc: Rpc, hashes: Sequence[str]) -> dict[str, Receipt]:
    """One getTransaction each, in as few batches as fit; absent: not known yet."""
    found = await asyncio.gather(
        *(rpc.call("getTransaction", [key, TRANSACTION], answers.landed(key)) for key in hashes)
    )
    return {key: receipt(key, landed) for key, landed in zip(hashes, found, strict=True) if landed is not None}


def sighting(hash: str, status: Status) -> Sighting:
    """A node that leaves the commitment out says `confirmations: null` once it is final."""
    level = status.confirmation_status or ("finalized" if status.confirmations is None else "processed")
    return Sighting(
        hash=hash,
        block=status.slot,
        confirmed=level in ("confirmed", "finalized"),
        finalized=level == "finalized",
        ok=status.err is None,
        error=None if status.err is None else refusals.spelled(status.err),
        confirmations=status.confirmations,
    )


def receipt(hash: str, landed: Landed) -> Receipt:
    """The fee payer is the first account: what left it beyond the fee is the outflow."""
    meta = landed.meta
    return Receipt(hash, landed.slot, meta.fee, meta.pre_balances[0] - meta.post_balances[0] - meta.fee)
