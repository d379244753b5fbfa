"""An approval: the owner's one decision about a transaction, and the digest that binds a signature to what executes."""

import msgspec

from waiaas.domain.request import canonical, digest
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

    @property
    def is_open(self) -> bool:
        """Whether nobody has decided yet."""
        return self.approved_at is None and self.rejected_at is None and self.closed_at is None


def approval_digest(tx: Transaction, max_fee: int) -> str:
    """SHA-256 in hex of canonical JSON {agentId, id, maxFee, network, request}; `max_fee` in native base units."""
    bound = {
        "id": tx.id,
        "agentId": tx.agent_id,
        "network": tx.network,
        "request": msgspec.Raw(tx.request.encode()),
        "maxFee": str(max_fee),
    }
    return digest(canonical(bound))
