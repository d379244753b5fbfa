"""An approval: the owner's one decision about a transaction, and the digest that binds a signature to what executes."""

from collections import Counter
from collections.abc import Sequence

import msgspec

from waiaas.domain.request import Effect, canonical, digest
from waiaas.domain.transaction import Transaction


class Approval(msgspec.Struct, frozen=True):
    """A row of `pending_approvals` without the signature; times in epoch seconds, `max_fee` in native base units."""

    id: str
    tx_id: str
    expires_at: int
    approved_at: int | None
    rejected_at: int | None
    #: cancelled, released or run out undecided
    closed_at: int | None
    #: given once it is approved: nothing dearer is signed on its strength
    max_fee: str | None
    created_at: int
    #: what a simulation saw leave beyond the declared effects, canonical JSON of Leaving; None: nothing more was seen
    undeclared: str | None = None

    @property
    def is_open(self) -> bool:
        """Whether nobody has decided yet."""
        return self.approved_at is None and self.rejected_at is None and self.closed_at is None


class Leaving(msgspec.Struct, frozen=True):
    """An undeclared effect as it is stored and signed for; `amount` in base units, `to` the program or delegate."""

    kind: str
    to: str
    asset: str | None
    amount: str | None


def written_undeclared(effects: Sequence[Effect]) -> str | None:
    """For `pending_approvals.undeclared`; None where nothing leaves undeclared."""
    amounts = ((effect, None if effect.amount is None else str(effect.amount)) for effect in effects)
    found = [Leaving(effect.kind, effect.counterparty, effect.asset, amount) for effect, amount in amounts]
    return canonical(found).decode() if found else None


def read_undeclared(text: str | None) -> tuple[Effect, ...]:
    """What `written_undeclared` wrote; msgspec.MsgspecError if it is not that."""
    found = msgspec.json.decode(text, type=list[Leaving]) if text else []
    return tuple(Effect(one.kind, one.to, one.asset, None if one.amount is None else int(one.amount)) for one in found)


def is_within(effects: Sequence[Effect], most: Sequence[Effect]) -> bool:
    """Whether no more leaves of anything, through anybody, than `most` says; an unknown amount never is."""
    if any(effect.amount is None for effect in effects):
        return False
    return _sums(effects) <= _sums(most)


def _sums(effects: Sequence[Effect]) -> Counter[tuple[str, str, str | None]]:
    sums: Counter[tuple[str, str, str | None]] = Counter()
    for effect in effects:
        sums[effect.kind, effect.counterparty, effect.asset] += effect.amount or 0
    return sums


def approval_digest(tx: Transaction, max_fee: int, undeclared: str | None = None) -> str:
    """SHA-256 in hex of canonical JSON {agentId, id, maxFee, network, request, undeclared}; `undeclared` only if any.

    `max_fee` in native base units.
    """
    bound = {
        "id": tx.id,
        "agentId": tx.agent_id,
        "network": tx.network,
        "request": msgspec.Raw(tx.request.encode()),
        "maxFee": str(max_fee),
    }
    if undeclared is not None:
        bound["undeclared"] = msgspec.Raw(undeclared.encode())
    return digest(canonical(bound))
