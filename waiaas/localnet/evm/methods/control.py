"""Methods by which a test holds the chain in its hand; names and answers are those of anvil."""

from waiaas.localnet.evm.node import Node
from waiaas.localnet.evm.params import Address, Count, HashParams, NumberParams, Params, Quantity, Table, invalid
from waiaas.localnet.evm.show import data, quantity

#: seconds of work during which nobody else is answered
MAX_BLOCKS = 10_000


class BalanceParams(Params, frozen=True):
    address: Address
    balance: Quantity


class FlagParams(Params, frozen=True):
    on: bool


class CountParams(Params, frozen=True):
    count: Count = Count(1)


def set_balance(node: Node, params: BalanceParams) -> None:
    """In a block of its own, so that the state of every block follows from those before."""
    node.chain.mine({bytes(params.address): params.balance})


def set_automine(node: Node, params: FlagParams) -> None:
    node.set_automine(params.on)


def mine(node: Node, params: Params) -> str:
    node.chain.mine()
    return quantity(0)


def mine_many(node: Node, params: CountParams) -> None:
    if params.count > MAX_BLOCKS:
        raise invalid(f"at most {MAX_BLOCKS} blocks at once")
    for _ in range(params.count):
        node.chain.mine()


def snapshot(node: Node, params: Params) -> str:
    return quantity(node.chain.snapshot())


def revert(node: Node, params: NumberParams) -> bool:
    return node.chain.revert(params.number)


def drop(node: Node, params: HashParams) -> str | None:
    """Forget a transaction that is in no block; null if there is none such."""
    dropped = node.chain.pool.find(params.hash)
    node.chain.pool.remove(params.hash)
    return data(dropped.hash) if dropped else None


METHODS: Table = {
    "anvil_dropTransaction": (HashParams, drop),
    "anvil_mine": (CountParams, mine_many),
    "anvil_setBalance": (BalanceParams, set_balance),
    "evm_mine": (Params, mine),
    "evm_revert": (NumberParams, revert),
    "evm_setAutomine": (FlagParams, set_automine),
    "evm_snapshot": (Params, snapshot),
}
