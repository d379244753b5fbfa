"""Following signed bytes on Solana: where they were seen, and what they really cost."""

import asyncio
from collections.abc import Sequence

from waiaas.chains.base import Receipt, Sighting
from waiaas.chains.rpc import Rpc
from waiaas.chains.solana import answers, refusals
from waiaas.chains.solana.answers import Landed, Status

#: the whole history, not only the last two minutes that a node keeps at hand
HISTORY = {"searchTransactionHistory": True}
#: what getSignatureStatuses takes at once
SIGNATURES = 256
TRANSACTION = {"commitment": "confirmed", "encoding": "json", "maxSupportedTransactionVersion": 0}


async def statuses(rpc: Rpc, hashes: Sequence[str]) -> dict[str, Sighting]:
    """One request per 256 signatures; absent: not seen."""
    chunks = [hashes[start : start + SIGNATURES] for start in range(0, len(hashes), SIGNATURES)]
    found = await asyncio.gather(
        *(rpc.call("getSignatureStatuses", [chunk, HISTORY], answers.statuses(len(chunk))) for chunk in chunks)
    )
    seen = [status for answer in found for status in answer.value]
    return {key: sighting(key, status) for key, status in zip(hashes, seen, strict=True) if status is not None}


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
