"""Boundaries, one below, at and above: B05, B06, B07."""

import pytest

from tests.api.client import RECIPIENT, Api, Caller, issues
from tests.api.tokens import make_evm_caller

LARGEST = 2**64 - 1


@pytest.mark.parametrize("ttl", [300, 604800])
async def test_b05_the_life_of_a_session_at_its_bounds(api: Api, ttl: int) -> None:
    agent = await api.make_agent()
    inside = 1 if ttl == 300 else -1
    for seconds in (ttl, ttl + inside):
        assert (await api.make_session(agent["id"], ttl=seconds))["token"]
    body = {"agentId": agent["id"], "ttl": ttl - inside}
    assert issues(await api.operator("POST", "/v1/sessions", json=body)) == ["ttl"]
    body = {"agentId": agent["id"], "expiresIn": ttl - inside}
    assert issues(await api.operator("POST", "/v1/sessions", json=body)) == ["expiresIn"]


async def test_b06_the_largest_amount_is_an_amount(caller: Caller) -> None:
    for digits in (str(LARGEST - 1), str(LARGEST), "0" * 50 + str(LARGEST)):
        answer = await caller.send(digits, distinct=True)
        # what the chain could carry is understood, and queued for the owner; that it is not there is found out later
        assert answer.status_code == 201
    assert issues(await caller.send(str(LARGEST + 1))) == ["amount"]
    assert issues(await caller.send("9" * 79)) == ["amount"]


ODD = ["+1", "1.0", "-1", "١", "", " 1", "1 ", "1e3", "0x1", "1_000", "１", "½", "1\n", "NaN", 1, 1.0, True]


async def test_b06_every_odd_spelling_of_an_amount_is_refused(caller: Caller) -> None:
    for spelling in ODD:
        assert issues(await caller.send(spelling)) == ["amount"], spelling


async def test_b07_a_memo_at_its_bounds(caller: Caller) -> None:
    for memo in ("x" * 255, "x" * 256, "é" * 256):
        assert (await caller.send(memo=memo)).status_code == 201
    for memo in ("x" * 257, "é" * 257, "€" * 171):
        assert issues(await caller.send(memo=memo)) == ["memo"]


async def test_b07_an_idempotency_key_at_its_bounds(caller: Caller) -> None:
    for key in ("k", "k" * 254, "k" * 255):
        assert (await caller.send(key=key)).status_code == 201
    for key in ("", "k" * 256):
        assert issues(await caller.send(key=key)) == ["Idempotency-Key"]


async def test_b07_a_wait_and_a_limit_at_their_bounds(caller: Caller) -> None:
    tx = (await caller.send("1", memo="y")).json()["id"]
    for wait in (0, 1, 59, 60):
        answer = await caller.request("GET", f"/v1/transactions/{tx}", params={"wait": wait})
        assert answer.status_code == 200
    for wait in (-1, 61):
        assert issues(await caller.request("GET", f"/v1/transactions/{tx}", params={"wait": wait})) == ["wait"]
    for limit in (1, 2, 99, 100):
        assert (await caller.request("GET", "/v1/transactions", params={"limit": limit})).status_code == 200
    for limit in (0, -1, 101):
        assert issues(await caller.request("GET", "/v1/transactions", params={"limit": limit})) == ["limit"]


async def test_b07_a_batch_at_its_bounds(caller: Caller) -> None:
    item = {"to": RECIPIENT, "amount": "1"}
    for count in (2, 3, 19, 20):
        body = {"type": "BATCH", "instructions": [item] * count}
        assert (await caller.request("POST", "/v1/transactions/send", json=body)).status_code == 201
    for count in (0, 1, 21):
        body = {"type": "BATCH", "instructions": [item] * count}
        assert issues(await caller.request("POST", "/v1/transactions/send", json=body)) == ["instructions"]


async def test_b06_the_largest_amount_of_an_evm_chain_is_an_amount(api: Api) -> None:
    caller = await make_evm_caller(api)
    to, largest = "0x" + "aa" * 20, 2**256 - 1
    for digits in (str(largest - 1), str(largest)):
        assert (await caller.send(digits, to=to)).status_code == 201
    assert issues(await caller.send(str(largest + 1), to=to)) == ["amount"]
