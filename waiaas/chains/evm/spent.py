"""Nonces of an address that the chain counts as spent: by whom, only the wallet can tell."""

import asyncio
from collections.abc import Sequence

from waiaas.chains.evm import answers, ask
from waiaas.chains.rpc import Rpc

#: nonces told of at once; what is behind them is found by the next look
MOST = 1000


async def since(rpc: Rpc, address: str, mark: int) -> list[int]:
    """Nonces above `mark` that have landed, as one endpoint counts them; Transient, NodeRefused."""
    count = await ask.count(rpc, address)
    return list(range(mark + 1, min(count, mark + 1 + MOST)))


async def agreed(rpc: Rpc, address: str, nonces: Sequence[int]) -> set[int]:
    """Those that every healthy endpoint, two if two are configured, counts as spent; Transient, NodeRefused."""
    witnesses = await rpc.witnesses()
    if len(witnesses) < rpc.quorum:
        return set()
    params = [address, ask.LATEST]
    counts = await asyncio.gather(
        *(witness.call("eth_getTransactionCount", params, answers.quantity) for witness in witnesses)
    )
    return {nonce for nonce in nonces if nonce < min(counts)}
