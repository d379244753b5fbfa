"""The application behind the server it runs on, spoken to in bytes."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import hypercorn.asyncio
import pytest

from tests.api.client import NOBODY
from tests.conftest import PASSWORD
from waiaas import app
from waiaas.app import Daemon

Talk = Callable[[str], Awaitable[str]]
GET = "GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Master-Password: " + PASSWORD + "\r\n{more}\r\n"


@pytest.fixture
async def talk(daemon: Daemon) -> AsyncIterator[Talk]:
    """Sends text on a new connection; answers what comes back until the server closes it or says no more."""
    listener = app.listen("127.0.0.1", 0)
    address = listener.getsockname()
    server = app.server_settings(listener)
    serving = asyncio.create_task(hypercorn.asyncio.serve(daemon.app, server, shutdown_trigger=daemon.stop.wait))

    async def said(text: str) -> str:
        reader, writer = await asyncio.open_connection(*address)
        writer.write(text.encode("latin-1"))
        answer = b""
        try:
            async with asyncio.timeout(0.5):
                while piece := await reader.read(65536):
                    answer += piece
        except TimeoutError:
            answer += b"(stays open)"
        writer.close()
        return answer.decode()

    yield said
    daemon.stop.set()
    await serving


def request(path: str, **more: str) -> str:
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in more.items())
    return GET.format(path=path, more=lines)


async def test_an_encoded_slash_stays_inside_its_segment(talk: Talk) -> None:
    for given in ("..%2F..%2Fetc%2Fpasswd", "%00", "%2e%2e"):
        answer = await talk(request(f"/v1/agents/{given}"))
        assert answer.startswith("HTTP/1.1 400 ")
        assert '"path":"id"' in answer
    assert (await talk(request("/v1/agents/../agents"))).startswith("HTTP/1.1 404 ")
    assert (await talk(request(f"/v1/agents/{NOBODY}"))).startswith("HTTP/1.1 404 ")


async def test_no_host_is_a_foreign_host(talk: Talk) -> None:
    assert (await talk("GET /health HTTP/1.0\r\n\r\n")).startswith("HTTP/1.1 403 ")
    assert (await talk("GET /health HTTP/1.1\r\n\r\n")).startswith("HTTP/1.1 400 ")
    assert (await talk("GET /health HTTP/1.1\r\nHost: evil.com\r\n\r\n")).startswith("HTTP/1.1 403 ")


async def test_a_body_that_is_announced_too_large_closes_the_connection(talk: Talk) -> None:
    answer = await talk(request("/v1/agents", Content_Length="262145").replace("GET", "POST"))
    assert answer.startswith("HTTP/1.1 413 ")
    assert not answer.endswith("(stays open)")


async def test_a_connection_serves_one_request_after_another(talk: Talk) -> None:
    answer = await talk(request("/health") + request("/nowhere") + request("/ready"))
    assert [answer.count(f"HTTP/1.1 {status} ") for status in (200, 404)] == [2, 1]
    assert answer.endswith("(stays open)")


async def test_the_server_does_not_tell_its_name(talk: Talk) -> None:
    assert "server:" not in (await talk(request("/health"))).lower()


async def test_head_has_no_body_on_the_wire(talk: Talk) -> None:
    answer = await talk(request("/health").replace("GET", "HEAD"))
    assert answer.endswith("\r\n\r\n(stays open)")
    assert "content-length: " in answer.lower()
