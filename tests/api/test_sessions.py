"""Sessions over HTTP."""

import jwt

from tests.api.client import NOBODY, RECIPIENT, Api, Caller, MovedClock, client_of, code, issues, words
from tests.conftest import settings
from waiaas.app import Daemon

ITEM = words(
    "id agentId status renewalCount maxRenewals expiresAt absoluteExpiresAt createdAt lastRenewedAt name "
    "parentSessionId constraints revokedAt"
)
CREATED = words("id token expiresAt agentId absoluteExpiresAt maxRenewals constraints parentSessionId")
DAY = 86400


async def test_a_session_is_answered_with_its_token_once(api: Api, daemon: Daemon) -> None:
    agent = await api.make_agent()
    answer = await api.operator("POST", "/v1/sessions", json={"agentId": agent["id"], "name": " bot "})
    made = answer.json()
    assert (answer.status_code, list(made)) == (201, CREATED)
    (item,) = (await api.operator("GET", "/v1/sessions")).json()
    assert list(item) == ITEM
    assert item["name"] == "bot"
    assert made["token"] not in str(item)
    assert (item["expiresAt"] - item["createdAt"], item["absoluteExpiresAt"] - item["createdAt"]) == (DAY, 30 * DAY)
    rows = await daemon.core.db.fetch_all("SELECT * FROM sessions, audit_log, outbox")
    assert all(made["token"] not in map(str, row) for row in rows)


async def test_the_token_names_its_session_for_every_kind_of_client(caller: Caller) -> None:
    token = caller.session["token"]
    assert token.startswith("wai_sess_")
    claims = jwt.decode(token.removeprefix("wai_sess_"), options={"verify_signature": False})
    assert claims["sub"] == claims["sid"] == claims["sessionId"] == caller.session["id"]
    assert (claims["agt"], claims["exp"]) == (caller.agent["id"], caller.session["expiresAt"])
    assert {"iat", "jti"} < set(claims)


async def test_a_session_never_outlives_its_absolute_end(open_daemon) -> None:
    config = settings(security={"session_absolute_lifetime": DAY})
    async with open_daemon(config) as daemon, client_of(daemon) as client:
        api = Api(client)
        made = await api.make_session((await api.make_agent())["id"], ttl=604800)
        assert made["expiresAt"] == made["absoluteExpiresAt"]


async def test_constraints_are_kept_in_canonical_form(api: Api) -> None:
    agent = await api.make_agent()
    given = {"maxAmountPerTx": "007", "maxTransactions": 3, "allowedDestinations": [RECIPIENT], "maxRenewals": 2}
    made = await api.make_session(agent["id"], constraints=given)
    assert made["constraints"] == given | {"maxAmountPerTx": "7"}
    assert made["maxRenewals"] == 2
    (item,) = (await api.operator("GET", "/v1/sessions")).json()
    assert (item["constraints"], item["maxRenewals"]) == (made["constraints"], 2)


async def test_constraints_that_cannot_be_are_refused_at_their_field(api: Api) -> None:
    agent = await api.make_agent()
    for constraints, path in (
        ({"maxAmountPerTx": 5}, "constraints.maxAmountPerTx"),
        ({"maxTransactions": 0}, "constraints.maxTransactions"),
        ({"allowedDestinations": ["nobody"]}, "constraints.allowedDestinations.0"),
        ({"allowedOperations": ["MINT"]}, "constraints.allowedOperations"),
    ):
        body = {"agentId": agent["id"], "constraints": constraints}
        assert issues(await api.operator("POST", "/v1/sessions", json=body)) == [path]
    assert (await api.operator("GET", "/v1/sessions")).json() == []


async def test_a_session_of_nobody_is_refused(api: Api) -> None:
    answer = await api.operator("POST", "/v1/sessions", json={"agentId": NOBODY})
    assert code(answer) == (404, "AGENT_NOT_FOUND")


async def test_sessions_are_listed_by_agent_state_and_page(api: Api, caller: Caller) -> None:
    agent_id, first = caller.agent["id"], caller.session["id"]
    second, third = [(await api.make_session(agent_id))["id"] for _ in range(2)]
    await api.operator("DELETE", f"/v1/sessions/{second}")
    for params, expected in (
        ({}, [third, first]),
        ({"agentId": agent_id, "status": "active"}, [third, first]),
        ({"status": "revoked"}, [second]),
        ({"status": "expired"}, []),
        ({"agentId": NOBODY}, []),
        ({"limit": 1}, [third]),
        ({"cursor": third}, [first]),
    ):
        listed = (await api.operator("GET", "/v1/sessions", params=params)).json()
        assert [session["id"] for session in listed] == expected, params
    (revoked,) = (await api.operator("GET", "/v1/sessions", params={"status": "revoked"})).json()
    assert (revoked["status"], revoked["revokedAt"] is not None) == ("REVOKED", True)


