"""A send body becomes the canonical request, or a refusal that names every issue."""

import base64
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from waiaas.domain.address import canonical_address
from waiaas.domain.chain import Chain
from waiaas.domain.parse import Ask, Provenance, parse_ask, parse_request
from waiaas.domain.request import (
    AccountMeta,
    Approve,
    Batch,
    ContractCall,
    Token,
    TokenTransfer,
    Transfer,
    canonical,
    decode,
)
from waiaas.errors import ValidationFailed

SOLANA, ETHEREUM = Chain.SOLANA, Chain.ETHEREUM
ME, BOB = "9WzDXwBbmkg8ZTbNMqUxvQRAyrZzDsGYdLVL9zYtAWWM", "8qbHbw2BbbTHBW1sbeqakYXVKRQM8Ne7pLK7m6CVfeR9"
MINT = "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v"
EVE, DAI = "0xd8dA6BF26964aF9D7eEd9e03E53415D37aA96045", "0x6B175474E89094C44Da98b954EedeAC495271d0F"
UUID = "0198c0de-0000-7000-8000-0123456789AB"

TRANSFER = {"to": BOB, "amount": "5"}
USDC = {"address": MINT, "decimals": 6, "symbol": "USDC"}
TOKENS = {"type": "TOKEN_TRANSFER", "to": BOB, "amount": "5", "token": USDC}
APPROVE = {"type": "APPROVE", "spender": BOB, "amount": "0", "token": USDC}
ACCOUNTS = [
    {"pubkey": ME, "isSigner": True, "isWritable": True},
    {"pubkey": BOB, "isSigner": False, "isWritable": True},
]
INSTRUCTION = {"type": "CONTRACT_CALL", "programId": MINT, "instructionData": "AQID", "accounts": ACCOUNTS}
CALL = {"type": "CONTRACT_CALL", "to": EVE.lower(), "calldata": "0xABCDEF01"}


def parse(raw, chain=SOLANA):
    return parse_request(raw, chain, ME, lambda text: canonical_address(text, chain))


def issues(raw, chain=SOLANA):
    with pytest.raises(ValidationFailed) as refusal:
        parse(raw, chain)
    return [path for path, _ in refusal.value.issues]


# --- shapes ------------------------------------------------------------------------------------


def test_without_a_type_it_is_a_transfer():
    assert parse(TRANSFER) == parse({**TRANSFER, "type": "TRANSFER"}) == parse({**TRANSFER, "type": None})
    assert parse(TRANSFER) == Transfer(BOB, "5")
    assert parse({**TRANSFER, "token": USDC, "spender": BOB}) == Transfer(BOB, "5")


def test_each_type_is_read_whole():
    metas = (AccountMeta(ME, True, True), AccountMeta(BOB, False, True))
    assert parse({**TRANSFER, "amount": "007", "memo": "hi"}) == Transfer(BOB, "7", "hi")
    assert parse({**TOKENS, "memo": "hi"}) == TokenTransfer(BOB, "5", Token(MINT, 6, "USDC"), "hi")
    assert parse(APPROVE) == Approve(BOB, Token(MINT, 6, "USDC"), "0")
    assert parse(INSTRUCTION) == ContractCall(program_id=MINT, instruction_data="AQID", accounts=metas)
    assert parse({**CALL, "value": "09", "abi": [{"name": "f"}]}, ETHEREUM) == ContractCall(
        to=EVE, calldata="0xabcdef01", value="9", abi=({"name": "f"},)
    )
    assert parse({"to": EVE, "amount": "1", "memo": "hi"}, ETHEREUM) == Transfer(EVE, "1", "hi")


def test_unknown_fields_and_those_of_the_other_chain_are_ignored():
    assert parse({**TRANSFER, "x": 1, "gas": {}}) == parse(TRANSFER)
    assert parse({**INSTRUCTION, "calldata": 5, "value": "x"}) == parse(INSTRUCTION)
    assert parse({**CALL, "accounts": 5}, ETHEREUM) == parse(CALL, ETHEREUM)
    assert parse({**TOKENS, "token": {**USDC, "logo": 1}}) == parse(TOKENS)


def test_null_means_absent_where_a_field_may_be():
    assert parse({**TRANSFER, "memo": None, "provenance": None, "distinct": None}) == parse({**TRANSFER, "memo": ""})
    assert parse({**CALL, "value": None, "abi": None}, ETHEREUM) == parse(CALL, ETHEREUM)


