"""The wallet of an agent: address, balance, assets."""

from waiaas.api.call import Call
from waiaas.api.chain import chain_of, reading_chain
from waiaas.api.limits import left_of, limits_of
from waiaas.domain.address import canonical_address
from waiaas.domain.agent import Agent
from waiaas.domain.chain import Chain, native_of
from waiaas.domain.rules.lists import AllowedTokens, ListedToken
from waiaas.pipeline.core import Core
from waiaas.policy.facts import in_scope
from waiaas.wire.wallet import (
    AssetBalance,
    WalletAddressResponse,
    WalletAssetsResponse,
    WalletBalanceResponse,
    WalletLimitsResponse,
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
    tokens = await named_tokens(call.core, agent)
    async with reading_chain():
        found = await chain_of(call.core, agent).assets(agent.public_key, tokens)
    items = [
        AssetBalance(one.mint, one.symbol, one.name, str(one.balance), one.decimals, one.is_native) for one in found
    ]
    return WalletAssetsResponse(agent.id, agent.chain, agent.network, items)


async def limits(call: Call[WalletQuery, None]) -> WalletLimitsResponse:
    """What the agent may still move, from the ledger as it is now."""
    core, session = call.core, call.caller.session
    agent = await call.agent(call.query.agent_id)
    left = await left_of(core, agent, session) if session else None
    return WalletLimitsResponse(agent.id, await limits_of(core, agent), left)


async def named_tokens(core: Core, agent: Agent) -> list[str]:
    """EVM has no list of what an address holds: the tokens that policies in scope allow are asked for."""
    if agent.chain is not Chain.ETHEREUM:
        return []
    _, policies = await core.policies.get(agent.id)
    lists = [rules for policy in in_scope(policies, agent.id) if isinstance(rules := policy.rules, AllowedTokens)]
    return [token.address for rules in lists for token in rules.tokens if _is_evm(token)]


def _is_evm(token: ListedToken) -> bool:
    """A global policy may name tokens of Solana too, with or without their chain."""
    if token.chain is not None:
        return token.chain is Chain.ETHEREUM
    try:
        canonical_address(token.address, Chain.ETHEREUM)
    except ValueError:
        return False
    return True
