"""Chains, networks and their native money."""

from enum import StrEnum

import msgspec


class Chain(StrEnum):
    """A family of networks that share one way of signing."""

    SOLANA = "solana"
    ETHEREUM = "ethereum"


class Network(StrEnum):
    """One network; the value is its name on the wire, in the database and in config keys."""

    MAINNET = "mainnet"
    DEVNET = "devnet"
    TESTNET = "testnet"
    LOCALNET = "localnet"
    ETHEREUM_MAINNET = "ethereum-mainnet"
    ETHEREUM_SEPOLIA = "ethereum-sepolia"
    POLYGON_MAINNET = "polygon-mainnet"
    POLYGON_AMOY = "polygon-amoy"
    ARBITRUM_MAINNET = "arbitrum-mainnet"
    ARBITRUM_SEPOLIA = "arbitrum-sepolia"
    OPTIMISM_MAINNET = "optimism-mainnet"
    OPTIMISM_SEPOLIA = "optimism-sepolia"
    BASE_MAINNET = "base-mainnet"
    BASE_SEPOLIA = "base-sepolia"
    ETHEREUM_LOCALNET = "ethereum-localnet"


SOLANA_NETWORKS = (Network.MAINNET, Network.DEVNET, Network.TESTNET, Network.LOCALNET)
LOCALNETS = (Network.LOCALNET, Network.ETHEREUM_LOCALNET)

#: names that 1.4.1 clients use, per chain
ALIASES = {
    (Chain.SOLANA, "mainnet-beta"): Network.MAINNET,
    (Chain.ETHEREUM, "sepolia"): Network.ETHEREUM_SEPOLIA,
    (Chain.ETHEREUM, "mainnet"): Network.ETHEREUM_MAINNET,
}


class Native(msgspec.Struct, frozen=True):
    """The native money of a network."""

    asset: str
    symbol: str
    decimals: int


def chain_of(network: Network) -> Chain:
    """The chain a network belongs to."""
    return Chain.SOLANA if network in SOLANA_NETWORKS else Chain.ETHEREUM


def network_of(chain: Chain, name: str) -> Network | None:
    """The network of that chain with that name or 1.4.1 alias; None if there is none."""
    if alias := ALIASES.get((chain, name)):
        return alias
    return next((network for network in Network if network == name and chain_of(network) is chain), None)


def native_asset(chain: Chain) -> str:
    """`native:solana` or `native:ethereum`."""
    return f"native:{chain}"


def native_of(network: Network) -> Native:
    """Asset, symbol and decimals of the network's native money."""
    chain = chain_of(network)
    if chain is Chain.SOLANA:
        return Native(native_asset(chain), "SOL", 9)
    symbol = "POL" if network in (Network.POLYGON_MAINNET, Network.POLYGON_AMOY) else "ETH"
    return Native(native_asset(chain), symbol, 18)
