"""Sessions under attack while they live: S05, S06, S08, S09, S12, S21, B05."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import jwt
import pytest

from tests.api.client import NOBODY, RECIPIENT, Api, Caller, MovedClock, client_of, code, issues
from tests.api.tokens import made
from tests.conftest import OpenDaemon
from tests.world import OPERATOR
from waiaas.app import Daemon
from waiaas.auth.tokens import Tokens
from waiaas.db import Statement
from waiaas.pipeline.registry import secret

DAY = 86400
HALF = DAY // 2
OTHER = "4Nd1mBQtrMJVYVfKf2PJy9NZUZdTAsp7D4xWLs4gDB4T"


class Held(MovedClock):
    """Time moves by hand alone, but for what the chain needs to go on."""

    def __init__(self) -> None:
        super().__init__()
        self._began = super().wall()

    def now(self) -> int:
        return int(self._began + self._ahead)


class Stage:
    """A running daemon, its clock, and a caller."""

    def __init__(self, daemon: Daemon, api: Api, clock: Held) -> None:
        self.daemon, self.api, self.clock = daemon, api, clock

    async def renew(self, caller: Caller, session_id: str | None = None) -> Any:
        return await caller.request("PUT", f"/v1/sessions/{session_id or caller.session['id']}/renew")

    def renewed(self, caller: Caller, answer: Any) -> Caller:
        """The caller with the token that the renewal answered with."""
        assert answer.status_code == 200, answer.text
        headers = {"Authorization": f"Bearer {answer.json()['token']}"}
        return Caller(self.api, caller.agent, {**caller.session, **answer.json(), "headers": headers})

    async def child(self, caller: Caller, **body: Any) -> Caller:
        answer = await caller.request("POST", f"/v1/sessions/{caller.session['id']}/attenuate", json=body)
        assert answer.status_code == 201, answer.text
        headers = {"Authorization": f"Bearer {answer.json()['token']}"}
        return Caller(self.api, caller.agent, {**answer.json(), "headers": headers})

    async def by_hand(self, sql: str, session_id: str) -> None:
        await self.daemon.core.db.commit(Statement(sql, {"id": session_id}, touches="session:*"))

    async def told(self, table: str) -> list[str]:
        rows = await self.daemon.core.db.fetch_all(f"SELECT event_type FROM {table} WHERE event_type LIKE 'SESSION_%'")
        return [row["event_type"] for row in rows]


@pytest.fixture
async def stage(open_daemon: OpenDaemon) -> AsyncIterator[Stage]:
    clock = Held()
    async with open_daemon(clock=clock) as daemon, client_of(daemon) as client:
        yield Stage(daemon, Api(client), clock)


async def alive(caller: Caller) -> tuple[int, str]:
    answer = await caller.request("GET", "/v1/wallet/address")
    return (200, "") if answer.status_code == 200 else code(answer)


# --- renewal --------------------------------------------------------------------------------------


async def test_s05_a_token_is_dead_from_its_renewal_on(stage: Stage) -> None:
    old = await stage.api.make_caller()
    stage.clock.move(HALF)
    answer = await stage.renew(old)
    new = stage.renewed(old, answer)
    body = answer.json()
    assert list(body) == ["id", "token", "expiresAt", "renewalCount", "maxRenewals", "absoluteExpiresAt"]
    assert (body["renewalCount"], body["expiresAt"]) == (1, old.session["expiresAt"] + HALF)
    assert await alive(old) == (401, "INVALID_TOKEN")
    assert code(await stage.renew(old)) == (403, "SESSION_RENEWAL_MISMATCH")
    assert await alive(new) == (200, "")
    (item,) = (await stage.api.operator("GET", "/v1/sessions")).json()
    assert (item["renewalCount"], item["lastRenewedAt"]) == (1, stage.clock.now())
    assert body["token"] not in str(await stage.daemon.core.db.fetch_all("SELECT * FROM sessions, audit_log, outbox"))
    claims = jwt.decode(body["token"].removeprefix("wai_sess_"), options={"verify_signature": False})
    assert (claims["exp"] - claims["iat"], claims["sub"]) == (DAY, old.session["id"])


async def test_s05_of_ten_renewals_at_once_one_is_made(stage: Stage) -> None:
    caller = await stage.api.make_caller()
    stage.clock.move(HALF)
    answers = await asyncio.gather(*(stage.renew(caller) for _ in range(10)))
    assert sorted(answer.status_code for answer in answers) == [200] + [403] * 9
    assert {code(answer) for answer in answers if answer.status_code == 403} == {(403, "SESSION_RENEWAL_MISMATCH")}
    (won,) = [answer for answer in answers if answer.status_code == 200]
    assert won.json()["renewalCount"] == 1
    assert await alive(stage.renewed(caller, won)) == (200, "")


async def test_s06_another_session_is_not_found(stage: Stage) -> None:
    caller, other = await stage.api.make_caller(), await stage.api.make_caller()
    stage.clock.move(HALF)
    for session_id in (other.session["id"], NOBODY):
        assert code(await stage.renew(caller, session_id)) == (404, "SESSION_NOT_FOUND")
    assert await alive(other) == (200, "")


async def test_s06_not_before_half_of_its_life(stage: Stage) -> None:
    caller = await stage.api.make_caller()
    stage.clock.move(HALF - 1)
    answer = await stage.renew(caller)
    assert code(answer) == (403, "RENEWAL_TOO_EARLY")
    assert (answer.json()["retryable"], answer.headers["Retry-After"]) == (True, "1")
    stage.clock.move(1)
    first = await stage.renew(caller)
    again = stage.renewed(caller, first)
    assert code(await stage.renew(again)) == (403, "RENEWAL_TOO_EARLY")
    stage.clock.move(HALF)
    second = await stage.renew(again)
    # as long a life as the first one had, and not longer with each
    assert 0 <= second.json()["expiresAt"] - first.json()["expiresAt"] - HALF <= 2


async def test_s06_not_more_often_than_it_may(stage: Stage) -> None:
    caller = await stage.api.make_caller(maxRenewals=5)
    for number in range(1, 6):
        stage.clock.move(HALF)
        answer = await stage.renew(caller)
        caller = stage.renewed(caller, answer)
        assert answer.json()["renewalCount"] == number
    stage.clock.move(HALF)
    # before the clock is asked: it says so even when it is too early
    assert code(await stage.renew(caller)) == (403, "RENEWAL_LIMIT_REACHED")
    # 3, 2, 1 and 0 were left, and it was told once
    assert (await stage.told("outbox")).count("SESSION_EXPIRING_SOON") == 1
    assert (await stage.told("outbox")).count("SESSION_RENEWED") == 5
    assert (await stage.told("audit_log")).count("SESSION_RENEWED") == 5
    (soon,) = await stage.daemon.core.db.fetch_all("SELECT * FROM outbox WHERE event_type = 'SESSION_EXPIRING_SOON'")
    assert '"remainingRenewals":3' in str(dict(soon))


async def test_s06_not_past_its_absolute_end(stage: Stage) -> None:
    caller = await stage.api.make_caller()
    end = "UPDATE sessions SET absolute_expires_at = created_at + 43200 WHERE id = :id"
    await stage.by_hand(end, caller.session["id"])
    stage.clock.move(HALF)
    assert code(await stage.renew(caller)) == (403, "SESSION_ABSOLUTE_LIFETIME_EXCEEDED")


async def test_s06_a_renewal_ends_at_the_absolute_end(stage: Stage) -> None:
    caller = await stage.api.make_caller()
    end = "UPDATE sessions SET absolute_expires_at = created_at + 90000 WHERE id = :id"
    await stage.by_hand(end, caller.session["id"])
    stage.clock.move(HALF)
    renewed = stage.renewed(caller, await stage.renew(caller))
    assert renewed.session["expiresAt"] == renewed.session["absoluteExpiresAt"]
    assert (await stage.told("outbox")).count("SESSION_EXPIRING_SOON") == 1
    stage.clock.move(90000 - HALF)
    assert code(await stage.renew(renewed)) == await alive(renewed) == (401, "TOKEN_EXPIRED")


async def test_s06_a_revoked_session_is_not_renewed(stage: Stage) -> None:
    caller = await stage.api.make_caller()
    stage.clock.move(HALF)
    await stage.api.operator("DELETE", f"/v1/sessions/{caller.session['id']}")
    assert code(await stage.renew(caller)) == (401, "SESSION_REVOKED")


# --- limits ---------------------------------------------------------------------------------------


def refused_by(answer: Any) -> tuple[str, str]:
    assert answer.status_code == 403, answer.text
    return answer.json()["code"], answer.json()["details"]["constraint"]


async def test_s08_the_exact_fill_passes_and_one_unit_more_does_not(stage: Stage) -> None:
    caller = await stage.api.make_caller(maxAmountPerTx="1000000000", maxTotalAmount="2500000000", maxTransactions=3)
    assert refused_by(await caller.send("1000000001", memo="a")) == ("SESSION_LIMIT_EXCEEDED", "maxAmountPerTx")
    for memo in "bc":
        assert (await caller.send("1000000000", memo=memo)).status_code == 201
    assert refused_by(await caller.send("500000001", memo="d")) == ("SESSION_LIMIT_EXCEEDED", "maxTotalAmount")
    assert (await caller.send("500000000", memo="e")).status_code == 201
    assert refused_by(await caller.send("0", memo="f")) == ("SESSION_LIMIT_EXCEEDED", "maxTransactions")


async def test_s08_two_sends_race_for_the_last_and_one_wins(stage: Stage) -> None:
    for constraints in ({"maxTotalAmount": "1000000000"}, {"maxTransactions": 1}):
        caller = await stage.api.make_caller(**constraints)
        answers = await asyncio.gather(*(caller.send("1000000000", memo=str(number)) for number in range(4)))
        assert sorted(answer.status_code for answer in answers) == [201, 403, 403, 403]


async def test_s08_usage_survives_a_renewal(stage: Stage) -> None:
    caller = await stage.api.make_caller(maxTotalAmount="1000000000", maxTransactions=2)
    assert (await made(caller, to=RECIPIENT, amount="600000000"))["status"] == "CONFIRMED"
    stage.clock.move(HALF)
    renewed = stage.renewed(caller, await stage.renew(caller))
    assert refused_by(await renewed.send("400000001", memo="x")) == ("SESSION_LIMIT_EXCEEDED", "maxTotalAmount")
    assert (await renewed.send("400000000")).status_code == 201
    assert refused_by(await renewed.send("0", memo="y")) == ("SESSION_LIMIT_EXCEEDED", "maxTransactions")


TOKEN = {"address": OTHER, "decimals": 6, "symbol": "TKN"}
#: another address, of which base58 alone knows
CASE_TWIN = RECIPIENT.replace("B", "b", 1)
TRANSFER = {"to": RECIPIENT, "amount": "1"}
APPROVE = {"type": "APPROVE", "spender": OTHER, "token": TOKEN, "amount": "1"}
OFF_THE_LIST: list[tuple[dict[str, Any], dict[str, Any]]] = [
    (
        {"allowedOperations": ["TRANSFER", "BATCH"]},
        {"type": "APPROVE", "spender": OTHER, "token": TOKEN, "amount": "1"},
    ),
    ({"allowedDestinations": [OTHER]}, TRANSFER),
    ({"allowedDestinations": [RECIPIENT]}, {**TRANSFER, "to": CASE_TWIN}),
    ({"allowedTokens": [RECIPIENT]}, {"type": "TOKEN_TRANSFER", "to": RECIPIENT, "amount": "1", "token": TOKEN}),
    ({"allowedContracts": [RECIPIENT]}, {"type": "CONTRACT_CALL", "programId": OTHER}),
    ({"allowedSpenders": [RECIPIENT]}, APPROVE),
]
CALL = {"instructionData": "AA==", "accounts": [{"pubkey": OTHER, "isSigner": False, "isWritable": False}]}


async def test_s09_what_is_off_a_sessions_list_is_refused_alone_and_inside_a_batch(stage: Stage) -> None:
    agent = await stage.api.make_agent()
    for constraints, body in OFF_THE_LIST:
        if body.get("type") == "CONTRACT_CALL":
            body = {**body, **CALL}
        session = await stage.api.make_session(agent["id"], constraints=constraints)
        caller = Caller(stage.api, agent, session)
        for request in (body, {"type": "BATCH", "instructions": [{"to": OTHER, "amount": "0"}, body]}):
            answer = await caller.request("POST", "/v1/transactions/send", json=request)
            assert refused_by(answer) == ("CONSTRAINT_VIOLATED", next(iter(constraints))), request
        await stage.api.operator("DELETE", f"/v1/sessions/{session['id']}")


# --- the secret -----------------------------------------------------------------------------------


async def rotate(api: Api) -> Any:
    return await api.operator("POST", "/v1/admin/rotate-secret")


async def test_s12_the_secret_before_is_good_for_300_seconds_and_through_a_restart(open_daemon: OpenDaemon) -> None:
    clock = Held()
    async with open_daemon(clock=clock) as daemon, client_of(daemon) as client:
        old = await Api(client).make_caller()
        assert await alive(old) == (200, "")
        answer = await rotate(old.api)
        assert answer.json() == {
            "rotatedAt": clock.now(),
            "message": "JWT secret rotated. Old tokens valid for 5 minutes.",
        }
        new = Caller(old.api, old.agent, await old.api.make_session(old.agent["id"]))
        assert await alive(old) == await alive(new) == (200, "")
        rows = await daemon.core.db.fetch_all("SELECT event_type FROM audit_log WHERE event_type = 'SECRET_ROTATED'")
        assert len(rows) == 1
    clock.move(299)
    async with open_daemon(clock=clock) as daemon, client_of(daemon) as client:
        old, new = (Caller(Api(client), one.agent, one.session) for one in (old, new))
        assert await alive(old) == await alive(new) == (200, "")
        assert code(await rotate(old.api)) == (429, "ROTATION_TOO_RECENT")
        clock.move(1)
        assert (await alive(old), await alive(new)) == ((401, "INVALID_TOKEN"), (200, ""))
        assert (await rotate(old.api)).status_code == 200
        assert (await alive(old), await alive(new)) == ((401, "INVALID_TOKEN"), (200, ""))


async def test_s12_rotated_twice_too_soon_and_at_once(stage: Stage) -> None:
    answers = await asyncio.gather(*(rotate(stage.api) for _ in range(5)))
    assert sorted(answer.status_code for answer in answers) == [200] + [429] * 4
    stage.clock.move(299)
    answer = await rotate(stage.api)
    assert code(answer) == (429, "ROTATION_TOO_RECENT")
    assert (answer.headers["Retry-After"], answer.json()["retryable"]) == ("1", False)
    stage.clock.move(1)
    assert (await rotate(stage.api)).status_code == 200


async def test_s12_a_token_that_was_read_before_the_rotation_ends_with_its_secret(stage: Stage) -> None:
    caller = await stage.api.make_caller()
    assert await alive(caller) == (200, "")
    await rotate(stage.api)
    stage.clock.move(299)
    assert await alive(caller) == (200, "")
    stage.clock.move(1)
    assert await alive(caller) == (401, "INVALID_TOKEN")


async def test_s12_neither_secret_is_stored_or_told_in_the_clear(stage: Stage) -> None:
    assert (await rotate(stage.api)).status_code == 200
    rows = await stage.daemon.core.db.fetch_all("SELECT key, value FROM key_value_store WHERE key LIKE 'jwt_secret_%'")
    assert sorted(row["key"] for row in rows) == ["jwt_secret_current", "jwt_secret_previous"]
    for row in rows:
        assert '"secret":"v1.' in row["value"]


async def test_s12_a_token_of_the_secret_before_is_renewed_before_half_of_its_life(stage: Stage) -> None:
    caller = await stage.api.make_caller(maxRenewals=2)
    child = await stage.child(caller)
    assert code(await stage.renew(caller)) == (403, "RENEWAL_TOO_EARLY")
    await rotate(stage.api)
    stage.clock.move(299)
    renewed = stage.renewed(caller, await stage.renew(caller))
    assert renewed.session["expiresAt"] == stage.clock.now() + DAY
    assert code(await stage.renew(child)) == (403, "RENEWAL_LIMIT_REACHED")
    stage.clock.move(1)
    assert await alive(renewed) == (200, "")
    assert (await alive(caller), await alive(child)) == ((401, "INVALID_TOKEN"), (401, "INVALID_TOKEN"))
    assert code(await stage.renew(renewed)) == (403, "RENEWAL_TOO_EARLY")


async def test_s12_a_caller_that_goes_away_leaves_no_other_secret_in_use_than_on_disk(stage: Stage) -> None:
    core = stage.daemon.core
    tokens = await Tokens.load(core.db, core.keystore, stage.clock)
    before = tokens._secrets.current
    task = asyncio.create_task(secret.rotate(core, tokens, OPERATOR))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    # answered behind the one that nobody waits for
    await core.db.commit()
    stored = (await Tokens.load(core.db, core.keystore, stage.clock))._secrets
    assert tokens._secrets == stored
    assert stored.current != before


# --- children -------------------------------------------------------------------------------------


async def test_s21_a_child_wider_than_its_parent_is_refused_at_the_field(stage: Stage) -> None:
    parent = await stage.api.make_caller(maxTotalAmount="1000", allowedDestinations=[RECIPIENT], maxRenewals=2)
    path = f"/v1/sessions/{parent.session['id']}/attenuate"
    for constraints, field in (
        ({"maxTotalAmount": "1001"}, "maxTotalAmount"),
        ({"limits": {"native:solana": {"maxTotalAmount": "1001"}}}, "limits.native:solana.maxTotalAmount"),
        ({"allowedDestinations": [OTHER]}, "allowedDestinations"),
        ({"maxRenewals": 3}, "maxRenewals"),
        ({"maxRaise": 3}, "maxRaise"),
    ):
        answer = await parent.request("POST", path, json={"constraints": constraints})
        assert issues(answer) == [f"constraints.{field}"]
    for body, field in (
        ({"ttl": 59}, "ttl"),
        ({"ttl": 604801}, "ttl"),
        ({"expiresIn": 60}, "expiresIn"),
        ({"name": ""}, "name"),
    ):
        assert issues(await parent.request("POST", path, json=body)) == [field]
    child = await stage.child(parent, ttl=60, constraints={"maxTotalAmount": "1000"}, name="errand")
    assert child.session["parentSessionId"] == parent.session["id"]
    assert child.session["constraints"] == {"maxTotalAmount": "1000", "allowedDestinations": [RECIPIENT]}
    assert child.session["expiresAt"] == child.session["absoluteExpiresAt"] == stage.clock.now() + 60
    longest = await stage.child(parent, ttl=604800)
    assert longest.session["expiresAt"] == parent.session["expiresAt"]


async def test_s21_what_a_child_spends_is_debited_from_every_ancestor(stage: Stage) -> None:
    top = await stage.api.make_caller(maxTotalAmount="1000000000")
    child = await stage.child(top, constraints={"maxTotalAmount": "900000000"})
    low = await stage.child(child)
    assert (await low.send("800000000")).status_code == 201
    for caller in (low, child):
        assert refused_by(await caller.send("100000001")) == ("SESSION_LIMIT_EXCEEDED", "maxTotalAmount")
    assert refused_by(await top.send("200000001")) == ("SESSION_LIMIT_EXCEEDED", "maxTotalAmount")
    assert (await top.send("200000000")).status_code == 201
    answer = await low.send("1", memo="x")
    assert refused_by(answer) == ("SESSION_LIMIT_EXCEEDED", "maxTotalAmount"), answer.text
    assert answer.json()["details"]["sessionId"] == top.session["id"]


async def test_s21_a_child_is_dead_with_its_parent(stage: Stage) -> None:
    top = await stage.api.make_caller()
    child = await stage.child(top)
    low = await stage.child(child)
    await stage.api.operator("DELETE", f"/v1/sessions/{top.session['id']}")
    assert [await alive(caller) for caller in (top, child, low)] == [(401, "SESSION_REVOKED")] * 3


async def test_s21_a_child_whose_ancestor_alone_is_dead_is_dead(stage: Stage) -> None:
    """Whatever a row says of itself: the guard looks at all above it."""
    top = await stage.api.make_caller()
    low = await stage.child(await stage.child(top))
    await stage.by_hand("UPDATE sessions SET expires_at = 1 WHERE id = :id", top.session["id"])
    assert await alive(low) == (401, "TOKEN_EXPIRED")
    await stage.by_hand("UPDATE sessions SET revoked_at = 1 WHERE id = :id", top.session["id"])
    assert await alive(low) == (401, "SESSION_REVOKED")


async def test_s21_a_child_is_never_renewed(stage: Stage) -> None:
    child = await stage.child(await stage.api.make_caller())
    stage.clock.move(HALF)
    assert child.session["maxRenewals"] == 0
    assert code(await stage.renew(child)) == (403, "RENEWAL_LIMIT_REACHED")


async def test_s21_the_21st_child_and_the_sixth_generation_are_refused(stage: Stage) -> None:
    top = await stage.api.make_caller()
    path = f"/v1/sessions/{top.session['id']}/attenuate"
    answers = await asyncio.gather(*(top.request("POST", path) for _ in range(21)))
    (refused,) = [answer for answer in answers if answer.status_code != 201]
    assert refused_by(refused) == ("SESSION_LIMIT_EXCEEDED", "children")
    lowest = Caller(stage.api, top.agent, await stage.api.make_session(top.agent["id"]))
    for _ in range(5):
        lowest = await stage.child(lowest)
    answer = await lowest.request("POST", f"/v1/sessions/{lowest.session['id']}/attenuate")
    assert refused_by(answer) == ("SESSION_LIMIT_EXCEEDED", "depth")


async def test_s21_nobody_attenuates_shows_or_ends_a_session_that_is_not_theirs(stage: Stage) -> None:
    top, other = await stage.api.make_caller(), await stage.api.make_caller()
    child = await stage.child(top)
    low = await stage.child(child)
    theirs = [
        (other, top),
        (child, top),
        (low, child),
        (other, low),
    ]
    for caller, session in theirs:
        for method, suffix in (("GET", ""), ("POST", "/attenuate"), ("DELETE", "")):
            answer = await caller.request(method, f"/v1/sessions/{session.session['id']}{suffix}")
            assert code(answer) == (404, "SESSION_NOT_FOUND"), (method, suffix)
    # a child is made by the session itself or by the operator, not by its grandparent
    assert code(await top.request("POST", f"/v1/sessions/{child.session['id']}/attenuate")) == (
        404,
        "SESSION_NOT_FOUND",
    )
    assert (await top.request("GET", f"/v1/sessions/{low.session['id']}")).status_code == 200
    assert (await top.request("DELETE", f"/v1/sessions/{low.session['id']}")).status_code == 200
    assert [await alive(caller) for caller in (top, child, low)] == [(200, ""), (200, ""), (401, "SESSION_REVOKED")]


@pytest.mark.parametrize("field", ["ttl", "expiresIn"])
async def test_b05_the_life_of_a_session_has_bounds(stage: Stage, field: str) -> None:
    agent = await stage.api.make_agent()
    for seconds, status in ((299, 400), (300, 201), (301, 201), (604799, 201), (604800, 201), (604801, 400)):
        answer = await stage.api.operator("POST", "/v1/sessions", json={"agentId": agent["id"], field: seconds})
        assert answer.status_code == status, seconds
        if status == 201:
            assert answer.json()["expiresAt"] == stage.clock.now() + seconds
        else:
            assert issues(answer) == [field]
