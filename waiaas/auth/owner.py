"""An owner by the signature under a text that was served here: headers, nonce, what it was for, and then the key."""

import base64
import binascii
from collections.abc import Collection, Mapping

import msgspec

from waiaas.auth.signatures import decode_signature, is_signed_by
from waiaas.auth.texts import text_hash
from waiaas.db import Database
from waiaas.domain.address import canonical_address
from waiaas.domain.chain import Chain
from waiaas.domain.owner import BARE_NONCE, OwnerAction, nonce_in
from waiaas.errors import InvalidNonce, InvalidSignature, StaleState
from waiaas.repositories import nonces

LONGEST = 8192
ADDRESS, MESSAGE, SIGNATURE = b"x-owner-address", b"x-owner-message", b"x-owner-signature"


class Claim(msgspec.Struct, frozen=True):
    """What the headers say, decoded, nothing of it believed yet."""

    address: str
    chain: Chain
    message: str
    nonce: str
    signature: bytes
    #: the message is a text, not a bare nonce
    bound: bool


class OwnerProof(msgspec.Struct, frozen=True):
    """The owner's key signed this text for this action, and its nonce is used up."""

    address: str
    #: of what was shown; None for a text without one, or a bare nonce
    digest: str | None
    #: False: a bare nonce was signed, which says who and not what
    bound: bool


def shown(headers: Mapping[bytes, bytes]) -> bool:
    """Whether owner headers were sent."""
    return bool(headers.get(ADDRESS))


def claimed(headers: Mapping[bytes, bytes]) -> Claim:
    """The three headers, decoded; InvalidSignature if one is missing, too long or not what it should be."""
    address, message, signature = (_header(headers, name) for name in (ADDRESS, MESSAGE, SIGNATURE))
    try:
        chain = Chain.ETHEREUM if address.startswith("0x") else Chain.SOLANA
        bare = BARE_NONCE.fullmatch(message) is not None
        text = message if bare else base64.b64decode(message, validate=True).decode()
        nonce = text if bare else nonce_in(text)
        if nonce is None:
            raise InvalidSignature()
        decoded = decode_signature(signature, chain, any_spelling=bare)
        return Claim(canonical_address(address, chain), chain, text, nonce, decoded, not bare)
    except (binascii.Error, ValueError):
        raise InvalidSignature() from None


async def verify(
    db: Database,
    claim: Claim,
    *,
    action: OwnerAction,
    subject: str,
    owners: Collection[str],
    now: int,
    new_address: str | None = None,
    bare_nonces: bool = False,
) -> OwnerProof:
    """The proof that one of `owners` signed for exactly this; the nonce is gone when this returns or refuses later.

    InvalidSignature before the nonce is touched if the address is none of `owners`, or a bare nonce was signed and
    `bare_nonces` is off; InvalidNonce for one that is unknown, used or expired; InvalidSignature, with the nonce burnt,
    if it was made for anything else or the key is another one.
    """
    if claim.address not in owners or not (claim.bound or bare_nonces):
        raise InvalidSignature()
    stored = await _consume(db, claim.nonce, now)
    if not _is_for(stored, claim, action, subject, new_address):
        raise InvalidSignature()
    if not is_signed_by(claim.address, claim.message, claim.signature, claim.chain):
        raise InvalidSignature()
    return OwnerProof(claim.address, stored.digest, claim.bound)


async def _consume(db: Database, nonce: str, now: int) -> nonces.Bound:
    """In a commit of its own, before any signature is looked at: one use wins, and a bad signature costs the nonce."""
    stored = await nonces.find(db, nonce)
    if stored is None:
        raise InvalidNonce()
    try:
        await db.commit(nonces.consume(nonce, now))
    except StaleState:
        raise InvalidNonce() from None
    return stored


def _is_for(stored: nonces.Bound, claim: Claim, action: OwnerAction, subject: str, new_address: str | None) -> bool:
    if not claim.bound:
        return stored.action == nonces.UNBOUND
    made_for = (stored.action, stored.subject, stored.address, stored.new_address, stored.text_hash)
    return made_for == (action, subject, claim.address, new_address, text_hash(claim.message))


def _header(headers: Mapping[bytes, bytes], name: bytes) -> str:
    value = headers.get(name, b"")
    if not 1 <= len(value) <= LONGEST or not value.isascii():
        raise InvalidSignature()
    return value.decode()
