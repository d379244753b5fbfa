"""The proxy does to a real client on a real socket what its weather says, and holds what it is told to hold."""

import asyncio
from typing import Any

import httpx
import msgspec
import pytest

from waiaas.cli.torture import faults
from waiaas.cli.torture.chance import Chance
from waiaas.cli.torture.exchange import Exchange, Reply
from waiaas.cli.torture.lies import Lie, foreign_hash
from waiaas.cli.torture.proxy import Proxy, Trap
from waiaas.cli.torture.weather import Weather


class Node:
    """Answers every call with its method, and counts."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    async def __call__(self, body: bytes) -> bytes:
        calls = msgspec.json.decode(body)
        replies = [self.reply(call) for call in (calls if isinstance(calls, list) else [calls])]
        return msgspec.json.encode(replies if isinstance(calls, list) else replies[0])

    def reply(self, call: dict[str, Any]) -> dict[str, Any]:
        self.seen.append(call["method"])
        return {"jsonrpc": "2.0", "id": call["id"], "result": call["method"]}


class Fixed(Weather):
    """One fault, for every exchange."""

    def __init__(self, fault: faults.Fault | None = None) -> None:
        super().__init__(Chance(1))
        self.fault = fault

    async def pass_on(self, endpoint: int, exchange: Exchange) -> Reply | None:
        if self.fault is None:
            return await super().pass_on(endpoint, exchange)
        return await self.fault(exchange, Chance(1))


@pytest.fixture
def node() -> Node:
    return Node()


@pytest.fixture
async def through(node):
    """A call through a proxy with some fault: (status, decoded body)."""
    weather, looked = Fixed(), []
    proxy = Proxy(0, node, weather, looked.append)
    async with proxy.serving(), httpx.AsyncClient(trust_env=False, timeout=2) as client:

        async def call(method: str = "getSlot", fault: faults.Fault | None = None) -> httpx.Response:
            weather.fault = fault
            return await client.post(proxy.url, json={"jsonrpc": "2.0", "id": 1, "method": method, "params": []})

        call.proxy, call.looked = proxy, looked  # type: ignore[attr-defined]
        yield call


async def test_in_good_weather_the_node_answers(through, node):
    for _ in range(2):
        assert (await through()).json()["result"] == "getSlot"
    assert node.seen == ["getSlot", "getSlot"]
    assert [call["method"] for call in through.looked] == ["getSlot", "getSlot"]


@pytest.mark.parametrize(("fault", "seen"), [(faults.lose_request, 0), (faults.lose_reply, 1), (faults.tear_reply, 1)])
async def test_a_broken_connection_is_a_transport_error(through, node, fault, seen):
    with pytest.raises(httpx.TransportError):
        await through(fault=fault)
    assert len(node.seen) == seen
    assert (await through()).status_code == 200


@pytest.mark.parametrize(
    ("fault", "status"),
    [(faults.bad_gateway, 502), (faults.too_many, 429), (faults.redirect, 307), (faults.answer_html, 200)],
)
async def test_a_refusal_has_its_status(through, fault, status):
    assert (await through(fault=fault)).status_code == status


async def test_the_node_may_do_it_twice(through, node):
    assert (await through(fault=faults.do_it_twice)).json()["result"] == "getSlot"
    assert node.seen == ["getSlot", "getSlot"]


async def test_the_node_may_fail_and_do_it(through, node):
    assert "error" in (await through(fault=faults.fail_and_do_it)).json()
    assert node.seen == ["getSlot"]


async def test_a_drip_takes_longer_than_anybody_waits(through):
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1):
            await through(fault=faults.drip)


async def test_a_lie_replaces_the_answer(node):
    call = {"jsonrpc": "2.0", "id": 7, "method": "sendTransaction", "params": ["AA=="]}
    told = await Lie("sendTransaction", foreign_hash).told(Exchange(node, msgspec.json.encode(call)))
    assert told[0]["id"] == 7
    assert told[0]["result"] != "sendTransaction"
    assert node.seen == ["sendTransaction"]


@pytest.mark.parametrize(("when", "seen"), [("before", []), ("after", ["getSlot"])])
async def test_a_trap_holds_the_call_until_the_caller_is_gone(through, node, when, seen):
    trap = through.proxy.trap = Trap("getSlot", when, 1)
    call = asyncio.create_task(through())
    async with asyncio.timeout(2):
        await trap.sprung.wait()
    assert node.seen == seen
    trap.open()
    with pytest.raises(httpx.TransportError):
        await call


async def test_a_trap_waits_for_the_nth_call(through, node):
    trap = through.proxy.trap = Trap("getSlot", "before", 3)
    await through()
    await through("getBalance")
    await through()
    assert not trap.sprung.is_set()
    call = asyncio.create_task(through())
    async with asyncio.timeout(2):
        await trap.sprung.wait()
    trap.open()
    with pytest.raises(httpx.TransportError):
        await call


async def test_who_follows_a_redirect_is_noticed(through):
    async with httpx.AsyncClient(trust_env=False, follow_redirects=True) as client:
        body = {"jsonrpc": "2.0", "id": 1, "method": "getSlot"}
        await client.post(through.proxy.url + faults.ELSEWHERE, json=body)
    assert through.proxy.followed == 1
