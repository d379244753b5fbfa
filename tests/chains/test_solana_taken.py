"""What delegates took before an approval landed: the worst that any endpoint tells, and never for ever unknown."""

from base64 import b64encode

import pytest
from solders.hash import Hash
from solders.keypair import Keypair
from solders.message import MessageV0
from solders.system_program import TransferParams, transfer
from solders.transaction import VersionedTransaction

from tests.chains.conftest import Node, refuse
from waiaas.chains.base import Grant
from waiaas.chains.solana import taken
from waiaas.chains.solana.taken import read_untaken
from waiaas.errors import Transient

OWNER, THIEF, MINT = (Keypair() for _ in range(3))
GRANT = Grant(str(OWNER.pubkey()), str(MINT.pubkey()), str(THIEF.pubkey()))
APPROVAL = "approval"


def theft(amount: int) -> tuple[str, dict]:
    """A landed transaction of the delegate's, by which the owner's tokens became fewer."""
    pay = transfer(TransferParams(from_pubkey=THIEF.pubkey(), to_pubkey=OWNER.pubkey(), lamports=1))
    landed = VersionedTransaction(MessageV0.try_compile(THIEF.pubkey(), [pay], [], Hash.default()), [THIEF])
    before, after = (
        [{"mint": GRANT.token, "owner": GRANT.owner, "uiTokenAmount": {"amount": str(held)}}]
        for held in (100, 100 - amount)
    )
    meta = {"preTokenBalances": before, "postTokenBalances": after}
    return str(landed.signatures[0]), {"meta": meta, "transaction": [b64encode(bytes(landed)).decode(), "base64"]}


def node(*before: tuple[str, dict], known: bool = True) -> Node:
    """A node by which these landed before the approval."""
    entries = [{"signature": APPROVAL, "slot": 9}] * known + [{"signature": one, "slot": 8} for one, _ in before]
    return Node(
        getTokenAccountsByOwner={"context": {"slot": 9}, "value": []},
        getSignaturesForAddress=entries,
        getTransaction=lambda signature, _: dict(before)[signature],
    )


async def untaken(rpc) -> int:
    return await read_untaken(rpc, GRANT, APPROVAL, since=5, granted=100)


async def test_what_became_fewer_before_the_approval_was_taken(make_rpc):
    assert await untaken(make_rpc(node(theft(60)))) == 40
    assert await untaken(make_rpc(node())) == 100


@pytest.mark.parametrize("liar_is_first", [True, False])
async def test_a_node_that_hides_what_was_taken_is_not_believed_beside_one_that_tells(make_rpc, liar_is_first):
    liar, honest = node(), node(theft(60))
    assert await untaken(make_rpc(*((liar, honest) if liar_is_first else (honest, liar)))) == 40


async def test_a_past_that_is_refused_counts_as_taken_and_one_that_is_not_known_yet_waits(make_rpc):
    refusing = node()
    refusing.answers["getSignaturesForAddress"] = refuse(-32019, "no long-term storage")
    assert await untaken(make_rpc(refusing)) == 0
    with pytest.raises(Transient):
        await untaken(make_rpc(node(known=False)))


async def test_an_account_that_is_named_too_often_since_does_not_make_the_landing_wait_for_ever(make_rpc, monkeypatch):
    """Anybody may name it: behind a page of that the approval is not told of any more."""
    monkeypatch.setattr(taken, "PAGE", 3)
    spammed = node()
    spammed.answers["getSignaturesForAddress"] = [{"signature": str(one), "slot": 20} for one in range(3)]
    assert await untaken(make_rpc(spammed)) == 0
