"""S13: every route that is mounted, walked with every kind of credential: each answers as its guard is documented.

A route that is added is walked without a word here; only a public one must be pinned.
"""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import jwt
import pytest

from tests.api.client import MASTER, NOBODY, Api, Caller, MovedClock, client_of, code
from tests.conftest import OpenDaemon, settings
from waiaas.api.guards import Guard, anyone, operator, owner, renewing, session
from waiaas.api.routes import ROUTES
from waiaas.api.routing import Route
from waiaas.auth.tokens import PREFIX
from waiaas.db import Statement

#: whoever adds to this list says that strangers may call it
PUBLIC = {
    "GET /health",
    "GET /ready",
    "GET /metrics",
    "GET /doc",
    "GET /openapi.json",
    "GET /v1/nonce",
    "GET /v1/transactions/{id}/approval-message",
    "GET /v1/admin/kill-switch",
    "GET /v1/admin/kill-switch/message",
}
SCHEMES = {"masterAuth", "sessionAuth", "ownerAuth"}
#: what is answered when nothing is shown, by what the guard asks for first
MISSING = {"masterAuth": "INVALID_MASTER_PASSWORD", "sessionAuth": "INVALID_TOKEN", "ownerAuth": "INVALID_SIGNATURE"}
#: with these the daemon would not answer the rest of the walk as before
LAST = ("POST /v1/admin/kill-switch", "POST /v1/admin/recover", "POST /v1/admin/shutdown")
UNLIMITED = settings(security={"rate_limit_global_ip_rpm": 0, "rate_limit_session_rpm": 0, "rate_limit_tx_rpm": 0})

Headers = dict[str, str]
Answer = tuple[int, str]


def schemes(route: Route) -> set[str]:
    return {kind.scheme for kind in route.guard.kinds}


def walk() -> Iterator[Route]:
    """All of the table, what changes everything at its end."""
    yield from sorted(ROUTES, key=lambda route: LAST.index(route.name) if route.name in LAST else -1)


def missing(guard: Guard) -> Answer:
    return 401, guard.missing.code


def bearer(token: str) -> Headers:
    return {"Authorization": f"Bearer {token}"}


async def ask(client: httpx.AsyncClient, route: Route, headers: Headers, thing: str = NOBODY) -> httpx.Response:
    return await client.request(route.method, route.path.replace("{id}", thing), headers=headers)


async def answer_to(client: httpx.AsyncClient, route: Route, headers: Headers) -> Answer:
    answer = await ask(client, route, headers)
    return (answer.status_code, "") if answer.status_code < 400 else code(answer)


class Table:
    """A running daemon, somebody's things, and tokens that are good for nothing."""

    def __init__(self, api: Api, victim: Caller, stranger: Caller, dead: dict[str, tuple[str, Answer]]) -> None:
        self.api, self.victim, self.stranger, self.dead = api, victim, stranger, dead
        #: what a path's id may name
        self.things: dict[str, str] = {}

    async def ask(self, route: Route, headers: Headers, *, thing: str = NOBODY) -> httpx.Response:
        return await ask(self.api.client, route, headers, thing)

    async def answer(self, route: Route, headers: Headers) -> Answer:
        return await answer_to(self.api.client, route, headers)


@pytest.fixture
async def table(open_daemon: OpenDaemon) -> AsyncIterator[Table]:
    clock = MovedClock()
    async with open_daemon(UNLIMITED, clock=clock) as daemon, client_of(daemon) as client:
        api = Api(client)
        victim, stranger = await api.make_caller(), await api.make_caller()
        agent = victim.agent["id"]
        expired, renewed = await api.make_session(agent, ttl=300), await api.make_session(agent, ttl=600)
        revoked, gone = await api.make_session(agent), await api.make_session(agent)
        child = (await client.post(f"/v1/sessions/{revoked['id']}/attenuate", headers=revoked["headers"])).json()
        clock.move(300)
        assert (await client.put(f"/v1/sessions/{renewed['id']}/renew", headers=renewed["headers"])).status_code == 200
        assert (await api.operator("DELETE", f"/v1/sessions/{revoked['id']}")).status_code == 200
        delete = Statement("DELETE FROM sessions WHERE id = :id", {"id": gone["id"]}, touches="session:*")
        await daemon.core.db.commit(delete)
        good = victim.session["token"].removeprefix(PREFIX)
        claims = jwt.decode(good, options={"verify_signature": False})
        dead = {
            "no bearer": ("", (401, "INVALID_TOKEN")),
            "garbage": ("nonsense", (401, "INVALID_TOKEN")),
            "of the right shape": (f"{PREFIX}a.b.c", (401, "INVALID_TOKEN")),
            "an API key": ("wk_" + "a" * 43, (401, "INVALID_TOKEN")),
            "without its prefix": (good, (401, "INVALID_TOKEN")),
            "alg none": (PREFIX + jwt.encode(claims, "", algorithm="none"), (401, "INVALID_TOKEN")),
            "another secret": (PREFIX + jwt.encode(claims, b"s" * 32, algorithm="HS256"), (401, "INVALID_TOKEN")),
            "expired": (expired["token"], (401, "TOKEN_EXPIRED")),
            "revoked": (revoked["token"], (401, "SESSION_REVOKED")),
            "child of a revoked one": (child["token"], (401, "SESSION_REVOKED")),
            "renewed away": (renewed["token"], (401, "INVALID_TOKEN")),
            "of a session that is gone": (gone["token"], (404, "SESSION_NOT_FOUND")),
        }
        made = Table(api, victim, stranger, dead)
        sent = await victim.send(str(11 * 10**9))
        made.things = {"/v1/transactions/": sent.json()["id"], "/v1/sessions/": victim.session["id"]}
        made.things["/v1/agents/"] = agent
        yield made


