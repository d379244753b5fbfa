"""Agents and sessions from making to end: whole or not at all, and refusals that say why."""

import pytest

from tests.conftest import settings
from tests.world import LOCALNET, OPERATOR, SOL, a_session
from waiaas.domain.agent import AgentStatus
from waiaas.domain.chain import Chain, Network
from waiaas.errors import (
    AgentIsSuspended,
    AgentIsTerminated,
    AgentNotFound,
    ChainNotSupported,
    KeystoreError,
    SessionLimitExceeded,
    SessionNotFound,
    Transient,
)
from waiaas.pipeline.registry import agents as agent_steps
from waiaas.pipeline.registry import sessions as session_steps
from waiaas.repositories import agents


def carol(core, network=LOCALNET):
    return agent_steps.create(core, name="carol", chain=Chain.SOLANA, network=network, actor=OPERATOR)


class FullDisk:
    """A keystore whose disk takes the first bytes of a new file and no more."""

    def __init__(self, keystore, directory) -> None:
        self._keystore, self._directory = keystore, directory

    def __getattr__(self, name: str):
        return getattr(self._keystore, name)

    def store(self, agent_id, network, key, *, now) -> None:
        (self._directory / f"{agent_id}.json").write_bytes(b"{")
        raise KeystoreError("No space left on device")


async def told(core, agent_id: str) -> list[str]:
    rows = await core.db.fetch_all(
        "SELECT event_type FROM audit_log WHERE agent_id = :id ORDER BY id", {"id": agent_id}
    )
    return [row["event_type"] for row in rows]


async def test_a_new_agent_is_active_funded_and_told_of(world, core):
    world.time_passes()
    agent = await carol(core)
    assert (agent.status, agent.name, core.keystore.usable(agent.id)) == (AgentStatus.ACTIVE, "carol", True)
    assert await world.balance(agent) == 100 * SOL
    assert await told(core, agent.id) == ["AGENT_CREATED", "AGENT_ACTIVATED"]


async def test_a_key_file_that_cannot_be_written_leaves_neither_file_nor_row(world, core):
    before = core.keystore.files()
    core.keystore = FullDisk(core.keystore, world.data.keystore)
    with pytest.raises(KeystoreError):
        await carol(core)
    assert core.keystore.files() == before
    assert [row["name"] for row in await core.db.fetch_all("SELECT name FROM agents ORDER BY id")] == ["alice", "bob"]


async def test_an_agent_on_a_network_that_is_not_configured_is_not_made(world):
    async with world.open_core(settings(rpc={"solana_testnet": ()})) as core:
        with pytest.raises(ChainNotSupported):
            await carol(core, Network.TESTNET)


async def test_an_agent_is_made_although_its_gift_fails(world, core):
    world.faults.drop("requestAirdrop")
    agent = await carol(core)
    assert (agent.status, await world.balance(agent)) == (AgentStatus.ACTIVE, 0)


async def test_the_faucet_gives_what_is_asked_once_the_chain_shows_it(world, core):
    world.time_passes()
    assert (await agent_steps.faucet(core, world.alice.id, 7))[1:] == (7, 100 * SOL + 7)
    assert (await agent_steps.faucet(core, world.alice.id, None))[1:] == (100 * SOL, 200 * SOL + 7)
    world.faults.drop("requestAirdrop")
    with pytest.raises(Transient):
        await agent_steps.faucet(core, world.alice.id, 7)
    await world.terminate()
    with pytest.raises(AgentIsTerminated):
        await agent_steps.faucet(core, world.alice.id, 7)


async def test_an_agent_is_renamed_until_it_is_terminated(world, core):
    assert (await agent_steps.rename(core, world.alice.id, "anna", OPERATOR)).name == "anna"
    assert (await told(core, world.alice.id))[-1] == "AGENT_UPDATED"
    await world.terminate()
    with pytest.raises(AgentIsTerminated):
        await agent_steps.rename(core, world.alice.id, "berta", OPERATOR)
    with pytest.raises(AgentNotFound):
        await agent_steps.rename(core, "nobody", "berta", OPERATOR)


async def test_creations_that_were_cut_short_are_finished_or_undone(world, core):
    world.time_passes()
    whole, torn = await carol(core), await carol(core)
    (world.data.keystore / f"{torn.id}.json").write_text("{")
    for agent in (whole, torn):
        await world.by_hand("UPDATE agents SET status = 'CREATING' WHERE id = :id", id=agent.id)
    await agent_steps.finish_creations(core)
    assert (await agents.get(core.db, whole.id)).status is AgentStatus.ACTIVE
    assert await agents.find(core.db, torn.id) is None
    assert torn.id not in core.keystore.files()
    assert (await told(core, torn.id))[-1] == "AGENT_CREATION_FAILED"


# --- sessions ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("stop", "refusal"), [("suspend", AgentIsSuspended), ("terminate", AgentIsTerminated)])
async def test_a_stopped_agent_gets_no_session(world, core, stop, refusal):
    await getattr(world, stop)()
    with pytest.raises(refusal):
        await world.issue()


async def test_an_agent_has_only_so_many_sessions(world, core):
    most = core.config.security.max_sessions_per_agent
    for _ in range(most - 1):
        await world.issue()
    with pytest.raises(SessionLimitExceeded) as refused:
        await world.issue()
    assert refused.value.details == {"constraint": "maxSessionsPerAgent", "limit": most}
    with pytest.raises(AgentNotFound):
        await session_steps.issue(core, a_session("nobody", world.clock.now()), OPERATOR)


async def test_a_session_is_revoked_once(world, core):
    assert await session_steps.revoke(core, world.session.id, OPERATOR)
    assert not await session_steps.revoke(core, world.session.id, OPERATOR)
    with pytest.raises(SessionNotFound):
        await session_steps.revoke(core, "none", OPERATOR)
