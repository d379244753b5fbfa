"""The wallet over HTTP."""

import asyncio

from tests.api.client import NOBODY, Api, Caller, client_of, code, issues
from tests.conftest import settings

SOL = 10**9


async def test_a_session_sees_its_own_wallet(caller: Caller) -> None:
    agent = caller.agent
    base = {"agentId": agent["id"], "chain": "solana", "network": "localnet"}
    address = {**base, "address": agent["publicKey"]}
    assert (await caller.request("GET", "/v1/wallet/address")).json() == address
    balance = {**address, "balance": str(100 * SOL), "decimals": 9, "symbol": "SOL"}
    assert (await caller.request("GET", "/v1/wallet/balance")).json() == balance
    assets = (await caller.request("GET", "/v1/wallet/assets")).json()
    native = {"mint": "native", "symbol": "SOL", "balance": str(100 * SOL), "decimals": 9, "isNative": True}
    assert assets | {"assets": []} == base | {"assets": []}
    assert [asset | {"name": ""} for asset in assets["assets"]] == [native | {"name": ""}]


async def test_the_operator_names_the_agent(api: Api, caller: Caller) -> None:
    for path in ("address", "balance", "assets"):
        url = f"/v1/wallet/{path}"
        assert issues(await api.operator("GET", url)) == ["agentId"]
        assert issues(await api.operator("GET", url, params={"agentId": "x"})) == ["agentId"]
        assert code(await api.operator("GET", url, params={"agentId": NOBODY})) == (404, "AGENT_NOT_FOUND")
        shown = (await api.operator("GET", url, params={"agentId": caller.agent["id"]})).json()
        assert shown["agentId"] == caller.agent["id"]


async def test_a_node_that_is_not_there_is_told_apart_from_one_that_fails(open_daemon) -> None:
    async with await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0) as node:
        port = node.sockets[0].getsockname()[1]
        rpc = {
            "solana_devnet": (f"http://127.0.0.1:{port}",),
            "solana_default_network": "devnet",
            "breaker_failures": 1,
        }
        async with open_daemon(settings(rpc=rpc)) as daemon, client_of(daemon) as client:
            caller = await Api(client).make_caller()
            failed = await caller.request("GET", "/v1/wallet/balance")
            resting = await caller.request("GET", "/v1/wallet/assets")
    assert {code(failed), code(resting)} <= {(502, "CHAIN_ERROR"), (503, "ADAPTER_NOT_AVAILABLE")}
    assert code(resting) == (503, "ADAPTER_NOT_AVAILABLE")
    assert (resting.headers["retry-after"], resting.json()["retryable"]) == ("10", True)


async def test_an_agent_whose_network_was_taken_out_of_the_settings_has_no_node(open_daemon) -> None:
    async with open_daemon() as daemon, client_of(daemon) as client:
        api = Api(client)
        agent = await api.make_agent(network="devnet")
    async with open_daemon(settings(rpc={"solana_devnet": ()})) as daemon, client_of(daemon) as client:
        answer = await Api(client).operator("GET", "/v1/wallet/balance", params={"agentId": agent["id"]})
        assert code(answer) == (503, "ADAPTER_NOT_AVAILABLE")
        answer = await Api(client).operator("GET", "/v1/wallet/address", params={"agentId": agent["id"]})
        assert answer.json()["address"] == agent["publicKey"]
