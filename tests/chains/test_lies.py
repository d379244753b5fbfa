"""Nodes that lie or disagree: nothing is believed that only they say, nothing is given up because of them."""

import pytest

from tests.chains.conftest import TO, Node, signature
from waiaas.chains.base import Attempt, Blockhash
from waiaas.errors import Transient

OURS = signature(1)
THEIRS = signature(2)
LAST = 1000
ATTEMPT = Attempt(OURS, TO, Blockhash("blockhash", LAST, 900))


def node(height=LAST + 1, slot=2000, context=2000, status=None, first=0, **answers) -> Node:
    """A node that proves the death of the attempt unless told otherwise."""
    return Node(
        getEpochInfo={"absoluteSlot": slot, "blockHeight": height},
        getSignatureStatuses=lambda hashes, config: {"context": {"slot": context}, "value": [status] * len(hashes)},
        getFirstAvailableBlock=first,
        **answers,
    )


SEEN = {"slot": 950, "confirmations": None, "err": None, "confirmationStatus": "finalized"}


async def test_one_endpoint_proves_a_death_when_one_is_configured(make_chain):
    proof = (await make_chain(node()).deaths([ATTEMPT]))[OURS]
    assert proof.evidence == {
        "lastValidBlockHeight": LAST,
        "finalizedBlockHeight": LAST + 1,
        "finalizedSlot": 2000,
        "firstAvailableBlock": 0,
        "slotAtSigning": 900,
        "endpoints": "a",
    }


@pytest.mark.parametrize(
    ("fields", "dead"),
    [
        ({"height": LAST}, False),
        ({"height": LAST + 1}, True),
        ({"context": 1999}, False),
        ({"context": 2000}, True),
        ({"status": SEEN}, False),
        ({"status": SEEN | {"err": "AccountInUse"}}, False),
        ({"first": 901}, False),
        ({"first": 900}, True),
    ],
)
async def test_each_part_of_the_proof_is_needed(make_chain, fields, dead):
    assert bool(await make_chain(node(**fields)).deaths([ATTEMPT])) is dead


@pytest.mark.parametrize("fields", [{"height": LAST}, {"context": 1999}, {"status": SEEN}, {"first": 901}])
@pytest.mark.parametrize("liar_first", [True, False])
async def test_every_endpoint_must_say_so(make_chain, fields, liar_first):
    nodes = [node(), node(**fields)]
    assert await make_chain(*(nodes if liar_first else nodes[::-1])).deaths([ATTEMPT]) == {}


async def test_two_endpoints_that_agree_prove_it(make_chain):
    proof = (await make_chain(node(), node(height=LAST + 5, first=3)).deaths([ATTEMPT]))[OURS]
    assert proof.evidence["endpoints"] == "a, b"
    assert proof.evidence["finalizedBlockHeight"] == LAST + 1
    assert proof.evidence["firstAvailableBlock"] == 3


async def test_one_endpoint_proves_nothing_when_two_are_configured(make_chain):
    chain = make_chain(node(), node(getGenesisHash="another"))
    assert await chain.deaths([ATTEMPT]) == {}
    chain.rpc.endpoints[1].quarantine("test")
    assert await chain.deaths([ATTEMPT]) == {}


async def test_two_of_three_prove_it_when_the_third_is_no_longer_healthy(make_chain):
    chain = make_chain(node(), node(), node(status=SEEN))
    assert await chain.deaths([ATTEMPT]) == {}
    chain.rpc.endpoints[2].quarantine("test")
    assert list(await chain.deaths([ATTEMPT])) == [OURS]


async def test_an_endpoint_that_cannot_search_its_history_proves_nothing(make_chain):
    assert await make_chain(node(), node(first="nonsense")).deaths([ATTEMPT]) == {}


async def test_the_history_is_asked_only_after_the_height(make_chain):
    one = node()
    await make_chain(one).deaths([ATTEMPT])
    order = [method for method in one.methods if method not in ("getGenesisHash", "getSlot")]
    assert order == ["getEpochInfo", "getEpochInfo", "getSignatureStatuses", "getFirstAvailableBlock"]
    [statuses] = [body for body in one.bodies if body["method"] == "getSignatureStatuses"]
    assert statuses["params"] == [[OURS], {"searchTransactionHistory": True}]
    epochs = [body["params"] for body in one.bodies if body["method"] == "getEpochInfo"]
    assert epochs == [[{"commitment": "finalized"}]] * 2


async def test_many_attempts_are_judged_256_at_a_time(make_chain):
    one = node()
    attempts = [Attempt(signature(n), TO, ATTEMPT.slot) for n in range(600)]
    assert len(await make_chain(one).deaths(attempts)) == 600
    assert one.methods.count("getSignatureStatuses") == 3


async def test_without_attempts_nobody_is_asked(make_chain):
    one = node()
    assert await make_chain(one).deaths([]) == {}
    assert one.bodies == []


