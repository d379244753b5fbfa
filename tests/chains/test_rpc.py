"""Calls leave together, go where an answer may be, and stay away from whoever is not who it should be."""

import asyncio
import json

import httpx
import msgspec
import pytest

from tests.chains.conftest import Node, refuse
from waiaas.chains.solana import answers, refusals
from waiaas.domain.chain import Network
from waiaas.errors import NodeRefused, NoEndpoint, Transient

OTHER = "EtWTRABZaYq6iMfeYKouRu166VU2xqa1wcaWoxPkrZBX"


def read(text: bytes) -> int:
    return msgspec.json.decode(text)


def broken(request: httpx.Request) -> httpx.Response:
    return httpx.Response(500)


def send(rpc, everywhere: bool = False):
    return rpc.send(
        "sendTransaction",
        ["bytes"],
        answers.signature("ours"),
        accepted=refusals.already_processed,
        everywhere=everywhere,
    )


async def ask(rpc) -> int:
    return await rpc.call("getAnswer", [], read)


# --- batches -----------------------------------------------------------------------------------


async def test_calls_of_one_turn_leave_as_one_batch(make_rpc):
    node = Node(double=lambda n: 2 * n)
    rpc = make_rpc(node)
    assert await asyncio.gather(*(rpc.call("double", [n], read) for n in range(5))) == [0, 2, 4, 6, 8]
    assert [len(body) for body in node.bodies if isinstance(body, list)] == [5]


async def test_a_batch_holds_a_hundred_calls(make_rpc):
    node = Node(double=lambda n: 2 * n)
    rpc = make_rpc(node)
    await asyncio.gather(*(rpc.call("double", [n], read) for n in range(250)))
    assert [len(body) for body in node.bodies if isinstance(body, list)] == [100, 100, 50]


async def test_a_batch_stays_below_what_a_node_reads(make_rpc):
    node = Node(length=len)
    rpc = make_rpc(node)
    await asyncio.gather(*(rpc.call("length", ["x" * 20_000], read) for _ in range(5)))
    assert [len(body) for body in node.bodies[2:] if isinstance(body, list)] == [2, 2]
    assert max(len(json.dumps(body)) for body in node.bodies) < 50 * 1024


async def test_each_member_of_a_batch_has_its_own_error(make_rpc):
    node = Node(good=1, bad=refuse(-32000, "this one"))
    rpc = make_rpc(node)
    good, bad, unreadable = await asyncio.gather(
        rpc.call("good", [], read),
        rpc.call("bad", [], read),
        rpc.call("good", [], answers.SIGNATURE.decode),
        return_exceptions=True,
    )
    assert good == 1
    assert isinstance(bad, NodeRefused)
    assert isinstance(unreadable, Transient)


@pytest.mark.parametrize("status", [400, 413])
async def test_an_endpoint_that_refuses_batches_gets_single_calls_from_then_on(make_rpc, status):
    node = Node(double=lambda n: 2 * n)

    def respond(request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content)
        return httpx.Response(status) if isinstance(body, list) else httpx.Response(200, json=node.reply(body))

    node.respond = respond
    rpc = make_rpc(node)
    for _ in range(2):
        assert await asyncio.gather(*(rpc.call("double", [n], read) for n in range(3))) == [0, 2, 4]
    assert len([body for body in node.bodies if isinstance(body, list)]) == 1
    assert rpc.endpoints[0].failures == 0


async def test_one_error_for_a_whole_batch_means_no_batches(make_rpc):
    node = Node(double=lambda n: 2 * n)
    error = {"jsonrpc": "2.0", "id": None, "error": {"code": -32600, "message": "batches are not supported"}}

    def respond(request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content)
        return httpx.Response(200, json=error if isinstance(body, list) else node.reply(body))

    node.respond = respond
    rpc = make_rpc(node)
    assert await asyncio.gather(*(rpc.call("double", [n], read) for n in range(3))) == [0, 2, 4]
    assert rpc.endpoints[0].batches is False


def at_most(node: Node, most: int, status: int, refusal: object):
    """Answers batches of so many calls, and refuses larger ones."""

    def respond(request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content)
        if isinstance(body, list) and len(body) > most:
            return httpx.Response(status, json=refusal)
        return httpx.Response(200, json=[*map(node.reply, body)] if isinstance(body, list) else node.reply(body))

    return respond


