"""The kill switch: K01 to K07."""

import asyncio
import time
from typing import Any

import httpx
import pytest

from tests.api.client import MASTER, NOBODY, Api, Caller, MovedClock, client_of, code, issues
from tests.conftest import settings
from tests.owners import Owned, SolanaWallet, Wallet, make_owned, shown
from tests.world import SOL, Between, World
from waiaas.api.routes import ROUTES
from waiaas.app import Daemon
from waiaas.db import Statement
from waiaas.domain.agent import AgentStatus
from waiaas.domain.switch import KillSwitchState
from waiaas.domain.transaction import Status
from waiaas.errors import ConstraintFailed, KillSwitchActive, StorageFull
from waiaas.pipeline.core import Core
from waiaas.pipeline.stops import suspend
from waiaas.pipeline.stops import switch as steps
from waiaas.repositories import agents, attempts, sessions, switch

DELAYED = 11 * SOL
SWITCH = "/v1/admin/kill-switch"
RECOVER = "/v1/admin/recover"
#: answered while the switch is on
OPEN = {
    ("GET", "/health"),
    ("GET", "/ready"),
    ("GET", "/metrics"),
    ("GET", "/v1/admin/status"),
    ("GET", SWITCH),
    ("POST", RECOVER),
}
#: the same once recovery has begun
REOPENED = {("POST", SWITCH), ("GET", f"{SWITCH}/message")}


async def throw(api: Api, **body: Any) -> dict[str, Any]:
    answer = await api.operator("POST", SWITCH, json=body)
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


# --- K01 ------------------------------------------------------------------------------------------


async def test_k01_everything_but_the_open_entries_is_closed_before_path_and_guard(api: Api, caller: Caller) -> None:
    at = (await throw(api))["activatedAt"]
    headers = {**MASTER, **caller.headers}
    for method, path in {(route.method, route.path) for route in ROUTES} - OPEN | {("GET", "/x"), ("PUT", "/health")}:
        for given in (headers, {}, {"X-Master-Password": "wrong"}):
            answer = await api.client.request(method, path.replace("{id}", NOBODY), headers=given)
            assert code(answer) == (409, "KILL_SWITCH_ACTIVE"), path
            assert answer.json()["details"] == {"activatedAt": at}
    for method, path in OPEN - {("POST", RECOVER)}:
        assert (await api.client.request(method, path, headers=headers)).status_code == 200, path
        assert (await api.client.request("HEAD", path, headers=headers)).status_code == 200, path
    for path in ("/admin", "/admin/style.css"):
        assert code(await api.client.get(path)) == (404, "ROUTE_NOT_FOUND")
    assert (await api.operator("GET", "/v1/admin/status")).json()["killSwitchState"] == "ACTIVATED"
    assert (await api.operator("POST", RECOVER)).status_code == 200


async def test_k01_a_begun_recovery_is_as_closed_but_for_throwing_it_again(open_daemon: Any) -> None:
    config = settings(security={"kill_switch_recovery_cooldown": 60})
    async with open_daemon(config) as daemon, client_of(daemon) as client:
        api = Api(client)
        await throw(api)
        assert (await api.operator("POST", RECOVER)).status_code == 202
        for method, path in {(route.method, route.path) for route in ROUTES} - OPEN - REOPENED | {("GET", "/x")}:
            answer = await api.operator(method, path.replace("{id}", NOBODY))
            assert code(answer) == (409, "KILL_SWITCH_ACTIVE"), path
        assert (await throw(api))["state"] == "ACTIVATED"


# --- K02 ------------------------------------------------------------------------------------------


async def test_k02_the_first_reason_and_actor_are_kept(api: Api, daemon: Daemon) -> None:
    off = {"state": "NORMAL", "activatedAt": None, "activatedBy": None, "eligibleAt": None}
    assert (await api.client.get(SWITCH)).json() == off
    at = (await throw(api, reason="first"))["activatedAt"]
    assert code(await api.operator("POST", SWITCH, json={"reason": "second"})) == (409, "KILL_SWITCH_ACTIVE")
    found = await switch.get(daemon.core.db)
    assert (found.reason, found.activated_by, found.generation) == ("first", "operator", 1)
    on = {"state": "ACTIVATED", "activatedAt": at, "activatedBy": "master", "eligibleAt": None}
    assert (await api.client.get(SWITCH)).json() == on
    await api.operator("POST", RECOVER)
    assert (await api.client.get(SWITCH)).json() == off


