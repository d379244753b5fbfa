"""An endpoint that starves, floods or confuses us costs its deadline and one failure, never more."""

import asyncio
import gzip
import json
import zlib
from email.utils import formatdate

import httpx
import msgspec
import pytest
import structlog

from tests.chains.conftest import Node, refuse
from waiaas.errors import NodeRefused, NoEndpoint, Transient

CAP = 65_536


def read(text: bytes) -> int:
    return msgspec.json.decode(text)


def reply(request: httpx.Request, **fields) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": json.loads(request.content)["id"], "result": 1} | fields).encode()


async def chunked(*chunks: bytes):
    for chunk in chunks:
        yield chunk


def zipped(body: bytes, encoding: str = "gzip") -> httpx.Response:
    return httpx.Response(200, headers={"content-encoding": encoding}, content=chunked(body))


async def silence(request):
    await asyncio.sleep(60)


async def drip(request):
    async def body():
        for byte in reply(request):
            await asyncio.sleep(0.02)
            yield bytes([byte])

    return httpx.Response(200, content=body())


BROKEN = {
    "html with 200": lambda request: httpx.Response(200, text="<html>Welcome</html>"),
    "an empty body": lambda request: httpx.Response(200),
    "more than the cap": lambda request: httpx.Response(200, content=chunked(reply(request), b" " * CAP)),
    "a gzip bomb": lambda request: zipped(gzip.compress(reply(request) + b" " * (100 * CAP))),
    "half a gzip stream": lambda request: zipped(gzip.compress(reply(request))[:-12]),
    "gzip that is none": lambda request: zipped(b"plain"),
    "an encoding nobody asked for": lambda request: zipped(reply(request), "br"),
    "NaN": lambda request: httpx.Response(200, content=reply(request, result=float("nan"))),
    "nesting without end": lambda request: httpx.Response(200, content=b'{"jsonrpc":"2.0","id":' + b"[" * 50_000),
    "another id": lambda request: httpx.Response(200, content=reply(request, id=999)),
    "no id": lambda request: httpx.Response(200, content=reply(request, id=None)),
    "another protocol": lambda request: httpx.Response(200, content=reply(request, jsonrpc="1.0")),
    "no result": lambda request: httpx.Response(200, content=reply(request).replace(b', "result": 1', b"")),
    "text after the reply": lambda request: httpx.Response(200, content=reply(request) + b" x"),
    "a redirect": lambda request: httpx.Response(307, headers={"location": "http://10.0.0.1/"}, content=reply(request)),
    "a server error": lambda request: httpx.Response(502, content=reply(request)),
    "a forbidden page": lambda request: httpx.Response(403, text="Forbidden"),
    "silence": silence,
    "a slow drip": drip,
}


@pytest.mark.parametrize("fault", BROKEN)
async def test_a_broken_answer_is_transient_and_one_failure(make_rpc, fault):
    node = Node(getAnswer=1)
    rpc = make_rpc(node, max_response_bytes=CAP, request_timeout_seconds=0.1)
    assert await rpc.call("getAnswer", [], read) == 1
    asked = len(node.bodies)
    node.respond = BROKEN[fault]
    with pytest.raises(Transient):
        await rpc.call("getAnswer", [], read)
    assert rpc.endpoints[0].failures == 1
    assert len(node.bodies) == asked + 1


async def test_a_broken_connection_is_transient(make_rpc):
    node = Node(getAnswer=1)
    rpc = make_rpc(node)
    await rpc.call("getAnswer", [], read)

    def reset(request):
        raise httpx.ReadError("reset by peer")

    node.respond = reset
    with pytest.raises(Transient, match="ReadError"):
        await rpc.call("getAnswer", [], read)


@pytest.mark.parametrize("result", ["NaN", "1e400", "-1", '"1"', "1.5", "true", "null", '"\xff"'])
async def test_a_result_of_another_kind_is_a_failure_of_the_endpoint(make_rpc, result):
    from waiaas.chains.solana.answers import COUNT

    node = Node(getAnswer=1)
    rpc = make_rpc(node)
    await rpc.call("getAnswer", [], COUNT.decode)
    node.respond = lambda request: httpx.Response(
        200, content=reply(request).replace(b'"result": 1', b'"result": ' + result.encode("latin-1"))
    )
    with pytest.raises(Transient):
        await rpc.call("getAnswer", [], COUNT.decode)
    assert rpc.endpoints[0].failures == 1


