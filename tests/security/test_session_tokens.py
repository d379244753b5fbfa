"""Session tokens under attack: S01 to S04, S07, S10, S11."""

import asyncio
from typing import Any

import jwt
import pytest

from tests.api.client import NOBODY, Api, Caller, code
from tests.conftest import ManualClock
from waiaas.app import Daemon
from waiaas.auth.sessions import SessionAuth
from waiaas.auth.tokens import PREFIX, Tokens
from waiaas.clock import Clock
from waiaas.db import Database, Statement
from waiaas.db.cache import Cache
from waiaas.domain.session import Session
from waiaas.errors import InvalidToken, TokenExpired

SECRET = b"s" * 32
OWN = "0198c0de-0000-7000-8000-000000000001"
CLAIMS: dict[str, Any] = {
    "sub": OWN,
    "sid": OWN,
    "sessionId": OWN,
    "agt": NOBODY,
    "iat": 1,
    "exp": 4_000_000_000,
    "jti": "j",
}


def signed(claims: dict[str, Any], secret: bytes = SECRET, algorithm: str = "HS256") -> str:
    return PREFIX + jwt.encode(claims, secret, algorithm=algorithm)


def without(*names: str) -> dict[str, Any]:
    return {name: value for name, value in CLAIMS.items() if name not in names}


@pytest.fixture
def auth(daemon: Daemon) -> SessionAuth:
    """Authentication whose first look at the database would fail the test."""

    async def load(session_id: str) -> Session | None:
        raise AssertionError(f"session {session_id} was read")

    return SessionAuth(Tokens(SECRET, Clock()), Cache(daemon.core.db, "session", load))


def flipped(token: str, place: int) -> str:
    return token[:place] + ("A" if token[place] != "A" else "B") + token[place + 1 :]


GOOD = signed(CLAIMS)
RSA_HEADER = "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9"
NONE_HEADER = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0"


FORGED = [
    signed(CLAIMS, b"o" * 32),
    signed(CLAIMS, SECRET * 2, "HS512"),
    f"{PREFIX}{NONE_HEADER}.{GOOD.split('.')[1]}.{GOOD.split('.')[2]}",
    f"{PREFIX}{NONE_HEADER}.{GOOD.split('.')[1]}.",
    f"{PREFIX}{RSA_HEADER}.{GOOD.split('.')[1]}.{GOOD.split('.')[2]}",
    signed(without("exp")),
    signed(CLAIMS | {"exp": "4000000000"}),
    flipped(GOOD, len(PREFIX) + 3),
    flipped(GOOD, GOOD.index(".") + 5),
    flipped(GOOD, GOOD.rindex(".") + 5),
    flipped(GOOD, len(GOOD) - 1),
]


async def test_s01_a_token_not_signed_here_is_refused_without_a_read(auth: SessionAuth) -> None:
    for token in FORGED:
        with pytest.raises(InvalidToken):
            await auth.authenticate(f"Bearer {token}".encode())


async def test_s01_the_good_token_would_have_been_looked_up(auth: SessionAuth) -> None:
    with pytest.raises(AssertionError, match="was read"):
        await auth.authenticate(f"Bearer {GOOD}".encode())


class FixedClock(Clock):
    """Always the same second."""

    def __init__(self, second: int) -> None:
        super().__init__()
        self.second = second

    def wall(self) -> float:
        return self.second


def test_s02_a_token_that_was_read_before_still_expires_and_its_neighbours_are_still_refused() -> None:
    clock = FixedClock(3_999_999_999)
    tokens = Tokens(SECRET, clock)
    first = tokens.read(GOOD)
    assert tokens.read(GOOD) == first
    for place in range(len(PREFIX), len(GOOD)):
        if GOOD[place] != ".":
            with pytest.raises(InvalidToken):
                tokens.read(flipped(GOOD, place))
    clock.second = 4_000_000_000
    with pytest.raises(TokenExpired):
        tokens.read(GOOD)


def test_s01_what_one_secret_has_signed_is_nothing_to_another() -> None:
    clock = FixedClock(1)
    assert Tokens(SECRET, clock).read(GOOD).sub == OWN
    with pytest.raises(InvalidToken):
        Tokens(b"o" * 32, clock).read(GOOD)


HEADERS = [
    None,
    "",
    "Bearer",
    "Bearer ",
    f"bearer {GOOD}",
    f"Bearer  {GOOD}",
    GOOD,
    f"Bearer {GOOD.removeprefix(PREFIX)}",
    f"Bearer WAI_SESS_{GOOD.removeprefix(PREFIX)}",
    f"Bearer {GOOD.rpartition('.')[0]}",
    f"Bearer {GOOD}.x",
    f"Bearer {GOOD} ",
    f"Bearer {GOOD}\n",
    f"Bearer {PREFIX}{'a' * 4088 + '.b.c'}",
    "Basic dXNlcjpwYXNz",
]


