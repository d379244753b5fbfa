"""A candidate policy over stored requests: what would flip, as if it had been in force then; nothing is written."""

from typing import Any

import pytest

from tests.api.client import NOBODY, RECIPIENT, Api, Caller, MovedClock, client_of, code, issues
from tests.api.tables import everything
from tests.api.tokens import allow
from waiaas.app import Daemon

SOL = 10**9
REPLAY = "/v1/policies/replay"
OTHER = "4Nd1mYQ2tSz2wyhU7EzAJ6TzDwDnKMmeYBnbwPVxVLhq"


async def replayed(api: Api, *changes: dict[str, Any], **more: Any) -> dict[str, Any]:
    answer = await api.operator("POST", REPLAY, json={"changes": list(changes), **more})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def add(kind: str, rules: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"op": "add", "policy": {"type": kind, "rules": rules, **more}}


async def the_seed(api: Api) -> str:
    """The id of the global limit that a new wallet has."""
    found: str = (await api.operator("GET", "/v1/policies")).json()[0]["id"]
    return found


async def sent(caller: Caller, *amounts: int, **more: Any) -> list[str]:
    """The ids of sends, denied ones too."""
    found = []
    for amount in amounts:
        told = (await caller.send(str(amount), distinct=True, **more)).json()
        found.append(told["id"] if "id" in told else told["details"]["transactionId"])
    return found


def flipped(answer: dict[str, Any]) -> list[str]:
    return [flip["transactionId"] for flip in answer["flips"]]


async def test_a_replay_of_nothing_new_flips_nothing_and_writes_nothing(
    api: Api, caller: Caller, daemon: Daemon, data: Any
) -> None:
    await sent(caller, SOL, 2 * SOL, 30 * SOL, 20 * SOL, 10**12)
    await sent(caller, SOL, to=OTHER)
    before = everything(data)
    seed = await the_seed(api)
    answer = await replayed(api, {"op": "update", "id": seed, "priority": 5})
    assert (answer["evaluated"], answer["flips"], answer["truncated"]) == (6, [], False)
    assert answer["allowed"]["was"] == answer["allowed"]["now"]
    assert answer["tiers"]["was"] == answer["tiers"]["now"]
    assert everything(data)["policies"] == before["policies"]
    assert everything(data)["key_value_store"] == before["key_value_store"]


async def test_exactly_what_the_rule_touches_flips(api: Api, caller: Caller) -> None:
    listed = await sent(caller, 10**6, 2 * 10**6)
    unlisted = await sent(caller, 10**6, 2 * 10**6, to=OTHER)
    answer = await replayed(api, add("WHITELIST", {"allowed_addresses": [RECIPIENT]}))
    assert flipped(answer) == unlisted
    assert not set(listed) & set(flipped(answer))
    assert answer["flips"][0]["was"] == {"outcome": "allow", "tier": "INSTANT", "code": None}
    assert answer["flips"][0]["now"] == {"outcome": "deny", "tier": None, "code": "WHITELIST_DENIED", "policyId": None}
    assert answer["allowed"] == {"was": 4, "now": 2}


async def test_the_candidates_own_spends_count_and_what_it_refuses_does_not(api: Api, caller: Caller) -> None:
    first, second, third = await sent(caller, 3 * SOL, 3 * SOL, 2 * SOL)
    cap = {"daily_total": str(5 * SOL + 20_000_000)}
    answer = await replayed(api, add("SPENDING_LIMIT", cap))
    assert flipped(answer) == [second]
    assert answer["flips"][0]["now"]["code"] == "SPENDING_LIMIT_EXCEEDED"
    assert {first, third} & set(flipped(answer)) == set()


async def test_what_had_been_denied_counts_as_requested_once_the_candidate_allows_it(api: Api, caller: Caller) -> None:
    policy = await allow(caller, "SPENDING_LIMIT", {"per_transaction": str(2 * SOL)})
    denied, passed, also = await sent(caller, 3 * SOL, 2 * SOL, 2 * SOL)
    wider = {"op": "update", "id": policy["id"], "rules": {"daily_total": str(5 * SOL + 20_000_000)}}
    answer = await replayed(api, wider)
    assert flipped(answer) == [denied, also]
    assert [flip["now"]["outcome"] for flip in answer["flips"]] == ["allow", "deny"]
    assert answer["flips"][1]["now"]["policyId"] == policy["id"]
    assert passed not in flipped(answer)
    gone = await replayed(api, {"op": "remove", "id": policy["id"]})
    assert flipped(gone) == [denied]


