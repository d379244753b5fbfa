"""Health, readiness, nonces."""

import httpx

from tests.api.client import Api, client_of
from tests.conftest import settings
from waiaas import __version__
from waiaas.app import Daemon
from waiaas.db import Statement
from waiaas.domain.chain import Network


async def test_health_tells_state_and_time(client: httpx.AsyncClient) -> None:
    body = (await client.get("/health")).json()
    assert list(body) == ["status", "version", "uptime", "timestamp", "checks", "warnings", "reconciling"]
    assert body["reconciling"] == {}
    assert (body["status"], body["version"], body["warnings"]) == ("ok", __version__, [])
    assert (body["checks"]["database"], body["checks"]["keystore"]) == ("ok", "ok")
    assert body["checks"]["networks"]["localnet"] == "ok"


async def test_health_answers_when_the_database_does_not(daemon: Daemon, client: httpx.AsyncClient) -> None:
    await daemon.core.db.commit(Statement("DELETE FROM kill_switch", {}))
    body = (await client.get("/health")).json()
    assert (body["status"], body["checks"]["database"]) == ("degraded", "down")
    unready = await client.get("/ready")
    assert (unready.status_code, unready.json()["checks"]["database"]) == (503, False)


async def test_health_names_a_key_that_cannot_be_used(open_daemon, data) -> None:
    async with open_daemon() as daemon, client_of(daemon) as client:
        agent_id = (await Api(client).make_agent())["id"]
    (data.keystore / f"{agent_id}.json").write_text("{}")
    async with open_daemon() as daemon, client_of(daemon) as client:
        body = (await client.get("/health")).json()
    assert body["status"] == "degraded"
    assert any(agent_id in warning for warning in body["warnings"])


async def test_health_says_that_nothing_can_be_written(daemon: Daemon, client: httpx.AsyncClient) -> None:
    daemon.core.db.refuses = "disk full"
    body = (await client.get("/health")).json()
    assert (body["status"], body["warnings"]) == ("degraded", ["the database cannot be written: disk full"])


async def test_ready_tells_what_it_looked_at(client: httpx.AsyncClient) -> None:
    answer = await client.get("/ready")
    checks = {"database": True, "keystore": True, "reconciled": True, "accepting": True}
    assert answer.json() == {"ready": True, "checks": checks}


async def test_a_locked_keystore_is_not_ready(daemon: Daemon, client: httpx.AsyncClient) -> None:
    daemon.core.keystore.lock()
    assert (await client.get("/ready")).json()["checks"]["keystore"] is False


async def test_a_locked_keystore_is_told_in_health(daemon: Daemon, client: httpx.AsyncClient) -> None:
    daemon.core.keystore.lock()
    assert (await client.get("/health")).json()["checks"]["keystore"] == "locked"


async def test_ready_waits_for_recovery_and_health_tells_how_far_it_is(
    daemon: Daemon, client: httpx.AsyncClient
) -> None:
    daemon.core.reconciling |= {Network.LOCALNET, Network.DEVNET}
    health = (await client.get("/health")).json()
    assert (health["status"], health["reconciling"]) == ("reconciling", {"devnet": 0, "localnet": 0})
    unready = await client.get("/ready")
    assert (unready.status_code, unready.json()["checks"]["reconciled"]) == (503, False)
    daemon.core.reconciling.clear()
    assert (await client.get("/ready")).status_code == 200
    assert (await client.get("/health")).json()["status"] == "ok"


async def test_an_endpoint_that_lied_is_named_without_its_key(open_daemon) -> None:
    urls = ("http://127.0.0.1:9/?api-key=planted", "http://user:planted@127.0.0.1:10/")
    async with (
        open_daemon(settings(rpc={"solana_devnet": urls, "solana_default_network": "localnet"})) as daemon,
        client_of(daemon) as client,
    ):
        daemon.core.chains.chain(Network.DEVNET)
        first, _ = daemon.core.chains.endpoints()[Network.DEVNET]
        first.quarantine("it returned another hash")
        body = (await client.get("/health")).json()
    warning = "network devnet: endpoint 127.0.0.1:9 is quarantined: it returned another hash"
    # the other endpoint still does the work
    assert (body["status"], body["warnings"], body["checks"]["networks"]["devnet"]) == ("ok", [warning], "ok")


async def test_health_and_ready_are_never_limited(open_daemon) -> None:
    async with open_daemon(settings(security={"rate_limit_global_ip_rpm": 1})) as daemon, client_of(daemon) as client:
        for path in ("/health", "/ready") * 3:
            answer = await client.get(path)
            assert answer.status_code == 200
            assert "x-ratelimit-limit" not in answer.headers


async def test_a_nonce_is_stored_for_five_minutes(daemon: Daemon, client: httpx.AsyncClient) -> None:
    before = daemon.core.clock.now()
    body = (await client.get("/v1/nonce")).json()
    assert len(bytes.fromhex(body["nonce"])) == 32
    assert body["expiresAt"] - before - 300 in (0, 1)
    row = await daemon.core.db.fetch_one("SELECT action, expires_at FROM nonces WHERE nonce = :nonce", body)
    assert row is not None
    assert tuple(row) == ("open", body["expiresAt"])


async def test_the_oldest_unused_nonces_go_first(open_daemon) -> None:
    async with open_daemon(settings(security={"max_open_nonces": 3})) as daemon, client_of(daemon) as client:
        made = [(await client.get("/v1/nonce")).json()["nonce"] for _ in range(5)]
        kept = await daemon.core.db.fetch_all("SELECT nonce FROM nonces")
        assert {row["nonce"] for row in kept} == set(made[2:])
