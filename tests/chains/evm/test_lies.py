"""EVM nodes that lie, lag or disagree: nothing is believed that only they say, nothing is given up because of them."""

import pytest

from tests.chains.conftest import refuse
from tests.chains.evm.conftest import GWEI, SPENDER, TO, block, make, pay, receipt, stub, tx_hash
from waiaas.chains.base import Attempt, Nonce
from waiaas.domain.chain import Network
from waiaas.errors import ChainError, NoEndpoint, Stale, Transient

OURS, THEIRS = tx_hash(1), tx_hash(2)
NONCE = 4
ATTEMPT = Attempt(OURS, SPENDER, Nonce(NONCE))


def landed(*hashes: str, number: int = 95, **fields):
    """eth_getTransactionReceipt of a node that has these in a block."""
    return lambda key: receipt(key, number, **fields) if key in hashes else None


# --- identity ----------------------------------------------------------------------------------


async def test_a_node_of_another_chain_is_never_asked_again(make_evm):
    stranger, honest = stub(**{"chain id": "0x1"}), stub(eth_getBalance="0x7")
    chain = make_evm(stranger, honest)
    assert await chain.balance(TO) == 7
    assert [one.endpoint for one in chain.rpc.quarantined()] == ["a"]
    assert "eth_getBalance" not in stranger.methods


async def test_nothing_is_signed_for_a_chain_that_is_another(make_evm, signer):
    with pytest.raises(NoEndpoint):
        await make_evm(stub(**{"chain id": "0x1"})).prepare(pay(), signer.address)


# --- sending -----------------------------------------------------------------------------------


async def test_a_foreign_hash_is_not_believed(make_evm, signer):
    liar, honest = stub(eth_sendRawTransaction=THEIRS), stub()
    chain = make_evm(liar, honest)
    signed = await make(chain, signer, pay())
    honest.answers["eth_sendRawTransaction"] = signed.hash
    assert await chain.broadcast(signed.raw, signed.hash) == "b"
    assert [one.endpoint for one in chain.rpc.quarantined()] == ["a"]


async def test_bytes_that_are_sent_again_go_to_every_endpoint(make_evm, signer):
    nodes = [stub(), stub()]
    chain = make_evm(*nodes)
    signed = await make(chain, signer, pay())
    for node in nodes:
        node.answers["eth_sendRawTransaction"] = signed.hash.upper().replace("X", "x")
    await chain.broadcast(signed.raw, signed.hash)
    assert "eth_sendRawTransaction" not in nodes[1].methods
    await chain.broadcast(signed.raw, signed.hash)
    assert [node.methods.count("eth_sendRawTransaction") for node in nodes] == [2, 1]
    [params] = [body["params"] for body in nodes[1].bodies if body["method"] == "eth_sendRawTransaction"]
    assert params == ["0x" + signed.raw.hex()]


async def test_a_spent_nonce_is_success_where_the_transaction_is_known(make_evm, signer):
    nodes = [stub(eth_sendRawTransaction=refuse(-32000, "nonce too low")) for _ in range(2)]
    chain = make_evm(*nodes)
    signed = await make(chain, signer, pay())
    with pytest.raises(Stale):
        await chain.broadcast(signed.raw, signed.hash)
    nodes[1].answers["eth_getTransactionByHash"] = {"hash": signed.hash}
    assert await chain.broadcast(signed.raw, signed.hash) == "b"


async def test_a_spent_nonce_is_not_explained_by_another_transaction(make_evm, signer):
    liar = stub(eth_sendRawTransaction=refuse(-32000, "nonce too low"), eth_getTransactionByHash={"hash": THEIRS})
    chain = make_evm(liar)
    signed = await make(chain, signer, pay())
    with pytest.raises(ChainError):
        await chain.broadcast(signed.raw, signed.hash)
    assert [one.endpoint for one in chain.rpc.quarantined()] == ["a"]


async def test_an_endpoint_that_counts_too_many_makes_no_gap_of_nonces(make_evm):
    liar, honest = stub(eth_getTransactionCount="0x8"), stub()
    assert await make_evm(liar, honest).slot(TO) == Nonce(5)
    assert await make_evm(stub(), liar).slot(TO) == Nonce(5)


