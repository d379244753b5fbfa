"""The wallet of an agent on the wire."""

from waiaas.domain.chain import Chain, Network
from waiaas.wire.body import Body, Digits, Id


class WalletQuery(Body, frozen=True):
    """Whose wallet, for the operator; a session has its own agent's."""

    agent_id: Id | None = None


class WalletAddressResponse(Body, frozen=True):
    """Where the agent receives money."""

    agent_id: Id
    chain: Chain
    network: Network
    address: str


class WalletBalanceResponse(WalletAddressResponse, frozen=True):
    """Native money of the agent, as its node tells now."""

    balance: Digits
    decimals: int
    symbol: str


class AssetBalance(Body, frozen=True):
    """One asset; `mint` is `native` or the token's address."""

    mint: str
    symbol: str
    name: str
    balance: Digits
    decimals: int
    is_native: bool


class WalletAssetsResponse(Body, frozen=True):
    """Native money first, then the tokens of which there are any."""

    agent_id: Id
    chain: Chain
    network: Network
    assets: list[AssetBalance]
