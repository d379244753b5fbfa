"""What delegates may still move of an owner's tokens, as every endpoint says."""

import asyncio
from collections.abc import Mapping, Sequence

import structlog

from waiaas.chains.base import Allowed, Grant
from waiaas.chains.rpc import Rpc, Witness
from waiaas.chains.solana.programs import TOKEN_PROGRAMS
from waiaas.chains.solana.sweep import OWNED, held, owned_by
from waiaas.chains.solana.tokens import Holder
from waiaas.errors import NodeRefused, Transient

log = structlog.get_logger(__name__)


async def read_grants(rpc: Rpc, grants: Sequence[Grant]) -> dict[Grant, Allowed]:
    """By grant, where all healthy endpoints say the same; a token account may have been approved in any call.

    So all accounts of an owner are looked at, not only the associated one: what is missed would count as spent.
    """
    witnesses = await rpc.witnesses()
    if len(witnesses) < rpc.quorum:
        return {}
    owners = list(dict.fromkeys(grant.owner for grant in grants))
    said = await asyncio.gather(*(_said(witness, rpc.network, owners) for witness in witnesses))
    return {grant: allowed for grant in grants if (allowed := agreed([one.get(grant.owner) for one in said], grant))}


Accounts = tuple[int, Sequence[Holder]]


async def _said(witness: Witness, network: str, owners: Sequence[str]) -> Mapping[str, Accounts]:
    """Slot and token accounts by owner; an owner that the endpoint does not answer for is absent."""
    asked = [owned_by(owner, program) for owner in owners for program in TOKEN_PROGRAMS]
    answers = iter(await witness.calls("getTokenAccountsByOwner", asked, read))
    found: dict[str, Accounts] = {}
    for owner in owners:
        parts = [next(answers) for _ in TOKEN_PROGRAMS]
        known = [part for part in parts if not isinstance(part, NodeRefused | Transient)]
        if len(known) == len(parts):
            found[owner] = min(slot for slot, _ in known), [holder for _, holders in known for holder in holders]
        else:
            log.info("allowances unknown", network=network, endpoint=witness.name, owner=owner)
    return found


def read(text: bytes) -> Accounts:
    """Slot and token accounts of getTokenAccountsByOwner."""
    answer = OWNED.decode(text)
    return answer.context.slot, list(held(answer.value).values())


def agreed(said: Sequence[Accounts | None], grant: Grant) -> Allowed | None:
    """The one amount that all of them tell; None where one tells nothing or another amount."""
    readings = [(slot, allowed_to(grant, holders)) for slot, holders in filter(None, said)]
    if len(readings) < len(said) or len({amount for _, amount in readings}) != 1:
        return None
    return Allowed(readings[0][1], min(slot for slot, _ in readings))


def allowed_to(grant: Grant, holders: Sequence[Holder]) -> int:
    """What the delegate may still move, over all accounts of the token."""
    return sum(holder.delegated for holder in holders if (holder.mint, holder.delegate) == (grant.token, grant.spender))