async def test_no_nonce_is_taken_while_an_endpoint_that_should_count_does_not(make_evm):
    chain = make_evm(stub(eth_getTransactionCount="0x8"), stub(eth_getTransactionCount=None))
    with pytest.raises(Transient):
        await chain.slot(TO)


async def test_an_endpoint_in_quarantine_is_not_asked_for_nonces(make_evm):
    chain = make_evm(stub(**{"chain id": "0x1"}), stub())
    await chain.balance(TO)
    assert await chain.slot(TO) == Nonce(5)


# --- statuses and receipts ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("network", "head", "finalized", "confirmed", "final", "confirmations"),
    [
        (Network.ETHEREUM_SEPOLIA, 96, 31, False, False, 2),
        (Network.ETHEREUM_SEPOLIA, 97, 31, True, False, 3),
        (Network.ETHEREUM_SEPOLIA, 190, 94, True, False, 96),
        (Network.ETHEREUM_SEPOLIA, 190, 95, True, True, None),
        (Network.ETHEREUM_SEPOLIA, 94, 300, False, False, 1),
        (Network.ETHEREUM_SEPOLIA, 157, None, True, False, 63),
        (Network.ETHEREUM_SEPOLIA, 158, None, True, True, None),
        (Network.POLYGON_AMOY, 98, 0, False, False, 4),
        (Network.POLYGON_AMOY, 99, 0, True, False, 5),
        (Network.POLYGON_AMOY, 221, None, True, False, 127),
        (Network.POLYGON_AMOY, 222, None, True, True, None),
        (Network.BASE_SEPOLIA, 95, 0, True, False, 1),
        (Network.BASE_SEPOLIA, 94, 94, True, False, 1),
        (Network.ARBITRUM_MAINNET, 693, None, True, False, 599),
        (Network.OPTIMISM_MAINNET, 694, None, True, True, None),
        (Network.ETHEREUM_LOCALNET, 95, 95, True, True, None),
    ],
)
async def test_depth_and_finality_are_those_of_the_network(
    make_evm, network, head, finalized, confirmed, final, confirmations
):
    node = stub(head, eth_getTransactionReceipt=landed(OURS))
    node.answers["eth_getBlockByNumber"] = None if finalized is None else block(finalized)
    found = (await make_evm(node, network=network).statuses([OURS, THEIRS]))[OURS]
    assert (found.confirmed, found.finalized, found.confirmations) == (confirmed, final, confirmations)
    assert (found.block, found.block_hash, found.ok) == (95, tx_hash(95), True)


async def test_a_node_without_the_word_finalized_is_judged_by_depth(make_evm):
    refused = refuse(-32602, "invalid block tag")
    node = stub(158, eth_getTransactionReceipt=landed(OURS), eth_getBlockByNumber=refused)
    assert (await make_evm(node).statuses([OURS]))[OURS].finalized


async def test_a_reverted_transaction_is_no_success_however_deep(make_evm):
    found = (await make_evm(stub(300, 200, eth_getTransactionReceipt=landed(OURS, status="0x0"))).statuses([OURS]))[
        OURS
    ]
    assert (found.ok, found.error, found.finalized) == (False, "reverted", True)


async def test_a_reorganisation_shows_as_another_block_or_as_none(make_evm):
    node = stub(eth_getTransactionReceipt=landed(OURS))
    chain = make_evm(node)
    before = (await chain.statuses([OURS]))[OURS]
    node.answers["eth_getTransactionReceipt"] = landed(OURS, number=96, blockHash=tx_hash(960))
    after = (await chain.statuses([OURS]))[OURS]
    assert (before.block_hash, after.block_hash) == (tx_hash(95), tx_hash(960))
    node.answers["eth_getTransactionReceipt"] = None
    assert await chain.statuses([OURS]) == {}


async def test_a_receipt_tells_of_the_block_that_was_sighted(make_evm):
    node = stub(eth_getTransactionReceipt=landed(OURS))
    chain = make_evm(node)
    await chain.statuses([OURS])
    node.answers["eth_getTransactionReceipt"] = landed(OURS, number=96)
    assert (await chain.receipts([OURS]))[OURS].block == 95
    await chain.statuses([])
    assert (await chain.receipts([OURS]))[OURS].block == 96