def test_a_program_has_two_names_that_must_agree():
    other = {key: value for key, value in INSTRUCTION.items() if key != "programId"}
    assert parse({**other, "to": MINT}) == parse({**INSTRUCTION, "to": MINT}) == parse(INSTRUCTION)
    assert issues({**INSTRUCTION, "to": BOB}) == ["to"]
    assert issues(other) == ["programId"]
    assert issues({**CALL, "programId": DAI}, ETHEREUM) == ["programId"]


def test_an_evm_call_needs_a_contract():
    assert issues({"type": "CONTRACT_CALL", "calldata": CALL["calldata"]}, ETHEREUM) == ["to"]


# --- bounds ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("chain", "largest", "to"), [(SOLANA, 2**64 - 1, BOB), (ETHEREUM, 2**256 - 1, EVE)])
def test_b06_an_amount_is_at_most_what_the_chain_carries(chain, largest, to):
    assert parse({"to": to, "amount": str(largest)}, chain).amount == str(largest)
    assert issues({"to": to, "amount": str(largest + 1)}, chain) == ["amount"]


@pytest.mark.parametrize("amount", ["+1", "1.0", "-1", "١", "", 1, 1.0, True, None, [], "1e3", " 1", "0x1", "1" * 79])
def test_b06_every_odd_spelling_of_an_amount_is_refused(amount):
    assert issues({**TRANSFER, "amount": amount}) == ["amount"]


@pytest.mark.parametrize(
    "to", [None, 5, "", " ", f"{BOB} ", f" {BOB}", f"{BOB}\0", "١" * 40, f"0X{EVE[2:]}", EVE, "0" * 44, "z" * 44]
)
def test_p09_what_is_no_address_is_refused(to):
    assert issues({**TRANSFER, "to": to}) == ["to"]


@pytest.mark.parametrize(
    "to", [f"0X{EVE[2:]}", EVE.swapcase(), EVE[:-1], EVE + "0", f"{EVE}\n", EVE.replace("d8dA", "d8DA"), BOB]
)
def test_p16_a_broken_checksum_or_spelling_of_an_evm_address_is_refused(to):
    assert issues({**CALL, "to": to}, ETHEREUM) == ["to"]


def test_an_evm_address_has_one_stored_form():
    spellings = (EVE, EVE.lower(), f"0x{EVE[2:].upper()}")
    assert {canonical(parse({**CALL, "to": to}, ETHEREUM)) for to in spellings} == {canonical(parse(CALL, ETHEREUM))}


@pytest.mark.parametrize(
    ("memo", "fits"),
    [
        ("x" * 256, True),
        ("x" * 257, False),
        ("é" * 256, True),
        ("€" * 170, True),
        ("€" * 171, False),
        (5, False),
        ("\ud800", False),
    ],
)
def test_a_memo_has_at_most_256_characters_and_512_bytes(memo, fits):
    assert parse({**TRANSFER, "memo": memo}).memo == memo if fits else issues({**TRANSFER, "memo": memo}) == ["memo"]


@pytest.mark.parametrize(
    ("token", "paths"),
    [
        (None, ["token"]),
        ("USDC", ["token"]),
        ({}, ["token.address", "token.decimals", "token.symbol"]),
        ({**USDC, "address": EVE}, ["token.address"]),
        ({**USDC, "decimals": 19}, ["token.decimals"]),
        ({**USDC, "decimals": -1}, ["token.decimals"]),
        ({**USDC, "decimals": "6"}, ["token.decimals"]),
        ({**USDC, "decimals": True}, ["token.decimals"]),
        ({**USDC, "symbol": ""}, ["token.symbol"]),
        ({**USDC, "symbol": "x" * 11}, ["token.symbol"]),
    ],
)
def test_a_token_is_checked_field_by_field(token, paths):
    assert issues({**TOKENS, "token": token}) == paths
    assert issues({**APPROVE, "token": token}) == paths


def test_the_bounds_of_a_token_are_allowed():
    for decimals, symbol in ((0, "x"), (18, "x" * 10)):
        assert parse({**TOKENS, "token": {**USDC, "decimals": decimals, "symbol": symbol}}).token.decimals == decimals


