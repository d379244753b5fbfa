"""S20: guessing the master password."""

import asyncio

import httpx
import pytest

from tests.api.client import MASTER, Api, MovedClock, client_of, code
from tests.conftest import PASSWORD, settings
from waiaas import app
from waiaas.app import Daemon
from waiaas.auth.failures import Failures
from waiaas.keystore import Keystore, master

WRONG = {"X-Master-Password": "not the password"}
REFUSED = (401, "INVALID_MASTER_PASSWORD")
LOCKED = (429, "MASTER_PASSWORD_LOCKED")


async def guess(client: httpx.AsyncClient, headers: dict[str, str] = WRONG) -> tuple[int, str]:
    answer = await client.get("/v1/agents", headers=headers)
    return code(answer) if answer.status_code >= 400 else (200, "")


async def test_s20_the_fifth_wrong_password_locks_even_the_right_one(client: httpx.AsyncClient) -> None:
    assert [await guess(client) for _ in range(5)] == [REFUSED] * 4 + [LOCKED]
    answer = await client.get("/v1/agents", headers=MASTER)
    assert code(answer) == LOCKED
    assert 1795 <= int(answer.headers["retry-after"]) == answer.json()["details"]["retryAfter"] <= 1800
    assert answer.json()["retryable"] is False


async def test_s20_the_lock_outlives_a_restart_and_ends_in_time(open_daemon) -> None:
    clock = MovedClock()
    async with open_daemon(clock=clock) as daemon, client_of(daemon) as client:
        assert [await guess(client) for _ in range(5)][-1] == LOCKED
    async with open_daemon(clock=clock) as daemon, client_of(daemon) as client:
        assert await guess(client, MASTER) == LOCKED
        clock.move(1790)
        assert await guess(client, MASTER) == LOCKED
        clock.move(10)
        assert [await guess(client) for _ in range(4)] == [REFUSED] * 4
        assert await guess(client, MASTER) == (200, "")


async def test_s20_the_count_outlives_a_restart(open_daemon) -> None:
    async with open_daemon() as daemon, client_of(daemon) as client:
        assert [await guess(client) for _ in range(4)] == [REFUSED] * 4
    async with open_daemon() as daemon, client_of(daemon) as client:
        assert await guess(client) == LOCKED


async def test_s20_parallel_guesses_share_no_try(client: httpx.AsyncClient) -> None:
    answers = await asyncio.gather(*(guess(client) for _ in range(100)))
    assert sorted(answers) == [REFUSED] * 4 + [LOCKED] * 96


async def test_s20_a_right_password_begins_the_count_anew(client: httpx.AsyncClient) -> None:
    for _ in range(3):
        assert [await guess(client) for _ in range(4)] == [REFUSED] * 4
        assert await guess(client, MASTER) == (200, "")


async def test_s20_a_missing_header_is_not_counted(client: httpx.AsyncClient) -> None:
    assert [await guess(client, headers) for headers in ({}, {"X-Master-Password": ""}) * 5] == [REFUSED] * 10
    assert await guess(client, MASTER) == (200, "")
    assert await guess(client) == REFUSED


async def test_s20_no_argon2id_after_the_start(
    daemon: Daemon, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stretch(*_: object) -> bytearray:
        raise AssertionError("a request paid for Argon2id")

    monkeypatch.setattr(master, "stretch", stretch)
    assert await guess(client, MASTER) == (200, "")
    assert [await guess(client) for _ in range(6)] == [REFUSED] * 4 + [LOCKED] * 2


@pytest.mark.parametrize("password", [PASSWORD + "x", PASSWORD.upper(), "x" * 129, PASSWORD + "\u00e9"])
async def test_s20_only_the_password_is_the_password(client: httpx.AsyncClient, password: str) -> None:
    answer = await client.get("/v1/agents", headers={"X-Master-Password": password.encode()})
    assert code(answer) == REFUSED


async def test_s20_what_was_tried_is_audited_without_the_password(daemon: Daemon, client: httpx.AsyncClient) -> None:
    for _ in range(5):
        await guess(client)
    rows = await daemon.core.db.fetch_all(
        "SELECT event_type, actor, severity, ip_address, details FROM audit_log "
        "WHERE event_type IN ('AUTH_FAILED', 'MASTER_PASSWORD_LOCKED') ORDER BY id"
    )
    told = [tuple(row)[:4] for row in rows]
    failed = ("AUTH_FAILED", "unknown", "warning", "127.0.0.1")
    assert told == [failed] * 4 + [("MASTER_PASSWORD_LOCKED", "unknown", "critical", "127.0.0.1")]
    assert all(WRONG["X-Master-Password"] not in row["details"] for row in rows)


async def test_s20_a_stranger_cannot_fill_the_audit_log(open_daemon) -> None:
    clock = MovedClock()
    async with open_daemon(clock=clock) as daemon, client_of(daemon, peer="10.1.1.1") as client:
        for _ in range(75):
            await client.get("/v1/wallet/address", headers={"Authorization": "Bearer nonsense"})
        clock.move(61)
        await Api(client).operator("GET", "/v1/agents")
        await client.get("/v1/wallet/address")
        rows = await daemon.core.db.fetch_all(
            "SELECT details FROM audit_log WHERE event_type = 'AUTH_FAILED' ORDER BY id"
        )
        told = [row["details"] for row in rows]
        assert told == ['{"code":"INVALID_TOKEN"}'] * 60 + ['{"suppressed":15}', '{"code":"INVALID_TOKEN"}']


async def test_s20_a_password_beyond_ascii_is_taken_in_both_encodings(open_daemon, data) -> None:
    password = "längstes Wort überhaupt"
    config, clock = settings(), MovedClock()
    await app.initialise(data, config, password, clock=clock)
    keystore = Keystore.unlock(data.keystore, password)
    async with (
        app.open_daemon(data, config, keystore, clock=clock, options=app.Options()) as daemon,
        client_of(daemon) as client,
    ):
        for encoding in ("utf-8", "latin-1"):
            answer = await client.get("/v1/agents", headers={"X-Master-Password": password.encode(encoding)})
            assert answer.status_code == 200


async def test_s20_what_was_held_back_is_told_at_the_end_of_its_minute(open_daemon) -> None:
    clock = MovedClock()
    async with open_daemon(clock=clock) as daemon:
        failures = Failures(daemon.core.db, clock)
        for _ in range(62):
            await failures.record("10.1.1.1", "INVALID_TOKEN")
        await failures.settle()
        sql = "SELECT details FROM audit_log WHERE details LIKE '%suppressed%'"
        assert await daemon.core.db.fetch_all(sql) == []
        clock.move(61)
        for _ in range(2):
            await failures.settle()
        assert [row["details"] for row in await daemon.core.db.fetch_all(sql)] == ['{"suppressed":2}']