def error(code: int, message: str) -> dict:
    return {"jsonrpc": "2.0", "id": 1, "error": {"code": code, "message": message}}


@pytest.mark.parametrize(
    ("status", "refusal"),
    [
        (413, "Request Entity Too Large"),
        (200, [error(-32600, "batch too large")]),
        (200, error(-32600, "Batch of more than 20 requests are not allowed")),
        (400, error(-32005, "batch limit 20 exceeded: 100 requested")),
    ],
    ids=["413", "geth", "a provider", "erigon"],
)
async def test_an_endpoint_for_which_a_batch_is_too_large_gets_smaller_ones_from_then_on(make_rpc, status, refusal):
    node = Node(double=lambda n: 2 * n)
    node.respond = at_most(node, 20, status, refusal)
    rpc = make_rpc(node)
    for _ in range(2):
        assert await asyncio.gather(*(rpc.call("double", [n], read) for n in range(80))) == [2 * n for n in range(80)]
    assert [len(body) for body in node.bodies if isinstance(body, list)] == [80, 40, 40, *[20] * 8]
    assert rpc.endpoints[0].failures == 0


async def test_a_batch_whose_answer_is_too_large_is_asked_in_parts(make_rpc):
    node = Node(long=lambda n: "x" * n)
    rpc = make_rpc(node, max_response_bytes=4000)
    lengths = await asyncio.gather(*(rpc.call("long", [1000], len) for _ in range(8)))
    assert lengths == [1002] * 8
    assert rpc.endpoints[0].failures == 0


async def test_one_answer_that_is_too_large_keeps_no_other_from_its_own(make_rpc):
    node = Node(long=lambda n: "x" * n)
    rpc = make_rpc(node, max_response_bytes=4000)
    asked = [rpc.call("long", [5000 if place == 3 else 10], len) for place in range(8)]
    answered = await asyncio.gather(*asked, return_exceptions=True)
    assert [answer for place, answer in enumerate(answered) if place != 3] == [12] * 7
    assert isinstance(answered[3], Transient)


async def test_a_node_that_answers_too_much_to_everything_is_soon_asked_no_more(make_rpc):
    node = Node(long="x" * 5000)
    rpc = make_rpc(node, max_response_bytes=4000)
    await asyncio.gather(*(rpc.call("long", [], read) for _ in range(100)), return_exceptions=True)
    assert len(node.bodies) < 25
    assert not rpc.endpoints[0].usable


async def test_answers_that_geth_left_out_because_they_were_too_large_are_asked_for_again(make_rpc):
    node = Node(double=lambda n: 2 * n)

    def respond(request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content)
        if not isinstance(body, list):
            return httpx.Response(200, json=node.reply(body))
        left_out = [error(-32003, "response too large") | {"id": call["id"]} for call in body[2:]]
        return httpx.Response(200, json=[*map(node.reply, body[:2]), *left_out])

    node.respond = respond
    rpc = make_rpc(node)
    assert await asyncio.gather(*(rpc.call("double", [n], read) for n in range(8))) == [2 * n for n in range(8)]


async def test_a_batch_refused_because_of_the_rate_is_no_reason_to_send_more_requests(make_rpc):
    node = Node(double=lambda n: 2 * n)
    rpc = make_rpc(node)
    await rpc.call("double", [1], read)
    error = {"jsonrpc": "2.0", "id": None, "error": {"code": 429, "message": "slow down"}}
    node.respond = lambda request: httpx.Response(200, json=error)
    node.bodies.clear()
    answers = await asyncio.gather(*(rpc.call("double", [n], read) for n in range(3)), return_exceptions=True)
    assert [type(answer) for answer in answers] == [NoEndpoint] * 3
    assert len(node.bodies) == 1


async def test_a_member_that_was_left_out_is_asked_elsewhere(make_rpc):
    forgetful, complete = Node(double=lambda n: 2 * n), Node(double=lambda n: 2 * n)

    def respond(request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content)
        return httpx.Response(
            200, json=list(map(forgetful.reply, body[1:])) if isinstance(body, list) else forgetful.reply(body)
        )

    forgetful.respond = respond
    rpc = make_rpc(forgetful, complete)
    assert await asyncio.gather(*(rpc.call("double", [n], read) for n in range(3))) == [0, 2, 4]
    assert complete.methods.count("double") == 1


