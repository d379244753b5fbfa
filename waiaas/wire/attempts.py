"""Attempts on the wire: the signed bytes of a transaction, by what is known of them."""

from typing import Literal

from waiaas.domain.transaction import Attempt, AttemptKind, AttemptStatus
from waiaas.wire.body import Body, Digits, Id, Seconds


class AttemptItem(Body, frozen=True):
    """Signed bytes that may land, or have; never the bytes themselves."""

    id: Id
    number: int
    status: AttemptStatus
    kind: AttemptKind
    tx_hash: str
    nonce: int | None
    blockhash: str | None
    last_valid_block_height: int | None
    max_fee: Digits
    send_count: int
    signed_at: Seconds
    first_sent_at: Seconds | None
    last_sent_at: Seconds | None
    endpoint: str | None
    error: str | None
    last_seen_at: Seconds | None
    block: int | None
    confirmations: int | None
    fee: Digits | None
    final_at: Seconds | None


class AttemptListResponse(Body, frozen=True):
    """The attempts of a transaction, oldest first."""

    items: list[AttemptItem]


class TxReplaceResponse(Body, frozen=True):
    """A further attempt with the same nonce is signed, durable and sent."""

    id: Id
    status: Literal["SUBMITTED"]
    attempt: AttemptItem


def attempt_item(attempt: Attempt) -> AttemptItem:
    """An attempt without its bytes."""
    return AttemptItem(
        id=attempt.id,
        number=attempt.number,
        status=attempt.status,
        kind=attempt.kind,
        tx_hash=attempt.tx_hash,
        nonce=attempt.nonce,
        blockhash=attempt.blockhash,
        last_valid_block_height=attempt.last_valid_block_height,
        max_fee=str(attempt.max_fee),
        send_count=attempt.broadcasts,
        signed_at=attempt.created_at,
        first_sent_at=attempt.first_broadcast_at,
        last_sent_at=attempt.last_broadcast_at,
        endpoint=attempt.endpoint,
        error=attempt.error,
        last_seen_at=attempt.last_seen_at,
        block=attempt.block_number,
        confirmations=attempt.confirmations,
        fee=None if attempt.fee is None else str(attempt.fee),
        final_at=attempt.finished_at,
    )