# --- statuses and receipts ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "confirmed", "finalized", "ok"),
    [
        (SEEN, True, True, True),
        (SEEN | {"confirmationStatus": "confirmed", "confirmations": 5}, True, False, True),
        (SEEN | {"confirmationStatus": "processed", "confirmations": 0}, False, False, True),
        (SEEN | {"err": {"InstructionError": [2, {"Custom": 1}]}}, True, True, False),
        ({"slot": 1, "confirmations": None, "err": None}, True, True, True),
        ({"slot": 1, "confirmations": 3, "err": None}, False, False, True),
    ],
)
async def test_a_sighting_says_how_deep_and_how_it_ended(make_chain, status, confirmed, finalized, ok):
    found = (await make_chain(node(status=status)).statuses([OURS]))[OURS]
    assert (found.confirmed, found.finalized, found.ok, found.error is None) == (confirmed, finalized, ok, ok)


async def test_too_few_statuses_are_no_answer(make_chain):
    liar = Node(getSignatureStatuses={"context": {"slot": 1}, "value": [SEEN]})
    with pytest.raises(Transient):
        await make_chain(liar).statuses([OURS, THEIRS])


def landed(hash: str, **meta) -> dict:
    balances = {"fee": 5000, "preBalances": [100_000, 0, 1], "postBalances": [85_000, 10_000, 1]} | meta
    return {"slot": 950, "meta": balances, "transaction": {"signatures": [hash], "message": {}}, "blockTime": None}


async def test_a_receipt_tells_fee_and_outflow(make_chain):
    found = (await make_chain(Node(getTransaction=landed(OURS))).receipts([OURS]))[OURS]
    assert (found.fee, found.outflow, found.block) == (5000, 10_000, 950)


async def test_anothers_receipt_quarantines_the_endpoint_and_the_next_is_asked(make_chain):
    liar, honest = Node(getTransaction=landed(THEIRS)), Node(getTransaction=landed(OURS))
    chain = make_chain(liar, honest)
    assert list(await chain.receipts([OURS])) == [OURS]
    assert [one.endpoint for one in chain.rpc.quarantined()] == ["a"]


@pytest.mark.parametrize("meta", [{"fee": -1}, {"preBalances": []}, {"postBalances": None}, {"fee": "5000"}])
async def test_a_receipt_that_cannot_be_read_is_no_receipt(make_chain, meta):
    with pytest.raises(Transient):
        await make_chain(Node(getTransaction=landed(OURS, **meta))).receipts([OURS])


@pytest.mark.parametrize("value", [-1, 2**64, 1.5, "7", None])
async def test_an_absurd_balance_is_no_balance(make_chain, value):
    with pytest.raises(Transient):
        await make_chain(Node(getBalance={"context": {"slot": 1}, "value": value})).balance(TO)


@pytest.mark.parametrize("blockhash", ["", "0" * 44, "x", TO + "1"])
async def test_a_blockhash_that_is_none_is_no_slot(make_chain, blockhash):
    value = {"blockhash": blockhash, "lastValidBlockHeight": 5}
    with pytest.raises(Transient):
        await make_chain(Node(getLatestBlockhash={"context": {"slot": 1}, "value": value})).slot(TO)


# --- sending -----------------------------------------------------------------------------------


async def test_a_foreign_hash_is_not_believed(make_chain):
    liar, honest = Node(sendTransaction=THEIRS), Node(sendTransaction=OURS)
    chain = make_chain(liar, honest)
    assert await chain.broadcast(b"bytes", OURS) == "b"
    assert [one.endpoint for one in chain.rpc.quarantined()] == ["a"]


async def test_bytes_that_are_sent_again_go_to_every_endpoint(make_chain):
    nodes = [Node(sendTransaction=OURS), Node(sendTransaction=OURS)]
    chain = make_chain(*nodes)
    await chain.broadcast(b"bytes", OURS)
    assert "sendTransaction" not in nodes[1].methods
    await chain.broadcast(b"bytes", OURS)
    assert [node.methods.count("sendTransaction") for node in nodes] == [2, 1]
    [params] = [body["params"] for body in nodes[1].bodies if body["method"] == "sendTransaction"]
    assert params == ["Ynl0ZXM=", {"encoding": "base64", "skipPreflight": True, "maxRetries": 0}]


async def test_two_liars_cannot_leave_the_third_out_by_telling_of_blocks_that_are_not_there(make_chain):
    """They say that finality is past the attempt and that nobody knows it; the third, "far behind", has seen it."""
    chain = make_chain(node(getSlot=10_000), node(getSlot=10_000), node(status=SEEN, getSlot=2000))
    await chain.rpc.watch()
    assert [one.lagging for one in chain.rpc.endpoints] == [False, False, True]
    assert await chain.deaths([ATTEMPT]) == {}
