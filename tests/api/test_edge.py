"""The edge: what is checked before a route is reached, in which order, and what every response carries."""

import asyncio
import json

import httpx
import pytest

from tests.api.client import MASTER, NOBODY, Api, Caller, client_of, code, issues
from tests.api.raw import ask
from waiaas.app import Daemon
from waiaas.db import Statement

SECURITY = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
}
#: order of keys of every error
ENVELOPE = ["code", "message", "details", "requestId", "retryable", "hint"]


def throw_switch(state: str) -> Statement:
    return Statement("UPDATE kill_switch SET state = :state, activated_at = 7", {"state": state}, touches="switch")


# --- what every response carries ---------------------------------------------------------------


async def test_every_response_carries_the_security_headers(client: httpx.AsyncClient) -> None:
    for path in ("/health", "/v1/agents", "/nowhere", "/doc"):
        answer = await client.get(path)
        assert {name: answer.headers.get(name) for name in SECURITY} == SECURITY
        assert answer.headers["content-type"] == "application/json"
        assert int(answer.headers["content-length"]) == len(answer.content)
        assert "server" not in answer.headers
        assert "strict-transport-security" not in answer.headers


async def test_a_sound_request_id_is_taken_over(client: httpx.AsyncClient) -> None:
    for given in ("a", "Trace-1.2:3_4", "x" * 128):
        answer = await client.get("/v1/agents", headers={"X-Request-Id": given})
        assert answer.headers["x-request-id"] == answer.json()["requestId"] == given


async def test_any_other_request_id_is_replaced_by_a_uuid(client: httpx.AsyncClient) -> None:
    for given in ("", "x" * 129, "a b", "ü", "<b>", "a\tb"):
        answer = await client.get("/health", headers={"X-Request-Id": given.encode()})
        assert len(answer.headers["x-request-id"]) == 36


async def test_an_error_has_its_keys_in_order_and_leaves_out_what_it_has_not(client: httpx.AsyncClient) -> None:
    refused = (await client.post("/v1/agents", json={}, headers=MASTER)).json()
    assert list(refused) == [key for key in ENVELOPE if key != "hint"]
    assert list((await client.get("/nowhere")).json()) == [key for key in ENVELOPE if key != "details"]


async def test_head_is_answered_by_every_get_without_a_body(client: httpx.AsyncClient, caller: Caller) -> None:
    got, headed = [await caller.request(method, "/v1/wallet/address") for method in ("GET", "HEAD")]
    assert (headed.status_code, headed.content) == (200, b"")
    assert headed.headers["content-length"] == got.headers["content-length"]


async def test_an_unforeseen_failure_is_told_without_its_details(daemon: Daemon, api: Api) -> None:
    await daemon.core.db.commit(Statement("UPDATE policies SET rules = 'broken'", {}, touches="policies"))
    answer = await api.operator("GET", "/v1/policies")
    assert code(answer) == (500, "INTERNAL_ERROR")
    assert "rules" not in answer.text
    assert "list transactions" in answer.json()["hint"]


# --- path, method, host, origin ----------------------------------------------------------------


async def test_paths_are_exact(client: httpx.AsyncClient) -> None:
    for path in ("/", "/v1/agents/", "/V1/agents", "/v1//agents", "/v1/agents/x/y", "/admin"):
        assert code(await client.get(path, headers=MASTER)) == (404, "ROUTE_NOT_FOUND")


async def test_another_method_is_told_which_ones_there_are(client: httpx.AsyncClient) -> None:
    for path, allowed in (("/v1/agents", "POST, GET, HEAD"), (f"/v1/agents/{NOBODY}", "GET, HEAD, PUT, DELETE")):
        answer = await client.patch(path)
        assert code(answer) == (405, "METHOD_NOT_ALLOWED")
        assert answer.headers["allow"] == allowed


async def test_this_machine_is_a_host(client: httpx.AsyncClient) -> None:
    for host in ("127.0.0.1", "localhost", "[::1]", "localhost:1", "127.0.0.1:65535", "[::1]:3100"):
        assert (await client.get("/health", headers={"Host": host})).status_code == 200