async def test_what_a_list_cannot_be_asked_for_is_refused_at_its_name(api: Api) -> None:
    for name, value in (("limit", 0), ("limit", 1001), ("cursor", "last"), ("status", "dead"), ("agentId", "bot")):
        assert issues(await api.operator("GET", "/v1/sessions", params={name: value})) == [name]
    assert (await api.operator("GET", "/v1/sessions", params={"limit": 1000, "agentId": NOBODY})).json() == []


async def test_an_expired_session_is_shown_as_such(open_daemon) -> None:
    clock = MovedClock()
    async with open_daemon(clock=clock) as daemon, client_of(daemon) as client:
        caller = await Api(client).make_caller()
        clock.move(DAY)
        (item,) = (await caller.api.operator("GET", "/v1/sessions")).json()
        assert item["status"] == "EXPIRED"
        assert code(await caller.request("GET", "/v1/wallet/address")) == (401, "TOKEN_EXPIRED")


async def test_a_session_is_revoked_once(api: Api, caller: Caller) -> None:
    path = f"/v1/sessions/{caller.session['id']}"
    revoked = {"id": caller.session["id"], "status": "REVOKED"}
    assert (await api.operator("DELETE", path)).json() == revoked
    again = await api.operator("DELETE", path)
    assert (again.status_code, again.json() | {"message": ""}) == (200, revoked | {"message": ""})
    assert "message" in again.json()
    assert code(await api.operator("DELETE", f"/v1/sessions/{NOBODY}")) == (404, "SESSION_NOT_FOUND")


async def test_a_session_may_end_itself_and_no_other(api: Api, caller: Caller) -> None:
    other = await api.make_session(caller.agent["id"])
    assert code(await caller.request("DELETE", f"/v1/sessions/{other['id']}")) == (404, "SESSION_NOT_FOUND")
    assert (await caller.request("DELETE", f"/v1/sessions/{caller.session['id']}")).status_code == 200
    assert code(await caller.request("GET", "/v1/wallet/address")) == (401, "SESSION_REVOKED")


async def test_a_restart_keeps_sessions_alive(open_daemon) -> None:
    async with open_daemon() as daemon, client_of(daemon) as client:
        caller = await Api(client).make_caller()
    async with open_daemon() as daemon, client_of(daemon) as client:
        assert (await client.get("/v1/wallet/address", headers=caller.headers)).status_code == 200


async def test_a_session_is_shown_with_its_children_and_what_all_of_them_have_used(api: Api, caller: Caller) -> None:
    path = f"/v1/sessions/{caller.session['id']}"
    made = await caller.request("POST", f"{path}/attenuate", json={"name": " errand ", "ttl": 600})
    assert (made.status_code, list(made.json())) == (201, CREATED)
    child = Caller(api, caller.agent, {"headers": {"Authorization": f"Bearer {made.json()['token']}"}})
    assert (await child.send(str(11 * 10**9))).status_code == 201
    assert (await caller.send(str(12 * 10**9))).status_code == 201
    shown = (await api.operator("GET", path)).json()
    assert list(shown) == [*ITEM, "childCount", "usage"]
    assert (shown["childCount"], shown["status"]) == (1, "ACTIVE")
    amounts = [{"asset": "native:solana", "reserved": str(23 * 10**9), "spent": "0"}]
    assert shown["usage"] == {"transactions": 2, "amounts": amounts}
    below = (await caller.request("GET", f"/v1/sessions/{made.json()['id']}")).json()
    assert (below["name"], below["parentSessionId"]) == ("errand", caller.session["id"])
    assert (below["usage"]["transactions"], below["childCount"]) == (1, 0)
    await api.operator("DELETE", f"/v1/sessions/{made.json()['id']}")
    shown = (await caller.request("GET", path)).json()
    # what was cancelled with the child is given back, and its row is still there
    assert (shown["childCount"], shown["usage"]["transactions"]) == (0, 1)
    assert (await api.operator("GET", f"/v1/sessions/{made.json()['id']}")).json()["status"] == "REVOKED"
    assert code(await api.operator("GET", f"/v1/sessions/{NOBODY}")) == (404, "SESSION_NOT_FOUND")


async def test_the_operator_attenuates_too_but_not_what_has_ended(api: Api, caller: Caller) -> None:
    path = f"/v1/sessions/{caller.session['id']}/attenuate"
    made = await api.operator("POST", path, json={"constraints": {"maxTransactions": 1}})
    assert made.json()["constraints"] == {"maxTransactions": 1}
    # the children of a session are not counted among the agent's
    for _ in range(4):
        await api.make_session(caller.agent["id"])
    await api.operator("DELETE", f"/v1/sessions/{caller.session['id']}")
    assert code(await api.operator("POST", path)) == (404, "SESSION_NOT_FOUND")
    assert code(await api.operator("POST", f"/v1/sessions/{NOBODY}/attenuate")) == (404, "SESSION_NOT_FOUND")
    await api.operator("DELETE", f"/v1/agents/{caller.agent['id']}")
    assert code(await api.operator("POST", path)) == (410, "AGENT_TERMINATED")