@pytest.mark.parametrize(
    "change", [lambda ids: [ids[0], ids[0]], lambda ids: [ids[0], 999], lambda ids: [ids[0], None]]
)
async def test_a_batch_answered_under_other_ids_is_no_answer(make_rpc, change):
    node = Node(double=lambda n: 2 * n)
    rpc = make_rpc(node)
    await rpc.call("double", [1], read)

    def respond(request: httpx.Request) -> httpx.Response:
        ids = change([question["id"] for question in json.loads(request.content)])
        return httpx.Response(200, json=[{"jsonrpc": "2.0", "id": one, "result": 7} for one in ids])

    node.respond = respond
    found = await asyncio.gather(*(rpc.call("double", [n], read) for n in range(2)), return_exceptions=True)
    assert [type(answer) for answer in found] == [Transient, Transient]
    assert rpc.endpoints[0].failures == 1


async def test_a_caller_that_goes_away_disturbs_no_other(make_rpc):
    node = Node(double=lambda n: 2 * n)
    rpc = make_rpc(node)
    leaving, staying = rpc.call("double", [1], read), rpc.call("double", [2], read)
    await asyncio.sleep(0)
    leaving.cancel()
    assert await staying == 4


async def test_closing_tells_those_who_wait(make_rpc):
    node = Node()

    async def silence(request):
        await asyncio.sleep(60)

    node.respond = silence
    rpc = make_rpc(node)
    waiting = rpc.call("getAnswer", [], read)
    await asyncio.sleep(0.01)
    queued = rpc.call("getAnswer", [], read)
    await rpc.close()
    for call in (waiting, queued):
        with pytest.raises(Transient):
            await asyncio.wait_for(call, 1)


# --- reads -------------------------------------------------------------------------------------


async def test_a_read_goes_to_the_first_endpoint_as_long_as_it_answers(make_rpc):
    first, second = Node(getAnswer=1), Node(getAnswer=2)
    rpc = make_rpc(first, second)
    assert [await ask(rpc), await ask(rpc)] == [1, 1]
    assert second.bodies == []


async def test_a_read_is_tried_once_on_three_endpoints_at_most(make_rpc):
    nodes = [Node(getAnswer=n) for n in range(4)]
    rpc = make_rpc(*nodes)
    for node in nodes[:3]:
        node.respond = broken
    with pytest.raises(Transient):
        await ask(rpc)
    assert [len(node.bodies) for node in nodes] == [1, 1, 1, 0]


async def test_a_read_fails_over(make_rpc):
    first, second = Node(getAnswer=1), Node(getAnswer=2)
    rpc = make_rpc(first, second)
    first.respond = broken
    assert await ask(rpc) == 2


async def test_a_refusal_is_asked_nowhere_else(make_rpc):
    first, second = Node(getAnswer=refuse(-32000)), Node(getAnswer=2)
    rpc = make_rpc(first, second)
    with pytest.raises(NodeRefused):
        await ask(rpc)
    assert second.bodies == []


@pytest.mark.parametrize("code", [-32601, -32011, -32016])
async def test_a_node_that_cannot_know_is_passed_over_without_blame(make_rpc, code):
    first, second = Node(getAnswer=refuse(code)), Node(getAnswer=2)
    rpc = make_rpc(first, second)
    assert await ask(rpc) == 2
    assert rpc.endpoints[0].failures == 0


async def test_without_a_healthy_endpoint_the_error_says_so(make_rpc):
    node = Node()
    node.respond = broken
    rpc = make_rpc(node, breaker_failures=1)
    with pytest.raises(NoEndpoint, match="devnet"):
        await ask(rpc)


# --- identity ----------------------------------------------------------------------------------


async def test_identity_is_checked_before_the_first_use(make_rpc):
    node = Node(getAnswer=1)
    rpc = make_rpc(node)
    await ask(rpc)
    await ask(rpc)
    assert node.methods == ["getGenesisHash", "getSlot", "getAnswer", "getAnswer"]


async def test_identity_is_checked_again_every_ten_minutes(make_rpc, clock):
    node = Node(getAnswer=1)
    rpc = make_rpc(node)
    await ask(rpc)
    clock.seconds += 599
    await ask(rpc)
    assert node.methods.count("getGenesisHash") == 1
    clock.seconds += 1
    await ask(rpc)
    assert node.methods.count("getGenesisHash") == 2


