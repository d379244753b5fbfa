"""Agents over HTTP."""

from tests.api.client import NOBODY, Api, Caller, code, issues, words
from waiaas.app import Daemon
from waiaas.db import Statement

AGENT = words("id name chain network publicKey status createdAt workspaceId suspendedAt suspensionReason")
DETAIL = [*AGENT, "ownerAddress", "ownerVerified", "ownerState", "updatedAt"]
SOL = 10**9


async def balance(api: Api, agent_id: str) -> int:
    answer = await api.operator("GET", "/v1/wallet/balance", params={"agentId": agent_id})
    return int(answer.json()["balance"])


async def test_a_new_agent_is_active_and_funded_on_the_localnet(api: Api) -> None:
    agent = await api.make_agent("shopper")
    assert list(agent) == AGENT
    assert (agent["status"], agent["chain"], agent["network"]) == ("ACTIVE", "solana", "localnet")
    assert await balance(api, agent["id"]) == 100 * SOL


async def test_an_agent_is_shown_with_its_owner(api: Api) -> None:
    agent = await api.make_agent()
    shown = (await api.operator("GET", f"/v1/agents/{agent['id']}")).json()
    assert list(shown) == DETAIL
    assert (shown["ownerAddress"], shown["ownerVerified"], shown["ownerState"]) == (None, False, "NONE")


async def test_agents_are_listed_newest_first_and_paged_on_request(api: Api) -> None:
    first, second, third = [(await api.make_agent(name))["id"] for name in "abc"]
    everything = (await api.operator("GET", "/v1/agents")).json()
    assert list(everything) == ["items"]
    assert [agent["id"] for agent in everything["items"]] == [third, second, first]
    page = (await api.operator("GET", "/v1/agents", params={"limit": 2})).json()
    assert ([agent["id"] for agent in page["items"]], page["cursor"], page["hasMore"]) == (
        [third, second],
        second,
        True,
    )
    rest = (await api.operator("GET", "/v1/agents", params={"limit": 2, "cursor": page["cursor"]})).json()
    assert ([agent["id"] for agent in rest["items"]], rest["cursor"], rest["hasMore"]) == ([first], None, False)


async def test_agents_are_filtered_by_state_and_network(api: Api) -> None:
    agent = await api.make_agent()
    gone = await api.make_agent("gone")
    await api.operator("DELETE", f"/v1/agents/{gone['id']}")
    for params, expected in (
        ({"status": "TERMINATED"}, [gone["id"]]),
        ({"status": "ACTIVE", "network": "localnet"}, [agent["id"]]),
        ({"network": "devnet"}, []),
    ):
        items = (await api.operator("GET", "/v1/agents", params=params)).json()["items"]
        assert [found["id"] for found in items] == expected


async def test_an_agent_is_renamed(api: Api) -> None:
    agent = await api.make_agent()
    answer = await api.operator("PUT", f"/v1/agents/{agent['id']}", json={"name": " buyer "})
    assert (list(answer.json()), answer.json()["name"]) == (DETAIL, "buyer")
    assert issues(await api.operator("PUT", f"/v1/agents/{agent['id']}", json={})) == ["name"]
    assert code(await api.operator("PUT", f"/v1/agents/{NOBODY}", json={"name": "x"})) == (404, "AGENT_NOT_FOUND")


async def test_a_terminated_agent_is_gone_for_good(api: Api, caller: Caller) -> None:
    path = f"/v1/agents/{caller.agent['id']}"
    assert (await api.operator("DELETE", path)).json() == {"id": caller.agent["id"], "status": "TERMINATED"}
    for method, body in (("DELETE", None), ("PUT", {"name": "x"})):
        assert code(await api.operator(method, path, json=body)) == (410, "AGENT_TERMINATED")
    assert code(await api.operator("POST", f"{path}/faucet")) == (410, "AGENT_TERMINATED")
    assert code(await caller.request("GET", "/v1/wallet/address")) == (401, "SESSION_REVOKED")
    assert (await api.operator("GET", path)).json()["status"] == "TERMINATED"


async def test_an_unknown_agent_is_not_found_anywhere(api: Api) -> None:
    for method, path in (("GET", ""), ("DELETE", ""), ("POST", "/faucet")):
        assert code(await api.operator(method, f"/v1/agents/{NOBODY}{path}")) == (404, "AGENT_NOT_FOUND")


async def test_an_agent_in_creation_is_not_shown(daemon: Daemon, api: Api) -> None:
    agent = await api.make_agent()
    await daemon.core.db.commit(Statement("UPDATE agents SET status = 'CREATING'", {}, touches=f"agent:{agent['id']}"))
    assert (await api.operator("GET", "/v1/agents")).json() == {"items": []}
    assert code(await api.operator("GET", f"/v1/agents/{agent['id']}")) == (404, "AGENT_NOT_FOUND")


async def test_the_faucet_gives_what_is_asked_for(api: Api) -> None:
    agent = await api.make_agent()
    path = f"/v1/agents/{agent['id']}/faucet"
    given = (await api.operator("POST", path, json={"amount": "007"})).json()
    expected = {"agentId": agent["id"], "network": "localnet", "asset": "native:solana", "amount": "7"}
    assert given == expected | {"balance": str(100 * SOL + 7)}
    assert (await api.operator("POST", path)).json()["amount"] == str(100 * SOL)
    for wrong in ("-1", "1.0", "x", str(2**64)):
        assert issues(await api.operator("POST", path, json={"amount": wrong})) == ["amount"]


async def test_there_is_no_faucet_off_the_localnet(api: Api) -> None:
    agent = await api.make_agent(network="devnet")
    assert code(await api.operator("POST", f"/v1/agents/{agent['id']}/faucet")) == (400, "CHAIN_NOT_SUPPORTED")
