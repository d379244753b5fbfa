"""Following signed bytes on an EVM network: where they landed, how deep, and what they really cost."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

import structlog

from waiaas.chains.base import Receipt, Sighting
from waiaas.chains.evm import answers, refusals
from waiaas.chains.evm.answers import Landed
from waiaas.chains.evm.networks import Profile
from waiaas.chains.rpc import Rpc, Witness
from waiaas.errors import NodeRefused, Transient

log = structlog.get_logger(__name__)
T = TypeVar("T")


class Asks(Protocol):
    """Whoever can be asked: all endpoints in their order, or one of them by itself."""

    def __call__(self, method: str, params: Sequence[Any], decode: Callable[[bytes], T], /) -> Awaitable[T]:
        """The answer, or Transient or NodeRefused."""
        ...


async def statuses(rpc: Rpc, profile: Profile, hashes: Sequence[str]) -> tuple[dict[str, Sighting], dict[str, Landed]]:
    """Sightings, and the receipts they are made of. The head is asked for first, so no depth is overstated."""
    if not hashes:
        return {}, {}
    head, tag, found = await asyncio.gather(
        rpc.call("eth_blockNumber", (), answers.quantity), final_tag(rpc.call), landed(rpc, hashes)
    )
    finalized = finality(tag, head, profile.final_depth)
    return {key: sighting(one, head, finalized, profile.depth) for key, one in found.items()}, found


async def landed(rpc: Rpc, hashes: Sequence[str]) -> dict[str, Landed]:
    """One receipt each, in as few batches as fit; absent: in no block, or the node cannot say."""
    found = await asyncio.gather(*(refusals.outcome(receipt(rpc.call, key)) for key in hashes))
    refused = [answer for answer in found if isinstance(answer, NodeRefused)]
    if refused:
        log.info("receipts refused", network=rpc.network, count=len(refused), reason=refused[0].message)
    return {one.hash: one for one in found if isinstance(one, Landed)}


def receipt(call: Asks, hash: str) -> Awaitable[Landed | None]:
    """Where a transaction landed; None while it is in no block."""
    return call("eth_getTransactionReceipt", [hash], answers.landed(hash))


async def final_tag(call: Asks) -> int | None:
    """The block that the node calls finalized; None if it knows no such word."""
    tagged = await refusals.outcome(call("eth_getBlockByNumber", ["finalized", False], answers.block))
    return None if tagged is None or isinstance(tagged, NodeRefused) else tagged.number


def finality(tag: int | None, head: int, final_depth: int) -> int:
    """The newest block that no reorganisation takes away: by the node's word, else by depth, its own block included."""
    return head - final_depth + 1 if tag is None else min(tag, head)


def sighting(found: Landed, head: int, finalized: int, depth: int) -> Sighting:
    """One transaction in its block, which counts as the first, also where it was made after the head was asked for."""
    is_final = found.block <= finalized
    confirmations = max(head - found.block + 1, 1)
    return Sighting(
        hash=found.hash,
        block=found.block,
        confirmed=is_final or confirmations >= depth,
        finalized=is_final,
        ok=found.ok,
        error=None if found.ok else "reverted",
        confirmations=None if is_final else confirmations,
        block_hash=found.block_hash,
    )


async def seconded(rpc: Rpc, profile: Profile, sightings: Mapping[str, Sighting]) -> set[str]:
    """Those of which as many witnesses as a proof needs say the same."""
    if rpc.quorum < 2:
        return set(sightings)
    testimonies = await asyncio.gather(*(_testimony(witness, profile, sightings) for witness in await rpc.witnesses()))
    votes = Counter(key for testimony in testimonies for key in testimony)
    return {key for key, count in votes.items() if count >= rpc.quorum}


async def _testimony(witness: Witness, profile: Profile, sightings: Mapping[str, Sighting]) -> set[str]:
    try:
        head = await witness.call("eth_blockNumber", (), answers.quantity)
        finalized = finality(await final_tag(witness.call), head, profile.final_depth)
        found = await asyncio.gather(*(receipt(witness.call, key) for key in sightings))
    except (Transient, NodeRefused) as error:
        log.info("nothing seconded", endpoint=witness.name, reason=error.message)
        return set()
    there = [sighting(one, head, finalized, profile.depth) for one in found if one is not None]
    return {one.hash for one in there if sightings[one.hash].is_seconded_by(one)}


def receipts(found: dict[str, Landed]) -> dict[str, Receipt]:
    """What leaves on EVM is what the effects declare: the chain tells only the fee."""
    return {key: Receipt(key, one.block, one.fee, None) for key, one in found.items()}
