"""What a decision costs with so many policies in scope and so many ledger rows of history, in a process of its own.

The rows are spends of one agent's requests, spread over the thirty days that the longest window looks back. Each policy
caps every window; beside them requests are counted in the longest window and in their session, and its spends. A commit
changes the agent's ledger before each decision, so that what is known of it must be brought up to date.
Reads `{policies, rows}` (two growing lists) as JSON from standard input, writes `[{policies, rows, cpu, first}]`: CPU
seconds of a decision, the median of many, and of the first one, which reads all of the history.
"""

import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

import httpx
from unserved import make_agent, row, wallet

from waiaas.db import Statement
from waiaas.domain.agent import Agent
from waiaas.domain.chain import Chain, Network, native_of
from waiaas.domain.decision import Outcome
from waiaas.domain.ledger import LedgerKind, LedgerRow, LedgerState
from waiaas.domain.policy import Policy, PolicyType, parse_rules
from waiaas.domain.request import Transfer
from waiaas.domain.rules.spending import CAPS
from waiaas.domain.session import Constraints, Session
from waiaas.domain.tier import Tier
from waiaas.domain.transaction import Status, Transaction, TransactionOrigin, TransactionType
from waiaas.ids import new_id
from waiaas.pipeline.core import Core
from waiaas.pipeline.requests.judge import judge
from waiaas.repositories import ledger, policies, sessions, settings, transactions

DECISIONS = 100
#: ledger rows of one request, and of one commit
ROWS_OF_ONE = 10
ROWS = 500
DAYS_30 = 30 * 86400
REQUEST = Transfer("9WzDXwBbmkg8ZTbNMqUxvQRAyrZzDsGYdLVL9zYtAWWM", "1000000")
FEE = 5000
CAPPED = dict.fromkeys(CAPS, str(10**15))
RATED = {"max_requests": 100_000, "window_seconds": DAYS_30}
BOUND = Constraints(max_total_amount=str(10**15), max_transactions=1_000_000)

#: an agent and its session
Caller: TypeAlias = tuple[Agent, Session]


async def main() -> None:
    """An agent for each length of history, then ever more policies for all of them."""
    plan = json.load(sys.stdin)
    with tempfile.TemporaryDirectory(prefix="waiaas-decisions-") as directory:
        async with wallet(Path(directory), httpx.MockTransport(lambda _: httpx.Response(503))) as core:
            await forget_first_policy(core)
            await add_policies(core, PolicyType.RATE_LIMIT, RATED, 1)
            callers = [await with_history(core, count) for count in plan["rows"]]
            print(json.dumps([one async for one in measured(core, callers, plan)]))


async def measured(core: Core, callers: list[Caller], plan: dict[str, Any]) -> Any:
    """Every combination, in the order of the policies."""
    made = 0
    for count in plan["policies"]:
        await add_policies(core, PolicyType.SPENDING_LIMIT, CAPPED, count - made)
        made = count
        first = [await cpu_of(core, *caller) for caller in callers]
        # in turns, so that what else the machine does falls on short and long histories alike
        rounds = [[await cpu_of(core, *caller) for caller in callers] for _ in range(DECISIONS)]
        for index, rows in enumerate(plan["rows"]):
            middle = statistics.median(each[index] for each in rounds)
            yield {"policies": count, "rows": rows, "cpu": middle, "first": first[index]}


async def cpu_of(core: Core, agent: Agent, session: Session) -> float:
    """CPU seconds of one decision, behind a commit that changed the agent's ledger."""
    await core.db.commit(ledger.touch(agent.id))
    begun = time.process_time()
    decision = await judge(core, agent, session, REQUEST, fee=FEE)
    seconds = time.process_time() - begun
    assert decision.outcome is Outcome.ALLOW, decision.reason
    return seconds


async def forget_first_policy(core: Core) -> None:
    """The one that `waiaas init` makes."""
    found = await policies.page(core.db)
    await core.db.commit(*map(policies.delete, found), settings.raise_policy_version(core.clock.now()))


async def add_policies(core: Core, kind: PolicyType, rules: dict[str, Any], count: int) -> None:
    """So many more of a kind, for every agent."""
    now = core.clock.now()
    parsed = parse_rules(kind, rules, chain=None)
    made = (Policy(new_id(), None, kind, parsed, number, True, False, 1, now, now) for number in range(count))
    await core.db.commit(*map(policies.create, made), settings.raise_policy_version(now))


async def with_history(core: Core, count: int) -> Caller:
    """An agent and its session, with so many spends in the last thirty days."""
    agent = await make_agent(core, Network.LOCALNET)
    now = core.clock.now()
    session = row(
        Session,
        agent_id=agent.id,
        token_hash=new_id(),
        constraints=BOUND,
        expires_at=now + DAYS_30,
        absolute_expires_at=now + DAYS_30,
        renewal_count=0,
        max_renewals=0,
        created_at=now,
    )
    await core.db.commit(sessions.issue(session, issued_by="bench", most=1))
    for start in range(0, count, ROWS):
        spent_at = [now - DAYS_30 * number // count for number in range(start, min(start + ROWS, count))]
        parts = (spent_at[first : first + ROWS_OF_ONE] for first in range(0, len(spent_at), ROWS_OF_ONE))
        await core.db.commit(*(statement for part in parts for statement in spends(agent, session, part)))
    return agent, session


def spends(agent: Agent, session: Session, times: list[int]) -> Iterator[Statement]:
    """One request and its settled amounts."""
    tx = row(
        Transaction,
        agent_id=agent.id,
        session_id=session.id,
        chain=Chain.SOLANA,
        network=agent.network,
        origin=TransactionOrigin.SEND,
        type=TransactionType.TRANSFER,
        status=Status.PENDING,
        tier=Tier.INSTANT,
        request="{}",
        request_hash=new_id(),
        created_at=times[-1],
        updated_at=times[-1],
    )
    yield transactions.insert(tx)
    yield transactions.mark_executing(tx.id, times[-1])
    yield transactions.mark_submitted(tx.id, tx_hash=tx.id, now=times[-1])
    yield transactions.mark_confirmed(tx.id, tx_hash=tx.id, fee=None, now=times[-1])
    yield ledger.touch(agent.id)
    for at in times:
        spend = row(
            LedgerRow,
            agent_id=agent.id,
            session_id=session.id,
            tx_id=tx.id,
            asset=native_of(agent.network).asset,
            kind=LedgerKind.AMOUNT,
            state=LedgerState.RESERVED,
            reserved=10,
            created_at=at,
        )
        yield ledger.reserve(spend)
        yield ledger.settle_row(spend.id, spend.reserved, at)


asyncio.run(main())
