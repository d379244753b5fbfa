"""SUBMITTED until the chain says otherwise: the open attempts of a network are looked up in one batch per poll."""

from collections import defaultdict
from collections.abc import Mapping

import msgspec

from waiaas.chains import base
from waiaas.domain.chain import Network
from waiaas.domain.tier import Tier
from waiaas.domain.transaction import AttemptKind, AttemptStatus, Followed, Transaction
from waiaas.pipeline.core import Core
from waiaas.pipeline.each import each
from waiaas.pipeline.landing.follow import follow
from waiaas.pipeline.landing.land import finalize, land, unland
from waiaas.repositories import attempts, ledger, transactions

#: large enough to have waited: one endpoint's word is not enough even for their success
SECONDED = (Tier.DELAY, Tier.APPROVAL)


class Group(msgspec.Struct, frozen=True):
    """The open attempts of one transaction, oldest first, and those of them that an endpoint has seen."""

    attempts: list[Followed]
    sightings: Mapping[str, base.Sighting]

    @property
    def landed(self) -> Followed | None:
        """The attempt known to be in a block."""
        return next((attempt for attempt in self.attempts if attempt.status is AttemptStatus.LANDED), None)

    def landing(self) -> Followed | None:
        """An attempt in a block as deep as its end needs: success at depth, what gives money back when final."""
        for attempt in self.attempts:
            seen = self.sightings.get(attempt.tx_hash)
            if seen is None or attempt.status is AttemptStatus.LANDED:
                continue
            if seen.confirmed if _pays(attempt, seen) else seen.finalized:
                return attempt
        return None


def _pays(attempt: Followed, seen: base.Sighting) -> bool:
    """Whether the money moved; otherwise the end gives it back."""
    return seen.ok and attempt.kind is not AttemptKind.CANCEL


async def confirm(core: Core, network: Network) -> int:
    """Look once at what may still land on a network, old ones less often; how many attempts are open.

    Transient when no endpoint answers: then nothing is known and nothing changes.
    """
    count, after, pace = 0, "", core.paces[network]
    while True:
        followed, more = await attempts.open_on(core.db, network, after=after)
        if due := pace.due(followed):
            await _look(core, core.chains.chain(network), due)
            pace.asked(due)
        count += len(followed)
        if more is None:
            return count
        after = more


async def _look(core: Core, chain: base.Chain, followed: list[Followed]) -> None:
    sightings = await chain.statuses([attempt.tx_hash for attempt in followed])
    by_transaction: defaultdict[str, list[Followed]] = defaultdict(list)
    for attempt in followed:
        by_transaction[attempt.tx_id].append(attempt)
    groups = [Group(group, sightings) for group in by_transaction.values()]
    landed = [(group, found) for group in groups if (found := group.landed)]
    waiting = [(group, group.landing()) for group in groups if group.landed is None]
    landing = [(group, found) for group, found in waiting if found]
    missing = [group for group, found in waiting if not found]
    await each(
        _land_all(core, chain, landing),
        *(_watch_landed(core, group, attempt) for group, attempt in landed),
        follow(core, chain, [(group.attempts, group.sightings) for group in missing]),
    )


async def _land_all(core: Core, chain: base.Chain, landing: list[tuple[Group, Followed]]) -> None:
    if not landing:
        return
    receipts = await chain.receipts([attempt.tx_hash for _, attempt in landing])
    ids = [attempt.tx_id for _, attempt in landing]
    found, rows = await transactions.get_all(core.db, ids), await ledger.of_transactions(core.db, ids)
    doubtful = await _unseconded(chain, landing, found)
    await each(
        *(
            land(
                core,
                found[attempt.tx_id],
                rows[attempt.tx_id],
                attempt,
                _rivals(group, attempt),
                group.sightings[attempt.tx_hash],
                receipts[attempt.tx_hash],
            )
            for group, attempt in landing
            if attempt.tx_hash in receipts and attempt.tx_id in found and attempt.tx_hash not in doubtful
        )
    )


async def _unseconded(
    chain: base.Chain, landing: list[tuple[Group, Followed]], found: Mapping[str, Transaction]
) -> set[str]:
    """What only one of several endpoints has seen: ends that give money back, and successes of what had to wait."""
    asked = {}
    for group, attempt in landing:
        seen, tx = group.sightings[attempt.tx_hash], found.get(attempt.tx_id)
        if tx is not None and (tx.tier in SECONDED or not _pays(attempt, seen)):
            asked[attempt.tx_hash] = seen
    return asked.keys() - await chain.seconded(asked) if asked else set()


def _rivals(group: Group, attempt: Followed) -> list[Followed]:
    return [other for other in group.attempts if other.id != attempt.id]


async def _watch_landed(core: Core, group: Group, attempt: Followed) -> None:
    """Until it is final: still in the same block, or in none any more."""
    seen = group.sightings.get(attempt.tx_hash)
    if seen is None or (seen.block, seen.block_hash) != (attempt.block_number, attempt.block_hash):
        if core.vanished(attempt.id):
            await unland(core, attempt)
        return
    core.found(attempt.id)
    if seen.finalized:
        await finalize(core, attempt)
