"""Methods that take transactions in and tell what became of them."""

from typing import Any

from waiaas.localnet.evm.node import Node
from waiaas.localnet.evm.params import Data, HashParams, Params, Table
from waiaas.localnet.evm.show import as_transaction, data, quantity
from waiaas.localnet.evm.store import Json


class RawParams(Params, frozen=True):
    raw: Data


def send_raw_transaction(node: Node, params: RawParams) -> str:
    return data(node.send(bytes(params.raw)))


def get_transaction(node: Node, params: HashParams) -> Json | dict[str, Any] | None:
    if pooled := node.chain.pool.find(params.hash):
        return as_transaction(pooled)
    return node.chain.store.transaction(params.hash)


def get_receipt(node: Node, params: HashParams) -> Json | None:
    """Whoever asks for the receipt of a waiting transaction waits for its block: it is made now."""
    if node.chain.pool.find(params.hash):
        node.settle()
    return node.chain.store.receipt(params.hash)


def get_pool_status(node: Node, params: Params) -> dict[str, str]:
    pool = node.chain.pool
    pending = pool.count_pending(node.chain.nonce)
    return {"pending": quantity(pending), "queued": quantity(len(pool) - pending)}


METHODS: Table = {
    "eth_getTransactionByHash": (HashParams, get_transaction),
    "eth_getTransactionReceipt": (HashParams, get_receipt),
    "eth_sendRawTransaction": (RawParams, send_raw_transaction),
    "txpool_status": (Params, get_pool_status),
}
