"""What a request may look like: unknown fields, nulls, aliases, kinds of values, and where an issue is told."""

from typing import Any

import httpx
import pytest

from tests.api.client import MASTER, NOBODY, RECIPIENT, Api, Caller, issues
from waiaas.api.decode import convert
from waiaas.domain.chain import Chain
from waiaas.errors import ValidationFailed
from waiaas.wire.requests import BatchInstruction

IMPOSSIBLE = [
    ({}, "name"),
    ({"name": 5}, "name"),
    ({"name": None}, "name"),
    ({"name": "a", "chain": "bitcoin"}, "chain"),
    ({"name": "a", "network": 1}, "network"),
    ({"name": "a", "network": "ethereum-mainnet"}, "network"),
    ({"name": "a", "chain": "ethereum", "network": "devnet"}, "network"),
    ({"name": ""}, "name"),
    ({"name": "   "}, "name"),
    ({"name": "x" * 101}, "name"),
    ({"name": "a\nb"}, "name"),
    ({"name": "a\x00b"}, "name"),
    ({"name": "a\u2028b"}, "name"),
]


async def test_an_agent_that_cannot_be_is_refused_at_its_field(api: Api) -> None:
    for body, path in IMPOSSIBLE:
        assert issues(await api.operator("POST", "/v1/agents", json=body)) == [path]


async def test_a_value_that_is_none_of_a_few_is_told_which_they_are(api: Api) -> None:
    made = await api.operator("POST", "/v1/agents", json={"name": "a", "chain": "bitcoin"})
    listed = await api.operator("GET", "/v1/agents", params={"status": "asleep"})
    told = [answer.json()["details"]["issues"] for answer in (made, listed)]
    assert told == [
        [{"path": "chain", "message": "must be one of solana, ethereum"}],
        [{"path": "status", "message": "must be one of CREATING, ACTIVE, SUSPENDED, TERMINATING, TERMINATED"}],
    ]


@pytest.mark.parametrize(
    ("kind", "body", "place", "allowed"),
    [
        (BatchInstruction, {"type": "SWAP"}, "type", "APPROVE, CONTRACT_CALL, TOKEN_TRANSFER, TRANSFER"),
        (list[Chain], ["solana", "bitcoin"], "1", "solana, ethereum"),
        (dict[str, Chain], {"a.b": "bitcoin"}, "", "solana, ethereum"),
        (dict[str, list[Chain] | None], {"a": ["bitcoin"]}, "0", "solana, ethereum"),
    ],
)
def test_it_is_told_at_any_depth(kind: Any, body: Any, place: str, allowed: str) -> None:
    with pytest.raises(ValidationFailed) as refused:
        convert(body, kind)
    assert refused.value.issues == ((place, f"must be one of {allowed}"),)


async def test_checks_of_meaning_are_told_together(api: Api, caller: Caller) -> None:
    assert issues(await api.operator("POST", "/v1/agents", json={"name": "", "network": "x"})) == ["name", "network"]
    answer = await caller.send(to="nobody", amount="1.5", memo="x" * 257)
    assert issues(answer) == ["to", "amount", "memo"]
    assert issues(await caller.request("POST", "/v1/transactions/send", json={})) == ["to", "amount"]


async def test_names_are_trimmed(api: Api) -> None:
    assert (await api.make_agent("  x  "))["name"] == "x"
    assert (await api.make_agent(" " + "x" * 100 + "\n"))["name"] == "x" * 100


async def test_unknown_fields_are_ignored_where_1_4_1_ignored_them(api: Api, caller: Caller) -> None:
    assert (await api.make_agent(unknown=1, deep={"a": [1, {}]}))["name"] == "shopper"
    assert (await caller.send(unknown={"a": 1}, priority="high")).status_code == 201


async def test_money_that_is_meant_for_another_network_does_not_move(api: Api, caller: Caller) -> None:
    refused = await caller.send(network="ethereum-mainnet")
    assert (refused.status_code, refused.json()["details"]["issues"]) == (
        400,
        [{"path": "network", "message": "must be localnet, the network of this agent"}],
    )
    assert (await caller.send(network="localnet")).status_code == 201


async def test_unknown_fields_are_refused_on_new_routes_and_in_what_limits(api: Api, caller: Caller) -> None:
    agent = caller.agent["id"]
    assert issues(await api.operator("POST", f"/v1/agents/{agent}/faucet", json={"amout": "1"})) == ["amout"]
    for constraints in ({"maxAmount": "1"}, {"limits": {"native:solana": {"x": "1"}}}):
        body = {"agentId": agent, "constraints": constraints}
        (path,) = issues(await api.operator("POST", "/v1/sessions", json=body))[:1]
        assert path.startswith("constraints.")
    body = {"type": "SPENDING_LIMIT", "rules": {"daily_max": "1"}}
    assert issues(await api.operator("POST", "/v1/policies", json=body))[0] == "rules.daily_max"
    assert issues(await caller.send(provenance={"who": "me"})) == ["provenance.who"]


