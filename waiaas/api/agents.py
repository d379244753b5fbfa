"""Agents: create, list, look at, rename, terminate; the faucet of a localnet."""

import msgspec

from waiaas.api.call import AnyCall, Call
from waiaas.api.chain import reading_chain
from waiaas.api.check import Issues
from waiaas.api.decode import Nothing
from waiaas.domain.chain import Chain, Network, chain_of, native_of, network_of
from waiaas.domain.money import LARGEST, parse_amount
from waiaas.errors import ValidationFailed
from waiaas.pipeline.core import Core
from waiaas.pipeline.registry import agents as life
from waiaas.pipeline.stops import restored
from waiaas.pipeline.stops import suspend as stops
from waiaas.repositories import agents
from waiaas.wire.agents import (
    AgentDeleteResponse,
    AgentDetailResponse,
    AgentListQuery,
    AgentListResponse,
    AgentResponse,
    AgentSuspendResponse,
    CreateAgentRequest,
    FaucetRequest,
    FaucetResponse,
    InFlight,
    SuspendAgentRequest,
    UpdateAgentRequest,
    agent_detail,
    agent_response,
)

#: more agents than there are
ALL = 10**9


async def create(call: Call[Nothing, CreateAgentRequest]) -> AgentResponse:
    """Make an agent with a new key; on a localnet it starts with 100 SOL or ETH."""
    body = call.body
    chain = body.chain or Chain.SOLANA
    issues = Issues()
    name = issues.name("name", body.name)
    network = _network(call.core, chain, body.network)
    if network is None:
        those = ", ".join(one for one in Network if chain_of(one) is chain)
        issues.add("network", f"is not a network of {chain}: {those}")
    issues.settle()
    assert name is not None
    assert network is not None
    agent = await life.create(call.core, name=name, chain=chain, network=network, actor=call.caller.actor)
    return agent_response(agent)


def _network(core: Core, chain: Chain, name: str | None) -> Network | None:
    if name is not None:
        return network_of(chain, name)
    rpc = core.config.rpc
    return Network(rpc.solana_default_network if chain is Chain.SOLANA else rpc.evm_default_network)


async def page(call: Call[AgentListQuery, None]) -> AgentListResponse:
    """Agents in every state, newest first; in pages where a limit is given."""
    query = call.query
    limit = query.limit or ALL
    found = await agents.page(
        call.core.db, limit=limit + 1, cursor=query.cursor, status=query.status, network=query.network
    )
    items = [agent_response(agent) for agent in found[:limit]]
    if query.limit is None:
        return AgentListResponse(items)
    more = len(found) > limit
    return AgentListResponse(items, items[-1].id if more else None, more)


async def get(call: AnyCall) -> AgentDetailResponse:
    """An agent with its owner."""
    agent = await agents.get(call.core.db, call.id)
    return agent_detail(agent, restored.gap_of(call.core, agent))


async def rename(call: Call[Nothing, UpdateAgentRequest]) -> AgentDetailResponse:
    """Give an agent another name."""
    if call.body.name is None:
        raise ValidationFailed(("name", "required"))
    issues = Issues()
    name = issues.name("name", call.body.name)
    issues.settle()
    assert name is not None
    return agent_detail(await life.rename(call.core, call.id, name, call.caller.actor))


async def terminate(call: AnyCall) -> AgentDeleteResponse:
    """End an agent for good: sessions revoked, what is not signed cancelled."""
    agent, in_flight = await life.terminate(call.core, call.id, call.caller.actor)
    if not in_flight:
        return AgentDeleteResponse(agent.id, agent.status)
    return AgentDeleteResponse(agent.id, agent.status, [InFlight(each.id, each.tx_hash) for each in in_flight])


async def suspend(call: Call[Nothing, SuspendAgentRequest]) -> AgentSuspendResponse:
    """Stop an agent until the operator resumes it: what is not signed is cancelled."""
    done = await stops.suspend(call.core, call.id, call.caller.actor, note=call.body.reason)
    return AgentSuspendResponse(
        **msgspec.structs.asdict(agent_detail(done.agent)),
        cancelled=done.cancelled,
        in_flight=[InFlight(each.id, each.tx_hash) for each in done.in_flight],
    )


async def resume(call: AnyCall) -> AgentDetailResponse:
    """Let a suspended agent act again; what AUTO_STOP counts begins anew."""
    return agent_detail(await stops.resume(call.core, call.id, call.caller.actor))


async def faucet(call: Call[Nothing, FaucetRequest]) -> FaucetResponse:
    """Give an agent money that is worth nothing, on a localnet."""
    wanted = await agents.get(call.core.db, call.id)
    amount = _amount(call.body.amount, LARGEST[wanted.chain])
    async with reading_chain():
        agent, given, balance = await life.faucet(call.core, call.id, amount)
    return FaucetResponse(agent.id, agent.network, native_of(agent.network).asset, str(given), str(balance))


def _amount(text: str | None, largest: int) -> int | None:
    issues = Issues()
    amount = issues.read("amount", text, lambda digits: parse_amount(digits, largest)) if text else None
    issues.settle()
    return amount
