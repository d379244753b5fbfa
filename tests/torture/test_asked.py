"""A stored request is read by itself: what is asked for, of which asset, for whom."""

import json

import pytest
from solders.keypair import Keypair

from waiaas.cli.torture import evm, solana
from waiaas.cli.torture.asked import wanted_by

MINT, SENDER, TO = (str(Keypair().pubkey()) for _ in range(3))
CONTRACT, WHO = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359"
TOKEN = {"address": MINT, "decimals": 6, "symbol": "TKN"}
SENT = {"type": "TRANSFER", "to": TO, "amount": "5"}
MOVED = {"type": "TOKEN_TRANSFER", "to": TO, "amount": "6", "token": TOKEN}
LET = {"type": "APPROVE", "spender": TO, "amount": "0", "token": TOKEN}


@pytest.mark.parametrize(
    ("stored", "wanted"),
    [
        (SENT, ("native:solana", TO, 5)),
        (MOVED, (f"solana:{MINT}", TO, 6)),
        (LET, (f"allowance:solana:{MINT}", TO, 0)),
        ({"type": "CONTRACT_CALL", **solana.call_of(SENDER, MINT, TO, 7)}, ("native:solana", TO, 7)),
    ],
    ids=["transfer", "tokens", "revocation", "call"],
)
def test_every_kind_of_request_tells_what_it_wants(stored, wanted):
    assert wanted_by("localnet", json.dumps(stored)) == (wanted,)


def test_a_batch_wants_what_its_items_want():
    wanted = wanted_by("localnet", json.dumps({"type": "BATCH", "instructions": [SENT, MOVED]}))
    assert sorted(amount for _, _, amount in wanted) == [5, 6]


def test_a_call_of_a_token_wants_tokens():
    request = {"type": "CONTRACT_CALL", **evm.call_of(SENDER, CONTRACT, WHO, 8)}
    assert wanted_by("ethereum-localnet", json.dumps(request)) == ((f"ethereum:{CONTRACT}", WHO, 8),)


def test_what_nobody_here_asks_for_is_nothing_that_was_wanted():
    request = {"type": "CONTRACT_CALL", "to": CONTRACT, "calldata": "0x12345678"}
    assert wanted_by("ethereum-localnet", json.dumps(request)) == (("", "", 0),)