@pytest.mark.parametrize("encode", [gzip.compress, zlib.compress])
async def test_a_compressed_answer_is_read(make_rpc, encode):
    node = Node(getAnswer=1)
    rpc = make_rpc(node)
    await rpc.call("getAnswer", [], read)
    node.respond = lambda request: zipped(encode(reply(request)))
    assert await rpc.call("getAnswer", [], read) == 1


async def test_a_refusal_is_no_failure_even_with_status_400(make_rpc):
    node = Node(getAnswer=refuse(-32000, "insufficient funds"))
    rpc = make_rpc(node)
    with pytest.raises(NodeRefused, match="insufficient funds"):
        await rpc.call("getAnswer", [], read)
    node.respond = lambda request: httpx.Response(
        400, content=reply(request, result=None, error={"code": -32000, "message": "no"})
    )
    with pytest.raises(NodeRefused):
        await rpc.call("getAnswer", [], read)
    assert rpc.endpoints[0].failures == 0


@pytest.mark.parametrize(
    ("retry_after", "seconds"),
    [(None, 5), ("12", 12), (formatdate(1_700_000_030, usegmt=True), 30), ("soon", 5), ("99999999", 600)],
)
async def test_429_pauses_the_endpoint_for_as_long_as_it_says(make_rpc, clock, retry_after, seconds):
    node = Node(getAnswer=1)
    rpc = make_rpc(node)
    await rpc.call("getAnswer", [], read)
    node.respond = lambda request: httpx.Response(429, headers={"retry-after": retry_after} if retry_after else {})
    with pytest.raises(NoEndpoint):
        await rpc.call("getAnswer", [], read)
    node.respond = None
    asked = len(node.bodies)
    clock.seconds += seconds - 1
    with pytest.raises(NoEndpoint):
        await rpc.call("getAnswer", [], read)
    assert len(node.bodies) == asked
    clock.seconds += 1
    assert await rpc.call("getAnswer", [], read) == 1


async def test_a_node_that_is_behind_is_paused_like_one_that_is_overrun(make_rpc, clock):
    node = Node(getAnswer=refuse(-32005, "Node is behind by 42 slots"))
    rpc = make_rpc(node)
    with pytest.raises(Transient):
        await rpc.call("getAnswer", [], read)
    assert rpc.endpoints[0].failures == 1
    assert not rpc.healthy
    clock.seconds += 5
    assert rpc.healthy


async def test_the_breaker_opens_after_five_failures_and_doubles_until_a_call_succeeds(make_rpc, clock):
    node = Node(getAnswer=1)
    rpc = make_rpc(node)
    await rpc.call("getAnswer", [], read)
    node.respond = lambda request: httpx.Response(500)
    for _ in range(4):
        with pytest.raises(Transient):
            await rpc.call("getAnswer", [], read)
        assert rpc.healthy
    for cooldown in (30, 60, 120, 240, 300, 300):
        with pytest.raises(Transient):
            await rpc.call("getAnswer", [], read)
        clock.seconds += cooldown - 1
        assert not rpc.healthy
        clock.seconds += 1
        assert rpc.healthy
    node.respond = None
    node.bodies.clear()
    assert await rpc.call("getAnswer", [], read) == 1
    assert node.methods == ["getGenesisHash", "getSlot", "getAnswer"]
    node.respond = lambda request: httpx.Response(500)
    for _ in range(5):
        assert rpc.healthy
        with pytest.raises(Transient):
            await rpc.call("getAnswer", [], read)
    clock.seconds += 29
    assert not rpc.healthy
    clock.seconds += 1
    assert rpc.healthy


async def test_while_the_breaker_is_open_nothing_is_asked(make_rpc):
    node = Node(getAnswer=1)
    node.respond = lambda request: httpx.Response(500)
    rpc = make_rpc(node, breaker_failures=1)
    with pytest.raises(Transient):
        await rpc.call("getAnswer", [], read)
    asked = len(node.bodies)
    with pytest.raises(NoEndpoint):
        await rpc.call("getAnswer", [], read)
    assert len(node.bodies) == asked


async def test_no_key_of_a_url_reaches_a_log_or_an_error(make_rpc, caplog):
    node = Node()
    node.respond = lambda request: httpx.Response(500)
    rpc = make_rpc(node)
    with structlog.testing.capture_logs() as lines, pytest.raises(Transient) as caught:
        await rpc.call("getAnswer", [], read)
    assert lines
    assert "secret" not in f"{lines} {caught.value} {caught.value.details}"
