"""Policies over HTTP."""

from tests.api.client import NOBODY, RECIPIENT, Api, Caller, code, issues, words

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


SYSTEM = "11111111111111111111111111111111"
EVM = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
RATE = {"max_requests": 5, "window_seconds": 60}
HOURS = {"start": 9, "end": 18}
#: type as sent, rules as sent, rules as returned
ENFORCED = [
    ("WHITELIST", {"allowedAddresses": [RECIPIENT, EVM.lower()]}, {"allowed_addresses": [RECIPIENT, EVM]}),
    ("ALLOWED_ADDRESSES", {"allowed_addresses": []}, {"allowed_addresses": []}),
    (
        "TIME_RESTRICTION",
        {"allowedHours": HOURS},
        {"allowed_hours": HOURS, "allowed_days": [0, 1, 2, 3, 4, 5, 6], "timezone": "UTC"},
    ),
    ("RATE_LIMIT", {"maxRequests": 5, "windowSeconds": 60}, RATE),
    (
        "ALLOWED_TOKENS",
        {"tokens": [{"address": EVM.lower(), "chain": "ethereum"}, {"address": RECIPIENT, "symbol": "X"}]},
        {"tokens": [{"address": EVM, "chain": "ethereum"}, {"address": RECIPIENT, "symbol": "X"}]},
    ),
    (
        "CONTRACT_WHITELIST",
        {"contracts": [{"address": RECIPIENT, "name": "it"}]},
        {"contracts": [{"address": RECIPIENT, "name": "it"}]},
    ),
    (
        "METHOD_WHITELIST",
        {"methods": [{"contract_address": EVM, "selectors": ["0xA9059CBB"]}]},
        {"methods": [{"contractAddress": EVM, "selectors": ["0xa9059cbb"]}]},
    ),
    (
        "APPROVED_SPENDERS",
        {"spenders": [{"address": RECIPIENT, "max_amount": "007"}]},
        {"spenders": [{"address": RECIPIENT, "maxAmount": "7"}]},
    ),
    ("APPROVE_AMOUNT_LIMIT", {"max_amount": "9"}, {"maxAmount": "9", "blockUnlimited": True}),
    ("APPROVE_TIER_OVERRIDE", {"tier": "DELAY"}, {"tier": "DELAY"}),
    ("AUTO_STOP", {"maxPerHour": 5}, {"max_per_hour": 5, "action": "SUSPEND"}),
]


async def test_every_enforced_type_is_stored_and_returned_in_one_spelling(api: Api) -> None:
    for kind, given, returned in ENFORCED:
        answer = await api.operator("POST", "/v1/policies", json={"type": kind, "rules": given, "enabled": False})
        assert answer.status_code == 201, (kind, answer.text)
        made = answer.json()
        assert made["type"] == ("WHITELIST" if kind == "ALLOWED_ADDRESSES" else kind)
        assert made["rules"] == returned
        path = f"/v1/policies/{made['id']}"
        assert (await api.operator("GET", path)).json() == made
        again = await api.operator("PUT", path, json={"rules": returned, "priority": 1})
        assert (again.json()["rules"], again.json()["priority"]) == (returned, 1)
        assert made["id"] in {one["id"] for one in (await api.operator("GET", f"/v1/policies?type={kind}")).json()}


async def test_a_list_decides_and_an_agents_own_may_set_the_global_one_aside(api: Api, caller: Caller) -> None:
    await api.operator("POST", "/v1/policies", json={"type": "WHITELIST", "rules": {"allowed_addresses": [SYSTEM]}})
    denied = await caller.send("1")
    assert (code(denied), SYSTEM in denied.text) == ((403, "WHITELIST_DENIED"), False)
    own = {"type": "ALLOWED_ADDRESSES", "rules": {"allowed_addresses": [RECIPIENT]}, "agentId": caller.agent["id"]}
    made = (await api.operator("POST", "/v1/policies", json=own)).json()
    assert code(await caller.send("1")) == (403, "WHITELIST_DENIED")
    await api.operator("PUT", f"/v1/policies/{made['id']}", json={"override": True})
    assert (await caller.send("1")).status_code == 201


async def test_a_rate_policy_answers_429_with_when_to_come_again(api: Api, caller: Caller) -> None:
    rules = {"max_requests": 1, "window_seconds": 100}
    await api.operator("POST", "/v1/policies", json={"type": "RATE_LIMIT", "rules": rules})
    assert (await caller.send("1")).status_code == 201
    answer = await caller.send("2")
    assert (code(answer), answer.json()["retryable"]) == ((429, "RATE_LIMIT_EXCEEDED"), True)
    assert 95 <= int(answer.headers["retry-after"]) == answer.json()["details"]["retryAfter"] <= 100


async def test_addresses_are_those_of_the_agents_chain(api: Api, caller: Caller) -> None:
    body = {"type": "WHITELIST", "rules": {"allowed_addresses": [EVM]}, "agentId": caller.agent["id"]}
    assert issues(await api.operator("POST", "/v1/policies", json=body)) == ["rules.allowed_addresses.0"]
    methods = {"methods": [{"contractAddress": EVM, "selectors": ["0xa9059cbb"]}]}
    body = {"type": "METHOD_WHITELIST", "rules": methods, "agentId": caller.agent["id"]}
    assert issues(await api.operator("POST", "/v1/policies", json=body)) == ["rules.methods"]


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
    ({"type": "ALLOWED_TOKENS", "rules": {"tokens": [{"address": "x"}]}}, "rules.tokens.0.address"),
    ({"type": "ALLOWED_TOKENS", "rules": {"tokens": []}}, "rules.tokens"),
    ({"type": "CONTRACT_WHITELIST", "rules": {"contracts": []}}, "rules.contracts"),
    ({"type": "METHOD_WHITELIST", "rules": {"methods": []}}, "rules.methods"),
    ({"type": "METHOD_WHITELIST", "rules": {"methods": [{"contractAddress": EVM}]}}, "rules.methods.0.selectors"),
    ({"type": "APPROVED_SPENDERS", "rules": {"spenders": []}}, "rules.spenders"),
    ({"type": "APPROVE_AMOUNT_LIMIT", "rules": {"block_unlimited": 1}}, "rules.block_unlimited"),
    ({"type": "APPROVE_TIER_OVERRIDE", "rules": {"overrides": {}}}, "rules.overrides"),
    ({"type": "RATE_LIMIT", "rules": {"max_requests": 0, "window_seconds": 60}}, "rules.max_requests"),
    ({"type": "RATE_LIMIT", "rules": RATE, "override": True}, "override"),
    ({"type": "WHITELIST", "rules": {"allowed_addresses": []}, "override": True}, "override"),
    ({"type": "TIME_RESTRICTION", "rules": {"allowed_hours": {"start": 9, "end": 9}}}, "rules.allowed_hours.end"),
    ({"type": "AUTO_STOP", "rules": {"max_per_hour": 0}}, "rules.max_per_hour"),
    ({"type": "AUTO_STOP", "rules": {"max_per_hour": 5}, "override": True}, "override"),
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
