"""The edge under attack: H04, H06, H08, H09, H10."""

import asyncio
import json
from itertools import product
from pathlib import Path

import httpx
import pytest

from tests.api.client import MASTER, NOBODY, Api, Caller, client_of, code, issues
from tests.api.raw import ask
from tests.conftest import settings
from waiaas.api import decode
from waiaas.app import Daemon
from waiaas.paths import DataDir

IDS = ["..%2F..%2Fetc%2Fpasswd", "%00", "a%2Fb", "..", "%2e%2e", f"{NOBODY}%00", f"{NOBODY}%0A", f"{NOBODY}x", "1", "é"]


def listing(root: Path) -> list[str]:
    return sorted(str(path) for path in root.rglob("*") if "keystore" in path.parts)


async def test_h04_a_path_id_that_is_no_uuid_touches_nothing(daemon: Daemon, data: DataDir) -> None:
    before = listing(data.root)
    for given, (method, path) in product(IDS, (("GET", ""), ("PUT", ""), ("DELETE", ""), ("POST", "/faucet"))):
        url = f"/v1/agents/{given}{path}"
        status, body = await ask(daemon.app, method, url, MASTER, [b"{}"])
        told = json.loads(body)
        assert (status, told["code"]) == (400, "ACTION_VALIDATION_FAILED"), url
        assert [issue["path"] for issue in told["details"]["issues"]] == ["id"]
    assert listing(data.root) == before


async def test_h04_an_unknown_id_is_not_found(api: Api) -> None:
    for unknown in (NOBODY, NOBODY.upper(), "00000000-0000-0000-0000-000000000000"):
        assert code(await api.operator("GET", f"/v1/agents/{unknown}")) == (404, "AGENT_NOT_FOUND")


HOSTS = [
    None,
    "",
    "evil.com",
    "localhost.evil.com",
    "127.0.0.1.nip.io",
    "localhost:1:2",
    "localhost:0",
    "localhost:65536",
    "localhost:03100",
    "localhost:",
    "localhost:x",
    "LOCALHOST",
    "127.0.0.1@evil.com",
    "127.1",
    "0.0.0.0",
    "[::1",
    "::1",
    "[::]",
    " localhost",
    "localhost\n",
    "lоcalhost",
]


async def test_h06_a_foreign_host_is_refused_before_anything_is_looked_at(daemon: Daemon) -> None:
    for host, (path, headers) in product(HOSTS, (("/health", {}), ("/v1/agents", {"X-Master-Password": "wrong"}))):
        raw = host.encode().decode("latin-1") if host is not None else None
        status, body = await ask(daemon.app, "GET", path, headers, [], host=raw)
        assert (status, json.loads(body)["code"]) == (403, "INVALID_HOST"), host
    failures = await daemon.core.db.fetch_all("SELECT 1 FROM audit_log WHERE event_type = 'AUTH_FAILED'")
    assert failures == []


DEEP = b'{"deep":' + b"[" * 100_000 + b"]" * 100_000 + b"}"


BODIES = [
    b"{",
    b"nonsense",
    b"[]",
    b'"text"',
    b"null",
    b"NaN",
    b'{"name":NaN}',
    b'{"name":Infinity}',
    b"\xff\xfe{}",
    b"\xef\xbb\xbf{}",
    b'{"name":"\xed\xa0\x80"}',
    b'{"other":"\xff"}',
    b'{"name":"\\ud800"}',
    b"{'name':'a'}",
    b'{"name":"a",}',
    DEEP,
]


async def test_h08_a_body_that_is_no_json_object_is_refused(api: Api, caller: Caller) -> None:
    for body in BODIES:
        assert issues(await api.operator("POST", "/v1/agents", content=body)) == [""], body[:20]
        assert issues(await caller.request("POST", "/v1/transactions/send", content=body)) == [""], body[:20]


async def test_h08_a_body_of_262145_bytes_is_cut_off(api: Api) -> None:
    answer = await api.operator("POST", "/v1/agents", content=b'{"name":"a"}'.ljust(262145))
    assert (code(answer), answer.headers["connection"]) == ((413, "BODY_TOO_LARGE"), "close")


async def test_h08_a_length_that_is_none_is_refused(daemon: Daemon) -> None:
    for length in ("-1", "1e3", "99999999999999999999", "x"):
        headers = {**MASTER, "Content-Length": length}
        status, body = await ask(daemon.app, "POST", "/v1/agents", headers, [b"{}"])
        assert (status, json.loads(body)["code"]) == (413, "BODY_TOO_LARGE")


async def test_h08_a_slow_body_is_not_waited_for(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode, "BODY_SECONDS", 0.1)
    async with asyncio.timeout(5):
        status, body = await ask(daemon.app, "POST", "/v1/agents", MASTER, [b'{"name"'], stalls=True)
    assert (status, json.loads(body)["code"]) == (400, "ACTION_VALIDATION_FAILED")


async def test_h09_the_address_of_the_socket_counts_whatever_is_forwarded(open_daemon) -> None:
    async with open_daemon(settings(security={"rate_limit_global_ip_rpm": 5})) as daemon, client_of(daemon) as client:
        spoofed = [{"X-Forwarded-For": f"10.0.0.{n}", "Forwarded": f"for=10.0.0.{n}"} for n in range(7)]
        answers = [(await client.get("/v1/nonce", headers=headers)) for headers in spoofed]
        assert [answer.status_code for answer in answers] == [200] * 5 + [429] * 2
        assert (code(answers[-1]), "retry-after" in answers[-1].headers) == ((429, "RATE_LIMITED"), True)
        async with client_of(daemon, peer="10.0.0.1") as other:
            assert (await other.get("/v1/nonce")).status_code == 200


async def test_h09_sessions_of_one_address_share_its_limit(open_daemon) -> None:
    async with open_daemon(settings(security={"rate_limit_global_ip_rpm": 10})) as daemon, client_of(daemon) as client:
        api = Api(client)
        caller = await api.make_caller()
        second = await api.make_session(caller.agent["id"])
        headers = [caller.headers, second["headers"]] * 4
        answers = [(await client.get("/v1/wallet/address", headers=one)).status_code for one in headers]
        assert answers == [200] * 7 + [429]


async def test_h10_a_foreign_origin_gets_no_cors_header(client: httpx.AsyncClient) -> None:
    for method in ("GET", "OPTIONS"):
        headers = {"Origin": "http://evil.com", "Access-Control-Request-Method": "POST"}
        answer = await client.request(method, "/health", headers=headers)
        assert not [name for name in answer.headers if name.startswith("access-control")]


async def test_h10_markup_in_a_name_comes_back_as_inert_json(api: Api) -> None:
    name = "<script>alert('x')</script>"
    agent = await api.make_agent(name)
    answer = await api.operator("GET", f"/v1/agents/{agent['id']}")
    assert answer.json()["name"] == name
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")


async def test_h10_a_hostile_request_id_is_replaced_and_a_hostile_name_refused(daemon: Daemon) -> None:
    for hostile in ("x" * 10_000, "a\nb", "a\r\nSet-Cookie: x", "a\x00", "a\x1b[31m"):
        body = json.dumps({"name": hostile}).encode()
        status, answer = await ask(daemon.app, "POST", "/v1/agents", {**MASTER, "X-Request-Id": hostile}, [body])
        told = json.loads(answer)
        assert (status, [issue["path"] for issue in told["details"]["issues"]]) == (400, ["name"])
        assert len(told["requestId"]) == 36
        assert hostile not in answer.decode()
