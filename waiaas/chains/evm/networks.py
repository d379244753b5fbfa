"""What is different from one EVM network to the next: identity, depths, pace, and who else must be paid."""

import msgspec

from waiaas.chains.rpc import Dialect
from waiaas.domain.chain import Network

DIALECT = Dialect(identity_method="eth_chainId", head_method="eth_blockNumber", max_lag=5)

GWEI = 10**9
#: geth takes nothing below 0.001 gwei into a block, and a tip of 0 could never be raised by a ninth
LEAST_TIP = GWEI // 1000


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """One network. Depths count the transaction's own block; `final_depth` is for nodes without a finalized tag."""

    chain_id: int
    depth: int
    final_depth: int
    poll_seconds: float = 2.0
    rebroadcast_seconds: float = 30.0
    stuck_seconds: float = 30.0
    #: of a chain that makes a block of what comes, at once
    hurry_seconds: float | None = None
    least_tip: int = LEAST_TIP
    #: units that a native transfer is reserved at
    transfer_gas: int = 21_000
    #: an OP stack: the data on L1 is paid besides the gas
    has_l1_fee: bool = False

    @property
    def identity(self) -> str:
        """What eth_chainId must answer."""
        return hex(self.chain_id)


def _ethereum(chain_id: int) -> Profile:
    return Profile(chain_id=chain_id, depth=3, final_depth=64, poll_seconds=4.0, stuck_seconds=60.0)


def _polygon(chain_id: int) -> Profile:
    """The network refuses a tip below 30 gwei."""
    return Profile(chain_id=chain_id, depth=5, final_depth=128, least_tip=30 * GWEI)


def _arbitrum(chain_id: int) -> Profile:
    """What L1 costs is inside the gas, so a transfer needs more of it than elsewhere."""
    return Profile(chain_id=chain_id, depth=1, final_depth=600, transfer_gas=300_000)


def _op_stack(chain_id: int) -> Profile:
    return Profile(chain_id=chain_id, depth=1, final_depth=600, has_l1_fee=True)


PROFILES = {
    Network.ETHEREUM_MAINNET: _ethereum(1),
    Network.ETHEREUM_SEPOLIA: _ethereum(11_155_111),
    Network.POLYGON_MAINNET: _polygon(137),
    Network.POLYGON_AMOY: _polygon(80_002),
    Network.ARBITRUM_MAINNET: _arbitrum(42_161),
    Network.ARBITRUM_SEPOLIA: _arbitrum(421_614),
    Network.OPTIMISM_MAINNET: _op_stack(10),
    Network.OPTIMISM_SEPOLIA: _op_stack(11_155_420),
    Network.BASE_MAINNET: _op_stack(8_453),
    Network.BASE_SEPOLIA: _op_stack(84_532),
    Network.ETHEREUM_LOCALNET: Profile(
        chain_id=31_337,
        depth=1,
        final_depth=64,
        poll_seconds=0.2,
        rebroadcast_seconds=2.0,
        stuck_seconds=5.0,
        hurry_seconds=0.02,
    ),
}
