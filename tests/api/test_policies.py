"""Policies over HTTP: SPENDING_LIMIT is what this version enforces."""

from tests.api.client import NOBODY, Api, Caller, code, issues, words

POLICY = words("id agentId type rules priority enabled createdAt updatedAt override")


async def make(api: Api, **fields: object) -> dict:
    answer = await api.operator("POST", "/v1/policies", json={"type": "SPENDING_LIMIT", **fields})
    assert answer.status_code == 201, answer.text
    return answer.json()


async def test_rules_are_returned_in_one_spelling(api: Api, caller: Caller) -> None:
    made = await make(api, agentId=caller.agent["id"], rules={"perTransaction": "0010", "daily_total": "100"})
    assert list(made) == POLICY
    assert made["rules"] == {"per_transaction": "10", "daily_total": "100"}
    assert (made["priority"], made["enabled"], made["override"]) == (0, True, False)
    assert (await api.operator("GET", f"/v1/policies/{made['id']}")).json() == made


async def test_a_policy_counts_from_its_creation_to_its_removal(api: Api, caller: Caller) -> None:
    made = await make(api, agentId=caller.agent["id"], rules={"per_transaction": "10"})
    assert code(await caller.send("11")) == (403, "SPENDING_LIMIT_EXCEEDED")
    path = f"/v1/policies/{made['id']}"
    changed = await api.operator("PUT", path, json={"rules": {"per_transaction": "11"}, "priority": 5})
    assert (changed.json()["rules"], changed.json()["priority"]) == ({"per_transaction": "11"}, 5)
    assert (await caller.send("11")).status_code == 201
    assert (await api.operator("PUT", path, json={"enabled": False})).json()["rules"] == {"per_transaction": "11"}
    assert (await caller.send("12")).status_code == 201
    assert (await api.operator("DELETE", path)).json() == {"id": made["id"], "deleted": True}
    assert code(await api.operator("GET", path)) == (404, "POLICY_NOT_FOUND")


async def test_without_any_limit_nothing_may_be_spent(api: Api, caller: Caller) -> None:
    (seeded,) = (await api.operator("GET", "/v1/policies")).json()
    await api.operator("DELETE", f"/v1/policies/{seeded['id']}")
    assert code(await caller.send("1")) == (403, "POLICY_DENIED")


async def test_policies_are_listed_by_priority_with_the_global_ones(api: Api, caller: Caller) -> None:
    (seeded,) = (await api.operator("GET", "/v1/policies")).json()
    own = await make(api, agentId=caller.agent["id"], rules={"per_transaction": "1"}, priority=-1)
    off = await make(api, rules={"per_transaction": "1"}, priority=9, enabled=False)
    for params, expected in (
        ({}, [off, seeded, own]),
        ({"agentId": caller.agent["id"]}, [off, seeded, own]),
        ({"agentId": NOBODY}, [off, seeded]),
        ({"enabled": "true"}, [seeded, own]),
        ({"type": "SPENDING_LIMIT", "enabled": "false"}, [off]),
        ({"type": "WHITELIST"}, []),
    ):
        listed = (await api.operator("GET", "/v1/policies", params=params)).json()
        assert listed == expected, params


IMPOSSIBLE = [
    ({"rules": {}}, "type"),
    ({"type": "SPENDING_LIMIT"}, "rules"),
    ({"type": "SPENDING_LIMIT", "rules": []}, "rules"),
    ({"type": "SPENDING_LIMIT", "rules": {}}, "rules"),
    ({"type": "SPENDING_LIMIT", "rules": {"instant_max": "1"}}, "rules.notify_max"),
    ({"type": "SPENDING_LIMIT", "rules": {"daily_total": 5}}, "rules.daily_total"),
    ({"type": "SPENDING_LIMIT", "rules": {"daily_total": "5"}, "priority": 1001}, "priority"),
    ({"type": "SPENDING_LIMIT", "rules": {"daily_total": "5"}, "agentId": "x"}, "agentId"),
    ({"type": "SPENDING_LIMIT", "rules": {"daily_total": "5"}, "override": True}, "override"),
    ({"type": "ALLOWED_TOKENS", "rules": {"tokens": [{"address": "x"}]}}, "type"),
    ({"type": "ALLOWED_ADDRESSES", "rules": {"allowed_addresses": []}}, "type"),
    ({"type": "WISH", "rules": {}}, "type"),
]


async def test_a_policy_that_cannot_be_is_refused_at_its_field(api: Api) -> None:
    for body, path in IMPOSSIBLE:
        assert issues(await api.operator("POST", "/v1/policies", json=body))[0] == path
        assert len((await api.operator("GET", "/v1/policies")).json()) == 1


async def test_a_change_must_change_something_that_exists(api: Api) -> None:
    (seeded,) = (await api.operator("GET", "/v1/policies")).json()
    path = f"/v1/policies/{seeded['id']}"
    assert issues(await api.operator("PUT", path, json={})) == [""]
    assert issues(await api.operator("PUT", path, json={"rules": {"daily_total": "-1"}})) == ["rules.daily_total"]
    assert issues(await api.operator("PUT", path, json={"override": True})) == ["override"]
    assert (await api.operator("GET", path)).json() == seeded
    for method, body in (("PUT", {"enabled": False}), ("DELETE", None), ("GET", None)):
        assert code(await api.operator(method, f"/v1/policies/{NOBODY}", json=body)) == (404, "POLICY_NOT_FOUND")
    body = {"type": "SPENDING_LIMIT", "rules": {"daily_total": "5"}, "agentId": NOBODY}
    assert code(await api.operator("POST", "/v1/policies", json=body)) == (404, "AGENT_NOT_FOUND")
