"""Requests that an owner's signature carries, and the texts that are served to be signed."""

import base64
from collections.abc import Collection

from waiaas.api.call import AnyCall, Caller
from waiaas.auth import owner as owners
from waiaas.auth import texts
from waiaas.domain.chain import chain_of
from waiaas.domain.event import OWNER, Actor
from waiaas.domain.owner import OwnerAction
from waiaas.errors import InvalidNonce, InvalidSignature
from waiaas.wire.owners import OwnerMessageResponse


async def signed(
    call: AnyCall,
    *,
    action: OwnerAction,
    subject: str,
    allowed: Collection[str],
    new_address: str | None = None,
    may_be_bare: bool = True,
) -> owners.OwnerProof:
    """The proof that one of the `allowed` addresses signed for exactly this; from now on the caller is that owner.

    A bare nonce counts where the configuration allows it and it `may_be_bare`. InvalidSignature, InvalidNonce, audited.
    """
    core = call.core
    try:
        proof = await owners.verify(
            core.db,
            owners.claimed(call.headers),
            action=action,
            subject=subject,
            owners=allowed,
            now=core.clock.now(),
            new_address=new_address,
            bare_nonces=may_be_bare and core.config.security.allow_nonce_only_owner_signatures,
        )
    except (InvalidSignature, InvalidNonce) as refusal:
        await refused(call, refusal)
        raise
    call.caller = Caller(Actor(f"{OWNER}:{proof.address}", call.peer))
    return proof


async def refused(call: AnyCall, refusal: InvalidSignature | InvalidNonce) -> None:
    """Audit a signature that did not hold."""
    await call.services.failures.record(call.peer, refusal.code)


def shows_signature(call: AnyCall) -> bool:
    """Whether owner headers came along."""
    return owners.shown(call.headers)


async def served(call: AnyCall, wanted: texts.Wanted, agent_id: str | None) -> OwnerMessageResponse:
    """The text, ready to be signed; without effects and digest."""
    made = await texts.issue(call.core.db, wanted, now=call.core.clock.now())
    return OwnerMessageResponse(
        action=wanted.action,
        subject_id=wanted.subject,
        agent_id=agent_id,
        chain=chain_of(wanted.network),
        network=wanted.network,
        address=wanted.address,
        message=made.message,
        message_base64=base64.b64encode(made.message.encode()).decode(),
        nonce=made.nonce,
        issued_at=made.issued_at,
        expires_at=made.expires_at,
    )


def host_of(call: AnyCall) -> str:
    """The Host that the text is bound to, as the edge has checked it."""
    return call.headers[b"host"].decode()