async def test_k02_many_at_once_are_one(api: Api, daemon: Daemon) -> None:
    answers = await asyncio.gather(*(api.operator("POST", SWITCH, json={"reason": str(n)}) for n in range(8)))
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 7
    assert len(await daemon.core.db.fetch_all("SELECT 1 FROM outbox WHERE event_type = 'KILL_SWITCH_ACTIVATED'")) == 1
    answers = await asyncio.gather(*(api.operator("POST", RECOVER) for _ in range(8)))
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 7
    assert {code(answer)[1] for answer in answers if answer.status_code == 409} == {"KILL_SWITCH_NOT_ACTIVE"}


async def test_k02_what_is_off_cannot_be_lifted_and_a_wrong_password_lifts_nothing(api: Api) -> None:
    assert code(await api.operator("POST", RECOVER)) == (409, "KILL_SWITCH_NOT_ACTIVE")
    for bad in ("", "x" * 501):
        assert issues(await api.operator("POST", SWITCH, json={"reason": bad})) == ["reason"]
    await throw(api, reason="x" * 500)
    answer = await api.client.post(RECOVER, headers={"X-Master-Password": "wrong"})
    assert code(answer) == (401, "INVALID_MASTER_PASSWORD")
    assert (await api.client.get(SWITCH)).json()["state"] == "ACTIVATED"


async def test_k02_a_cooldown_is_waited_for(open_daemon: Any) -> None:
    clock = MovedClock()
    config = settings(security={"kill_switch_recovery_cooldown": 600})
    async with open_daemon(config, clock=clock) as daemon, client_of(daemon) as client:
        api = Api(client)
        await throw(api)
        begun = await api.operator("POST", RECOVER)
        told = begun.json()
        assert (begun.status_code, told["state"], told["retryAfter"]) == (202, "RECOVERING", 600)
        assert begun.headers["retry-after"] == "600"
        shown = (await client.get(SWITCH)).json()
        assert (shown["state"], shown["eligibleAt"]) == ("ACTIVATED", told["eligibleAt"])
        early = await api.operator("POST", RECOVER)
        assert (code(early), early.json()["retryable"]) == ((409, "RECOVERY_WAIT_REQUIRED"), True)
        assert early.json()["details"]["eligibleAt"] == told["eligibleAt"]
        assert 0 < int(early.headers["retry-after"]) <= 600
        clock.move(600)
        done = await api.operator("POST", RECOVER)
        assert (done.status_code, done.json()["state"]) == (200, "NORMAL")
        assert done.json()["recoveredAt"] >= told["eligibleAt"]


# --- K03 ------------------------------------------------------------------------------------------

BROKEN = {
    "kill_switch": "UPDATE ON kill_switch",
    "sessions": "UPDATE ON sessions",
    "transactions": "UPDATE OF status ON transactions",
    "ledger": "UPDATE ON spend_ledger",
    "agents": "UPDATE OF status ON agents",
    "audit": "INSERT ON audit_log WHEN NEW.event_type = 'KILL_SWITCH_ACTIVATED'",
    "event": "INSERT ON outbox WHEN NEW.event_type = 'KILL_SWITCH_ACTIVATED'",
}
STATE = """
SELECT (SELECT state || generation FROM kill_switch) AS switch, (SELECT group_concat(status) FROM agents) AS agents,
       (SELECT group_concat(COALESCE(revoked_at, '-')) FROM sessions) AS sessions,
       (SELECT group_concat(status) FROM transactions) AS rows, (SELECT group_concat(state) FROM spend_ledger) AS money,
       (SELECT COUNT(*) FROM audit_log) AS audited, (SELECT COUNT(*) FROM outbox) AS events
"""


