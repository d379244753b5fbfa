"""An agent's owner: registered by the operator, changed with the present owner's signature, removed while unproved."""

from waiaas.api.call import Call
from waiaas.api.check import Issues
from waiaas.api.decode import Nothing
from waiaas.api.signatures import host_of, served, shows_signature, signed
from waiaas.auth.texts import Wanted
from waiaas.domain.address import canonical_address
from waiaas.domain.agent import Agent, OwnerState
from waiaas.domain.owner import OwnerAction
from waiaas.errors import AgentIsTerminated, OwnerAlreadyConnected, OwnerNotConnected
from waiaas.pipeline.registry import owners
from waiaas.repositories import agents
from waiaas.wire.owners import (
    AgentOwnerResponse,
    OwnerMessageQuery,
    OwnerMessageResponse,
    SetOwnerRequest,
    agent_owner,
)


async def register(call: Call[Nothing, SetOwnerRequest]) -> AgentOwnerResponse:
    """Register an owner's address; one that has proved the key is changed only with that owner's signature."""
    agent = await agents.get(call.core.db, call.id)
    if agent.is_ended:
        raise AgentIsTerminated()
    address, actor = _address(call.body, agent), call.caller.actor
    signed_by = await _signed_by_owner(call, agent, address) if agent.owner_state is OwnerState.LOCKED else None
    return agent_owner(await owners.set_owner(call.core, agent.id, address, actor, signed_by=signed_by))


async def _signed_by_owner(call: Call[Nothing, SetOwnerRequest], agent: Agent, address: str) -> str:
    if not shows_signature(call):
        raise OwnerAlreadyConnected()
    assert agent.owner_address is not None
    proof = await signed(
        call,
        action=OwnerAction.CHANGE_OWNER,
        subject=agent.id,
        allowed=(agent.owner_address,),
        new_address=address,
        may_be_bare=False,
    )
    return proof.address


def _address(body: SetOwnerRequest, agent: Agent) -> str:
    issues = Issues()
    given = body.camel if body.snake is None else body.snake
    if None not in (body.snake, body.camel) and body.snake != body.camel:
        issues.add("ownerAddress", "differs from owner_address")
    address = issues.given("owner_address", given, lambda text: canonical_address(text, agent.chain))
    issues.settle()
    assert address is not None
    return address


async def remove(call: Call[Nothing, Nothing]) -> AgentOwnerResponse:
    """Take the owner away while that one has not proved the key; what waited for the owner is cancelled."""
    return agent_owner(await owners.remove_owner(call.core, call.id, call.caller.actor))


async def message(call: Call[OwnerMessageQuery, None]) -> OwnerMessageResponse:
    """The text by which the present owner hands over to another address."""
    agent = await agents.get(call.core.db, call.id)
    if agent.owner_address is None:
        raise OwnerNotConnected()
    issues = Issues()
    new = issues.given("newOwner", call.query.new_owner, lambda text: canonical_address(text, agent.chain))
    issues.settle()
    wanted = Wanted(
        action=OwnerAction.CHANGE_OWNER,
        subject=agent.id,
        address=agent.owner_address,
        network=agent.network,
        statement=f"Make {new} the owner of agent {agent.id} on {agent.network}.",
        host=host_of(call),
        path=f"/v1/agents/{agent.id}/owner",
        new_address=new,
    )
    return await served(call, wanted, agent.id)
