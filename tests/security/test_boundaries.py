"""Boundaries, one below, at and above: B03 to B10; those of texts and approvals are beside the owner's."""

from typing import Any

import pytest

from tests.api.client import RECIPIENT, Api, Caller, client_of, issues
from tests.api.tokens import make_evm_caller
from tests.conftest import PASSWORD
from tests.world import SOL, World
from waiaas.domain.event import Actor
from waiaas.domain.request import Batch, Transfer
from waiaas.errors import SpendingLimitExceeded
from waiaas.pipeline.requests.submit import submit
from waiaas.pipeline.waiting.release import Delays

LARGEST = 2**64 - 1
DAY = 86_400


@pytest.mark.parametrize(("later", "status"), [(299, 200), (300, 401), (301, 401)])
async def test_b03_a_token_is_good_until_the_second_before_its_exp(open_daemon, clock, later, status) -> None:
    async with open_daemon(clock=clock) as daemon, client_of(daemon) as client:
        api = Api(client)
        session = await api.make_session((await api.make_agent_while(clock))["id"], ttl=300)
        clock.move(session["expiresAt"] - 300 - clock.now() + later)
        answer = await client.get("/v1/wallet/address", headers=session["headers"])
        assert (answer.status_code, answer.json().get("code")) == (status, None if status == 200 else "TOKEN_EXPIRED")


@pytest.mark.parametrize("wall_is_off", [0, 901, -1], ids=["right", "ahead", "behind"])
async def test_b04_a_delay_of_900_seconds_is_over_at_its_last_second_on_both_clocks(world, core, wall_is_off) -> None:
    await world.limit(instant_max="0", notify_max="0", delay_max="1000000", delay_seconds=900)
    delays, tx = Delays(core), await world.send()
    await delays.tick()
    world.clock.step(wall_is_off)
    statuses = []
    for seconds in (899 - min(0, wall_is_off), 1):
        world.clock.move(seconds)
        await delays.tick()
        statuses.append((await world.row(tx)).status.value)
    assert statuses == ["QUEUED", "EXECUTING"]


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


@pytest.mark.parametrize(("past", "attempts"), [(-1, 1), (0, 1), (1, 2)], ids=["below", "at", "above"])
async def test_b09_bytes_are_dead_above_their_last_valid_height_and_not_before(world, core, past, attempts) -> None:
    world.faults.drop("sendTransaction", times=9)
    tx = await world.execute(await world.send())
    (attempt,) = await world.attempts(tx)
    assert attempt.last_valid_block_height is not None
    left = attempt.last_valid_block_height + past - await world.height()
    world.clock.move(left * 0.4)
    assert await world.height() == attempt.last_valid_block_height + past
    await world.confirm(0)
    assert len(await world.attempts(tx)) == attempts


async def test_b10_a_lockout_ends_after_thirty_minutes_to_the_second(open_daemon, clock) -> None:
    async def guess(password: str) -> int:
        return (await client.get("/v1/agents", headers={"X-Master-Password": password})).status_code

    async with open_daemon(clock=clock) as daemon, client_of(daemon) as client:
        assert [await guess("wrong") for _ in range(5)] == [401] * 4 + [429]
        clock.move(1799)
        assert await guess(PASSWORD) == 429
        clock.move(1)
        assert await guess(PASSWORD) == 200


async def test_b10_what_was_spent_leaves_its_window_to_the_second(world, core) -> None:
    await world.limit(hourly_total=str(SOL * 3 // 2))
    await world.pay(SOL)
    world.clock.move(3599)
    with pytest.raises(SpendingLimitExceeded):
        await world.send(SOL)
    world.clock.move(1)
    await world.pay(SOL)


async def test_b10_a_key_is_replayed_until_seven_days_after_the_end(world, core) -> None:
    first = (await world.ask(key="k")).tx
    await world.cancel(first)
    world.clock.move(7 * DAY - 1)
    session = await world.issue()
    assert (await world.ask(key="k", session=session)).replayed
    world.clock.move(1)
    second = await world.ask(key="k", session=session)
    assert (second.replayed, second.tx.id != first.id) == (False, True)
    world.clock.move(1)
    assert (await world.ask(key="k", session=session)).tx.id == second.tx.id


async def test_b08_a_solana_transaction_has_1232_bytes_and_not_one_more(world: World, core: Any) -> None:
    async def sent(size: int) -> Any:
        """A batch of three payments whose memos have so many characters in all."""
        memos = ("x" * 300, "x" * 300, "x" * (size - 600))
        payments = tuple(Transfer(world.bob.public_key, "1000", memo) for memo in memos)
        actor = Actor(f"session:{world.session.id}")
        accepted = await submit(
            core, world.alice, world.session, Batch(payments), key=None, distinct=True, provenance=None, actor=actor
        )
        return await world.execute(accepted.tx)

    (first,) = await world.attempts(await sent(750))
    room = 1232 - len(first.raw) + 750
    for size in (room - 1, room):
        (attempt,) = await world.attempts(await sent(size))
        assert len(attempt.raw) == 1232 - room + size
    refused = await sent(room + 1)
    assert (refused.status.value, refused.error_code) == ("FAILED", "TRANSACTION_TOO_LARGE")
    assert await world.attempts(refused) == []
    assert {state for state, _ in (await world.booked(refused)).values()} == {"RELEASED"}
    await world.confirm()