async def test_identity_is_checked_again_after_a_failure(make_rpc):
    node = Node(getAnswer=1)
    rpc = make_rpc(node)
    await ask(rpc)
    node.respond = broken
    with pytest.raises(Transient):
        await ask(rpc)
    node.respond = None
    node.answers["getGenesisHash"] = OTHER
    with pytest.raises(NoEndpoint):
        await ask(rpc)


async def test_identity_is_checked_at_every_switch(make_rpc):
    first, second = Node(getAnswer=1), Node(getAnswer=2)
    rpc = make_rpc(first, second)
    first.respond = broken
    assert await ask(rpc) == 2
    first.respond = None
    assert await ask(rpc) == 1
    second.answers["getGenesisHash"] = OTHER
    first.respond = broken
    with pytest.raises(Transient):
        await ask(rpc)
    assert [one.endpoint for one in rpc.quarantined()] == ["b"]


async def test_another_chain_is_never_asked_again(make_rpc, clock):
    node = Node(getGenesisHash=OTHER, getAnswer=1)
    rpc = make_rpc(node)
    with pytest.raises(NoEndpoint):
        await ask(rpc)
    assert "getAnswer" not in node.methods
    node.answers["getGenesisHash"] = rpc.identity
    clock.seconds += 86_400
    with pytest.raises(NoEndpoint):
        await ask(rpc)
    [told] = rpc.quarantined()
    assert (told.network, told.endpoint) == (Network.DEVNET, "a")
    assert OTHER in told.reason


async def test_a_network_without_a_known_identity_keeps_what_all_endpoints_say(make_rpc):
    first, second = Node(getGenesisHash="one", getAnswer=1), Node(getGenesisHash="one", getAnswer=2)
    rpc = make_rpc(first, second, network=Network.LOCALNET)
    assert await ask(rpc) == 1
    assert rpc.identity == "one"
    second.answers["getGenesisHash"] = "two"
    first.respond = broken
    with pytest.raises(Transient):
        await ask(rpc)
    assert [one.endpoint for one in rpc.quarantined()] == ["b"]


async def test_a_liar_at_the_first_meeting_shuts_nobody_out(make_rpc):
    liar, honest = Node(getGenesisHash=OTHER, getAnswer=1), Node(getGenesisHash="one", getAnswer=2)
    rpc = make_rpc(liar, honest, network=Network.LOCALNET)
    with pytest.raises(Transient, match=f"different chains: a says {OTHER}, b says one"):
        await ask(rpc)
    assert (rpc.identity, rpc.quarantined()) == (None, [])
    assert "getAnswer" not in liar.methods + honest.methods
    liar.answers["getGenesisHash"] = "one"
    assert await ask(rpc) == 1
    assert (rpc.identity, rpc.divided) == ("one", None)


async def test_nor_does_one_that_speaks_while_the_other_is_silent(make_rpc):
    liar, silent = Node(getGenesisHash=OTHER, getAnswer=1), Node(getGenesisHash="one", getAnswer=2)
    silent.respond = broken
    rpc = make_rpc(liar, silent, network=Network.LOCALNET)
    with pytest.raises(Transient):
        await ask(rpc)
    assert rpc.identity is None


async def test_calls_that_come_together_check_the_identity_once(make_rpc):
    node = Node(double=lambda n: 2 * n)
    rpc = make_rpc(node)
    await asyncio.gather(*(rpc.call("double", [n], read) for n in range(300)))
    assert node.methods.count("getGenesisHash") == 1


# --- broadcast ---------------------------------------------------------------------------------


async def test_bytes_go_to_the_preferred_endpoint_alone_when_it_takes_them(make_rpc):
    first, second = Node(sendTransaction="ours"), Node(sendTransaction="ours")
    assert await send(make_rpc(first, second)) == "a"
    assert second.bodies == []


@pytest.mark.parametrize(
    "unclear",
    [broken, lambda request: httpx.Response(429), lambda request: httpx.Response(200, text="<html>")],
)
async def test_an_unclear_answer_sends_the_same_bytes_to_every_other_endpoint(make_rpc, unclear):
    nodes = [Node(sendTransaction="ours") for _ in range(3)]
    rpc = make_rpc(*nodes)
    nodes[0].respond = unclear
    assert await send(rpc) in ("b", "c")
    await asyncio.sleep(0)
    sent = [[b["params"] for b in node.bodies if b["method"] == "sendTransaction"] for node in nodes[1:]]
    assert sent == [[["bytes"]], [["bytes"]]]