async def test_k03_one_statement_that_fails_leaves_everything_as_it_was(world: World, core: Core) -> None:
    await world.send(1)
    await world.send(DELAYED)
    before = tuple(await core.db.fetch_one(STATE) or ())
    for name, place in BROKEN.items():
        trigger = f"CREATE TRIGGER broken BEFORE {place} BEGIN SELECT RAISE(ABORT, 'broken'); END"
        await core.db.commit(Statement(trigger, expect=None))
        with pytest.raises(ConstraintFailed, match="broken"):
            await world.activate()
        await core.db.commit(Statement("DROP TRIGGER broken", expect=None))
        assert tuple(await core.db.fetch_one(STATE) or ()) == before, name
        assert not (await core.switch.get("")).is_on, name
    assert (await world.activate()).counts.transactions_cancelled == 2


async def test_k03_very_many_rows_are_one_commit(world: World, core: Core) -> None:
    for amount in range(150):
        await world.send(amount)
    committed = core.db.lists_committed
    began = time.perf_counter()
    done = await world.activate()
    assert (done.counts.transactions_cancelled, core.db.lists_committed - committed) == (150, 1)
    assert time.perf_counter() - began < 1


# --- K04 ------------------------------------------------------------------------------------------


async def test_k04_a_silent_node_does_not_delay_it(world: World) -> None:
    async with world.open_daemon():
        gate = world.faults.hold("getLatestBlockhash")
        tx = await world.send(1)
        await gate.arrived.wait()
        began = time.perf_counter()
        await world.activate()
        assert time.perf_counter() - began < 1
        gate.open()
        row = await world.ended(tx)
        assert (row.status, row.error_code) == (Status.FAILED, "KILL_SWITCH")
    assert world.faults.sent == []


