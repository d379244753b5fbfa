"""What one look of the confirm worker costs, in a process of its own: N attempts in flight, seen in no block yet.

A database is filled by the repositories' own statements, and the node is a transport that counts: it knows who it is
and no transaction. Time stands still, so nothing is due to be sent again. Reads `{network, counts, age?}` as JSON from
standard input (`age` in seconds since they were signed: old ones are asked for at the look that does not count, and not
again so soon), writes `[{count, requests, largest, cpu}]`: HTTP requests of a look, the bytes of the largest, and CPU
seconds of the whole process without what the answers took, the median of some looks.
"""

import asyncio
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx
import msgspec
from solders.hash import Hash
from solders.signature import Signature
from unserved import make_agent, row, wallet

from waiaas.db import Statement
from waiaas.domain.agent import Agent
from waiaas.domain.chain import Chain, Network
from waiaas.domain.policy import Tier
from waiaas.domain.transaction import (
    Attempt,
    AttemptKind,
    AttemptStatus,
    Status,
    Transaction,
    TransactionOrigin,
    TransactionType,
)
from waiaas.ids import entropy
from waiaas.pipeline.core import Core
from waiaas.pipeline.landing.confirm import confirm
from waiaas.repositories import attempts, transactions

LOOKS = 3
#: rows of one commit
ROWS = 500
#: signed bytes of a transfer
BYTES = 215
SOLANA = {
    "getGenesisHash": "GH7ome3EiwEr7tu9JuTh2dpYWBJK3z69Xm1ZE3MEE6JC",
    "getSlot": 1000,
    "getSignatureStatuses": {"context": {"slot": 1000}, "value": []},
}
EVM = {
    "eth_chainId": "0x7a69",
    "eth_blockNumber": "0x1",
    "eth_getTransactionReceipt": None,
    "eth_getBlockByNumber": None,
}


class Node(httpx.AsyncBaseTransport):
    """Counts what it is asked, and has seen no transaction."""

    def __init__(self) -> None:
        self.requests = 0
        self.largest = 0
        self.cpu = 0.0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """One HTTP request, its answers in the order of its questions."""
        begun = time.process_time()
        body = await request.aread()
        self.requests += 1
        self.largest = max(self.largest, len(body))
        asked = msgspec.json.decode(body)
        answers = [answer(one) for one in asked] if isinstance(asked, list) else answer(asked)
        told = httpx.Response(200, content=msgspec.json.encode(answers), request=request)
        self.cpu += time.process_time() - begun
        return told


def answer(question: dict[str, Any]) -> dict[str, Any]:
    """The reply of a node that knows nothing; one null for each signature."""
    result: Any = (SOLANA | EVM)[question["method"]]
    if question["method"] == "getSignatureStatuses":
        result = result | {"value": [None] * len(question["params"][0])}
    return {"jsonrpc": "2.0", "id": question["id"], "result": result}


async def main() -> None:
    """Grow the table from one count to the next, and look."""
    plan = json.load(sys.stdin)
    network = Network(plan["network"])
    node, found = Node(), []
    with tempfile.TemporaryDirectory(prefix="waiaas-polls-") as directory:
        async with wallet(Path(directory), node) as core:
            agent = await make_agent(core, network)
            filled = 0
            for count in plan["counts"]:
                await fill(core, agent, range(filled, count), plan.get("age", 0))
                filled = count
                found.append({"count": count, **await look(core, node, network)})
    print(json.dumps(found))


async def look(core: Core, node: Node, network: Network) -> dict[str, float]:
    """Some looks: the first finds out who the node is and fills caches, and does not count."""
    await confirm(core, network)
    node.requests = node.largest = 0
    seconds = []
    for _ in range(LOOKS):
        node.cpu, begun = 0.0, time.process_time()
        await confirm(core, network)
        seconds.append(time.process_time() - begun - node.cpu)
    return {"requests": node.requests / LOOKS, "largest": node.largest, "cpu": statistics.median(seconds)}


async def fill(core: Core, agent: Agent, numbers: range, age: int) -> None:
    """More transactions SUBMITTED, each with bytes sent just now."""
    for start in range(0, len(numbers), ROWS):
        rows = (submitted(agent, number, core.clock.now(), age) for number in numbers[start : start + ROWS])
        await core.db.commit(*(statement for row in rows for statement in row))


def submitted(agent: Agent, number: int, now: int, age: int) -> list[Statement]:
    """A transfer on its way, with a hash and bytes of the real sizes."""
    is_solana = agent.chain is Chain.SOLANA
    tx_hash = str(Signature.from_bytes(entropy(64))) if is_solana else "0x" + entropy(32).hex()
    tx = row(
        Transaction,
        agent_id=agent.id,
        chain=agent.chain,
        network=agent.network,
        origin=TransactionOrigin.SEND,
        type=TransactionType.TRANSFER,
        status=Status.SUBMITTED,
        tier=Tier.INSTANT,
        request="{}",
        request_hash=tx_hash,
        tx_hash=tx_hash,
        submitted_at=now,
        created_at=now,
        updated_at=now,
    )
    attempt = row(
        Attempt,
        tx_id=tx.id,
        number=1,
        kind=AttemptKind.SEND,
        network=agent.network,
        signer=agent.public_key,
        tx_hash=tx_hash,
        raw=entropy(BYTES),
        nonce=None if is_solana else number,
        blockhash=str(Hash.from_bytes(entropy(32))) if is_solana else None,
        last_valid_block_height=1150 if is_solana else None,
        context_slot=1000 if is_solana else None,
        max_fee=5000,
        status=AttemptStatus.LIVE,
        broadcasts=0,
        created_at=now - age,
    )
    return [transactions.insert(tx), attempts.insert(attempt), attempts.sent(attempt.id, "node", now)]


asyncio.run(main())
