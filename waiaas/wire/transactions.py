"""Transactions on the wire: what is shown of them."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import msgspec
import structlog
from msgspec import UNSET, Meta, UnsetType

from waiaas.domain.chain import Chain, Network
from waiaas.domain.decision import Outcome, Remedy, RuleVerdict, decode_decision
from waiaas.domain.decision import wire as decision_to_wire
from waiaas.domain.tier import Tier
from waiaas.domain.transaction import Progress, Status, Transaction, TransactionOrigin, TransactionType, View
from waiaas.wire.attempts import AttemptItem
from waiaas.wire.body import Body, Digits, Id, Limit, Seconds
from waiaas.wire.requests import Provenance, Token

log = structlog.get_logger()


class TxListQuery(Body, frozen=True):
    """Which transactions: since ≤ createdAt < until; `agentId` is for the operator."""

    limit: Limit = 20
    cursor: Id | None = None
    status: Status | None = None
    type: TransactionType | None = None
    tier: Tier | None = None
    since: int | None = None
    until: int | None = None
    agent_id: Id | None = None


class TxPendingQuery(Body, frozen=True):
    """Of which agent, for the operator."""

    agent_id: Id | None = None


class TxQuery(Body, frozen=True):
    """How many seconds to wait for a final status."""

    wait: Annotated[int, Meta(ge=0, le=60)] = 0


class TxSendResponse(Body, frozen=True):
    """What became of a send."""

    id: Id
    status: Status
    type: TransactionType
    tier: Tier | None
    created_at: Seconds
    agent_id: Id
    network: Network
    execute_at: Seconds | None
    approval_expires_at: Seconds | None
    downgraded_from: Tier | None
    #: the same request was accepted moments ago: this is that transaction
    duplicate_of: Id | UnsetType = UNSET


class PaidFee(Body, frozen=True):
    """What the chain took."""

    asset: str
    amount: Digits


class Confirmation(Body, frozen=True):
    """How deep it lies."""

    height: int
    confirmations: int | None
    finalized: bool


class TxResponse(Body, frozen=True):
    """A transaction."""

    id: Id
    agent_id: Id
    type: TransactionType
    status: Status
    tier: Tier | None
    chain: Chain
    to_address: str | None
    amount: Digits | None
    tx_hash: str | None
    error: str | None
    created_at: Seconds
    network: Network
    session_id: Id | None
    origin: TransactionOrigin
    asset: str | None
    token: Token | None
    spender: str | None
    value: Digits | None
    program_id: str | None
    memo: str | None
    error_code: str | None
    downgraded_from: Tier | None
    idempotency_key: str | None
    queued_at: Seconds | None
    execute_at: Seconds | None
    approval_expires_at: Seconds | None
    approved_at: Seconds | None
    rejected_at: Seconds | None
    submitted_at: Seconds | None
    final_at: Seconds | None
    fee: PaidFee | None
    in_doubt: bool
    attempt_count: int
    confirmation: Confirmation | None
    parent_id: Id | None
    batch_index: int | None
    digest: str
    provenance: Provenance | None
    updated_at: Seconds


class Decision(Body, frozen=True):
    """What was decided and why, rules in the order judged."""

    outcome: Outcome
    tier: Tier | None
    code: str | None
    reason: str | None
    policy_id: Id | None
    downgraded_from: Tier | None
    rules: tuple[RuleVerdict, ...]
    remedies: tuple[Remedy, ...]


class WaitingFor(Body, frozen=True):
    """Why it does not go on: FEE_CAP, FEE_BUDGET, NONCE_LANE, CHAIN_UNREACHABLE, or the code of what refuses it."""

    reason: str
    since: Seconds
    next_try_at: Seconds
    tries: int


class ChildTx(Body, frozen=True):
    """An item of a batch, or the reset of an allowance, on EVM."""

    id: Id
    batch_index: int
    type: TransactionType
    status: Status
    tx_hash: str | None
    error: str | None


class TxDetailResponse(TxResponse, frozen=True):
    """A transaction with its decision."""

    decision: Decision | None
    waiting: WaitingFor | None
    children: list[ChildTx]


class TxListResponse(Body, frozen=True):
    """Transactions, newest first."""

    items: list[TxResponse]
    cursor: Id | None
    has_more: bool


class TxPendingListResponse(Body, frozen=True):
    """What is PENDING or QUEUED, newest first."""

    items: list[TxResponse]


class TxCancelResponse(Body, frozen=True):
    """Cancelled; with `onChain` still SUBMITTED, until the cancelling attempt or the first one has landed."""

    id: Id
    status: Literal["CANCELLED", "SUBMITTED"]
    attempt: AttemptItem | UnsetType = UNSET


class _Downgrade(Body, frozen=True):
    downgraded_from: Tier | None = None


class _Asked(Body, frozen=True):
    """What a stored request says that no column repeats."""

    memo: str | None = None
    token: Token | None = None
    value: str | None = None
    program_id: str | None = None


_decode_asked = msgspec.json.Decoder(_Asked).decode
_decode_downgrade = msgspec.json.Decoder(_Downgrade).decode
_decode_fee = msgspec.json.Decoder(PaidFee).decode
_decode_provenance = msgspec.json.Decoder(Provenance).decode


def tx_sent(tx: Transaction, *, approval_expires_at: int | None = None, duplicate: bool = False) -> TxSendResponse:
    """The answer to a send, also when it is given again."""
    return TxSendResponse(
        id=tx.id,
        status=tx.status,
        type=tx.type,
        tier=tx.tier,
        created_at=tx.created_at,
        agent_id=tx.agent_id,
        network=tx.network,
        execute_at=_execute_at(tx),
        approval_expires_at=_approval_expires_at(tx, approval_expires_at),
        downgraded_from=_downgraded_from(tx),
        duplicate_of=tx.id if duplicate else UNSET,
    )


def tx_response(view: View) -> TxResponse:
    """The transaction as lists show it."""
    return TxResponse(**_shown(view))


def tx_detail(
    view: View, *, waiting: WaitingFor | None, children: Sequence[Transaction], show_lists: bool
) -> TxDetailResponse:
    """The transaction with its decision; lists of its rules are for the operator's eyes."""
    text = view.tx.decision
    decision = decision_to_wire(decode_decision(text), show_lists=show_lists) if text else None
    return TxDetailResponse(
        **_shown(view),
        decision=msgspec.convert(decision, Decision | None),
        waiting=waiting,
        children=[_child(child) for child in children],
    )


