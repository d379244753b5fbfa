"""What an owner reads: every effect, in full, in characters that the agent did not choose."""

import base64

import pytest
from eth_abi import encode

from waiaas.domain.address import checksummed
from waiaas.domain.chain import Network
from waiaas.domain.owner import STATEMENT, OwnerText, nonce_in, written
from waiaas.domain.request import AccountMeta, Approve, Batch, ContractCall, Token, TokenTransfer, Transfer
from waiaas.domain.wording import summary, worded

SENDER, TO = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359"
TOKEN = Token("0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB", 6, "';DROP\n")
SEPOLIA = Network.ETHEREUM_SEPOLIA
SELECTOR = "0xabcdef01"


def said(request, network=SEPOLIA, sender=SENDER) -> str:
    """Of a request; whatever is said fits a statement."""
    text = summary(worded(request, network, sender), network)
    assert STATEMENT.fullmatch(text)
    return text


def test_money_stands_in_whole_and_in_base_units():
    assert (
        said(Transfer(TO, "1500000000000000000", memo='hello\n"you"')) == f"send 1.5 ETH (1500000000000000000) to {TO}"
    )
    assert said(Transfer(TO, "1"), Network.POLYGON_AMOY) == f"send 0.000000000000000001 POL (1) to {TO}"


def test_tokens_stand_in_base_units_with_their_address():
    assert said(TokenTransfer(TO, "5", TOKEN)) == f"send 5 base units of token {TOKEN.address} to {TO}"
    assert said(Approve(TO, TOKEN, "7")) == f"let {TO} spend up to 7 base units of token {TOKEN.address}"
    assert said(Approve(TO, TOKEN, "0")) == f"take back what {TO} may spend of token {TOKEN.address}"


def test_a_call_is_told_by_its_method_and_the_hash_of_its_data_and_by_what_it_is_known_to_do():
    (only,) = worded(ContractCall(to=TO, calldata=SELECTOR + "00"), SEPOLIA, SENDER)
    assert only.display == (
        f"make a call that is not understood to {TO} method {SELECTOR} with data of SHA-256 {only.data_digest}"
    )
    transfer = "0xa9059cbb" + TO[2:].lower().rjust(64, "0") + f"{9:064x}"
    known = said(ContractCall(to=TOKEN.address, calldata=transfer, value="3"))
    assert f"call {TOKEN.address} method 0xa9059cbb with data of SHA-256 " in known
    assert f"send 9 base units of token {TOKEN.address} to {TO}" in known
    assert f"send 0.000000000000000003 ETH (3) to {TOKEN.address}" in known


def test_a_call_on_solana_is_told_by_its_program():
    program = "MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr"
    data = base64.b64encode(b"hi").decode()
    call = ContractCall(program_id=program, instruction_data=data, accounts=(AccountMeta(program, False, False),))
    text = said(call, Network.DEVNET, program)
    assert text.startswith("make a call that is not understood to " + program)
    assert "8f434346648f6b96df89dda901c5176b10a6d83961dd3c1ac88b59b2dc327aa4" in text


def test_a_batch_spells_out_five_and_sums_the_whole():
    items = tuple(Transfer(TO, str(number)) for number in range(1, 8))
    text = said(Batch((*items, Approve(TO, TOKEN, "4"), TokenTransfer(TO, "5", TOKEN))))
    assert text.startswith(f"9 items: (1) send 0.000000000000000001 ETH (1) to {TO}; (2) ")
    assert f"(5) send 0.000000000000000005 ETH (5) to {TO}; and 4 more; in all " in text
    assert "(6)" not in text
    assert text.endswith(
        f"in all allow 4 base units of token {TOKEN.address}, "
        f"send 5 base units of token {TOKEN.address}, send 0.000000000000000028 ETH (28)"
    )


def test_a_sum_does_not_hide_what_cannot_be_summed():
    """The agent chooses the order: what is worst may come last."""
    items = tuple(Transfer(TO, "1") for _ in range(5))
    text = said(Batch((*items, ContractCall(to=TO, calldata=SELECTOR))))
    assert text.endswith("; and 1 more; in all send 0.000000000000000005 ETH (5), calls that are not understood: 1")
    program = "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA"
    data = base64.b64encode(b"\3" + (9).to_bytes(8, "little")).decode()
    unnamed = ContractCall(program_id=program, instruction_data=data, accounts=(AccountMeta(program, False, True),) * 2)
    solana = said(Batch((*(Transfer(program, "1") for _ in range(5)), unnamed)), Network.DEVNET, program)
    assert solana.endswith("in all send 0.000000005 SOL (5), effects of unknown token or amount: 1")


def many(count: int, token: str) -> ContractCall:
    """A multicall of the largest transfers."""
    transfer = bytes.fromhex("a9059cbb" + TO[2:].rjust(64, "0") + "f" * 64)
    return ContractCall(to=token, calldata="0xac9650d8" + encode(["bytes[]"], [[transfer] * count]).hex())


@pytest.mark.parametrize(
    "request_",
    [
        many(31, TO),
        Batch(tuple(many(15, checksummed(number)) for number in range(20))),
        Batch(tuple(Approve(TO, Token(checksummed(number), 6, ""), "9" * 78) for number in range(20))),
    ],
)
def test_what_an_owner_has_to_sign_always_fits_its_header(request_):
    """Else an agent could ask for what its owner can neither approve nor reject, and a delay would let it pass."""
    assert len(said(request_)) < 4096
    assert worded(request_, SEPOLIA, SENDER)[0].display in said(request_)


def test_a_statement_that_could_break_the_text_is_not_written():
    text = OwnerText(
        host="127.0.0.1:3100",
        path="/",
        chain="ethereum",
        chain_id="1",
        address=TO,
        statement="one\nNonce: two",
        nonce="ab" * 32,
        issued_at=0,
        expires_at=1,
        subject="s",
    )
    with pytest.raises(ValueError, match="EIP-4361"):
        written(text)


@pytest.mark.parametrize(
    "message",
    ["", "Nonce: ", "Nonce: " + "AB" * 32, "x Nonce: " + "ab" * 32, ("Nonce: " + "ab" * 32 + "\n") * 2],
)
def test_a_text_without_exactly_one_nonce_has_none(message: str):
    assert nonce_in(message) is None
