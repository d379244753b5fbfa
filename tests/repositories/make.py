"""Rows as the pipeline writes them, with defaults for all but the point of a test."""

import sqlite3
from typing import Any

import msgspec

from tests.world import a_session
from waiaas.db import Database, Statement
from waiaas.domain.agent import Agent, AgentStatus
from waiaas.domain.chain import Chain, Network
from waiaas.domain.ledger import LedgerKind, LedgerRow, LedgerState
from waiaas.domain.policy import Policy, PolicyType, Tier, parse_rules
from waiaas.domain.session import Session
from waiaas.domain.transaction import (
    Attempt,
    AttemptKind,
    AttemptStatus,
    Reason,
    Status,
    Transaction,
    TransactionOrigin,
    TransactionType,
)
from waiaas.ids import new_id
from waiaas.repositories import agents, attempts, ledger, policies, sessions, transactions

NOW = 1_800_000_000
NATIVE = "native:solana"
FEE = '{"amount":"5000","asset":"native:solana"}'
#: from where the factory comes to each status
BEFORE = {
    Status.QUEUED: Status.PENDING,
    Status.EXECUTING: Status.PENDING,
    Status.CANCELLED: Status.PENDING,
    Status.SUBMITTED: Status.EXECUTING,
    Status.CONFIRMED: Status.SUBMITTED,
    Status.FAILED: Status.SUBMITTED,
    Status.EXPIRED: Status.SUBMITTED,
    Status.PARTIAL_FAILURE: Status.SUBMITTED,
}


def ended(tx_id: str, was: Status, to: Status) -> Statement:
    """The move to an end that is not CONFIRMED."""
    return transactions.mark_ended(tx_id, was=was, to=to, error="why", error_code=Reason.ONCHAIN_FAILURE, now=NOW)


def moving(tx: Transaction, to: Status) -> Statement:
    """The move that brings the factory's transaction to a status from the one before."""
    match to:
        case Status.QUEUED:
            return transactions.mark_queued(tx.id, due_at=NOW, now=NOW)
        case Status.EXECUTING:
            return transactions.mark_executing(tx.id, NOW)
        case Status.SUBMITTED:
            return transactions.mark_submitted(tx.id, tx_hash=f"hash of {tx.id}", now=NOW)
        case Status.CONFIRMED:
            return transactions.mark_confirmed(tx.id, tx_hash=f"hash of {tx.id}", fee=FEE, now=NOW)
    return ended(tx.id, BEFORE[to], to)