def test_s13_public_routes_are_these_and_no_others() -> None:
    assert {route.name for route in ROUTES if route.guard == anyone} == PUBLIC
    assert {scheme for route in ROUTES for scheme in schemes(route)} == SCHEMES
    assert [route.name for route in ROUTES if route.guard == renewing] == ["PUT /v1/sessions/{id}/renew"]


async def test_s13_without_a_credential_a_route_asks_for_its_own(
    client: httpx.AsyncClient,
) -> None:
    empty = {"X-Master-Password": "", "Authorization": "", "X-Owner-Address": ""}
    for headers in ({}, empty):
        for route in walk():
            answer = await answer_to(client, route, headers)
            if route.guard == anyone:
                assert answer[0] not in (401, 403), route.name
            else:
                assert answer == missing(route.guard), route.name
                assert answer[1] in {MISSING[scheme] for scheme in schemes(route)}, route.name


async def test_s13_no_dead_or_forged_token_opens_anything(table: Table) -> None:
    wrong = {}
    for name, (token, refusal) in table.dead.items():
        for route in walk():
            answer = await table.answer(route, bearer(token))
            expected = refusal if "sessionAuth" in schemes(route) else missing(route.guard)
            if route.guard == renewing and name == "renewed away":
                # whose it is, is still known there: of another session it knows nothing
                expected = (404, "SESSION_NOT_FOUND")
            if route.guard == anyone:
                expected = answer if answer[0] not in (401, 403) else (200, "")
            if answer != expected:
                wrong[name, route.name] = (answer, expected)
    assert wrong == {}


async def test_s13_a_wrong_password_fails_wherever_one_is_taken_and_does_not_fall_through(api: Api) -> None:
    headers = {"X-Master-Password": "wrong", **bearer("nonsense"), "X-Owner-Address": "x"}
    for route in walk():
        if "masterAuth" in schemes(route):
            assert await answer_to(api.client, route, headers) == (401, "INVALID_MASTER_PASSWORD"), route.name
            # a right one in between, so that the wrong ones do not lock
            assert (await api.operator("GET", "/v1/agents")).status_code == 200


async def test_s13_credentials_of_another_kind_prove_nothing(table: Table) -> None:
    others = {"masterAuth": MASTER, "sessionAuth": table.victim.headers, "ownerAuth": {"X-Owner-Address": "x"}}
    for route in walk():
        shown: Headers = {"X-API-Key": "z"}
        for scheme in SCHEMES - schemes(route):
            shown |= others[scheme]
        if route.guard == anyone:
            wrong = {"X-Master-Password": "wrong", "X-Owner-Address": "x", **bearer("nonsense")}
            assert (await table.answer(route, wrong))[0] not in (401, 403), route.name
        elif SCHEMES - schemes(route):
            assert await table.answer(route, shown) == missing(route.guard), route.name
    with_nonsense = {**MASTER, **bearer("nonsense")}
    assert (await table.api.client.get("/v1/agents", headers=with_nonsense)).status_code == 200
    tx = table.things["/v1/transactions/"]
    for route in ROUTES:
        if route.guard == owner:
            # an address is no signature
            assert (await table.ask(route, {"X-Owner-Address": "x"}, thing=tx)).status_code in (401, 404), route.name
    assert (await table.victim.request("GET", f"/v1/transactions/{tx}")).json()["status"] == "QUEUED"


async def test_s13_with_the_right_password_no_route_answers_401(api: Api) -> None:
    for route in walk():
        if "masterAuth" in schemes(route):
            assert (await answer_to(api.client, route, MASTER))[0] != 401, route.name


def of_another(value: dict[str, Any]) -> dict[str, Any]:
    return {**value, "requestId": ""}


async def test_s13_the_things_of_another_agent_are_answered_as_if_they_were_not_there(table: Table) -> None:
    walked = []
    for route in walk():
        place = next((prefix for prefix in table.things if route.path.startswith(f"{prefix}{{id}}")), None)
        if place is None or "sessionAuth" not in schemes(route):
            continue
        known = await table.ask(route, table.stranger.headers, thing=table.things[place])
        unknown = await table.ask(route, table.stranger.headers)
        assert known.status_code == 404, route.name
        assert of_another(known.json()) == of_another(unknown.json()), route.name
        walked.append(route.name)
    assert {"GET /v1/transactions/{id}", "DELETE /v1/sessions/{id}", "PUT /v1/sessions/{id}/renew"} < set(walked)
    # none of it did anything
    assert (await table.victim.request("GET", "/v1/wallet/address")).status_code == 200
    tx = table.things["/v1/transactions/"]
    assert (await table.victim.request("GET", f"/v1/transactions/{tx}")).json()["status"] == "QUEUED"


def test_s13_guards_say_what_they_miss() -> None:
    assert [guard.missing.code for guard in (operator, session, renewing, owner)] == [
        "INVALID_MASTER_PASSWORD",
        "INVALID_TOKEN",
        "INVALID_TOKEN",
        "INVALID_SIGNATURE",
    ]
    assert (operator | session).kinds == (session | operator).kinds
