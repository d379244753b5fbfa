"""JSON-RPC 2.0 over HTTP, as the embedded chain answers it."""

import pytest
from solders.keypair import Keypair

from tests.localnet.conftest import RpcFailed


async def post(node, content: bytes, content_type: str = "application/json"):
    return await node.http.post("/", content=content, headers={"content-type": content_type})


async def test_a_batch_is_answered_in_its_order(node):
    calls = [
        {"jsonrpc": "2.0", "id": "a", "method": "getHealth"},
        {"jsonrpc": "2.0", "id": 2, "method": "noSuchMethod", "params": []},
        {"jsonrpc": "2.0", "method": "getSlot"},
        7,
        {"jsonrpc": "2.0", "id": None, "method": "getSlot", "params": []},
    ]
    assert (await node.http.post("/", json=calls)).json() == [
        {"jsonrpc": "2.0", "result": "ok", "id": "a"},
        {"jsonrpc": "2.0", "error": {"code": -32601, "message": "Method not found"}, "id": 2},
        {"jsonrpc": "2.0", "error": {"code": -32600, "message": "Invalid request"}, "id": None},
        {"jsonrpc": "2.0", "result": 0, "id": None},
    ]


@pytest.mark.parametrize("body", [b"{", b"", b"\xff"])
async def test_what_is_no_json_is_a_parse_error(node, body):
    assert (await post(node, body)).json()["error"] == {"code": -32700, "message": "Parse error"}


@pytest.mark.parametrize("body", [b"[]", b"7", b'{"id":1,"method":"getSlot"}'])
async def test_what_is_no_call_is_an_invalid_request(node, body):
    assert (await post(node, body)).json()["error"] == {"code": -32600, "message": "Invalid request"}


async def test_notifications_are_not_answered(node):
    for body in (b'{"jsonrpc":"2.0","method":"getSlot"}', b'[{"jsonrpc":"2.0","method":"getSlot"}]'):
        reply = await post(node, body)
        assert (reply.status_code, reply.content) == (200, b"")


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("getBalance", []),
        ("getBalance", [7]),
        ("getBalance", ["not an address"]),
        ("getBalance", [str(Keypair().pubkey()), {"commitment": "sure"}]),
        ("getBalance", {"address": "x"}),
        ("getMinimumBalanceForRentExemption", [-1]),
        ("getSignatureStatuses", [["x"]]),
        ("getSignatureStatuses", [["1" * 64] * 257]),
        ("getMultipleAccounts", [["11111111111111111111111111111111"] * 101]),
        ("isBlockhashValid", ["x"]),
        ("getFeeForMessage", ["AAAA"]),
        ("requestAirdrop", [str(Keypair().pubkey()), 0]),
        ("requestAirdrop", [str(Keypair().pubkey()), 2**64]),
        ("getSignaturesForAddress", [str(Keypair().pubkey()), {"limit": 1001}]),
        ("getTokenAccountsByOwner", [str(Keypair().pubkey()), {}]),
        ("getTokenAccountsByOwner", [str(Keypair().pubkey()), {"mint": str(Keypair().pubkey())}]),
        ("getTokenAccountsByOwner", [str(Keypair().pubkey()), {"programId": str(Keypair().pubkey())}]),
        ("getTokenAccountBalance", [str(Keypair().pubkey())]),
    ],
)
async def test_params_that_do_not_fit_are_invalid(node, method, params):
    reply = (await node.http.post("/", json={"jsonrpc": "2.0", "id": 1, "method": method, "params": params})).json()
    assert reply["error"]["code"] == -32602


async def test_a_slot_not_reached_yet_is_told(node):
    with pytest.raises(RpcFailed, match="Minimum context slot has not been reached") as failed:
        await node.call("getBalance", str(Keypair().pubkey()), {"minContextSlot": 10})
    assert (failed.value.code, failed.value.data) == (-32016, {"contextSlot": 0})
    node.clock.pass_slots(10)
    await node.call("getBalance", str(Keypair().pubkey()), {"minContextSlot": 10})


async def test_only_json_is_taken_so_that_a_web_page_cannot_post_unasked(node):
    assert (await post(node, b'{"jsonrpc":"2.0","id":1,"method":"getSlot"}', "text/plain")).status_code == 415


async def test_only_post_is_answered_and_health_as_on_a_node(node):
    assert (await node.http.get("/")).status_code == 405
    assert (await node.http.get("/health")).text == "ok"


async def test_a_body_without_end_is_not_read(node):
    assert (await post(node, b" " * 1_048_577)).status_code == 413
    assert (await post(node, b" " * 1_048_000 + b'{"jsonrpc":"2.0","id":1,"method":"getSlot"}')).status_code == 200


async def test_a_websocket_is_closed_at_once(node):
    sent = []

    async def send(message):
        sent.append(message)

    await node.app({"type": "websocket"}, None, send)
    assert sent == [{"type": "websocket.close", "code": 1000}]
