"""Every type of request on Solana: what is accepted, how it is shown, and where an issue is told."""

import base64
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from tests.api.client import RECIPIENT, Caller, code, issues
from tests.api.tokens import SlotClock, allow, ask, made, open_bank
from tests.chains.tokens import Bank
from waiaas.app import Daemon
from waiaas.db import Statement

SYSTEM = "11111111111111111111111111111111"
SPENDER = "4Nd1mBQtrMJVYVfKf2PJy9NZUZdTAsp7D4xWLs4gDB4T"


@pytest.fixture
async def daemon(open_daemon: Any) -> AsyncIterator[Daemon]:
    """On a clock that a bank can move ahead."""
    async with open_daemon(clock=SlotClock()) as running:
        yield running


@pytest.fixture
async def bank(daemon: Daemon) -> Bank:
    return await open_bank(daemon)


async def token_of(bank: Bank, caller: Caller, amount: int = 500) -> dict[str, Any]:
    """A token of which the agent holds so much, as requests name it."""
    made: dict[str, Any] = msgspec.to_builtins(await bank.token(caller.agent["publicKey"], amount))
    return made


def pay_system(caller: Caller, lamports: int) -> dict[str, Any]:
    """A call of the System program that transfers to the recipient."""
    return {
        "type": "CONTRACT_CALL",
        "programId": SYSTEM,
        "instructionData": base64.b64encode((2).to_bytes(4, "little") + lamports.to_bytes(8, "little")).decode(),
        "accounts": [
            {"pubkey": caller.agent["publicKey"], "isSigner": True, "isWritable": True},
            {"pubkey": RECIPIENT, "isSigner": False, "isWritable": True},
        ],
    }


async def test_tokens_are_sent(caller: Caller, bank: Bank) -> None:
    token = await token_of(bank, caller)
    body = {"type": "TOKEN_TRANSFER", "to": RECIPIENT, "amount": "200", "token": token}
    denied = await caller.request("POST", "/v1/transactions/send", json=body)
    assert code(denied) == (403, "TOKEN_NOT_ALLOWED")
    await allow(caller, "ALLOWED_TOKENS", {"tokens": [{"address": token["address"]}]})
    done = await made(caller, **body, memo="for tea")
    assert done["status"] == "CONFIRMED", done["error"]
    assert (done["token"], done["toAddress"], done["amount"], done["memo"]) == (token, RECIPIENT, "200", "for tea")
    assert (done["asset"], done["programId"], done["value"]) == (f"solana:{token['address']}", None, None)
    assets = (await caller.request("GET", "/v1/wallet/assets")).json()["assets"]
    assert {one["mint"]: one["balance"] for one in assets}[token["address"]] == "300"


async def test_a_spender_is_approved_and_approved_no_more(caller: Caller, bank: Bank) -> None:
    token = await token_of(bank, caller)
    await allow(caller, "APPROVED_SPENDERS", {"spenders": [{"address": SPENDER}]})
    await allow(caller, "APPROVE_AMOUNT_LIMIT", {"maxAmount": "100"})
    await allow(caller, "APPROVE_TIER_OVERRIDE", {"tier": "NOTIFY"})
    done = await made(caller, type="APPROVE", spender=SPENDER, token=token, amount="100")
    assert (done["status"], done["tier"]) == ("CONFIRMED", "NOTIFY"), done["error"]
    assert (done["spender"], done["token"], done["amount"], done["toAddress"]) == (SPENDER, token, "100", None)
    revoked = await made(caller, type="APPROVE", spender=SPENDER, token=token, amount="0")
    assert (revoked["status"], revoked["tier"], revoked["children"]) == ("CONFIRMED", "INSTANT", []), revoked["error"]


async def test_a_program_is_called(caller: Caller) -> None:
    assert code(await send(caller, pay_system(caller, 10**7))) == (403, "CONTRACT_CALL_DISABLED")
    await allow(caller, "CONTRACT_WHITELIST", {"contracts": [{"address": SYSTEM}]})
    done = await made(caller, **pay_system(caller, 10**7))
    assert done["status"] == "CONFIRMED", done["error"]
    assert (done["programId"], done["toAddress"], done["value"], done["amount"]) == (SYSTEM, SYSTEM, None, None)


async def test_a_batch_is_one_transaction(caller: Caller, bank: Bank) -> None:
    token = await token_of(bank, caller)
    await allow(caller, "ALLOWED_TOKENS", {"tokens": [{"address": token["address"]}]})
    items = [{"to": RECIPIENT, "amount": "1000000"}, {"to": RECIPIENT, "amount": "5", "token": token}]
    done = await made(caller, type="BATCH", instructions=items)
    assert done["status"] == "CONFIRMED", done["error"]
    assert (done["children"], done["amount"], done["asset"], done["toAddress"]) == ([], None, None, None)
    assert (done["txHash"] is None, done["attemptCount"]) == (False, 1)


