"""The questions that several parts of the adapter ask of an EVM node."""

import asyncio
from collections.abc import Sequence

from waiaas.chains.evm import answers
from waiaas.chains.evm.build import Call
from waiaas.chains.rpc import Rpc

LATEST = "latest"


def balance(rpc: Rpc, address: str) -> "asyncio.Future[int]":
    """Wei at an address, in the newest block."""
    return rpc.call("eth_getBalance", [address, LATEST], answers.quantity)


def code(rpc: Rpc, address: str) -> "asyncio.Future[bytes]":
    """What stands at an address, in the newest block; empty where no contract does."""
    return rpc.call("eth_getCode", [address, LATEST], answers.data)


def count(rpc: Rpc, address: str) -> "asyncio.Future[int]":
    """Transactions of an address that have landed: the next nonce. What a mempool says is never asked."""
    return rpc.call("eth_getTransactionCount", [address, LATEST], answers.quantity)


async def lowest_count(rpc: Rpc, address: str) -> int:
    """As `count`, the lowest that any endpoint says; Transient or NodeRefused if one that should answer does not.

    Bytes with too low a number die with a proof; with too high a one they would wait for others, for ever. So even
    those that lag are asked: whoever lies about the head makes honest ones look as if they did.
    """
    usable = [endpoint for endpoint in rpc.endpoints if endpoint.usable]
    if len(usable) < 2:
        return await count(rpc, address)
    asked = (rpc.call_at(one, "eth_getTransactionCount", [address, LATEST], answers.quantity) for one in usable)
    return min(await asyncio.gather(*asked))


def view(rpc: Rpc, to: str, data: bytes) -> "asyncio.Future[bytes]":
    """What a contract's function returns, as bytes: what a strange contract says is no node's fault."""
    return rpc.call("eth_call", [{"to": to, "data": hexed(data)}, LATEST], answers.data)


def attempt(call: Call, sender: str) -> Sequence[object]:
    """Parameters of eth_call and eth_estimateGas for exactly what will be signed."""
    return [{"from": sender, "to": call.to, "value": hex(call.value), "data": hexed(call.data)}, LATEST]


def hexed(data: bytes) -> str:
    """0x and the bytes in hex."""
    return "0x" + data.hex()