async def test_k04_a_full_disk_holds_it_in_memory_says_so_and_stores_it_later(
    api: Api, caller: Caller, daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = daemon.core.db.commit
    # a wrong password before the right one must be forgotten, which the disk does not take either
    assert (await api.client.post(SWITCH, headers={"X-Master-Password": "wrong"})).status_code == 401

    async def full(*statements: Statement) -> None:
        raise StorageFull

    monkeypatch.setattr(daemon.core.db, "commit", full)
    told = await throw(api, reason="a leak")
    assert (told["state"], told["stored"], told["agentsSuspended"]) == ("ACTIVATED", False, 0)
    assert code(await caller.send()) == (409, "KILL_SWITCH_ACTIVE")
    health = (await api.client.get("/health")).json()
    assert (health["status"], health["checks"]["keystore"]) == ("locked", "locked")
    assert any("in memory only" in warning for warning in health["warnings"])
    assert (await api.client.get(SWITCH)).json()["state"] == "ACTIVATED"
    assert code(await api.operator("POST", RECOVER)) == (503, "STORAGE_UNAVAILABLE")
    assert not daemon.core.keystore.usable(caller.agent["id"])
    monkeypatch.setattr(daemon.core.db, "commit", commit)
    await steps.try_to_store(daemon.core)
    found = await switch.get(daemon.core.db)
    assert (found.state, found.reason, found.activated_at) == (
        KillSwitchState.ACTIVATED,
        "a leak",
        told["activatedAt"],
    )
    assert (await agents.get(daemon.core.db, caller.agent["id"])).status is AgentStatus.SUSPENDED


# --- K05 ------------------------------------------------------------------------------------------


async def test_k05_between_decision_and_signing_it_fails_without_a_signature(world: World, core: Core) -> None:
    tx = await world.send()

    async def activate() -> None:
        await world.activate()

    world.faults.before("getLatestBlockhash", activate)
    row = await world.execute(tx)
    assert (row.status, row.error_code) == (Status.FAILED, "KILL_SWITCH")
    assert world.stored_bytes() == world.faults.sent == []


async def test_k05_between_signing_and_its_commit_the_signature_is_dropped(world: World, core: Core) -> None:
    tx = await world.send()
    core.db = Between(core.db, attempts.INSERT, before=world.activate)  # type: ignore[assignment]
    row = await world.execute(tx)
    assert (row.status, row.error_code) == (Status.FAILED, "KILL_SWITCH")
    assert world.stored_bytes() == world.faults.sent == []


async def test_k05_what_is_signed_is_listed_never_cancelled_and_not_sent_again(world: World, core: Core) -> None:
    tx = await world.send()
    world.faults.drop("sendTransaction")
    await world.execute(tx)
    sent = len(world.faults.sent)
    (line,) = (await world.activate()).in_flight
    assert (line.id, line.tx_hash) == (tx.id, (await world.row(tx)).tx_hash)
    for _ in range(3):
        await world.confirm(10)
    assert (await world.row(tx)).status is Status.SUBMITTED
    assert len(world.faults.sent) == sent
    await world.recover()
    await world.confirm()
    await world.confirm()
    assert (await world.row(tx)).status is Status.CONFIRMED


async def test_k05_nothing_is_made_dearer_while_it_is_on(caller: Caller) -> None:
    sent = (await caller.send(str(DELAYED))).json()
    await throw(caller.api)
    for verb in ("speed-up", "cancel"):
        answer = await caller.api.operator("POST", f"/v1/transactions/{sent['id']}/{verb}")
        assert code(answer) == (409, "KILL_SWITCH_ACTIVE")


# --- K06 ------------------------------------------------------------------------------------------


async def test_k06_tokens_from_before_stay_dead(api: Api, caller: Caller) -> None:
    await throw(api)
    done = (await api.operator("POST", RECOVER)).json()
    assert (done["state"], done["agentsResumed"]) == ("NORMAL", 1)
    assert code(await caller.send()) == (401, "SESSION_REVOKED")
    fresh = await api.make_session(caller.agent["id"])
    assert (await api.client.get("/v1/wallet/address", headers=fresh["headers"])).status_code == 200


async def test_k06_only_what_the_switch_stopped_acts_again(world: World, core: Core) -> None:
    await suspend.suspend(core, world.bob.id, world.operator)
    await world.activate()
    with pytest.raises(KillSwitchActive):
        await suspend.resume(core, world.bob.id, world.operator)
    done = await world.recover()
    assert isinstance(done, steps.Recovered)
    assert done.agents_resumed == 1
    assert (await agents.get(core.db, world.alice.id)).suspension_reason is None
    bob = await agents.get(core.db, world.bob.id)
    assert (bob.status, bob.suspension_reason) == (AgentStatus.SUSPENDED, "manual")
    assert await sessions.count_active(core.db, world.clock.now()) == 0


# --- K07 ------------------------------------------------------------------------------------------


async def test_k07_after_a_restart_it_is_on_follows_and_signs_nothing(world: World) -> None:
    async with world.open_core() as core:
        signed = await world.execute(await world.send(1))
        await world.activate()
        sent = list(world.faults.sent)
    world.time_passes()
    async with world.open_daemon() as daemon, client_of(daemon) as client:
        assert (await client.get(SWITCH)).json()["state"] == "ACTIVATED"
        assert code(await client.get("/v1/nonce")) == (409, "KILL_SWITCH_ACTIVE")
        assert (await client.get("/ready")).status_code in (200, 503)
        assert (await world.ended(signed)).status is Status.CONFIRMED
        assert world.faults.sent == sent
        assert not daemon.core.keystore.usable(world.alice.id)
        core = daemon.core
        assert isinstance(await world.recover(), steps.Recovered)
        assert core.keystore.usable(world.alice.id)


# --- thrown by an owner ---------------------------------------------------------------------------


async def own(caller: Caller, wallet: Wallet) -> None:
    owned = Owned(caller, wallet)
    assert (await owned.own()).status_code == 200


async def text_for(client: httpx.AsyncClient, wallet: Wallet) -> str:
    answer = await client.get(f"{SWITCH}/message", params={"address": wallet.address})
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert (told["action"], told["subjectId"], told["agentId"]) == ("activate_kill_switch", "daemon", None)
    message: str = told["message"]
    return message


async def test_k02_the_owner_of_any_agent_throws_it_and_is_named(caller: Caller, daemon: Daemon) -> None:
    client, wallet = caller.api.client, SolanaWallet()
    await own(caller, wallet)
    headers = shown(wallet, await text_for(client, wallet))
    answer = await client.post(SWITCH, headers=headers, json={"reason": "stolen"})
    assert (answer.status_code, answer.json()["agentsSuspended"]) == (200, 1)
    assert (await client.get(SWITCH)).json()["activatedBy"] == "owner"
    found = await switch.get(daemon.core.db)
    assert (found.activated_by, found.reason) == (f"owner:{wallet.address}", "stolen")
    assert (await agents.get(daemon.core.db, caller.agent["id"])).owner_state == "GRACE"
    assert code(await client.post(RECOVER, headers=headers)) == (401, "INVALID_MASTER_PASSWORD")


async def test_k02_a_signature_for_it_is_good_once_and_by_an_owner_only(caller: Caller, daemon: Daemon) -> None:
    client, wallet, stranger = caller.api.client, SolanaWallet(), SolanaWallet(2)
    answer = await client.get(f"{SWITCH}/message", params={"address": wallet.address})
    assert code(answer) == (404, "OWNER_NOT_CONNECTED")
    for odd in ({}, {"address": "x"}, {"address": "0x12"}):
        assert issues(await client.get(f"{SWITCH}/message", params=odd)) == ["address"]
    await own(caller, wallet)
    text = await text_for(client, wallet)
    for wrong in (shown(stranger, text), {"X-Owner-Address": wallet.address}, shown(wallet, text, stranger.sign(text))):
        assert code(await client.post(SWITCH, headers=wrong)) == (401, "INVALID_SIGNATURE")
        assert not (await daemon.core.switch.get("")).is_on
    assert code(await client.post(SWITCH, headers=shown(wallet, text))) == (401, "INVALID_NONCE")
    good = shown(wallet, await text_for(client, wallet))
    assert code(await client.post(SWITCH, headers={**good, "X-Master-Password": "wrong"})) == (
        401,
        "INVALID_MASTER_PASSWORD",
    )
    assert (await client.post(SWITCH, headers=good)).status_code == 200
    assert (await caller.api.operator("POST", RECOVER)).status_code == 200
    assert code(await client.post(SWITCH, headers=good)) == (401, "INVALID_NONCE")


async def test_k02_who_asks_for_texts_in_an_owners_place_makes_void_none_of_the_owners(caller: Caller) -> None:
    client, wallet = caller.api.client, SolanaWallet()
    await own(caller, wallet)
    headers = shown(wallet, await text_for(client, wallet))
    for _ in range(30):
        await text_for(client, wallet)
    assert (await client.post(SWITCH, headers=headers)).status_code == 200


async def test_k02_a_text_for_another_act_does_not_throw_it(caller: Caller, daemon: Daemon) -> None:
    client, wallet = caller.api.client, SolanaWallet()
    owned = await make_owned(caller, wallet, locked=False)
    tx = (await owned.send())["id"]
    for action in ("approve", "reject"):
        answer = await client.post(SWITCH, headers=await owned.signed(tx, action))
        assert code(answer) == (401, "INVALID_SIGNATURE")
    answer = await owned.decide(tx, shown(wallet, await text_for(client, wallet)))
    assert code(answer) == (401, "INVALID_SIGNATURE")
    assert not (await daemon.core.switch.get("")).is_on
    await owned.decide(tx, await owned.signed(tx, "reject"), "reject")


async def test_k02_the_owner_of_a_terminated_agent_throws_nothing(caller: Caller) -> None:
    client, wallet = caller.api.client, SolanaWallet()
    await own(caller, wallet)
    headers = shown(wallet, await text_for(client, wallet))
    await caller.api.operator("DELETE", f"/v1/agents/{caller.agent['id']}")
    assert code(await client.post(SWITCH, headers=headers)) == (401, "INVALID_SIGNATURE")