async def test_one_acceptance_outweighs_refusals(make_rpc):
    nodes = [Node(), Node(sendTransaction=refuse(-32000)), Node(sendTransaction="ours")]
    nodes[0].respond = broken
    assert await send(make_rpc(*nodes)) == "c"


async def test_a_refusal_says_more_than_silence(make_rpc):
    nodes = [Node(), Node(sendTransaction=refuse(-32000)), Node()]
    nodes[0].respond = nodes[2].respond = broken
    rpc = make_rpc(*nodes)
    with pytest.raises(NodeRefused):
        await send(rpc)


async def test_a_clear_refusal_is_final(make_rpc):
    first, second = Node(sendTransaction=refuse(-32003)), Node(sendTransaction="ours")
    rpc = make_rpc(first, second)
    with pytest.raises(NodeRefused):
        await send(rpc)
    assert second.bodies == []


async def test_when_every_answer_is_unclear_the_outcome_is_unknown(make_rpc):
    nodes = [Node(), Node()]
    for node in nodes:
        node.respond = broken
    with pytest.raises(Transient):
        await send(make_rpc(*nodes))


async def test_a_foreign_hash_quarantines_the_endpoint_and_ours_goes_elsewhere(make_rpc):
    first, second = Node(sendTransaction="theirs"), Node(sendTransaction="ours")
    rpc = make_rpc(first, second)
    assert await send(rpc) == "b"
    assert [one.endpoint for one in rpc.quarantined()] == ["a"]


async def test_bytes_the_node_has_already_are_accepted(make_rpc):
    processed = refuse(-32002, "Transaction simulation failed", {"err": "AlreadyProcessed"})
    assert await send(make_rpc(Node(sendTransaction=processed))) == "a"


async def test_everywhere_means_every_usable_endpoint(make_rpc):
    nodes = [Node(sendTransaction="ours") for _ in range(3)]
    rpc = make_rpc(*nodes)
    rpc.endpoints[2].lagging = True
    await send(rpc, everywhere=True)
    await asyncio.sleep(0)
    assert all("sendTransaction" in node.methods for node in nodes)


# --- watching ----------------------------------------------------------------------------------


async def test_an_endpoint_far_behind_is_not_asked_until_it_has_caught_up(make_rpc):
    slow, fast = Node(getSlot=49, getAnswer=1), Node(getSlot=100, getAnswer=2)
    rpc = make_rpc(slow, fast)
    await rpc.watch()
    assert await ask(rpc) == 2
    slow.answers["getSlot"] = 50
    await rpc.watch()
    assert await ask(rpc) == 1


async def test_an_endpoint_far_behind_may_still_be_sent_to(make_rpc):
    slow, fast = Node(getSlot=1, sendTransaction="ours"), Node(getSlot=100, sendTransaction="ours")
    rpc = make_rpc(slow, fast)
    await rpc.watch()
    assert await send(rpc) == "b"
    fast.respond = broken
    assert await send(rpc) == "a"


async def test_watching_finds_a_wrong_identity(make_rpc):
    rpc = make_rpc(Node(getGenesisHash=OTHER))
    await rpc.watch()
    assert not rpc.healthy


async def test_watching_survives_dead_endpoints(make_rpc):
    dead, alive = Node(), Node()
    dead.respond = broken
    rpc = make_rpc(dead, alive, breaker_failures=1)
    await rpc.watch()
    assert [endpoint.usable for endpoint in rpc.endpoints] == [False, True]


async def test_a_witness_is_asked_alone(make_rpc):
    first, second = Node(getAnswer=1), Node(getAnswer=2)
    rpc = make_rpc(first, second)
    witnesses = await rpc.witnesses()
    assert [await one.call("getAnswer", [], read) for one in witnesses] == [1, 2]
    first.respond = broken
    with pytest.raises(Transient):
        await witnesses[0].call("getAnswer", [], read)
    assert [one.name for one in await rpc.witnesses()] == ["b"]


async def test_an_unexpected_error_reaches_the_caller(make_rpc):
    rpc = make_rpc(Node(getAnswer=1))
    with pytest.raises(ZeroDivisionError):
        await rpc.call("getAnswer", [], lambda text: 1 // 0)