async def test_a_listed_origin_is_echoed_and_a_foreign_one_is_not(client: httpx.AsyncClient) -> None:
    listed = await client.get("/health", headers={"Origin": "http://localhost:3100"})
    assert listed.headers["access-control-allow-origin"] == "http://localhost:3100"
    assert listed.headers["vary"] == "Origin"
    assert "retry-after" in listed.headers["access-control-expose-headers"].lower()
    for origin in ("http://localhost:3101", "https://localhost:3100", "null", "http://localhost:3100.evil.com"):
        foreign = await client.get("/health", headers={"Origin": origin})
        assert not [name for name in foreign.headers if name.startswith("access-control")]


async def test_a_preflight_is_answered_either_way(client: httpx.AsyncClient) -> None:
    for origin, allowed in (("http://127.0.0.1:3100", True), ("http://evil.com", False)):
        asked = {"Origin": origin, "Access-Control-Request-Method": "POST"}
        answer = await client.options("/v1/transactions/send", headers=asked)
        assert (answer.status_code, answer.content) == (204, b"")
        assert ("access-control-allow-methods" in answer.headers) is allowed


# --- bodies ------------------------------------------------------------------------------------


async def test_a_body_is_json_whatever_its_content_type(client: httpx.AsyncClient) -> None:
    for kind in ("text/plain", "application/xml", None):
        headers = {**MASTER, **({"Content-Type": kind} if kind else {})}
        assert (await client.post("/v1/agents", content=b'{"name":"a"}', headers=headers)).status_code == 201


async def test_an_empty_body_is_an_empty_object(client: httpx.AsyncClient) -> None:
    headers = {**MASTER, "Content-Type": "application/json"}
    assert issues(await client.post("/v1/agents", content=b"", headers=headers)) == ["name"]
    answer = await client.request("DELETE", f"/v1/policies/{NOBODY}", content=b"", headers=headers)
    assert code(answer) == (404, "POLICY_NOT_FOUND")


async def test_a_chunked_body_is_put_together(daemon: Daemon) -> None:
    pieces = [b'{"na', b'me":', b'"pieces"}']
    status, body = await ask(daemon.app, "POST", "/v1/agents", MASTER, pieces)
    assert (status, json.loads(body)["name"]) == (201, "pieces")


async def test_a_body_too_large_is_refused_before_and_while_it_arrives(daemon: Daemon, api: Api) -> None:
    answer = await api.operator("POST", "/v1/agents", content=b" " * 262145)
    assert code(answer) == (413, "BODY_TOO_LARGE")
    assert answer.headers["connection"] == "close"
    status, body = await ask(daemon.app, "POST", "/v1/agents", MASTER, [b" " * 200000, b" " * 62145])
    assert (status, json.loads(body)["code"]) == (413, "BODY_TOO_LARGE")
    padded = b'{"name":"just fits"}'.ljust(262144)
    assert (await api.operator("POST", "/v1/agents", content=padded)).status_code == 201


async def test_a_caller_who_leaves_while_sending_gets_no_answer(daemon: Daemon) -> None:
    assert await ask(daemon.app, "POST", "/v1/agents", MASTER, [b'{"name"'], leaves=True) == (None, b"")


# --- the order ---------------------------------------------------------------------------------


async def test_host_comes_before_everything(client: httpx.AsyncClient, daemon: Daemon) -> None:
    daemon.core.stopping = True
    for path in ("/health", "/nowhere", "/v1/agents"):
        assert code(await client.get(path, headers={"Host": "evil.com"})) == (403, "INVALID_HOST")


async def test_a_stopping_daemon_answers_health_and_nothing_else(client: httpx.AsyncClient, daemon: Daemon) -> None:
    daemon.core.stopping = True
    refused = await client.get("/nowhere")
    assert code(refused) == (503, "SHUTTING_DOWN")
    assert (refused.headers["retry-after"], refused.json()["details"]["retryAfter"]) == ("30", 30)
    assert refused.headers["connection"] == "close"
    assert (await client.get("/health")).status_code == 200
    unready = await client.get("/ready")
    assert (unready.status_code, unready.json()["checks"]["accepting"]) == (503, False)
    assert "retry-after" in unready.headers