def _child(tx: Transaction) -> ChildTx:
    assert tx.batch_index is not None
    return ChildTx(tx.id, tx.batch_index, tx.type, tx.status, tx.tx_hash, tx.error)


def _shown(view: View) -> dict[str, Any]:
    tx, progress, asked = view.tx, view.progress, _asked(view.tx)
    return {
        "id": tx.id,
        "agent_id": tx.agent_id,
        "type": tx.type,
        "status": tx.status,
        "tier": tx.tier,
        "chain": tx.chain,
        "to_address": tx.to_address,
        "amount": tx.amount,
        "tx_hash": tx.tx_hash,
        "error": tx.error,
        "created_at": tx.created_at,
        "network": tx.network,
        "session_id": tx.session_id,
        "origin": tx.origin,
        "asset": tx.asset,
        "token": asked.token,
        "spender": tx.spender_address,
        "value": None if asked.program_id else asked.value,
        "program_id": asked.program_id,
        "memo": asked.memo,
        "error_code": tx.error_code,
        "downgraded_from": _downgraded_from(tx),
        "idempotency_key": tx.idempotency_key,
        "queued_at": tx.queued_at,
        "execute_at": _execute_at(tx),
        "approval_expires_at": _approval_expires_at(tx, progress.approval_expires_at),
        "approved_at": progress.approved_at,
        "rejected_at": progress.rejected_at,
        "submitted_at": tx.submitted_at,
        "final_at": tx.finished_at,
        "fee": _decode_fee(tx.fee) if tx.fee else None,
        "in_doubt": _in_doubt(view),
        "attempt_count": progress.attempt_count,
        "confirmation": _confirmation(progress),
        "parent_id": tx.parent_id,
        "batch_index": tx.batch_index,
        "digest": tx.request_hash,
        "provenance": _decode_provenance(tx.provenance) if tx.provenance else None,
        "updated_at": tx.updated_at,
    }


def _asked(tx: Transaction) -> _Asked:
    """A request that was changed by hand (REQUEST_CORRUPTED) is shown without what cannot be read of it."""
    try:
        return _decode_asked(tx.request)
    except msgspec.MsgspecError as error:
        log.warning("request_does_not_decode", tx_id=tx.id, error=str(error))
        return _Asked()


def _downgraded_from(tx: Transaction) -> Tier | None:
    return _decode_downgrade(tx.decision).downgraded_from if tx.decision else None


def _execute_at(tx: Transaction) -> int | None:
    return tx.due_at if tx.tier is Tier.DELAY else None


def _approval_expires_at(tx: Transaction, asked_until: int | None) -> int | None:
    """A delay that stands in for an approval may be approved too, where there is an owner to ask."""
    return tx.due_at if tx.tier is Tier.APPROVAL else asked_until


def _in_doubt(view: View) -> bool:
    """SUBMITTED, and no endpoint has reported it since it was last sent; of an EVM batch its items tell."""
    if view.tx.status is not Status.SUBMITTED or view.progress.attempt_count == 0:
        return False
    sent, seen = view.progress.last_broadcast_at, view.progress.last_seen_at
    return seen is None or (sent is not None and seen < sent)


def _confirmation(progress: Progress) -> Confirmation | None:
    if progress.block_number is None:
        return None
    return Confirmation(progress.block_number, progress.confirmations, progress.attempt_finished_at is not None)
