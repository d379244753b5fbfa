"""Proof that signed bytes can never land: their nonce is spent in a final block, and none of them was what spent it.

Each endpoint is asked twice. First, at a recent block, named by number and with the same hash before and after: the
sender's count is above the nonce, and no attempt of that nonce has a receipt. Then, once that block is final: its hash
is still the same, and there is still no receipt. Every healthy endpoint must have said both, and two if two are
configured. What an endpoint said first is kept in memory only: after a restart it is asked anew.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import msgspec
import structlog

from waiaas.chains.base import Attempt, Nonce, Proof
from waiaas.chains.evm import answers, ask, watch
from waiaas.chains.rpc import Rpc, Witness
from waiaas.errors import NodeRefused, Transient

log = structlog.get_logger(__name__)

#: observations kept at most; the oldest go first and are made again
OBSERVATIONS = 4096

#: sender and nonce: of all attempts that share them, one lands at most
Lane = tuple[str, int]
Lanes = Mapping[Lane, Sequence[str]]


class Observation(msgspec.Struct, frozen=True):
    """A block at which an endpoint counted more transactions of the sender than the nonce."""

    block: int
    hash: str
    count: int


class Deaths:
    """Proofs for one network."""

    def __init__(self, rpc: Rpc, final_depth: int) -> None:
        self._rpc = rpc
        self._final_depth = final_depth
        self._seen: dict[tuple[str, Lane], Observation] = {}

    async def prove(self, attempts: Iterable[Attempt]) -> dict[str, Proof]:
        """A proof for each attempt that is dead beyond doubt; Transient if no endpoint answers."""
        lanes = await self._passed(by_lane(attempts))
        if not lanes:
            return {}
        witnesses = await self._rpc.witnesses(behind=True)
        if len(witnesses) < self._rpc.quorum:
            return {}
        said = await asyncio.gather(*(self._testimony(witness, lanes) for witness in witnesses))
        dead = [lane for lane in lanes if all(lane in testimony for testimony in said)]
        names = ", ".join(witness.name for witness in witnesses)
        return {
            key: proof(key, lane, [testimony[lane] for testimony in said], names)
            for lane in dead
            for key in lanes[lane]
        }

    async def _passed(self, lanes: Lanes) -> Lanes:
        """Those whose nonce some endpoint counts as spent: a cheap look in one batch, before anything is proven."""
        senders = list({sender for sender, _ in lanes})
        counts = dict(zip(senders, await asyncio.gather(*(ask.count(self._rpc, one) for one in senders)), strict=True))
        return {lane: hashes for lane, hashes in lanes.items() if counts[lane[0]] > lane[1]}

    async def _testimony(self, witness: Witness, lanes: Lanes) -> dict[Lane, Observation]:
        """What this endpoint has now said twice."""
        try:
            await self._observe(
                witness, {lane: lanes[lane] for lane in lanes if (witness.name, lane) not in self._seen}
            )
            return await self._confirm(witness, lanes)
        except (Transient, NodeRefused) as error:
            log.info("no proof of death", network=self._rpc.network, endpoint=witness.name, reason=error.message)
            return {}

    async def _observe(self, witness: Witness, lanes: Lanes) -> None:
        """Look at the newest block for the first time."""
        if not lanes:
            return
        head = await witness.call("eth_getBlockByNumber", [ask.LATEST, False], answers.there)
        senders = {sender for sender, _ in lanes}
        counts = {sender: await self._count(witness, sender, head.number) for sender in senders}
        spent = {lane: hashes for lane, hashes in lanes.items() if counts[lane[0]] > lane[1]}
        unseen = await self._without_receipt(witness, spent)
        if await self._hash_at(witness, head.number) == head.hash:
            self._remember(
                {(witness.name, lane): Observation(head.number, head.hash, counts[lane[0]]) for lane in unseen}
            )

    async def _confirm(self, witness: Witness, lanes: Lanes) -> dict[Lane, Observation]:
        """Those whose observation has become final and still holds; one that does not is forgotten."""
        seen = {lane: one for lane in lanes if (one := self._seen.get((witness.name, lane)))}
        if not seen:
            return {}
        head = await witness.call("eth_blockNumber", (), answers.quantity)
        final = watch.finality(await watch.final_tag(witness.call), head, self._final_depth)
        ripe = {lane: one for lane, one in seen.items() if one.block <= final}
        hashes = {block: await self._hash_at(witness, block) for block in {one.block for one in ripe.values()}}
        canonical = {lane: lanes[lane] for lane, one in ripe.items() if hashes[one.block] == one.hash}
        holding = await self._without_receipt(witness, canonical)
        for lane in ripe.keys() - holding:
            del self._seen[witness.name, lane]
        return {lane: ripe[lane] for lane in holding}

    async def _without_receipt(self, witness: Witness, lanes: Lanes) -> set[Lane]:
        """Those of which no attempt has a receipt."""
        found = set()
        for lane, hashes in lanes.items():
            if not any([await watch.receipt(witness.call, key) for key in hashes]):
                found.add(lane)
        return found

    async def _count(self, witness: Witness, sender: str, block: int) -> int:
        return await witness.call("eth_getTransactionCount", [sender, hex(block)], answers.quantity)

    async def _hash_at(self, witness: Witness, block: int) -> str | None:
        found = await witness.call("eth_getBlockByNumber", [hex(block), False], answers.block)
        return found.hash if found else None

    def _remember(self, observations: Mapping[tuple[str, Lane], Observation]) -> None:
        self._seen.update(observations)
        while len(self._seen) > OBSERVATIONS:
            del self._seen[next(iter(self._seen))]


def by_lane(attempts: Iterable[Attempt]) -> Lanes:
    """Hashes by what they compete for."""
    lanes: defaultdict[Lane, list[str]] = defaultdict(list)
    for attempt in attempts:
        assert isinstance(attempt.slot, Nonce)
        lanes[attempt.sender, attempt.slot.number].append(attempt.hash)
    return lanes


def proof(hash: str, lane: Lane, observations: Sequence[Observation], endpoints: str) -> Proof:
    """The weakest of what the endpoints said, and who they are."""
    oldest = min(observations, key=lambda one: one.block)
    evidence: dict[str, int | str] = {
        "nonce": lane[1],
        "transactionCount": min(one.count for one in observations),
        "finalBlock": oldest.block,
        "finalBlockHash": oldest.hash,
        "endpoints": endpoints,
    }
    return Proof(hash, evidence)