@pytest.mark.parametrize("state", ["ACTIVATED", "RECOVERING"])
async def test_the_kill_switch_comes_before_path_and_guard(daemon: Daemon, caller: Caller, state: str) -> None:
    await daemon.core.db.commit(throw_switch(state))
    client = caller.api.client
    for answer in (
        await client.get("/nowhere"),
        await client.patch("/v1/agents"),
        await client.get("/v1/nonce"),
        await client.get("/v1/agents", headers={"X-Master-Password": "wrong"}),
        await caller.send(),
    ):
        assert code(answer) == (409, "KILL_SWITCH_ACTIVE")
        assert answer.json()["details"] == {"activatedAt": 7}
    assert (await client.get("/health")).json()["status"] == "locked"
    assert (await client.get("/ready")).status_code == 200
    status = await client.get("/v1/admin/status", headers=MASTER)
    assert status.json()["killSwitchState"] == "ACTIVATED"
    assert code(await client.get("/v1/admin/status")) == (401, "INVALID_MASTER_PASSWORD")


async def test_the_switch_is_obeyed_from_its_commit_on(daemon: Daemon, caller: Caller) -> None:
    assert (await caller.request("GET", "/v1/transactions")).status_code == 200
    await daemon.core.db.commit(throw_switch("ACTIVATED"))
    assert code(await caller.request("GET", "/v1/transactions")) == (409, "KILL_SWITCH_ACTIVE")
    await daemon.core.db.commit(throw_switch("NORMAL"))
    assert (await caller.request("GET", "/v1/transactions")).status_code == 200


async def test_path_comes_before_guard_and_guard_before_validation(client: httpx.AsyncClient) -> None:
    assert code(await client.get("/nowhere")) == (404, "ROUTE_NOT_FOUND")
    assert code(await client.patch("/v1/agents")) == (405, "METHOD_NOT_ALLOWED")
    assert code(await client.get("/v1/agents/no-uuid")) == (401, "INVALID_MASTER_PASSWORD")
    assert code(await client.post("/v1/agents", content=b"{")) == (401, "INVALID_MASTER_PASSWORD")


async def test_recovery_comes_before_validation_and_after_the_guard(daemon: Daemon, caller: Caller) -> None:
    daemon.core.reconciling.add(caller.agent["network"])
    answer = await caller.request("POST", "/v1/transactions/send", content=b"{")
    assert code(answer) == (503, "RECONCILING")
    assert (answer.headers["retry-after"], answer.json()["retryable"]) == ("2", True)
    assert code(await caller.request("POST", f"/v1/transactions/{NOBODY}/cancel")) == (503, "RECONCILING")
    assert code(await caller.api.client.post("/v1/transactions/send")) == (401, "INVALID_TOKEN")
    assert (await caller.request("GET", "/v1/transactions")).status_code == 200
    assert (await caller.api.client.get("/health")).json()["status"] == "reconciling"
    assert (await caller.api.client.get("/ready")).json()["checks"]["reconciled"] is False


async def test_other_protocols_are_turned_away(daemon: Daemon) -> None:
    sent: list[dict[str, object]] = []

    async def keep(message: dict[str, object]) -> None:
        sent.append(message)

    async def nothing() -> dict[str, object]:
        return {"type": "websocket.connect"}

    await daemon.app({"type": "websocket", "headers": []}, nothing, keep)  # type: ignore[arg-type,typeddict-item]
    assert sent == [{"type": "websocket.close", "code": 1008}]


async def test_two_callers_are_answered_at_once(daemon: Daemon, caller: Caller) -> None:
    async with client_of(daemon) as other:
        answers = await asyncio.gather(*(other.get("/v1/wallet/balance", headers=caller.headers) for _ in range(20)))
    assert {answer.status_code for answer in answers} == {200}
