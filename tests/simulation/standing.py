"""What others may take of an agent's tokens now, as the chain itself says."""

from typing import TYPE_CHECKING

from tests import signed
from tests.asked import NATIVE

if TYPE_CHECKING:
    from tests.simulation.evm import EvmChain
    from tests.simulation.solana import Cluster
    from tests.simulation.world import World


def standing(world: "World", owner: str, chain: str, asset: str) -> int:
    """In base units; 0 where a fork has taken something of the owner back, for books do not open again what it ends."""
    if asset == NATIVE[chain]:
        return 0
    if chain == "ethereum":
        return on_ethereum(world.evm, owner.lower())
    return on_solana(world.cluster, owner, asset)


def on_ethereum(chain: "EvmChain", owner: str) -> int:
    """Of the one token of the model, to all spenders."""
    if any(one.said.signer == owner for one in chain.undone):
        return 0
    return sum(amount for (of, _), amount in chain.head.state.allowances.items() if of == owner)


def on_solana(cluster: "Cluster", owner: str, asset: str) -> int:
    """To the delegate of the associated account."""
    holder = cluster.accounts.get(signed.associated(owner, asset.partition(":")[2]))
    if holder is None or any(one.said.payer == owner for one in cluster.undone):
        return 0
    has_delegate = any(holder.data[72:76])
    return int.from_bytes(holder.data[121:129], "little") if has_delegate else 0