async def test_null_is_absent_where_a_field_is_optional(api: Api, caller: Caller) -> None:
    agent = await api.make_agent(chain=None, network=None)
    assert (agent["chain"], agent["network"]) == ("solana", "localnet")
    made = await api.make_session(agent["id"], ttl=None, constraints=None, name=None)
    assert made["constraints"] is None
    assert (await caller.send(memo=None, provenance=None, type=None)).status_code == 201
    policy = {"agentId": None, "type": "SPENDING_LIMIT", "rules": {"daily_total": "9"}, "priority": None}
    assert (await api.operator("POST", "/v1/policies", json=policy | {"enabled": None})).status_code == 201


async def test_integers_are_json_integers(api: Api) -> None:
    for ttl in ("300", 300.0, True, [300]):
        assert issues(await api.operator("POST", "/v1/sessions", json={"agentId": NOBODY, "ttl": ttl})) == ["ttl"]


async def test_integers_of_a_query_are_decimal_text(api: Api) -> None:
    for limit in ("x", "1.0", "1e1", "+1", "0x1", "01 ", "٣"):
        assert issues(await api.operator("GET", "/v1/transactions", params={"limit": limit})) == ["limit"]


WRONG_QUERIES = [
    ("/v1/agents", {"status": "DEAD"}),
    ("/v1/agents", {"network": "moonnet"}),
    ("/v1/agents", {"cursor": "x"}),
    ("/v1/sessions", {"status": "dead"}),
    ("/v1/sessions", {"agentId": "x"}),
    ("/v1/sessions", {"limit": "1001"}),
    ("/v1/transactions", {"cursor": NOBODY[:-1]}),
    ("/v1/transactions", {"since": "yesterday"}),
    ("/v1/transactions", {"tier": "FAST"}),
    ("/v1/policies", {"enabled": "maybe"}),
    ("/v1/policies", {"type": "NO_SUCH"}),
]


async def test_a_query_is_refused_under_the_name_of_its_parameter(api: Api) -> None:
    for path, wrong in WRONG_QUERIES:
        assert issues(await api.operator("GET", path, params=wrong)) == list(wrong)


async def test_unknown_query_parameters_are_ignored(api: Api) -> None:
    assert (await api.operator("GET", "/v1/agents", params={"page": "x", "order": "up"})).status_code == 200


NO_OBJECTS = [b"{", b"[]", b'"a"', b"1", b"null", b'{"name":"a"} {}', b'{"name":NaN}', b'{"name":"\xff"}']


async def test_a_body_that_is_no_object_is_refused_as_a_whole(client: httpx.AsyncClient) -> None:
    for body in NO_OBJECTS:
        assert issues(await client.post("/v1/agents", content=body, headers=MASTER)) == [""]


async def test_the_place_of_an_issue_is_a_path_with_dots(api: Api, caller: Caller) -> None:
    assert issues(await caller.send(provenance={"runId": "x" * 201})) == ["provenance.runId"]
    rules = {"limits": {"native:solana": {"instant_max": "x"}}}
    answer = await api.operator("POST", "/v1/policies", json={"type": "SPENDING_LIMIT", "rules": rules})
    assert issues(answer)[0] == "rules.limits.native:solana.instant_max"


async def test_the_names_of_networks_that_older_clients_use_are_known(api: Api) -> None:
    assert (await api.make_agent(network="mainnet-beta"))["network"] == "mainnet"


async def test_expires_in_is_another_name_of_ttl(api: Api, caller: Caller) -> None:
    agent = caller.agent["id"]
    made = await api.make_session(agent, expiresIn=400)
    assert made["expiresAt"] - caller.session["expiresAt"] + 86400 in range(398, 403)
    assert (await api.make_session(agent, expiresIn=400, ttl=400))["id"]
    body = {"agentId": agent, "ttl": 400, "expiresIn": 401}
    assert issues(await api.operator("POST", "/v1/sessions", json=body)) == ["expiresIn"]


async def test_a_type_this_version_does_not_know_is_told_at_type(caller: Caller) -> None:
    for kind in ("transfer", "", "MINT", 1, ["TRANSFER"]):
        assert issues(await caller.send(to=RECIPIENT, type=kind)) == ["type"]
