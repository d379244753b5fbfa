"""The RPC methods the chain serves (https://solana.com/docs/rpc/http): each a function of cluster and params."""

from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec

from waiaas.errors import RpcRefusal
from waiaas.localnet.jsonrpc import Method
from waiaas.localnet.solana.cluster import Cluster
from waiaas.localnet.solana.methods import accounts, network, transactions
from waiaas.localnet.solana.params import Table, invalid

MIN_CONTEXT_SLOT_NOT_REACHED = -32016

METHODS: Table = {
    **accounts.METHODS,
    **network.METHODS,
    **transactions.METHODS,
}


def bind(cluster: Cluster) -> dict[str, Method]:
    """Every method, over one cluster."""
    return {name: partial(call, cluster, kind, function) for name, (kind, function) in METHODS.items()}


def call(cluster: Cluster, kind: type[Any], function: Callable[..., Any], params: list[Any]) -> Any:
    """Decode the params and run the method; RpcRefusal if they do not fit or ask for a slot not reached yet."""
    while params and params[-1] is None:
        params = params[:-1]
    try:
        decoded = msgspec.convert(params, kind)
    except msgspec.ValidationError as error:
        raise invalid(f"Invalid params: {error}.") from None
    if decoded.config.min_context_slot > cluster.slots.current:
        data = {"contextSlot": cluster.slots.current}
        raise RpcRefusal(MIN_CONTEXT_SLOT_NOT_REACHED, "Minimum context slot has not been reached", data)
    return function(cluster, decoded)
