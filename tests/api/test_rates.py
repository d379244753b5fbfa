"""Rate limits: sliding windows, told on every response they count."""

from typing import Any

import httpx
import pytest

from tests.api.client import MASTER, Api, Caller, MovedClock, client_of, code
from tests.conftest import settings
from waiaas.app import Daemon


@pytest.fixture
def clock() -> MovedClock:
    return MovedClock()


def tally(answer: httpx.Response) -> tuple[int, int]:
    return int(answer.headers["x-ratelimit-limit"]), int(answer.headers["x-ratelimit-remaining"])


async def audited(daemon: Daemon, event: str) -> list[tuple[Any, ...]]:
    sql = "SELECT actor, details FROM audit_log WHERE event_type = :event ORDER BY id"
    return [tuple(row) for row in await daemon.core.db.fetch_all(sql, {"event": event})]


async def test_an_address_has_its_requests_a_minute(open_daemon, clock: MovedClock) -> None:
    config = settings(security={"rate_limit_global_ip_rpm": 3})
    async with open_daemon(config, clock=clock) as daemon, client_of(daemon) as client:
        tallies = [tally(await client.get("/v1/nonce")) for _ in range(2)]
        clock.move(30)
        tallies.append(tally(await client.get("/nowhere")))
        assert tallies == [(3, 2), (3, 1), (3, 0)]
        for _ in range(2):
            refused = await client.get("/v1/nonce")
            assert code(refused) == (429, "RATE_LIMITED")
        details = refused.json()["details"]
        assert (details["bucket"], details["limit"], details["windowSeconds"]) == ("ip", 3, 60)
        assert 28 <= details["retryAfter"] == int(refused.headers["retry-after"]) <= 30
        assert int(refused.headers["x-ratelimit-reset"]) - daemon.core.clock.now() in range(28, 32)
        assert refused.json()["retryable"] is True
        clock.move(31)
        assert [tally(await client.get("/v1/nonce")) for _ in range(2)] == [(3, 1), (3, 0)]
        assert (await client.get("/v1/nonce")).status_code == 429


async def test_the_tightest_bucket_is_told(open_daemon) -> None:
    config = settings(security={"rate_limit_session_rpm": 5, "rate_limit_tx_rpm": 1})
    async with open_daemon(config) as daemon, client_of(daemon) as client:
        caller = await Api(client).make_caller()
        assert tally(await caller.request("GET", "/v1/wallet/address")) == (5, 4)
        assert tally(await caller.send()) == (1, 0)
        refused = await caller.send()
        assert (code(refused), refused.json()["details"]["bucket"]) == ((429, "RATE_LIMITED"), "send")
        assert tally(await caller.request("GET", "/v1/wallet/address")) == (5, 1)


async def test_a_session_and_the_operator_have_buckets_of_their_own(open_daemon) -> None:
    config = settings(security={"rate_limit_session_rpm": 4})
    async with open_daemon(config) as daemon, client_of(daemon) as client, client_of(daemon, peer="10.0.0.9") as far:
        api = Api(client)
        caller = await api.make_caller()
        other = Caller(api, caller.agent, await api.make_session(caller.agent["id"]))
        assert (await api.operator("GET", "/v1/agents")).status_code == 200
        assert code(await api.operator("GET", "/v1/agents")) == (429, "RATE_LIMITED")
        assert (await far.get("/v1/agents", headers=MASTER)).status_code == 200
        answers = [(await caller.request("GET", "/v1/wallet/address")).status_code for _ in range(5)]
        assert answers == [200, 200, 200, 200, 429]
        assert (await other.request("GET", "/v1/wallet/address")).status_code == 200


async def test_zero_is_no_limit(open_daemon) -> None:
    off = {"rate_limit_global_ip_rpm": 0, "rate_limit_session_rpm": 0, "rate_limit_tx_rpm": 0}
    async with open_daemon(settings(security=off)) as daemon, client_of(daemon) as client:
        answer = await (await Api(client).make_caller()).send()
        assert answer.status_code == 201
        assert not [name for name in answer.headers if name.startswith("x-ratelimit")]


async def test_refusals_are_audited_once_a_bucket_and_minute(open_daemon, clock: MovedClock) -> None:
    config = settings(security={"rate_limit_tx_rpm": 1})
    async with open_daemon(config, clock=clock) as daemon, client_of(daemon) as client:
        caller = await Api(client).make_caller()
        for _ in range(4):
            await caller.send()
        rows = await audited(daemon, "RATE_LIMIT_EXCEEDED")
        assert rows == [(f"session:{caller.session['id']}", '{"bucket":"send","limit":1}')]
        clock.move(61)
        for _ in range(3):
            await caller.send()
        assert len(await audited(daemon, "RATE_LIMIT_EXCEEDED")) == 2
