"""A withdrawal on the wire."""

from typing import Literal

from waiaas.domain.request import Left
from waiaas.domain.transaction import Status, Transaction, TransactionType
from waiaas.wire.body import Body, Digits, Id


class WithdrawRequest(Body, frozen=True):
    """What to move: everything, or native money alone. Where it goes is not the caller's to say."""

    scope: Literal["all", "native"] = "all"


class WithdrawnTransaction(Body, frozen=True):
    """One transaction of it; `amount` is null until it is built."""

    id: Id
    type: TransactionType
    asset: str
    amount: Digits | None
    status: Status


class SkippedAsset(Body, frozen=True):
    """A token that stays: frozen by its issuer, or of a kind that is not sent."""

    asset: str
    reason: Literal["frozen", "unsupported"]


class WithdrawResponse(Body, frozen=True):
    """What was accepted, tokens first, native money last; `to` is the registered owner."""

    agent_id: Id
    to: str
    scope: Literal["all", "native"]
    transactions: list[WithdrawnTransaction]
    skipped: list[SkippedAsset]


def withdrawn(tx: Transaction) -> WithdrawnTransaction:
    """A row of a withdrawal."""
    return WithdrawnTransaction(tx.id, tx.type, tx.asset or "", tx.amount, tx.status)


def skipped(left: Left) -> SkippedAsset:
    """A token that was left out."""
    return SkippedAsset(left.asset, "frozen" if left.reason == "frozen" else "unsupported")