@pytest.mark.parametrize(("l1", "fee"), [({}, 0), ({"l1Fee": None}, 0), ({"l1Fee": hex(10**12)}, 10**12)])
async def test_a_receipt_tells_the_fee_as_paid(make_evm, l1, fee):
    chain = make_evm(stub(eth_getTransactionReceipt=landed(OURS, **l1)))
    assert (await chain.receipts([OURS, THEIRS])) == (await chain.receipts([OURS]))
    found = (await chain.receipts([OURS]))[OURS]
    assert (found.fee, found.outflow) == (21_000 * 11 * GWEI + fee, None)


async def test_anothers_receipt_quarantines_the_endpoint_and_the_next_is_asked(make_evm):
    liar, honest = stub(eth_getTransactionReceipt=receipt(THEIRS)), stub(eth_getTransactionReceipt=landed(OURS))
    chain = make_evm(liar, honest)
    assert list(await chain.statuses([OURS])) == [OURS]
    assert [one.endpoint for one in chain.rpc.quarantined()] == ["a"]


@pytest.mark.parametrize(
    "fields", [{"status": "0x2"}, {"status": None}, {"gasUsed": -1}, {"effectiveGasPrice": "11"}, {"l1Fee": "x"}]
)
async def test_a_receipt_that_cannot_be_read_is_no_receipt(make_evm, fields):
    with pytest.raises(Transient):
        await make_evm(stub(eth_getTransactionReceipt=receipt(OURS, **fields))).receipts([OURS])


@pytest.mark.parametrize("field", ["blockNumber", "blockHash"])
async def test_a_receipt_without_a_block_is_no_landing(make_evm, field):
    assert await make_evm(stub(eth_getTransactionReceipt=receipt(OURS, **{field: None}))).statuses([OURS]) == {}


async def test_a_node_that_refuses_receipts_has_seen_nothing(make_evm):
    chain = make_evm(stub(eth_getTransactionReceipt=refuse(-32000, "transaction indexing is in progress")))
    assert await chain.statuses([OURS]) == {}


async def test_many_statuses_leave_in_batches_of_a_hundred(make_evm):
    node = stub(eth_getTransactionReceipt=landed(OURS))
    chain = make_evm(node)
    await chain.balance(TO)
    node.bodies.clear()
    assert list(await chain.statuses([tx_hash(number) for number in range(1, 257)])) == [OURS]
    assert len(node.bodies) == 3


@pytest.mark.parametrize("value", ["-0x1", "0x", "7", 7, "0x" + "f" * 65, None])
async def test_an_absurd_balance_is_no_balance(make_evm, value):
    with pytest.raises(Transient):
        await make_evm(stub(eth_getBalance=value)).balance(TO)


# --- deaths ------------------------------------------------------------------------------------


class Chain:
    """A node whose blocks, finality, counts and receipts a test moves."""

    def __init__(self, count=NONCE + 1, head=100, finalized=36) -> None:
        self.count, self.head, self.finalized = count, head, finalized
        self.fork = 0
        self.receipts: tuple[str, ...] = ()
        self.node = stub(
            eth_getTransactionCount=lambda address, tag: hex(self.count),
            eth_getTransactionReceipt=lambda key: receipt(key) if key in self.receipts else None,
            eth_getBlockByNumber=lambda tag, full: self.block(tag),
            eth_blockNumber=lambda: hex(self.head),
        )

    def block(self, tag):
        number = {"latest": self.head, "finalized": self.finalized}.get(tag)
        return block(number if number is not None else int(tag, 16), self.fork or None)

    def finalize(self) -> None:
        self.head += 70
        self.finalized += 70


async def prove(*nodes, make_evm):
    """What is proven at first sight, and after finality has passed it."""
    chain = make_evm(*(one.node for one in nodes))
    before = await chain.deaths([ATTEMPT])
    for one in nodes:
        one.finalize()
    return before, await chain.deaths([ATTEMPT])


