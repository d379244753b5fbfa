"""A transaction: one request and its life from PENDING to a final state; the law of its moves."""

from enum import StrEnum

import msgspec

from waiaas.domain.chain import Chain, Network
from waiaas.domain.event import About
from waiaas.domain.policy import Tier


class TransactionType(StrEnum):
    """What is asked for."""

    TRANSFER = "TRANSFER"
    TOKEN_TRANSFER = "TOKEN_TRANSFER"
    CONTRACT_CALL = "CONTRACT_CALL"
    APPROVE = "APPROVE"
    BATCH = "BATCH"


class TransactionOrigin(StrEnum):
    """By an agent's send, or by the operator's withdrawal to the owner."""

    SEND = "send"
    WITHDRAW = "withdraw"


class Status(StrEnum):
    """Where a transaction stands; the comment says who moves it on."""

    #: accepted, to be executed: the execute worker, or a cancel
    PENDING = "PENDING"
    #: waits for its delay (delays worker) or its owner (approval), or a cancel
    QUEUED = "QUEUED"
    #: being built; nothing signed is durable: the execute worker
    EXECUTING = "EXECUTING"
    #: signed bytes are durable: only evidence from the chain moves it on (confirm worker)
    SUBMITTED = "SUBMITTED"
    CONFIRMED = "CONFIRMED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    EXPIRED = "EXPIRED"
    #: an EVM batch of which some items landed
    PARTIAL_FAILURE = "PARTIAL_FAILURE"


FINAL = frozenset({Status.CONFIRMED, Status.FAILED, Status.CANCELLED, Status.EXPIRED, Status.PARTIAL_FAILURE})

#: every allowed (from, to); the trigger transactions_moves carries the same pairs
MOVES = frozenset(
    {
        (Status.PENDING, Status.QUEUED),
        (Status.PENDING, Status.EXECUTING),
        (Status.PENDING, Status.CANCELLED),
        (Status.PENDING, Status.EXPIRED),
        (Status.QUEUED, Status.EXECUTING),
        (Status.QUEUED, Status.CANCELLED),
        (Status.QUEUED, Status.EXPIRED),
        (Status.EXECUTING, Status.SUBMITTED),
        (Status.EXECUTING, Status.FAILED),
        (Status.SUBMITTED, Status.CONFIRMED),
        (Status.SUBMITTED, Status.FAILED),
        (Status.SUBMITTED, Status.EXPIRED),
        (Status.SUBMITTED, Status.PARTIAL_FAILURE),
    }
)


class AttemptKind(StrEnum):
    """Why bytes were signed."""

    SEND = "SEND"
    SPEED_UP = "SPEED_UP"
    CANCEL = "CANCEL"


class AttemptStatus(StrEnum):
    """What is known of signed bytes."""

    LIVE = "LIVE"
    REPLACED = "REPLACED"
    LANDED = "LANDED"
    DEAD = "DEAD"


class Reason(StrEnum):
    """`error_code` of a row that no refusal and no chain error names."""

    CANCELLED_BY_CALLER = "CANCELLED_BY_CALLER"
    OWNER_REJECTED = "OWNER_REJECTED"
    OWNER_CHANGED = "OWNER_CHANGED"
    APPROVAL_TIMEOUT = "APPROVAL_TIMEOUT"
    KILL_SWITCH = "KILL_SWITCH"
    AGENT_SUSPENDED = "AGENT_SUSPENDED"
    AGENT_TERMINATED = "AGENT_TERMINATED"
    SESSION_REVOKED = "SESSION_REVOKED"
    #: the database went back in time: what it remembers as unsigned may have been sent
    RESTORED = "RESTORED"
    PENDING_TIMEOUT = "PENDING_TIMEOUT"
    REQUEST_CORRUPTED = "REQUEST_CORRUPTED"
    ONCHAIN_FAILURE = "ONCHAIN_FAILURE"
    #: the nonce went to a transaction that this wallet did not sign
    NONCE_CONSUMED = "NONCE_CONSUMED"
    CANCELLED_ON_CHAIN = "CANCELLED_ON_CHAIN"
    #: an earlier item of the batch failed, this one was not sent
    BATCH_INCOMPLETE = "BATCH_INCOMPLETE"
    BLOCKHASH_EXPIRED = "BLOCKHASH_EXPIRED"
    #: every endpoint refused the signed bytes for good, and now they are provably dead
    CHAIN_REJECTED = "CHAIN_REJECTED"
    #: a simulation shows more leaving undeclared than the owner's text said
    OUTFLOW_NOT_APPROVED = "OUTFLOW_NOT_APPROVED"


class Transaction(msgspec.Struct, frozen=True):
    """A row of `transactions`, without the copies that exist only for filters; times in epoch seconds."""

    id: str
    agent_id: str
    session_id: str | None
    parent_id: str | None
    batch_index: int | None
    chain: Chain
    network: Network
    origin: TransactionOrigin
    type: TransactionType
    status: Status
    tier: Tier | None
    request: str
    request_hash: str
    decision: str | None
    provenance: str | None
    idempotency_key: str | None
    amount: str | None
    asset: str | None
    to_address: str | None
    token_mint: str | None
    contract_address: str | None
    method_signature: str | None
    spender_address: str | None
    approved_amount: str | None
    tx_hash: str | None
    fee: str | None
    error: str | None
    error_code: str | None
    queued_at: int | None
    due_at: int | None
    submitted_at: int | None
    executed_at: int | None
    finished_at: int | None
    created_at: int
    updated_at: int

    @property
    def about(self) -> About:
        return About(self.agent_id, self.session_id, self.id)

    @property
    def is_withdrawal(self) -> bool:
        """Whether it is the operator's, to the owner: no policy judges it, and no ledger row speaks of it."""
        return self.origin is TransactionOrigin.WITHDRAW


class Followed(msgspec.Struct, frozen=True):
    """A row of `attempts` but for its bytes: what following it needs; `max_fee` and `fee` in base units."""

    id: str
    tx_id: str
    number: int
    kind: AttemptKind
    network: Network
    signer: str
    tx_hash: str
    nonce: int | None
    blockhash: str | None
    last_valid_block_height: int | None
    context_slot: int | None
    max_fee: int
    status: AttemptStatus
    broadcasts: int
    endpoint: str | None
    first_broadcast_at: int | None
    last_broadcast_at: int | None
    last_seen_at: int | None
    block_number: int | None
    block_hash: str | None
    confirmations: int | None
    fee: int | None
    error: str | None
    #: when every endpoint had refused the bytes for good; None once one took them after all
    rejected_at: int | None
    created_at: int
    finished_at: int | None


class Attempt(Followed, frozen=True):
    """A row of `attempts`: signed bytes that may land."""

    raw: bytes


class Progress(msgspec.Struct, frozen=True):
    """What the newest attempt and the approval say of a transaction, for showing it."""

    attempt_count: int
    last_broadcast_at: int | None
    last_seen_at: int | None
    block_number: int | None
    confirmations: int | None
    attempt_finished_at: int | None
    approved_at: int | None
    rejected_at: int | None
    #: until when the owner may decide; None where the owner is not asked
    approval_expires_at: int | None = None


class InFlight(msgspec.Struct, frozen=True):
    """Signed bytes that may still land, and until when (a block height, or their nonce's use)."""

    id: str
    agent_id: str
    network: Network
    tx_hash: str
    last_valid_block_height: int | None
    nonce: int | None


class View(msgspec.Struct, frozen=True):
    """A transaction as it is shown."""

    tx: Transaction
    progress: Progress
