"""The routes of an agent's wallet."""

from waiaas.api import wallet
from waiaas.api.guards import operator, session
from waiaas.api.routes.refusals import NODE
from waiaas.api.routing import Route, route
from waiaas.errors import AgentNotFound
from waiaas.wire.wallet import (
    WalletAddressResponse,
    WalletAssetsResponse,
    WalletBalanceResponse,
    WalletLimitsResponse,
    WalletQuery,
)

ROUTES: tuple[Route, ...] = (
    route(
        "GET",
        "/v1/wallet/address",
        wallet.address,
        guard=session | operator,
        tag="Wallet",
        query=WalletQuery,
        answer=WalletAddressResponse,
        errors=(AgentNotFound,),
    ),
    route(
        "GET",
        "/v1/wallet/balance",
        wallet.balance,
        guard=session | operator,
        tag="Wallet",
        query=WalletQuery,
        answer=WalletBalanceResponse,
        errors=(AgentNotFound, *NODE),
    ),
    route(
        "GET",
        "/v1/wallet/assets",
        wallet.assets,
        guard=session | operator,
        tag="Wallet",
        query=WalletQuery,
        answer=WalletAssetsResponse,
        errors=(AgentNotFound, *NODE),
    ),
    route(
        "GET",
        "/v1/wallet/limits",
        wallet.limits,
        guard=session | operator,
        tag="Wallet",
        query=WalletQuery,
        answer=WalletLimitsResponse,
        errors=(AgentNotFound,),
    ),
)