async def test_a_death_is_proven_when_the_block_that_shows_it_is_final(make_evm):
    before, after = await prove(Chain(), make_evm=make_evm)
    assert before == {}
    assert after[OURS].evidence == {
        "nonce": NONCE,
        "transactionCount": NONCE + 1,
        "finalBlock": 100,
        "finalBlockHash": tx_hash(100),
        "endpoints": "a",
    }


@pytest.mark.parametrize(("finalized", "dead"), [(99, False), (100, True), (None, False)])
async def test_the_block_itself_must_be_final(make_evm, finalized, dead):
    one = Chain()
    chain = make_evm(one.node)
    await chain.deaths([ATTEMPT])
    one.head, one.finalized = 162, finalized
    if finalized is None:
        one.node.answers["eth_getBlockByNumber"] = lambda tag, full: None if tag == "finalized" else one.block(tag)
    assert bool(await chain.deaths([ATTEMPT])) is dead


async def test_without_the_word_finalized_depth_decides(make_evm):
    one = Chain()
    one.node.answers["eth_getBlockByNumber"] = lambda tag, full: None if tag == "finalized" else one.block(tag)
    chain = make_evm(one.node)
    for head, dead in ((100, False), (162, False), (163, True)):
        one.head = head
        assert bool(await chain.deaths([ATTEMPT])) is dead


async def test_a_nonce_that_is_not_spent_proves_nothing(make_evm):
    one = Chain(count=NONCE)
    assert await prove(one, make_evm=make_evm) == ({}, {})
    assert "eth_getTransactionReceipt" not in one.node.methods


async def test_whatever_is_in_a_block_is_not_dead(make_evm):
    one = Chain()
    one.receipts = (OURS,)
    assert await prove(one, make_evm=make_evm) == ({}, {})


async def test_a_receipt_that_appears_before_finality_disproves_it(make_evm):
    one = Chain()
    chain = make_evm(one.node)
    await chain.deaths([ATTEMPT])
    one.finalize()
    one.receipts = (OURS,)
    assert await chain.deaths([ATTEMPT]) == {}
    one.receipts = ()
    assert await chain.deaths([ATTEMPT]) == {}
    one.finalize()
    assert list(await chain.deaths([ATTEMPT])) == [OURS]


async def test_a_block_that_is_reorganised_away_disproves_it(make_evm):
    one = Chain()
    chain = make_evm(one.node)
    await chain.deaths([ATTEMPT])
    one.finalize()
    one.fork = 777
    assert await chain.deaths([ATTEMPT]) == {}
    assert await chain.deaths([ATTEMPT]) == {}
    one.finalize()
    assert list(await chain.deaths([ATTEMPT])) == [OURS]


async def test_a_count_that_was_read_on_a_fork_proves_nothing(make_evm):
    """The nonce is spent on the fork only, and the fork comes and goes while it is looked at."""
    one = Chain()
    hashes = iter([1, 2])
    one.node.answers["eth_getBlockByNumber"] = lambda tag, full: block(
        {"latest": one.head, "finalized": one.finalized}.get(tag) or int(tag, 16), next(hashes, 1)
    )
    chain = make_evm(one.node)
    assert await chain.deaths([ATTEMPT]) == {}
    one.finalize()
    assert await chain.deaths([ATTEMPT]) == {}


async def test_a_receipt_at_the_first_look_keeps_it_from_counting(make_evm):
    one = Chain()
    one.receipts = (OURS,)
    chain = make_evm(one.node)
    await chain.deaths([ATTEMPT])
    one.finalize()
    one.receipts = ()
    assert await chain.deaths([ATTEMPT]) == {}


async def test_a_block_that_changes_while_it_is_read_shows_nothing(make_evm):
    one = Chain()
    looks = iter(range(1, 100))
    one.node.answers["eth_getBlockByNumber"] = lambda tag, full: block(
        {"latest": one.head, "finalized": one.finalized}.get(tag) or int(tag, 16), next(looks)
    )
    chain = make_evm(one.node)
    for _ in range(3):
        assert await chain.deaths([ATTEMPT]) == {}
        one.finalize()


async def test_the_count_is_asked_for_at_that_block_by_number(make_evm):
    one = Chain()
    await make_evm(one.node).deaths([ATTEMPT])
    asked = [
        body["params"]
        for body in one.node.bodies
        if isinstance(body, dict) and body["method"] == "eth_getTransactionCount"
    ]
    assert asked == [[SPENDER, "latest"], [SPENDER, "0x64"]]


