"""What a decision costs with so many policies in scope and so many ledger rows of history, in a process of its own.

The rows are spends of one agent, spread over the thirty days that the longest window looks back, each policy caps every
window, and a commit changes the agent's ledger before each decision, so that its book must be brought up to date.
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
from typing import Any

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
from waiaas.domain.tier import Tier
from waiaas.domain.transaction import Status, Transaction, TransactionOrigin, TransactionType
from waiaas.ids import new_id
from waiaas.pipeline.core import Core
from waiaas.pipeline.requests.judge import judge
from waiaas.repositories import ledger, policies, settings, transactions

DECISIONS = 100
#: ledger rows of one transaction, and of one commit
ROWS = 500
DAYS_30 = 30 * 86400
REQUEST = Transfer("9WzDXwBbmkg8ZTbNMqUxvQRAyrZzDsGYdLVL9zYtAWWM", "1000000")
FEE = 5000
CAPPED = dict.fromkeys(CAPS, str(10**15))


async def main() -> None:
    """An agent for each length of history, then ever more policies for all of them."""
    plan = json.load(sys.stdin)
    with tempfile.TemporaryDirectory(prefix="waiaas-decisions-") as directory:
        async with wallet(Path(directory), httpx.MockTransport(lambda _: httpx.Response(503))) as core:
            await forget_first_policy(core)
            agents = [await with_history(core, count) for count in plan["rows"]]
            print(json.dumps([one async for one in measured(core, agents, plan)]))


async def measured(core: Core, agents: list[Agent], plan: dict[str, Any]) -> Any:
    """Every combination, in the order of the policies."""
    made = 0
    for count in plan["policies"]:
        await add_policies(core, count - made)
        made = count
        first = [await cpu_of(core, agent) for agent in agents]
        # in turns, so that what else the machine does falls on short and long histories alike
        rounds = [[await cpu_of(core, agent) for agent in agents] for _ in range(DECISIONS)]
        for index, rows in enumerate(plan["rows"]):
            middle = statistics.median(each[index] for each in rounds)
            yield {"policies": count, "rows": rows, "cpu": middle, "first": first[index]}


async def cpu_of(core: Core, agent: Agent) -> float:
    """CPU seconds of one decision, behind a commit that changed the agent's ledger."""
    await core.db.commit(ledger.touch(agent.id))
    begun = time.process_time()
    decision = await judge(core, agent, None, REQUEST, fee=FEE)
    seconds = time.process_time() - begun
    assert decision.outcome is Outcome.ALLOW, decision.reason
    return seconds


async def forget_first_policy(core: Core) -> None:
    """The one that `waiaas init` makes."""
    found = await policies.page(core.db)
    await core.db.commit(*map(policies.delete, found), settings.raise_policy_version(core.clock.now()))


async def add_policies(core: Core, count: int) -> None:
    """So many limits more, for every agent, with a cap in every window."""
    now = core.clock.now()
    rules = parse_rules(PolicyType.SPENDING_LIMIT, CAPPED, chain=None)
    made = (
        Policy(new_id(), None, PolicyType.SPENDING_LIMIT, rules, number, True, False, 1, now, now)
        for number in range(count)
    )
    await core.db.commit(*map(policies.create, made), settings.raise_policy_version(now))


async def with_history(core: Core, count: int) -> Agent:
    """An agent with so many spends in the last thirty days."""
    agent = await make_agent(core, Network.LOCALNET)
    now = core.clock.now()
    for start in range(0, count, ROWS):
        spent_at = [now - DAYS_30 * number // count for number in range(start, min(start + ROWS, count))]
        await core.db.commit(*spends(agent, spent_at))
    return agent


def spends(agent: Agent, times: list[int]) -> Iterator[Statement]:
    """One transaction and its settled amounts."""
    tx = row(
        Transaction,
        agent_id=agent.id,
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
    yield ledger.touch(agent.id)
    for at in times:
        spend = row(
            LedgerRow,
            agent_id=agent.id,
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
