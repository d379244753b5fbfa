"""Methods about the node itself."""

from waiaas.localnet.evm.node import Node
from waiaas.localnet.evm.params import Params, Table
from waiaas.localnet.evm.show import quantity
from waiaas.localnet.evm.transactions import CHAIN_ID

CLIENT_VERSION = "waiaas-localnet/py-evm/prague"


def get_version(node: Node, params: Params) -> str:
    return CLIENT_VERSION


def get_network(node: Node, params: Params) -> str:
    return str(CHAIN_ID)


def get_chain(node: Node, params: Params) -> str:
    return quantity(CHAIN_ID)


def get_syncing(node: Node, params: Params) -> bool:
    return False


def get_accounts(node: Node, params: Params) -> list[str]:
    """None: it holds no keys."""
    return []


METHODS: Table = {
    "eth_accounts": (Params, get_accounts),
    "eth_chainId": (Params, get_chain),
    "eth_syncing": (Params, get_syncing),
    "net_version": (Params, get_network),
    "web3_clientVersion": (Params, get_version),
}
