"""The wallet of an agent: address, balance, assets."""

from waiaas.api.call import Call
from waiaas.api.chain import chain_of, reading_chain
from waiaas.domain.chain import native_of
from waiaas.wire.wallet import (
    AssetBalance,
    WalletAddressResponse,
    WalletAssetsResponse,
    WalletBalanceResponse,
    WalletQuery,
)


async def address(call: Call[WalletQuery, None]) -> WalletAddressResponse:
    """Where the agent receives money."""
    agent = await call.agent(call.query.agent_id)
    return WalletAddressResponse(agent.id, agent.chain, agent.network, agent.public_key)


async def balance(call: Call[WalletQuery, None]) -> WalletBalanceResponse:
    """Native money, as the node tells now."""
    agent = await call.agent(call.query.agent_id)
    async with reading_chain():
        amount = await chain_of(call.core, agent).balance(agent.public_key)
    native = native_of(agent.network)
    return WalletBalanceResponse(
        agent.id, agent.chain, agent.network, agent.public_key, str(amount), native.decimals, native.symbol
    )


async def assets(call: Call[WalletQuery, None]) -> WalletAssetsResponse:
    """Native money and tokens, as the node tells now."""
    agent = await call.agent(call.query.agent_id)
    async with reading_chain():
        found = await chain_of(call.core, agent).assets(agent.public_key)
    items = [
        AssetBalance(one.mint, one.symbol, one.name, str(one.balance), one.decimals, one.is_native) for one in found
    ]
    return WalletAssetsResponse(agent.id, agent.chain, agent.network, items)
