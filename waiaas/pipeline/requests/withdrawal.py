"""The rows of a withdrawal: as they are accepted, when it is known how much each of them is, and whose they are."""

import msgspec

from waiaas.db import Statement
from waiaas.domain.agent import Agent
from waiaas.domain.decision import Decision, Finding, Outcome, RuleVerdict, Scope, UsedFacts
from waiaas.domain.effects import copies
from waiaas.domain.event import Actor, AuditEvent, EventType
from waiaas.domain.request import Request, Sweeping, SweepToken, TokenTransfer, Transfer, canonical, digest
from waiaas.domain.tier import Tier
from waiaas.domain.transaction import Status, Transaction, TransactionOrigin, TransactionType
from waiaas.errors import PolicyDenied
from waiaas.ids import new_id
from waiaas.pipeline.requests.rows import asked_for
from waiaas.repositories import audit, outbox, queue, transactions

RULE = RuleVerdict(
    policy_id=None,
    type="withdraw",
    scope=Scope.BUILTIN,
    outcome=Finding.PASS,
    tier=None,
    observed=None,
    limit=None,
    message="A withdrawal goes to the registered owner, who has signed; policies and limits do not apply.",
)


def requested(row: Transaction, now: int, actor: Actor) -> list[Statement]:
    """What tells of it, for the accepting commit."""
    asked = {"requestHash": row.request_hash, "outcome": Outcome.ALLOW, "tier": row.tier, "origin": row.origin}
    return [
        audit.record(AuditEvent.TX_REQUESTED, actor, now, row.about, **asked),
        outbox.emit(EventType.TX_REQUESTED, now, row.about, **asked_for(row)),
    ]


def decided(now: int, policy_version: int, agent: Agent) -> Decision:
    """One built-in rule, which passes."""
    facts = UsedFacts(now=now, fee="0", owner_locked=True, ledger_version=agent.ledger_version, sums=())
    return Decision(
        outcome=Outcome.ALLOW,
        tier=Tier.INSTANT,
        code=None,
        reason=None,
        policy_id=None,
        downgraded_from=None,
        rules=(RULE,),
        remedies=(),
        delay_seconds=None,
        approval_timeout=None,
        policy_version=policy_version,
        effects=(),
        facts=facts,
        denial=None,
    )


def sweeping_row(agent: Agent, request: Sweeping, decision: str, key: str | None, now: int) -> Transaction:
    """PENDING; how much it is, is decided when it is built."""
    text = canonical(request)
    is_token = isinstance(request, SweepToken)
    return Transaction(
        id=new_id(),
        agent_id=agent.id,
        session_id=None,
        parent_id=None,
        batch_index=None,
        chain=agent.chain,
        network=agent.network,
        origin=TransactionOrigin.WITHDRAW,
        type=TransactionType.TOKEN_TRANSFER if is_token else TransactionType.TRANSFER,
        status=Status.PENDING,
        tier=Tier.INSTANT,
        request=text.decode(),
        request_hash=digest(text),
        decision=decision,
        provenance=None,
        idempotency_key=key,
        tx_hash=None,
        fee=None,
        error=None,
        error_code=None,
        queued_at=None,
        due_at=None,
        submitted_at=None,
        executed_at=None,
        finished_at=None,
        created_at=now,
        updated_at=now,
        **msgspec.structs.asdict(copies(request, agent.chain)),
    )


def amount_decided(tx: Transaction, built: Request) -> list[Statement]:
    """For the signing commit of a withdrawal's row: how much it is; nothing for what an agent sends.

    What empties the agent is signed alone: other bytes in flight could take what it counts on.
    """
    if not tx.is_withdrawal:
        return []
    assert isinstance(built, Transfer | TokenTransfer)
    alone = [queue.is_alone(tx)] if tx.type is TransactionType.TRANSFER else []
    return [*alone, transactions.set_amount(tx.id, built.amount)]


def must_be_its_own(tx: Transaction) -> None:
    """PolicyDenied where a session would meddle with a withdrawal: that is between operator and owner."""
    if tx.is_withdrawal:
        raise PolicyDenied("This is a withdrawal to the owner: no session can stop or change it.")
