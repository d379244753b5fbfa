"""The wallet of an agent on the wire."""

from typing import Literal

from waiaas.domain.chain import Chain, Network
from waiaas.wire.body import Body, Digits, Id, Seconds


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


class WindowLimit(Body, frozen=True):
    """A rolling total of one policy: what is left of it, and when its oldest spend leaves."""

    kind: Literal["hour", "day", "week", "month"]
    limit: Digits
    spent: Digits
    reserved: Digits
    remaining: Digits
    resets_at: Seconds | None
    policy_id: Id


class OpenAllowance(Body, frozen=True):
    """What a spender may still take, or will be allowed to by what is under way."""

    spender: str
    amount: Digits


class AssetLimits(Body, frozen=True):
    """What limits one asset of the agent."""

    asset: str
    windows: list[WindowLimit]
    allowances: list[OpenAllowance]


class SessionLeft(Body, frozen=True):
    """Native money and requests of the session, or of the session above it that leaves the least; null is no limit."""

    max_total_amount: Digits | None
    spent: Digits
    reserved: Digits
    transactions_left: int | None


class WalletLimitsResponse(Body, frozen=True):
    """What the agent may still move now; `session` for a session alone."""

    agent_id: Id
    assets: list[AssetLimits]
    session: SessionLeft | None


class WalletAssetsResponse(Body, frozen=True):
    """Native money first, then the tokens of which there are any."""

    agent_id: Id
    chain: Chain
    network: Network
    assets: list[AssetBalance]