async def test_s02_a_header_of_another_shape_is_refused_before_any_jwt_work(api: Api) -> None:
    for header in HEADERS:
        headers = {} if header is None else {"Authorization": header}
        answer = await api.client.get("/v1/wallet/address", headers=headers)
        assert code(answer) == (401, "INVALID_TOKEN"), header
        assert GOOD not in answer.text


async def test_s02_a_token_of_4096_characters_is_still_read(auth: SessionAuth) -> None:
    padding = 4096 - len(signed(CLAIMS | {"x": ""}))
    fits = signed(CLAIMS | {"x": "y" * (padding * 3 // 4)})
    assert 4090 <= len(fits) <= 4096
    with pytest.raises(AssertionError, match="was read"):
        await auth.authenticate(f"Bearer {fits}".encode())
    with pytest.raises(InvalidToken):
        await auth.authenticate(f"Bearer {signed(CLAIMS | {'x': 'y' * (padding * 3 // 4 + 5)})}".encode())


def test_s03_a_token_is_dead_from_its_exp_on(clock: ManualClock) -> None:
    tokens = Tokens(SECRET, clock)
    token = tokens.issue(OWN, NOBODY, now=clock.now(), expires_at=clock.now() + 300)
    clock.move(299)
    assert tokens.read(token).sub == OWN
    clock.move(1)
    with pytest.raises(TokenExpired):
        tokens.read(token)


DISAGREEING = [
    CLAIMS | {"sid": NOBODY},
    CLAIMS | {"sessionId": NOBODY},
    CLAIMS | {"sub": NOBODY},
    *(without(name) for name in ("sub", "sid", "sessionId", "agt", "iat", "jti")),
    without("sub", "sid", "sessionId"),
]


async def test_s03_claims_that_disagree_are_refused_without_a_read(auth: SessionAuth) -> None:
    for claims in DISAGREEING:
        with pytest.raises(InvalidToken):
            await auth.authenticate(f"Bearer {signed(claims)}".encode())


async def test_s03_a_token_must_fit_its_row(daemon: Daemon, caller: Caller) -> None:
    tokens = await Tokens.load(daemon.core.db, daemon.core.keystore, daemon.core.clock)
    session, exp = caller.session["id"], caller.session["expiresAt"]
    forged = {
        "another agent": tokens.issue(session, NOBODY, now=1, expires_at=exp),
        "another token of the session": tokens.issue(session, caller.agent["id"], now=1, expires_at=exp),
        "no such session": tokens.issue(NOBODY, caller.agent["id"], now=1, expires_at=exp),
    }
    answers = {
        name: code(await caller.api.client.get("/v1/wallet/address", headers={"Authorization": f"Bearer {token}"}))
        for name, token in forged.items()
    }
    assert answers == {
        "another agent": (401, "INVALID_TOKEN"),
        "another token of the session": (401, "INVALID_TOKEN"),
        "no such session": (404, "SESSION_NOT_FOUND"),
    }


async def test_s03_a_session_whose_row_is_gone_is_not_found(daemon: Daemon, caller: Caller) -> None:
    assert (await caller.request("GET", "/v1/wallet/address")).status_code == 200
    delete = Statement("DELETE FROM sessions WHERE id = :id", {"id": caller.session["id"]}, touches="session:*")
    await daemon.core.db.commit(delete)
    assert code(await caller.request("GET", "/v1/wallet/address")) == (404, "SESSION_NOT_FOUND")


async def test_s04_a_revoked_session_is_dead_from_the_next_request_on(api: Api, caller: Caller) -> None:
    assert (await caller.send()).status_code == 201
    await api.operator("DELETE", f"/v1/sessions/{caller.session['id']}")
    for method, path in (("GET", "/v1/wallet/address"), ("POST", "/v1/transactions/send")):
        assert code(await caller.request(method, path)) == (401, "SESSION_REVOKED")


async def test_s04_nothing_is_accepted_after_a_revocation_in_the_middle_of_requests(api: Api, caller: Caller) -> None:
    path = f"/v1/sessions/{caller.session['id']}"
    sends = [asyncio.create_task(caller.send("1000000")) for _ in range(20)]
    revoked = asyncio.create_task(api.operator("DELETE", path))
    answers = [code(answer) if answer.status_code >= 400 else (201, "") for answer in await asyncio.gather(*sends)]
    assert (await revoked).status_code == 200
    assert set(answers) <= {(201, ""), (401, "SESSION_REVOKED")}
    assert code(await caller.send()) == (401, "SESSION_REVOKED")
    left = (await api.operator("GET", "/v1/transactions/pending")).json()["items"]
    assert left == []


async def test_s04_the_sessions_of_a_terminated_agent_are_dead_from_the_next_request_on(
    api: Api, caller: Caller
) -> None:
    assert (await caller.request("GET", "/v1/wallet/address")).status_code == 200
    assert (await api.operator("DELETE", f"/v1/agents/{caller.agent['id']}")).status_code == 200
    assert code(await caller.request("GET", "/v1/wallet/address")) == (401, "SESSION_REVOKED")


async def test_s07_another_agents_transaction_does_not_exist(api: Api, caller: Caller) -> None:
    other = await api.make_caller()
    theirs = (await other.send(str(11 * 10**9))).json()["id"]
    for method, path in (("GET", ""), ("GET", "?wait=5"), ("POST", "/cancel")):
        known = await caller.request(method, f"/v1/transactions/{theirs}{path}")
        unknown = await caller.request(method, f"/v1/transactions/{NOBODY}{path}")
        assert code(known) == code(unknown) == (404, "TX_NOT_FOUND")
        assert known.json() | {"requestId": ""} == unknown.json() | {"requestId": ""}
    assert (await other.request("GET", f"/v1/transactions/{theirs}")).json()["status"] == "QUEUED"


async def test_s07_the_key_of_another_agent_is_another_key(api: Api, caller: Caller) -> None:
    other = await api.make_caller()
    answers = [await one.send(key="k") for one in (caller, other, caller)]
    assert [answer.status_code for answer in answers] == [201, 201, 200]
    assert answers[0].json()["id"] == answers[2].json()["id"] != answers[1].json()["id"]


async def test_s07_foreign_ids_in_query_or_body_change_nothing(api: Api, caller: Caller) -> None:
    other = await api.make_caller()
    await other.send(str(11 * 10**9))
    foreign = {"agentId": other.agent["id"]}
    for path in ("/v1/transactions", "/v1/transactions/pending"):
        assert (await caller.request("GET", path, params=foreign)).json()["items"] == []
    for path in ("address", "balance", "assets"):
        shown = (await caller.request("GET", f"/v1/wallet/{path}", params=foreign)).json()
        assert shown["agentId"] == caller.agent["id"]
    sent = (await caller.send(agentId=other.agent["id"], sessionId=other.session["id"])).json()
    assert sent["agentId"] == caller.agent["id"]


async def test_s10_of_six_sessions_at_once_five_are_made(api: Api, daemon: Daemon) -> None:
    body = {"agentId": (await api.make_agent())["id"]}
    answers = await asyncio.gather(*(api.operator("POST", "/v1/sessions", json=body) for _ in range(6)))
    assert sorted(answer.status_code for answer in answers) == [201] * 5 + [403]
    (refused,) = [answer for answer in answers if answer.status_code == 403]
    assert code(refused) == (403, "SESSION_LIMIT_EXCEEDED")
    assert refused.json()["details"]["constraint"] == "maxSessionsPerAgent"
    one = next(answer.json()["id"] for answer in answers if answer.status_code == 201)
    await api.operator("DELETE", f"/v1/sessions/{one}")
    assert (await api.operator("POST", "/v1/sessions", json=body)).status_code == 201


async def suspend(db: Database, agent_id: str) -> None:
    sql = "UPDATE agents SET status = 'SUSPENDED', suspended_at = 1, suspension_reason = 'manual' WHERE id = :id"
    await db.commit(Statement(sql, {"id": agent_id}, touches=f"agent:{agent_id}"))


async def test_s11_a_suspended_agent_gets_no_session_and_sends_nothing(daemon: Daemon, caller: Caller) -> None:
    await suspend(daemon.core.db, caller.agent["id"])
    answer = await caller.api.operator("POST", "/v1/sessions", json={"agentId": caller.agent["id"]})
    assert code(answer) == (409, "AGENT_SUSPENDED")
    assert code(await caller.send()) == (409, "AGENT_SUSPENDED")
    assert (await caller.request("GET", "/v1/transactions")).json()["items"] == []


async def test_s11_a_terminated_agent_gets_no_session(api: Api, caller: Caller) -> None:
    await api.operator("DELETE", f"/v1/agents/{caller.agent['id']}")
    answer = await api.operator("POST", "/v1/sessions", json={"agentId": caller.agent["id"]})
    assert code(answer) == (410, "AGENT_TERMINATED")


async def test_s11_an_agent_terminated_with_its_session_alive_sends_nothing(daemon: Daemon, caller: Caller) -> None:
    gone = Statement("UPDATE agents SET status = 'TERMINATED'", {}, touches=f"agent:{caller.agent['id']}")
    await daemon.core.db.commit(gone)
    assert code(await caller.send()) == (410, "AGENT_TERMINATED")
