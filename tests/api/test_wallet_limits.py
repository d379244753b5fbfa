"""What is left, as `GET /v1/wallet/limits` tells it: the same figures that the next send is judged by."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.api.client import NOBODY, RECIPIENT, Api, Caller, MovedClock, client_of, code
from tests.api.tokens import allow, made
from tests.conftest import OpenDaemon

SOL = 10**9
NATIVE = "native:solana"
HOUR, DAY = 3600, 86400


@pytest.fixture
def clock() -> MovedClock:
    return MovedClock()


@pytest.fixture
async def caller(open_daemon: OpenDaemon, clock: MovedClock) -> AsyncIterator[Caller]:
    async with open_daemon(clock=clock) as daemon, client_of(daemon) as client:
        yield await Api(client).make_caller()


async def limits(caller: Caller) -> Any:
    answer = await caller.request("GET", "/v1/wallet/limits")
    assert answer.status_code == 200, answer.text
    return answer.json()


async def child_of(caller: Caller, **constraints: Any) -> Caller:
    path = f"/v1/sessions/{caller.session['id']}/attenuate"
    session = (await caller.request("POST", path, json={"constraints": constraints})).json()
    return Caller(caller.api, caller.agent, {**session, "headers": {"Authorization": f"Bearer {session['token']}"}})


async def test_windows_tell_what_is_spent_set_aside_and_left(caller: Caller, clock: MovedClock) -> None:
    policy = await allow(caller, "SPENDING_LIMIT", {"hourly_total": str(5 * SOL), "daily_total": str(30 * SOL)})
    done = await made(caller, to=RECIPIENT, amount=str(2 * SOL))
    assert done["status"] == "CONFIRMED"
    told = await limits(caller)
    assert list(told) == ["agentId", "assets", "session"]
    (native,) = told["assets"]
    assert (native["asset"], native["allowances"]) == (NATIVE, [])
    hour, day = native["windows"]
    paid = 2 * SOL + int(done["fee"]["amount"])
    assert hour == {
        "kind": "hour",
        "limit": str(5 * SOL),
        "spent": str(paid),
        "reserved": "0",
        "remaining": str(5 * SOL - paid),
        "resetsAt": hour["resetsAt"],
        "policyId": policy["id"],
    }
    assert clock.now() - 60 < hour["resetsAt"] - HOUR <= clock.now()
    assert (day["kind"], day["spent"], day["resetsAt"]) == ("day", str(paid), hour["resetsAt"] - HOUR + DAY)
    clock.move(hour["resetsAt"] - clock.now())
    hour, day = (await limits(caller))["assets"][0]["windows"]
    assert (hour["spent"], hour["remaining"], hour["resetsAt"]) == ("0", str(5 * SOL), None)
    assert day["spent"] == str(paid)


async def test_what_waits_is_reserved_whatever_it_waits_for(caller: Caller) -> None:
    await allow(caller, "SPENDING_LIMIT", {"daily_total": str(20 * SOL)})
    assert (await caller.send(str(11 * SOL))).json()["status"] == "QUEUED"
    (day,) = (await limits(caller))["assets"][0]["windows"]
    assert (int(day["reserved"]) > 11 * SOL, day["spent"], day["resetsAt"]) == (True, "0", None)
    assert int(day["remaining"]) == 20 * SOL - int(day["reserved"])
    left = int(day["remaining"])
    assert code(await caller.send(str(left))) == (403, "SPENDING_LIMIT_EXCEEDED")


async def test_tokens_with_a_limit_or_an_open_allowance_are_told(caller: Caller) -> None:
    token = "solana:" + RECIPIENT
    await allow(caller, "SPENDING_LIMIT", {"limits": {token: {"weekly_total": "50", "monthly_total": "60"}}})
    other = "ethereum:0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
    body = {"type": "SPENDING_LIMIT", "rules": {"limits": {other: {"daily_total": "1"}}}}
    assert (await caller.api.operator("POST", "/v1/policies", json=body)).status_code == 201
    spender = "4Nd1mBQtrMJVYVfKf2PJy9NZUZdTAsp7D4xWLs4gDB4T"
    await allow(caller, "APPROVED_SPENDERS", {"spenders": [{"address": spender}]})
    await allow(caller, "APPROVE_AMOUNT_LIMIT", {"maxAmount": "40"})
    asked = {"address": RECIPIENT, "decimals": 6, "symbol": "TKN"}
    sent = await caller.request(
        "POST",
        "/v1/transactions/send",
        json={"type": "APPROVE", "spender": spender, "token": asked, "amount": "40"},
    )
    assert sent.json()["status"] == "QUEUED", sent.text
    native, listed = (await limits(caller))["assets"]
    assert (native["asset"], native["windows"]) == (NATIVE, [])
    assert (listed["asset"], listed["allowances"]) == (token, [{"spender": spender, "amount": "40"}])
    assert [(window["kind"], window["remaining"]) for window in listed["windows"]] == [("week", "10"), ("month", "20")]


async def test_a_session_is_told_what_the_tightest_above_it_leaves(caller: Caller) -> None:
    assert (await limits(caller))["session"] == {
        "maxTotalAmount": None,
        "spent": "0",
        "reserved": "0",
        "transactionsLeft": None,
    }
    top = Caller(
        caller.api,
        caller.agent,
        await caller.api.make_session(
            caller.agent["id"], constraints={"maxTotalAmount": str(40 * SOL), "maxTransactions": 4}
        ),
    )
    first = await child_of(top, maxTotalAmount=str(20 * SOL), maxTransactions=3)
    second = await child_of(top)
    assert (await second.send(str(25 * SOL))).status_code == 201
    assert (await first.send(str(11 * SOL))).status_code == 201
    assert (await limits(first))["session"] == {
        "maxTotalAmount": str(40 * SOL),
        "spent": "0",
        "reserved": str(36 * SOL),
        "transactionsLeft": 2,
    }
    assert code(await first.send(str(4 * SOL + 1))) == (403, "SESSION_LIMIT_EXCEEDED")


async def test_the_operator_names_the_agent_and_is_told_of_no_session(caller: Caller) -> None:
    answer = await caller.api.operator("GET", "/v1/wallet/limits", params={"agentId": caller.agent["id"]})
    assert answer.json() == {
        "agentId": caller.agent["id"],
        "assets": [{"asset": NATIVE, "windows": [], "allowances": []}],
        "session": None,
    }
    unknown = await caller.api.operator("GET", "/v1/wallet/limits", params={"agentId": NOBODY})
    assert code(unknown) == (404, "AGENT_NOT_FOUND")
