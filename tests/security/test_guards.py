"""S13: the table of routes, walked with every kind of credential."""

import httpx
import pytest

from tests.api.client import MASTER, NOBODY, Api, Caller, code
from waiaas.api.guards import anyone, operator, session
from waiaas.api.routes import ROUTES
from waiaas.api.routing import Route

PUBLIC = {("GET", path) for path in ("/health", "/ready", "/metrics", "/doc", "/openapi.json", "/v1/nonce")}
SCHEMES = {"masterAuth", "sessionAuth"}


def path_of(route: Route) -> str:
    return route.path.replace("{id}", NOBODY)


def kinds(route: Route) -> list[str]:
    return [kind.scheme for kind in route.guard.kinds]


def test_s13_public_routes_are_these_and_no_others() -> None:
    assert {(route.method, route.path) for route in ROUTES if route.guard == anyone} == PUBLIC
    assert {scheme for route in ROUTES for scheme in kinds(route)} == SCHEMES


async def test_s13_no_credential_gets_the_guards_own_answer(client: httpx.AsyncClient) -> None:
    for route in ROUTES:
        answer = await client.request(route.method, path_of(route))
        if route.guard == anyone:
            assert answer.status_code == 200, route.path
        else:
            assert code(answer) == (401, route.guard.missing.code), route.path


async def test_s13_empty_credentials_are_none(client: httpx.AsyncClient) -> None:
    for route in ROUTES:
        if route.guard != anyone:
            headers = {"X-Master-Password": "", "Authorization": ""}
            answer = await client.request(route.method, path_of(route), headers=headers)
            assert code(answer) == (401, route.guard.missing.code), route.path


@pytest.mark.parametrize("wrong", ["Bearer wai_sess_a.b.c", "Bearer wk_" + "a" * 43, "Basic eDp5"])
async def test_s13_a_wrong_bearer_fails_on_every_route_that_takes_one(client: httpx.AsyncClient, wrong: str) -> None:
    for route in ROUTES:
        answer = await client.request(route.method, path_of(route), headers={"Authorization": wrong})
        if route.guard != anyone:
            expected = "INVALID_TOKEN" if "sessionAuth" in kinds(route) else "INVALID_MASTER_PASSWORD"
            assert code(answer) == (401, expected), route.path


async def test_s13_a_session_is_nobody_on_the_operators_routes(caller: Caller) -> None:
    for route in ROUTES:
        if route.guard == operator:
            answer = await caller.request(route.method, path_of(route))
            assert code(answer) == (401, "INVALID_MASTER_PASSWORD"), route.path


async def test_s13_the_operator_is_nobody_on_a_sessions_routes(api: Api) -> None:
    for route in ROUTES:
        if route.guard == session:
            answer = await api.operator(route.method, path_of(route))
            assert code(answer) == (401, "INVALID_TOKEN"), route.path


async def test_s13_with_the_right_password_no_route_of_the_operator_answers_401(api: Api) -> None:
    for route in ROUTES:
        if "masterAuth" in kinds(route):
            answer = await api.operator(route.method, path_of(route))
            assert answer.status_code != 401, route.path


async def test_s13_the_password_counts_first_and_a_wrong_one_does_not_fall_through(caller: Caller) -> None:
    for route in ROUTES:
        if set(kinds(route)) == SCHEMES:
            await caller.api.operator("GET", "/v1/agents")  # a right one, so that the wrong ones do not lock
            answer = await caller.request(route.method, path_of(route), headers={"X-Master-Password": "wrong"})
            assert code(answer) == (401, "INVALID_MASTER_PASSWORD"), route.path


async def test_s13_credentials_a_route_does_not_take_are_ignored(api: Api, caller: Caller) -> None:
    nonsense = {"X-Owner-Address": "x", "X-Owner-Signature": "y", "X-API-Key": "z"}
    assert (await caller.request("GET", "/v1/wallet/address", headers=nonsense)).status_code == 200
    with_bearer = {**MASTER, "Authorization": "Bearer nonsense"}
    assert (await api.client.get("/v1/agents", headers=with_bearer)).status_code == 200
    with_password = {"X-Master-Password": "wrong"}
    assert (await caller.request("POST", "/v1/transactions/send", headers=with_password)).status_code == 400
