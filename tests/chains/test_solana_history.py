"""Who signed what landed is read from the bytes; a node's word alone accuses nobody."""

from base64 import b64encode

import pytest
from solders.hash import Hash
from solders.keypair import Keypair
from solders.message import MessageV0
from solders.signature import Signature
from solders.system_program import TransferParams, transfer
from solders.transaction import VersionedTransaction

from tests.chains.conftest import Node, refuse
from waiaas.chains.solana import history
from waiaas.errors import NodeRefused

AGENT, OTHER = Keypair(), Keypair()


def paid(by: Keypair, to: Keypair) -> VersionedTransaction:
    pay = transfer(TransferParams(from_pubkey=by.pubkey(), to_pubkey=to.pubkey(), lamports=1))
    return VersionedTransaction(MessageV0.try_compile(by.pubkey(), [pay], [], Hash.default()), [by])


def shown(landed: VersionedTransaction) -> dict:
    return {"slot": 1, "meta": {}, "transaction": [b64encode(bytes(landed)).decode(), "base64"]}


async def signed_by_the_agent(rpc, signature) -> dict[str, bool]:
    return await history.signed_by(rpc, str(AGENT.pubkey()), [str(signature)])


@pytest.mark.parametrize(("by", "to", "signed"), [(AGENT, OTHER, True), (OTHER, AGENT, False)])
async def test_the_bytes_tell_who_signed(make_rpc, by, to, signed):
    landed = paid(by, to)
    rpc = make_rpc(Node(getTransaction=shown(landed)))
    assert await signed_by_the_agent(rpc, landed.signatures[0]) == {str(landed.signatures[0]): signed}


async def test_bytes_without_a_true_signature_accuse_nobody(make_rpc):
    forged = VersionedTransaction.populate(paid(AGENT, OTHER).message, [Signature.new_unique()])
    rpc = make_rpc(Node(getTransaction=shown(forged)))
    assert await signed_by_the_agent(rpc, forged.signatures[0]) == {}


async def test_another_transaction_than_was_asked_for_is_a_lie(make_rpc):
    rpc = make_rpc(Node(getTransaction=shown(paid(AGENT, OTHER))))
    assert await signed_by_the_agent(rpc, Signature.new_unique()) == {}
    assert rpc.endpoints[0].quarantined


async def test_what_is_not_known_yet_stays_open_and_what_is_never_shown_does_not(make_rpc):
    assert await signed_by_the_agent(make_rpc(Node(getTransaction=None)), Signature.default()) == {}
    rpc = make_rpc(Node(getTransaction=refuse(-32015, "Transaction version (1) is not supported")))
    assert await signed_by_the_agent(rpc, Signature.default()) == {str(Signature.default()): False}


async def test_a_long_history_is_read_page_after_page_and_told_oldest_first(make_rpc, monkeypatch):
    monkeypatch.setattr(history, "PAGE", 2)
    newest_first = ["e", "d", "c", "b", "a"]

    def page(address, config):
        first = newest_first.index(config["before"]) + 1 if "before" in config else 0
        last = newest_first.index(config["until"]) if "until" in config else len(newest_first)
        return [{"signature": one} for one in newest_first[first:last][: config["limit"]]]

    rpc = make_rpc(Node(getSignaturesForAddress=page))
    assert await history.since(rpc, "agent", None) == ["a", "b", "c", "d", "e"]
    assert await history.since(rpc, "agent", "b") == ["c", "d", "e"]
    monkeypatch.setattr(history, "MOST_PAGES", 1)
    assert await history.since(rpc, "agent", None) == ["d", "e"]


async def test_a_node_that_keeps_no_history_says_so(make_rpc):
    with pytest.raises(NodeRefused):
        await history.since(make_rpc(Node(getSignaturesForAddress=refuse(-32601))), "agent", None)