@pytest.mark.parametrize(
    "calldata",
    [None, "", "0x", "0x123456", "0x1234567", "0x123456789", "12345678", "0X12345678", "0x1234567g", "0x12345678\n", 5],
)
def test_p17_calldata_is_a_selector_and_whole_bytes(calldata):
    assert issues({**CALL, "calldata": calldata}, ETHEREUM) == ["calldata"]


@pytest.mark.parametrize(
    ("field", "value"), [("value", "-1"), ("value", 1), ("value", str(2**256)), ("abi", {}), ("abi", "x"), ("abi", 5)]
)
def test_what_else_an_evm_call_holds_is_checked(field, value):
    assert issues({**CALL, field: value}, ETHEREUM) == [field]


def test_an_abi_holds_objects():
    assert issues({**CALL, "abi": [{}, 5]}, ETHEREUM) == ["abi.1"]


@pytest.mark.parametrize("data", [None, 5, "A", "AQI", "AQI=\n", "AQ-_", "é"])
def test_instruction_data_is_base64(data):
    assert issues({**INSTRUCTION, "instructionData": data}) == ["instructionData"]


def test_instruction_data_may_be_empty_and_has_one_stored_form():
    assert parse({**INSTRUCTION, "instructionData": ""}).instruction_data == ""
    assert parse({**INSTRUCTION, "instructionData": "AR=="}).instruction_data == base64.b64encode(b"\1").decode()


@pytest.mark.parametrize(
    ("accounts", "paths"),
    [
        (None, ["accounts"]),
        ([], ["accounts"]),
        (ACCOUNTS[:1] * 65, ["accounts"]),
        (["x"], ["accounts.0"]),
        ([*ACCOUNTS, {}], ["accounts.2.pubkey", "accounts.2.isSigner", "accounts.2.isWritable"]),
        ([{**ACCOUNTS[1], "isWritable": 1}], ["accounts.0.isWritable"]),
        ([{**ACCOUNTS[1], "pubkey": EVE}], ["accounts.0.pubkey"]),
        ([{**ACCOUNTS[1], "isSigner": "false"}], ["accounts.0.isSigner"]),
    ],
)
def test_the_accounts_of_an_instruction_are_checked_one_by_one(accounts, paths):
    assert issues({**INSTRUCTION, "accounts": accounts}) == paths


def test_p16_nobody_but_the_agent_signs():
    assert issues({**INSTRUCTION, "accounts": [{**ACCOUNTS[1], "isSigner": True}]}) == ["accounts.0.isSigner"]
    assert len(parse({**INSTRUCTION, "accounts": ACCOUNTS[:1] * 64}).accounts) == 64


@pytest.mark.parametrize("type", ["transfer", "PAY", "", 5, ["TRANSFER"], {}])
def test_an_unknown_type_is_an_error_and_never_a_default(type):
    assert issues({**TRANSFER, "type": type}) == ["type"]
    assert issues({"type": "BATCH", "instructions": [TRANSFER, {**TRANSFER, "type": type}]}) == ["instructions.1.type"]


@pytest.mark.parametrize("raw", [[], "x", 5, None])
def test_a_body_is_an_object(raw):
    assert issues(raw) == [""]


def test_every_issue_is_told_with_its_path():
    raw = {**TOKENS, "to": "x", "amount": 5, "memo": 5, "token": {**USDC, "decimals": 99}, "distinct": 1}
    assert issues(raw) == ["to", "amount", "token.decimals", "memo", "distinct"]


# --- batches -----------------------------------------------------------------------------------


def batch(*items):
    return {"type": "BATCH", "instructions": list(items)}


def untyped(raw):
    return {key: value for key, value in raw.items() if key != "type"}


def test_the_items_of_a_batch_tell_their_type_by_what_they_name():
    items = (TRANSFER, TOKENS, APPROVE, INSTRUCTION)
    assert parse(batch(*map(untyped, items))) == parse(batch(*items)) == Batch(tuple(map(parse, items)))
    assert parse(batch(untyped(CALL), {"to": EVE, "amount": "1"}), ETHEREUM) == Batch(
        (parse(CALL, ETHEREUM), Transfer(EVE, "1"))
    )
    assert parse(batch(TRANSFER, {**untyped(APPROVE), **INSTRUCTION, "type": None})) == Batch(
        (Transfer(BOB, "5"), parse(APPROVE))
    )


@pytest.mark.parametrize(("count", "fits"), [(0, False), (1, False), (2, True), (20, True), (21, False)])
def test_b07_a_batch_has_2_to_20_items(count, fits):
    raw = batch(*[TRANSFER] * count)
    assert len(parse(raw).instructions) == count if fits else issues(raw) == ["instructions"]


