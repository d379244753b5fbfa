"""POST /v1/agents/{id}/withdraw over HTTP."""

import asyncio
from typing import Any

import httpx
import pytest

from tests.api.client import NOBODY, RECIPIENT, Api, Caller, code, issues
from tests.owners import own
from waiaas.app import Daemon


@pytest.fixture
async def agent(daemon: Daemon, caller: Caller) -> dict[str, Any]:
    await own(daemon, caller.agent["id"])
    return caller.agent


async def withdraw(api: Api, agent: dict[str, Any], body: Any = None, **options: Any) -> httpx.Response:
    return await api.operator("POST", f"/v1/agents/{agent['id']}/withdraw", json=body or {}, **options)


async def test_everything_goes_to_the_owner_and_shows_as_a_withdrawal(api: Api, agent: dict[str, Any]) -> None:
    answer = await withdraw(api, agent)
    assert answer.status_code == 201, answer.text
    said = answer.json()
    [row] = said.pop("transactions")
    assert said == {"agentId": agent["id"], "to": RECIPIENT, "scope": "all", "skipped": []}
    assert row == {
        "id": row["id"],
        "type": "TRANSFER",
        "asset": "native:solana",
        "amount": None,
        "status": "PENDING",
    }
    async with asyncio.timeout(20):
        while (shown := (await api.operator("GET", f"/v1/transactions/{row['id']}?wait=10")).json())["finalAt"] is None:
            continue
    assert (shown["status"], shown["origin"], shown["sessionId"]) == ("CONFIRMED", "withdraw", None)
    assert (shown["toAddress"], shown["amount"]) == (RECIPIENT, str(100 * 10**9 - 5000))
    assert [rule["type"] for rule in shown["decision"]["rules"]] == ["withdraw"]


async def test_a_key_is_answered_again_with_what_has_become_of_it(api: Api, agent: dict[str, Any]) -> None:
    headers = {"Idempotency-Key": "home"}
    first = await withdraw(api, agent, {"scope": "native"}, headers=headers)
    again = await withdraw(api, agent, {"scope": "native"}, headers=headers)
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.headers["idempotent-replayed"] == "true"
    assert [row["id"] for row in again.json()["transactions"]] == [row["id"] for row in first.json()["transactions"]]
    assert code(await withdraw(api, agent, headers=headers)) == (409, "IDEMPOTENCY_CONFLICT")
    assert issues(await withdraw(api, agent, headers={"Idempotency-Key": "a b"})) == ["Idempotency-Key"]


async def test_what_there_is_no_withdrawal_for(api: Api, agent: dict[str, Any]) -> None:
    assert code(await withdraw(api, {"id": NOBODY})) == (404, "AGENT_NOT_FOUND")
    assert issues(await withdraw(api, agent, {"scope": "half"})) == ["scope"]
    await api.operator("DELETE", f"/v1/agents/{agent['id']}")
    assert code(await withdraw(api, agent)) == (410, "AGENT_TERMINATED")


async def test_an_empty_agent_is_told_to_be_funded(daemon: Daemon, api: Api, agent: dict[str, Any]) -> None:
    [row] = (await withdraw(api, agent)).json()["transactions"]
    await api.operator("GET", f"/v1/transactions/{row['id']}?wait=20")
    answer = await withdraw(api, agent)
    assert code(answer) == (400, "INSUFFICIENT_FOR_FEE")
    assert answer.json()["details"]["address"] == agent["publicKey"]


async def test_a_session_sees_it_and_cannot_stop_it(api: Api, caller: Caller, agent: dict[str, Any]) -> None:
    [row] = (await withdraw(api, agent)).json()["transactions"]
    path = f"/v1/transactions/{row['id']}"
    assert (await caller.request("GET", path)).json()["origin"] == "withdraw"
    assert code(await caller.request("POST", f"{path}/cancel")) == (403, "POLICY_DENIED")
    assert code(await caller.request("POST", f"{path}/cancel", json={"onChain": True})) == (403, "POLICY_DENIED")
    assert code(await api.client.post(f"/v1/agents/{agent['id']}/withdraw", headers=caller.headers)) == (
        401,
        "INVALID_MASTER_PASSWORD",
    )
