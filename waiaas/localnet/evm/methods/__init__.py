"""The RPC methods the chain serves (https://ethereum.org/developers/docs/apis/json-rpc, https://getfoundry.sh/anvil)."""

from collections.abc import Callable
from functools import partial
from typing import Any

from waiaas.localnet.evm.methods import blocks, calls, control, fees, network, transactions
from waiaas.localnet.evm.node import Node
from waiaas.localnet.evm.params import Table, decode
from waiaas.localnet.jsonrpc import Method

METHODS: Table = {
    **blocks.METHODS,
    **calls.METHODS,
    **control.METHODS,
    **fees.METHODS,
    **network.METHODS,
    **transactions.METHODS,
}


def bind(node: Node) -> dict[str, Method]:
    """Every method, over one node."""
    return {name: partial(call, node, kind, function) for name, (kind, function) in METHODS.items()}


def call(node: Node, kind: type[Any], function: Callable[..., Any], params: list[Any]) -> Any:
    """Decode the params and run the method; RpcRefusal if they do not fit."""
    while params and params[-1] is None:
        params = params[:-1]
    return function(node, decode(params, kind))
