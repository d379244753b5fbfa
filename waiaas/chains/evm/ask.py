"""The questions that several parts of the adapter ask of an EVM node."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from waiaas.chains.evm import answers
from waiaas.chains.evm.build import Call
from waiaas.chains.rpc import Rpc

if TYPE_CHECKING:
    import asyncio

LATEST = "latest"


def balance(rpc: Rpc, address: str) -> "asyncio.Future[int]":
    """Wei at an address, in the newest block."""
    return rpc.call("eth_getBalance", [address, LATEST], answers.quantity)


def count(rpc: Rpc, address: str) -> "asyncio.Future[int]":
    """Transactions of an address that have landed: the next nonce. What a mempool says is never asked."""
    return rpc.call("eth_getTransactionCount", [address, LATEST], answers.quantity)


def view(rpc: Rpc, to: str, data: bytes) -> "asyncio.Future[bytes]":
    """What a contract's function returns, as bytes: what a strange contract says is no node's fault."""
    return rpc.call("eth_call", [{"to": to, "data": hexed(data)}, LATEST], answers.data)


def attempt(call: Call, sender: str) -> Sequence[object]:
    """Parameters of eth_call and eth_estimateGas for exactly what will be signed."""
    return [{"from": sender, "to": call.to, "value": hex(call.value), "data": hexed(call.data)}, LATEST]


def hexed(data: bytes) -> str:
    """0x and the bytes in hex."""
    return "0x" + data.hex()