async def send(caller: Caller, body: dict[str, Any]) -> Any:
    return await caller.request("POST", "/v1/transactions/send", json=body)


TOKEN = {"address": RECIPIENT, "decimals": 6, "symbol": "X"}
TRANSFER = {"to": RECIPIENT, "amount": "1"}
CALL = {"programId": SYSTEM, "instructionData": "AAAA", "accounts": []}
ACCOUNT = {"pubkey": RECIPIENT, "isSigner": False, "isWritable": False}
IMPOSSIBLE: list[tuple[dict[str, Any], list[str]]] = [
    ({"type": "TOKEN_TRANSFER", **TRANSFER}, ["token"]),
    ({"type": "TOKEN_TRANSFER", **TRANSFER, "token": TOKEN | {"decimals": 19}}, ["token.decimals"]),
    ({"type": "TOKEN_TRANSFER", **TRANSFER, "token": TOKEN | {"symbol": "LONGERTHAN10"}}, ["token.symbol"]),
    ({"type": "TOKEN_TRANSFER", **TRANSFER, "token": TOKEN | {"address": "0x00"}}, ["token.address"]),
    ({"type": "APPROVE", "token": TOKEN, "amount": "1"}, ["spender"]),
    ({"type": "APPROVE", "spender": "me", "token": TOKEN, "amount": "-1"}, ["spender", "amount"]),
    ({"type": "CONTRACT_CALL", **CALL}, ["accounts"]),
    ({"type": "CONTRACT_CALL", **CALL, "accounts": [ACCOUNT] * 65}, ["accounts"]),
    ({"type": "CONTRACT_CALL", **CALL, "accounts": [ACCOUNT | {"isSigner": True}]}, ["accounts.0.isSigner"]),
    ({"type": "CONTRACT_CALL", **CALL, "accounts": [ACCOUNT], "instructionData": "A"}, ["instructionData"]),
    ({"type": "CONTRACT_CALL", **CALL, "accounts": [ACCOUNT], "to": RECIPIENT}, ["to"]),
    ({"type": "CONTRACT_CALL", "calldata": "0x01020304", "to": RECIPIENT}, ["instructionData", "accounts"]),
    ({"type": "BATCH"}, ["instructions"]),
    ({"type": "BATCH", "instructions": [TRANSFER]}, ["instructions"]),
    ({"type": "BATCH", "instructions": [TRANSFER, {"to": "x", "amount": "1"}]}, ["instructions.1.to"]),
    ({"type": "BATCH", "instructions": [TRANSFER, {"type": "BATCH"}]}, ["instructions.1.type"]),
    ({"type": "BATCH", "instructions": [TRANSFER, {"type": "X"}]}, ["instructions.1.type"]),
    ({**TRANSFER, "distinct": "yes"}, ["distinct"]),
    ({**TRANSFER, "provenance": {"who": 1}}, ["provenance.who"]),
    ({**TRANSFER, "provenance": {"reason": "x" * 1001}}, ["provenance.reason"]),
    ({**TRANSFER, "provenance": {"conversationId": "0198"}}, ["provenance.conversationId"]),
    (
        {**TRANSFER, "provenance": {"conversationId": "0198c0de-0000-7000-8000-000000000000"}},
        ["provenance.conversationId"],
    ),
]


async def test_what_cannot_be_asked_is_refused_at_its_field_and_stores_nothing(caller: Caller) -> None:
    for body, paths in IMPOSSIBLE:
        assert issues(await send(caller, body)) == paths, body
    assert (await caller.request("GET", "/v1/transactions")).json()["items"] == []


async def test_a_request_that_was_changed_by_hand_is_shown_without_what_cannot_be_read(
    daemon: Daemon, caller: Caller
) -> None:
    sent = await ask(caller, to=RECIPIENT, amount=str(11 * 10**9), memo="x")
    change = Statement("UPDATE transactions SET request = :text WHERE id = :id", {"text": "{", "id": sent["id"]})
    await daemon.core.db.commit(change)
    (listed,) = (await caller.request("GET", "/v1/transactions")).json()["items"]
    assert (listed["id"], listed["memo"], listed["amount"]) == (sent["id"], None, str(11 * 10**9))
    assert (await caller.request("GET", f"/v1/transactions/{sent['id']}")).status_code == 200
