"""kill -9 and SIGTERM at the worst moments: one effect on chain, nothing lost, nothing left lying about."""

import asyncio

import httpx
import pytest

from tests.process.conftest import served


async def cast(house) -> tuple[str, str]:
    """A token of Alice's and Bob's address; the daemon that made them is running."""
    daemon = await house.serve()
    alice, bob = await daemon.agent("alice"), await daemon.agent("bob")
    return await daemon.token(alice), bob["publicKey"]


def statuses(books) -> list[str]:
    return [tx["status"] for tx in books.transactions]


async def test_killed_right_after_201_it_pays_once(house):
    token, bob = await cast(house)
    sent = []
    for number in range(2):
        daemon = house._daemon
        sent.append(await daemon.send(token, bob, 1000 + number, key=str(number)))
        await daemon.kill()
        daemon = await house.serve()
        again = await daemon.send(token, bob, 1000 + number, key=str(number))
        assert again["id"] == sent[-1]["id"]
    for tx in sent:
        assert (await daemon.ended(token, tx["id"]))["status"] == "CONFIRMED"
    assert await daemon.stop() == 0
    assert statuses(await house.check()) == ["CONFIRMED"] * 2


async def caught_submitted(daemon, token: str, bob: str) -> tuple[str, int]:
    """A transaction seen SUBMITTED just now, and how many were sent for it: on a busy machine some are too quick."""
    for number in range(20):
        tx = await daemon.send(token, bob, 1000 + number)
        status = ""
        while status not in ("SUBMITTED", "CONFIRMED"):
            await asyncio.sleep(0.005)
            status = (await daemon.ask("GET", f"/v1/transactions/{tx['id']}", token=token))["status"]
        if status == "SUBMITTED":
            return tx["id"], number + 1
    raise AssertionError("no transaction was ever SUBMITTED")


async def test_killed_between_submitted_and_confirmed_it_pays_once(house):
    token, bob = await cast(house)
    tx_id, sent = await caught_submitted(house._daemon, token, bob)
    await house._daemon.kill()
    daemon = await house.serve()
    assert (await daemon.ended(token, tx_id))["attemptCount"] == 1
    assert await daemon.stop() == 0
    books = await house.check()
    assert statuses(books) == ["CONFIRMED"] * sent
    assert sum(row["event_type"] == "DAEMON_UNCLEAN_STOP" for row in books.audit) == 1


@pytest.mark.parametrize(
    ("method", "after"),
    [("sendTransaction", False), ("sendTransaction", True), ("getTransaction", True)],
    ids=["before the bytes arrive", "after they arrived", "after they landed"],
)
async def test_killed_while_it_talks_to_a_node_that_lives_on_it_pays_once(house, tmp_path, method, after):
    async with served(tmp_path / "chain") as (faults, url):
        house.settings["WAIAAS_RPC_SOLANA_LOCALNET"] = url
        token, bob = await cast(house)
        gate = faults.hold_reply(method) if after else faults.hold(method)
        tx = await house._daemon.send(token, bob, key="k")
        await gate.arrived.wait()
        await house._daemon.kill()
        gate.open()
        daemon = await house.serve()
        await daemon.ready()
        assert (await daemon.send(token, bob, key="k"))["id"] == tx["id"]
        assert (await daemon.ended(token, tx["id"]))["status"] == "CONFIRMED"
        assert await daemon.stop() == 0
        assert len(set(faults.sent)) == 1
        assert statuses(await house.check(tmp_path / "chain")) == ["CONFIRMED"]


@pytest.mark.parametrize(
    ("point", "made"),
    [
        ("commit INSERT INTO agents", False),
        ("rename keystore/", False),
        ("renamed keystore/", True),
        ("commit UPDATE agents SET status = CASE WHEN", True),
    ],
)
async def test_killed_while_an_agent_is_made_it_is_there_whole_or_not_at_all(house, point, made):
    daemon = await house.killed_at(point)
    with pytest.raises(httpx.TransportError):
        await daemon.agent("alice")
    assert await daemon.process.wait() == -9
    assert (len(house.key_files()), len(house.temporaries())) == (int(made), int(point.startswith("rename ")))
    daemon = await house.serve()
    found = (await daemon.ask("GET", "/v1/agents"))["items"]
    assert [agent["name"] for agent in found] == (["alice"] if made else [])
    other = await daemon.agent("bob")
    if made:
        await daemon.ask("POST", f"/v1/agents/{found[0]['id']}/faucet", json={})
        token = await daemon.token(found[0])
        tx = await daemon.send(token, other["publicKey"])
        assert (await daemon.ended(token, tx["id"]))["status"] == "CONFIRMED"
    assert await daemon.stop() == 0
    assert len((await house.check()).agents) == 1 + made


async def test_sigterm_in_the_middle_of_transfers_loses_nothing(house):
    token, bob = await cast(house)
    daemon = house._daemon
    sent = [await daemon.send(token, bob, 1000 + number) for number in range(12)]
    assert await daemon.stop() == 0
    books = await house.check()
    assert len(statuses(books)) == len(sent)
    assert "EXECUTING" not in statuses(books)
    assert books.audit[-1]["event_type"] == "DAEMON_STOPPED"
    daemon = await house.serve()
    for tx in sent:
        assert (await daemon.ended(token, tx["id"]))["status"] == "CONFIRMED"
    assert await daemon.stop() == 0
    books = await house.check()
    assert all(row["event_type"] != "DAEMON_UNCLEAN_STOP" for row in books.audit)


async def test_sigterm_while_a_node_holds_its_reply_finishes_what_is_signed(house, tmp_path):
    async with served(tmp_path / "chain") as (faults, url):
        house.settings["WAIAAS_RPC_SOLANA_LOCALNET"] = url
        token, bob = await cast(house)
        gate = faults.hold("sendTransaction")
        tx = await house._daemon.send(token, bob)
        await gate.arrived.wait()
        stopping = asyncio.create_task(house._daemon.stop())
        await asyncio.sleep(0.3)
        assert not stopping.done()
        gate.open()
        assert await stopping == 0
        (attempt,) = (await house.check(tmp_path / "chain")).attempts
        assert attempt["broadcasts"] == 1
        daemon = await house.serve()
        assert (await daemon.ended(token, tx["id"]))["status"] == "CONFIRMED"
        assert await daemon.stop() == 0
        assert statuses(await house.check(tmp_path / "chain")) == ["CONFIRMED"]