@pytest.mark.parametrize("instructions", [None, {}, "xx", 5])
def test_a_batch_is_a_list(instructions):
    assert issues({"type": "BATCH", "instructions": instructions}) == ["instructions"]


def test_a_batch_holds_no_batch():
    assert issues(batch(TRANSFER, batch(TRANSFER, TRANSFER))) == ["instructions.1.type"]


def test_every_issue_of_every_item_is_told():
    bad = batch({"to": "x", "amount": "1"}, "no", {**INSTRUCTION, "accounts": [{**ACCOUNTS[1], "isSigner": True}]})
    assert issues(bad) == ["instructions.0.to", "instructions.1", "instructions.2.accounts.0.isSigner"]


# --- beside the request ------------------------------------------------------------------------


def ask(**beside):
    return parse_ask({**TRANSFER, **beside}, SOLANA, ME, lambda text: text)


def test_what_is_beside_the_request_is_no_part_of_it():
    found = ask(distinct=True, provenance={"conversationId": UUID, "model": "m", "reason": "r" * 1000})
    assert found == Ask(
        Transfer(BOB, "5"), Provenance(conversation_id=UUID.lower(), model="m", reason="r" * 1000), True
    )
    assert ask() == ask(distinct=False, provenance={}) == Ask(Transfer(BOB, "5"), None, False)


@pytest.mark.parametrize(
    ("beside", "path"),
    [
        ({"distinct": "yes"}, "distinct"),
        ({"distinct": 0}, "distinct"),
        ({"provenance": "x"}, "provenance"),
        ({"provenance": {"conversation_id": UUID}}, "provenance.conversation_id"),
        ({"provenance": {"conversationId": "x"}}, "provenance.conversationId"),
        ({"provenance": {"conversationId": UUID + "\n"}}, "provenance.conversationId"),
        ({"provenance": {"messageId": "x" * 201}}, "provenance.messageId"),
        ({"provenance": {"runId": 5}}, "provenance.runId"),
        ({"provenance": {"toolCallId": "x" * 201}}, "provenance.toolCallId"),
        ({"provenance": {"model": "x" * 101}}, "provenance.model"),
        ({"provenance": {"reason": "x" * 1001}}, "provenance.reason"),
    ],
)
def test_what_is_beside_the_request_is_checked(beside, path):
    with pytest.raises(ValidationFailed) as refusal:
        ask(**beside)
    assert [found for found, _ in refusal.value.issues] == [path]


# --- properties --------------------------------------------------------------------------------

leaves = st.one_of(
    st.none(), st.booleans(), st.integers(), st.text(max_size=6), st.sampled_from([BOB, EVE, "5", "0x12345678", "AQID"])
)
values = st.recursive(
    leaves,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=4), inner)),
    max_leaves=8,
)
NAMES = ["type", "to", "amount", "memo", "token", "spender", "programId", "calldata", "accounts", "instructions"]
bodies = st.dictionaries(st.sampled_from([*NAMES, "instructionData", "value", "distinct", "provenance", "x"]), values)
types = st.sampled_from(["TRANSFER", "TOKEN_TRANSFER", "CONTRACT_CALL", "APPROVE", "BATCH"])


@settings(max_examples=250, deadline=None)
@given(bodies, st.one_of(st.none(), types), st.sampled_from(Chain))
def test_any_body_is_a_request_or_a_refusal_that_names_its_fields(body, type, chain):
    raw = {**body, **({"type": type} if type else {})}
    request = issues = None
    try:
        request = parse(raw, chain)
    except ValidationFailed as refusal:
        issues = refusal.issues
    assert issues or decode(canonical(request)) == request


@settings(max_examples=60, deadline=None)
@given(st.sampled_from([TRANSFER, TOKENS, APPROVE, INSTRUCTION]), st.integers(0, 2**64 - 1), st.integers(0, 20))
def test_equal_requests_have_one_stored_form(raw, amount, zeros):
    spelled = {**raw, "amount": str(amount), "type": raw.get("type", "TRANSFER"), "unknown": 1}
    padded = {**dict(reversed(spelled.items())), "amount": "0" * zeros + str(amount), "memo": None}
    assert canonical(parse(spelled)) == canonical(parse(json.loads(json.dumps(padded))))
