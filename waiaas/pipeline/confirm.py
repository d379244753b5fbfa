"""SUBMITTED until the chain says otherwise: every open attempt of a network is looked up in one batch per poll."""

from collections import defaultdict
from collections.abc import Mapping

import msgspec

from waiaas.chains import base
from waiaas.domain.chain import Network
from waiaas.domain.transaction import AttemptKind, AttemptStatus, Followed
from waiaas.pipeline.core import Core
from waiaas.pipeline.each import each
from waiaas.pipeline.follow import follow
from waiaas.pipeline.land import finalize, land, unland
from waiaas.repositories import attempts


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
            pays = seen.ok and attempt.kind is not AttemptKind.CANCEL
            if seen.confirmed if pays else seen.finalized:
                return attempt
        return None


async def confirm(core: Core, network: Network) -> int:
    """Look once at everything that may still land on a network; how many attempts are open.

    Transient when no endpoint answers: then nothing is known and nothing changes.
    """
    followed = await attempts.open_on(core.db, network)
    if not followed:
        return 0
    chain = core.chains.chain(network)
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
    return len(followed)


async def _land_all(core: Core, chain: base.Chain, landing: list[tuple[Group, Followed]]) -> None:
    receipts = await chain.receipts([attempt.tx_hash for _, attempt in landing]) if landing else {}
    await each(
        *(
            land(core, attempt, _rivals(group, attempt), group.sightings[attempt.tx_hash], receipts[attempt.tx_hash])
            for group, attempt in landing
            if attempt.tx_hash in receipts
        )
    )


def _rivals(group: Group, attempt: Followed) -> list[Followed]:
    return [other for other in group.attempts if other.id != attempt.id]


async def _watch_landed(core: Core, group: Group, attempt: Followed) -> None:
    """Until it is final: still in the same block, or in none any more."""
    seen = group.sightings.get(attempt.tx_hash)
    if seen is None or (attempt.block_hash is not None and seen.block_hash != attempt.block_hash):
        if core.vanished(attempt.id):
            await unland(core, attempt)
        return
    core.found(attempt.id)
    if seen.finalized:
        await finalize(core, attempt)
