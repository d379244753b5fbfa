"""What an owner decides: the text that says what is asked, and the yes or no with a signature under it."""

import msgspec

from waiaas.api.call import AnyCall, Call
from waiaas.api.replace import stopped
from waiaas.api.signatures import host_of, refused, served, signed
from waiaas.auth.owner import OwnerProof
from waiaas.auth.texts import Wanted
from waiaas.domain.owner import OwnerAction
from waiaas.errors import InvalidSignature
from waiaas.pipeline.signing.gate import Stopped
from waiaas.pipeline.waiting import approve as decisions
from waiaas.pipeline.waiting.approval_text import show
from waiaas.wire.owners import (
    ApprovalMessageQuery,
    OwnerMessageResponse,
    TxApproveResponse,
    TxRejectResponse,
    owner_effect,
)
from waiaas.wire.requests import Provenance


async def message(call: Call[ApprovalMessageQuery, None]) -> OwnerMessageResponse:
    """The text that an owner signs to approve or reject: every effect, the highest fee, and the digest of both."""
    action = OwnerAction(call.query.action)
    shown = await show(call.core, call.id, action)
    assert shown.agent.owner_address is not None
    wanted = Wanted(
        action=action,
        subject=shown.tx.id,
        address=shown.agent.owner_address,
        network=shown.tx.network,
        statement=shown.statement,
        host=host_of(call),
        path=f"/v1/transactions/{shown.tx.id}/{action}",
        digest=shown.digest,
        until=shown.approval.expires_at,
    )
    told = shown.tx.provenance
    return msgspec.structs.replace(
        await served(call, wanted, shown.agent.id),
        digest=shown.digest,
        effects=[owner_effect(word) for word in shown.words],
        provenance=msgspec.json.decode(told, type=Provenance) if told else None,
    )


async def approve(call: AnyCall) -> TxApproveResponse:
    """Execute what its owner has signed for, exactly that."""
    proof = await _proof(call, OwnerAction.APPROVE)
    try:
        approved_at = await decisions.approve(call.core, call.id, proof, call.caller.actor)
    except Stopped as stop:
        raise stopped(stop, status="CANCELLED") from stop
    except InvalidSignature as refusal:
        await refused(call, refusal)
        raise
    return TxApproveResponse(call.id, "EXECUTING", approved_at)


async def reject(call: AnyCall) -> TxRejectResponse:
    """Cancel it for good, by its owner's word."""
    proof = await _proof(call, OwnerAction.REJECT)
    try:
        rejected_at = await decisions.reject(call.core, call.id, proof, call.caller.actor)
    except InvalidSignature as refusal:
        await refused(call, refusal)
        raise
    return TxRejectResponse(call.id, "CANCELLED", rejected_at)


async def _proof(call: AnyCall, action: OwnerAction) -> OwnerProof:
    tx, agent = await decisions.subject(call.core, call.id)
    assert agent.owner_address is not None
    return await signed(call, action=action, subject=tx.id, allowed=(agent.owner_address,))