async def test_each_request_is_judged_at_its_own_time(open_daemon: Any) -> None:
    clock = MovedClock()
    async with open_daemon(clock=clock) as daemon, client_of(daemon) as client:
        api = Api(client)
        caller = await api.make_caller()
        ids = []
        for _ in range(4):
            ids += await sent(caller, 10**9)
            clock.move(35)
        rate = add("RATE_LIMIT", {"max_requests": 1, "window_seconds": 60})
        assert flipped(await replayed(api, rate)) == [ids[1], ids[3]]
        window = add("SPENDING_LIMIT", {"hourly_total": str(3 * 10**9)})
        assert flipped(await replayed(api, window)) == [ids[2], ids[3]]
        third = (await caller.request("GET", f"/v1/transactions/{ids[2]}")).json()["createdAt"]
        later = await replayed(api, window, since=third)
        assert (later["evaluated"], flipped(later)) == (2, [ids[2], ids[3]])
        assert (await replayed(api, window, until=third))["evaluated"] == 2
        newest = await replayed(api, rate, limit=1)
        assert (newest["evaluated"], flipped(newest)) == (1, [ids[3]])


async def test_a_session_keeps_its_limits_in_the_past(api: Api) -> None:
    caller = await api.make_caller(maxTotalAmount="3000000", maxTransactions=3)
    ids = await sent(caller, 2 * 10**6, 2 * 10**6, 10**6, 0)
    assert flipped(await replayed(api, {"op": "update", "id": await the_seed(api), "priority": 1})) == []
    answer = await replayed(api, add("SPENDING_LIMIT", {"per_transaction": str(10**6)}))
    assert flipped(answer) == [ids[0], ids[1]]
    assert [flip["now"]["code"] for flip in answer["flips"]] == ["SPENDING_LIMIT_EXCEEDED"] * 2


async def test_tiers_flip_too(api: Api, caller: Caller) -> None:
    ids = await sent(caller, 10**6, 2 * 10**6)
    bounds = {"instant_max": str(10**6), "notify_max": str(10**9), "delay_max": str(10**10)}
    answer = await replayed(api, add("SPENDING_LIMIT", bounds, agentId=caller.agent["id"]))
    assert flipped(answer) == [ids[1]]
    assert answer["tiers"]["now"] == {"INSTANT": 1, "NOTIFY": 1, "DELAY": 0, "APPROVAL": 0}


async def test_an_agent_is_judged_by_its_own_history(api: Api, caller: Caller) -> None:
    other = await api.make_caller()
    mine, theirs = await sent(caller, SOL), await sent(other, SOL)
    cap = add("SPENDING_LIMIT", {"daily_total": "1"})
    assert flipped(await replayed(api, cap)) == [*mine, *theirs]
    assert flipped(await replayed(api, cap, agentId=other.agent["id"])) == theirs
    own = add("SPENDING_LIMIT", {"daily_total": "1"}, agentId=caller.agent["id"])
    assert flipped(await replayed(api, own)) == mine


@pytest.mark.parametrize(
    ("change", "issue"),
    [
        ({"op": "add"}, "changes.0.policy"),
        ({"op": "burn", "id": NOBODY}, "changes.0.op"),
        ({"op": "remove", "id": "x"}, "changes.0.id"),
        ({"op": "remove", "id": NOBODY, "rules": {}}, "changes.0.rules"),
        (add("WHITELIST", {"allowed_addresses": ["x"], "extra": 1}), "changes.0.policy.rules.extra"),
        (add("SPENDING_LIMIT", {"instant_max": "5"}), "changes.0.policy.rules.notify_max"),
        (add("SPENDING_LIMIT", {"daily_total": "5"}, override=True), "changes.0.policy.override"),
        (add("NONSENSE", {}), "changes.0.policy.type"),
    ],
)
async def test_a_candidate_that_cannot_be_is_refused_at_its_field(api: Api, change: dict[str, Any], issue: str) -> None:
    assert issue in issues(await api.operator("POST", REPLAY, json={"changes": [change]}))


async def test_what_is_not_there_is_said_so(api: Api) -> None:
    missing = {"op": "remove", "id": NOBODY}
    assert code(await api.operator("POST", REPLAY, json={"changes": [missing]})) == (404, "POLICY_NOT_FOUND")
    cap = add("SPENDING_LIMIT", {"daily_total": "1"}, agentId=NOBODY)
    assert code(await api.operator("POST", REPLAY, json={"changes": [cap]})) == (404, "AGENT_NOT_FOUND")
    seed = await the_seed(api)
    empty = {"op": "update", "id": seed}
    assert issues(await api.operator("POST", REPLAY, json={"changes": [empty]})) == ["changes.0"]
    twice = [{"op": "remove", "id": seed}, {"op": "remove", "id": seed}]
    assert code(await api.operator("POST", REPLAY, json={"changes": twice})) == (404, "POLICY_NOT_FOUND")
    for body in ({}, {"changes": []}, {"changes": [missing] * 21}):
        assert issues(await api.operator("POST", REPLAY, json=body)) == ["changes"]
    for limit in (0, 5001):
        body = {"changes": [missing], "limit": limit}
        assert issues(await api.operator("POST", REPLAY, json=body)) == ["limit"]
