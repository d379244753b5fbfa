"""The rows that a request begins as: its transaction, the items of an EVM batch, and what is set aside for each."""

from collections.abc import Sequence
from typing import Any

import msgspec

from waiaas.domain.agent import Agent, OwnerState
from waiaas.domain.approval import Approval
from waiaas.domain.chain import Chain
from waiaas.domain.decision import Decision, Outcome
from waiaas.domain.effects import copies, effects
from waiaas.domain.event import Actor
from waiaas.domain.ledger import LedgerKind, LedgerRow, LedgerState
from waiaas.domain.request import Batch, Effect, Request, canonical, digest, type_of
from waiaas.domain.session import Session
from waiaas.domain.tier import Tier
from waiaas.domain.transaction import Status, Transaction, TransactionOrigin, TransactionType
from waiaas.ids import new_id
from waiaas.policy import reservation


class Ask(msgspec.Struct, frozen=True):
    """One request as it came in, ready to be judged."""

    agent: Agent
    session: Session
    request: Request
    text: str
    hash: str
    key: str | None
    distinct: bool
    provenance: str | None
    actor: Actor


def new_transaction(ask: Ask, decision: Decision, now: int) -> Transaction:
    """The row as it is inserted: PENDING, or CANCELLED with the denial's code."""
    denied = decision.outcome is Outcome.DENY
    return Transaction(
        id=new_id(),
        agent_id=ask.agent.id,
        session_id=ask.session.id,
        parent_id=None,
        batch_index=None,
        chain=ask.agent.chain,
        network=ask.agent.network,
        origin=TransactionOrigin.SEND,
        type=TransactionType(type_of(ask.request)),
        status=Status.CANCELLED if denied else Status.PENDING,
        tier=decision.tier,
        request=ask.text,
        request_hash=ask.hash,
        decision=canonical(decision).decode(),
        provenance=ask.provenance,
        idempotency_key=None if denied else ask.key,
        tx_hash=None,
        fee=None,
        error=decision.reason if denied else None,
        error_code=decision.code if denied else None,
        queued_at=None,
        due_at=None,
        submitted_at=None,
        executed_at=None,
        finished_at=now if denied else None,
        created_at=now,
        updated_at=now,
        **msgspec.structs.asdict(copies(ask.request, ask.agent.chain)),
    )


def items(parent: Transaction, request: Request) -> list[tuple[Transaction, Request]]:
    """The items of an EVM batch as rows of their own; a Solana batch is one row, and atomic."""
    if not isinstance(request, Batch) or parent.chain is Chain.SOLANA:
        return []
    return [(_item(parent, index, item), item) for index, item in enumerate(request.instructions)]


def _item(parent: Transaction, index: int, item: Request) -> Transaction:
    text = canonical(item)
    return msgspec.structs.replace(
        parent,
        id=new_id(),
        parent_id=parent.id,
        batch_index=index,
        type=TransactionType(type_of(item)),
        request=text.decode(),
        request_hash=digest(text),
        decision=None,
        provenance=None,
        idempotency_key=None,
        **msgspec.structs.asdict(copies(item, parent.chain)),
    )


def due(decision: Decision, now: int) -> int | None:
    """When a queued transaction's delay or approval ends; None for one that is executed at once."""
    match decision.tier:
        case Tier.DELAY:
            assert decision.delay_seconds is not None
            return now + decision.delay_seconds
        case Tier.APPROVAL:
            assert decision.approval_timeout is not None
            return now + decision.approval_timeout
        case _:
            return None


def needs_owner(decision: Decision) -> bool:
    """Whether an owner's word is wanted, be it that a delay stands in for it."""
    return Tier.APPROVAL in (decision.tier, decision.downgraded_from)


def asked_of_owner(agent: Agent, decision: Decision, tx: Transaction) -> Approval | None:
    """The approval that opens with a queued transaction; an owner not proved yet may prove the key by it."""
    if not needs_owner(decision) or agent.owner_state is OwnerState.NONE:
        return None
    assert tx.due_at is not None
    return Approval(
        id=new_id(),
        tx_id=tx.id,
        expires_at=tx.due_at,
        approved_at=None,
        rejected_at=None,
        closed_at=None,
        max_fee=None,
        created_at=tx.created_at,
    )


def asked_for(tx: Transaction) -> dict[str, Any]:
    """What TX_REQUESTED says of a row."""
    return {"type": tx.type, "tier": tx.tier, "status": tx.status, "origin": tx.origin}


def queued(tx: Transaction, due_at: int) -> Transaction:
    """The transaction as its accepting commit leaves it when it has to wait."""
    return msgspec.structs.replace(tx, status=Status.QUEUED, queued_at=tx.created_at, due_at=due_at)


def reserved(tx: Transaction, request: Request, sender: str, fee: int) -> list[LedgerRow]:
    """What is set aside for one row: its outflow and allowances per asset, and its fee."""
    booked = reservation(effects(request, tx.chain, sender=sender), fee, tx.chain)
    return [ledger_row(tx, asset, kind, amount, spender, tx.created_at) for asset, kind, amount, spender in booked]


def undeclared(tx: Transaction, effects: Sequence[Effect], now: int) -> list[LedgerRow]:
    """What a simulation saw leave beyond what was declared, to be booked when it is signed."""
    booked = reservation(effects, 0, tx.chain)
    return [ledger_row(tx, *row, now) for row in booked if row[1] is not LedgerKind.FEE]


def ledger_row(tx: Transaction, asset: str, kind: LedgerKind, amount: int, spender: str | None, now: int) -> LedgerRow:
    """A RESERVED row of the transaction; `amount` in base units of the asset."""
    return LedgerRow(
        id=new_id(),
        agent_id=tx.agent_id,
        session_id=tx.session_id,
        tx_id=tx.id,
        asset=asset,
        kind=kind,
        spender=spender,
        state=LedgerState.RESERVED,
        reserved=amount,
        settled=None,
        created_at=now,
        settled_at=None,
    )