class Rows:
    """Makes rows in a database, and asks it questions."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def agent(self, status: AgentStatus = AgentStatus.ACTIVE, **changed: Any) -> Agent:
        agent_id = new_id()
        agent = Agent(
            id=agent_id,
            name="agent",
            chain=Chain.SOLANA,
            network=Network.LOCALNET,
            public_key=f"key of {agent_id}",
            status=AgentStatus.CREATING,
            owner_address=None,
            owner_verified=False,
            key_exported_at=None,
            ledger_version=0,
            suspended_at=None,
            suspension_reason=None,
            created_at=NOW,
            updated_at=NOW,
        )
        agent = msgspec.structs.replace(agent, **changed)
        await self._db.commit(agents.create(agent))
        if status is not AgentStatus.CREATING:
            await self._db.commit(agents.activate(agent.id, NOW))
        if status is AgentStatus.SUSPENDED:
            await self.run("UPDATE agents SET status = 'SUSPENDED' WHERE id = :id", id=agent.id)
        if status in (AgentStatus.TERMINATING, AgentStatus.TERMINATED):
            await self._db.commit(agents.mark_terminating(agent.id, NOW))
        if status is AgentStatus.TERMINATED:
            await self._db.commit(agents.mark_terminated(agent.id, NOW))
        return await agents.find(self._db, agent.id) or agent

    async def session(self, agent: Agent, **changed: Any) -> Session:
        session = a_session(agent.id, NOW, **changed)
        await self._db.commit(sessions.issue(session, issued_by="operator", most=50))
        return session

    async def policy(self, agent: Agent | None = None, **changed: Any) -> Policy:
        rules = parse_rules(PolicyType.SPENDING_LIMIT, {"per_transaction": "7"}, chain=Chain.SOLANA)
        agent_id = agent.id if agent else None
        policy = Policy(new_id(), agent_id, PolicyType.SPENDING_LIMIT, rules, 0, True, False, 1, NOW, NOW)
        policy = msgspec.structs.replace(policy, **changed)
        await self._db.commit(policies.create(policy))
        return policy

    async def transaction(
        self, agent: Agent, session: Session | None = None, status: Status = Status.PENDING, **changed: Any
    ) -> Transaction:
        tx = a_transaction(agent, session, **changed)
        await self._db.commit(transactions.insert(tx))
        await self.bring(tx, status)
        return await transactions.get(self._db, tx.id)

    async def bring(self, tx: Transaction, status: Status) -> None:
        """From PENDING to a status, by way of those before it."""
        if status is not Status.PENDING:
            await self.bring(tx, BEFORE[status])
            await self._db.commit(moving(tx, status))

    async def attempt(self, tx: Transaction, **changed: Any) -> Attempt:
        attempt = an_attempt(tx, **changed)
        await self._db.commit(attempts.insert(attempt))
        return attempt

    async def reserved(self, tx: Transaction, kind: LedgerKind = LedgerKind.AMOUNT, amount: int = 7) -> LedgerRow:
        row = a_reservation(tx, kind, amount)
        await self._db.commit(ledger.touch(tx.agent_id), ledger.reserve(row))
        return row

    async def run(self, sql: str, /, **params: Any) -> None:
        """A statement that no repository has."""
        await self._db.commit(Statement(sql, params, expect=None))

    async def ask(self, sql: str, /, **params: Any) -> list[sqlite3.Row]:
        return await self._db.fetch_all(sql, params)

    async def count(self, table: str) -> int:
        return int((await self.ask(f"SELECT COUNT(*) AS n FROM {table}"))[0]["n"])


def a_transaction(agent: Agent, session: Session | None = None, **changed: Any) -> Transaction:
    tx = Transaction(
        id=new_id(),
        agent_id=agent.id,
        session_id=session.id if session else None,
        parent_id=None,
        batch_index=None,
        chain=agent.chain,
        network=agent.network,
        origin=TransactionOrigin.SEND,
        type=TransactionType.TRANSFER,
        status=Status.PENDING,
        tier=Tier.DELAY,
        request="{}",
        request_hash="hash",
        decision=None,
        provenance=None,
        idempotency_key=None,
        amount="7",
        asset=NATIVE,
        to_address="somebody",
        token_mint=None,
        contract_address=None,
        method_signature=None,
        spender_address=None,
        approved_amount=None,
        tx_hash=None,
        fee=None,
        error=None,
        error_code=None,
        queued_at=None,
        due_at=None,
        submitted_at=None,
        executed_at=None,
        finished_at=None,
        created_at=NOW,
        updated_at=NOW,
    )
    return msgspec.structs.replace(tx, **changed)


def an_attempt(tx: Transaction, **changed: Any) -> Attempt:
    attempt_id = new_id()
    attempt = Attempt(
        id=attempt_id,
        tx_id=tx.id,
        number=1,
        kind=AttemptKind.SEND,
        network=tx.network,
        signer="signer",
        tx_hash=f"hash of {attempt_id}",
        raw=b"raw",
        nonce=None,
        blockhash="blockhash",
        last_valid_block_height=150,
        context_slot=1,
        max_fee=5000,
        status=AttemptStatus.LIVE,
        broadcasts=0,
        endpoint=None,
        first_broadcast_at=None,
        last_broadcast_at=None,
        last_seen_at=None,
        block_number=None,
        block_hash=None,
        confirmations=None,
        fee=None,
        error=None,
        rejected_at=None,
        created_at=NOW,
        finished_at=None,
    )
    return msgspec.structs.replace(attempt, **changed)


def a_reservation(tx: Transaction, kind: LedgerKind = LedgerKind.AMOUNT, amount: int = 7) -> LedgerRow:
    return LedgerRow(
        id=new_id(),
        agent_id=tx.agent_id,
        session_id=tx.session_id,
        tx_id=tx.id,
        asset=NATIVE,
        kind=kind,
        spender="spender" if kind is LedgerKind.ALLOWANCE else None,
        state=LedgerState.RESERVED,
        reserved=amount,
        settled=None,
        created_at=NOW,
        settled_at=None,
    )