async def test_one_attempt_of_a_nonce_that_landed_keeps_all_alive(make_evm):
    one = Chain()
    one.receipts = (THEIRS,)
    chain = make_evm(one.node)
    rivals = [ATTEMPT, Attempt(THEIRS, SPENDER, Nonce(NONCE))]
    for _ in range(2):
        assert await chain.deaths(rivals) == {}
        one.finalize()


async def test_all_attempts_of_a_nonce_die_together(make_evm):
    one = Chain()
    chain = make_evm(one.node)
    asked = [ATTEMPT, Attempt(THEIRS, SPENDER, Nonce(NONCE)), Attempt(tx_hash(3), SPENDER, Nonce(NONCE + 1))]
    await chain.deaths(asked)
    one.finalize()
    assert sorted(await chain.deaths(asked)) == [OURS, THEIRS]


@pytest.mark.parametrize("fault", ["count", "receipts", "finality", "silence"])
@pytest.mark.parametrize("first", [True, False])
async def test_every_endpoint_must_say_so(make_evm, fault, first):
    honest, other = Chain(), Chain()
    if fault == "count":
        other.count = NONCE
    elif fault == "receipts":
        other.receipts = (OURS,)
    elif fault == "finality":
        other.finalized = -100
    else:
        other.node.answers["eth_getTransactionReceipt"] = "nonsense"
    nodes = [other, honest] if first else [honest, other]
    if fault == "finality":
        other.finalized = 0
        chain = make_evm(*(one.node for one in nodes))
        await chain.deaths([ATTEMPT])
        honest.finalize()
        other.head += 70
        assert await chain.deaths([ATTEMPT]) == {}
    else:
        assert await prove(*nodes, make_evm=make_evm) == ({}, {})


async def test_two_endpoints_that_agree_prove_it(make_evm):
    one, two = Chain(), Chain(head=102, finalized=38, count=NONCE + 3)
    _, after = await prove(one, two, make_evm=make_evm)
    assert after[OURS].evidence["endpoints"] == "a, b"
    assert after[OURS].evidence["finalBlock"] == 100
    assert after[OURS].evidence["transactionCount"] == NONCE + 1


async def test_one_endpoint_proves_nothing_when_two_are_configured(make_evm):
    one, two = Chain(), Chain()
    chain = make_evm(one.node, two.node)
    chain.rpc.endpoints[1].quarantine("test")
    for _ in range(3):
        assert await chain.deaths([ATTEMPT]) == {}
        one.finalize()


async def test_two_of_three_prove_it_when_the_third_is_no_longer_healthy(make_evm):
    nodes = [Chain(), Chain(), Chain(count=NONCE)]
    chain = make_evm(*(one.node for one in nodes))
    await chain.deaths([ATTEMPT])
    for one in nodes:
        one.finalize()
    assert await chain.deaths([ATTEMPT]) == {}
    chain.rpc.endpoints[2].quarantine("test")
    assert list(await chain.deaths([ATTEMPT])) == [OURS]


async def test_a_restart_begins_the_proof_anew(make_evm):
    one = Chain()
    await make_evm(one.node).deaths([ATTEMPT])
    one.finalize()
    assert await make_evm(one.node).deaths([ATTEMPT]) == {}


async def test_without_attempts_nobody_is_asked(make_evm):
    one = stub()
    assert await make_evm(one).deaths([]) == {}
    assert one.bodies == []


async def test_two_liars_cannot_leave_the_third_out_by_telling_of_blocks_that_are_not_there(make_evm):
    """They count the nonce as spent in a block that is final; the third, "far behind", does not."""
    liars, honest = (Chain(head=10_000, finalized=9_900), Chain(head=10_000, finalized=9_900)), Chain(count=NONCE)
    chain = make_evm(*(one.node for one in (*liars, honest)))
    for _ in range(2):
        await chain.rpc.watch()
        assert [one.lagging for one in chain.rpc.endpoints] == [False, False, True]
        assert await chain.deaths([ATTEMPT]) == {}
        for one in (*liars, honest):
            one.finalize()
            one.finalize()
