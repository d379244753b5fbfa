"""What an owner decides, over HTTP: the text, the yes, the no, and that each counts once."""

import asyncio
import base64
import hashlib
import json

import pytest

from tests.api.client import RECIPIENT, Api, Caller, code
from tests.owners import EvmWallet, Owned, SolanaWallet, make_owned, shown


@pytest.fixture
async def owned(caller: Caller) -> Owned:
    """An agent with a LOCKED owner: every send waits for it."""
    return await make_owned(caller)


async def test_the_text_says_what_will_be_done_and_binds_it(owned: Owned) -> None:
    tx = await owned.send(1_500_000_000, memo='buy "now"')
    told = (await owned.message(tx["id"])).json()
    request = {"type": "TRANSFER", "to": RECIPIENT, "amount": "1500000000", "memo": 'buy "now"'}
    fee = told["message"].split("Fee at most ")[1].split("(")[1].split(")")[0]
    bound = {"agentId": owned.agent_id, "id": tx["id"], "maxFee": fee, "network": "localnet", "request": request}
    digest = hashlib.sha256(json.dumps(bound, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
    lines = told["message"].split("\n")
    assert lines[:2] == ["127.0.0.1:3100 wants you to sign in with your Solana account:", owned.wallet.address]
    assert lines[3] == (
        f"Approve transaction {tx['id']} of agent {owned.agent_id}: send 1.5 SOL (1500000000) to {RECIPIENT} "
        f"on localnet. Fee at most {int(fee) / 10**9:f} SOL ({fee}). Digest {digest}."
    ).replace(f"{int(fee) / 10**9:f}", f"{int(fee) / 10**9:.9f}".rstrip("0"))
    assert lines[5:9] == [
        f"URI: http://127.0.0.1:3100/v1/transactions/{tx['id']}/approve",
        "Version: 1",
        "Chain ID: localnet",
        f"Nonce: {told['nonce']}",
    ]
    assert lines[11] == f"Request ID: {tx['id']}"
    assert base64.b64decode(told["messageBase64"]).decode() == told["message"]
    assert told["expiresAt"] - told["issuedAt"] == 300
    assert (told["digest"], told["action"], told["subjectId"]) == (digest, "approve", tx["id"])
    assert [(one["kind"], one["to"], one["amount"]) for one in told["effects"]] == [
        ("TRANSFER", RECIPIENT, "1500000000")
    ]


async def test_a_yes_executes_it_and_a_no_cancels_it_for_good(owned: Owned) -> None:
    first, second = await owned.send(), await owned.send()
    approved, rejected = await owned.approve(first["id"]), await owned.reject(second["id"])
    assert approved.json() == {"id": first["id"], "status": "EXECUTING", "approvedAt": approved.json()["approvedAt"]}
    assert rejected.json() == {"id": second["id"], "status": "CANCELLED", "rejectedAt": rejected.json()["rejectedAt"]}
    done = await owned.caller.request("GET", f"/v1/transactions/{first['id']}?wait=10")
    assert (done.json()["status"], done.json()["approvedAt"]) == ("CONFIRMED", approved.json()["approvedAt"])
    undone = await owned.show(second["id"])
    assert (undone["status"], undone["errorCode"]) == ("CANCELLED", "OWNER_REJECTED")
    assert undone["rejectedAt"] == rejected.json()["rejectedAt"]


async def test_the_answers_tell_until_when_the_owner_may_decide(owned: Owned) -> None:
    tx = await owned.send()
    shown_later = await owned.show(tx["id"])
    assert (tx["tier"], tx["status"], tx["executeAt"]) == ("APPROVAL", "QUEUED", None)
    assert tx["approvalExpiresAt"] == tx["createdAt"] + 3600 == shown_later["approvalExpiresAt"]


async def test_approving_a_downgraded_delay_runs_it_at_once_and_proves_the_owner(caller: Caller) -> None:
    owned = await make_owned(caller, locked=False)
    tx = await owned.send()
    assert (tx["tier"], tx["downgradedFrom"], await owned.state()) == ("DELAY", "APPROVAL", "GRACE")
    assert tx["approvalExpiresAt"] == tx["executeAt"] == (await owned.show(tx["id"]))["approvalExpiresAt"]
    assert (await owned.approve(tx["id"])).status_code == 200
    assert await owned.state() == "LOCKED"
    done = await caller.request("GET", f"/v1/transactions/{tx['id']}?wait=10")
    assert done.json()["status"] == "CONFIRMED"
    assert (await owned.send())["tier"] == "APPROVAL"


async def test_without_an_owner_a_delay_stands_in_and_nobody_can_be_asked(caller: Caller) -> None:
    owned = Owned(caller, SolanaWallet())
    await owned.limit()
    tx = await owned.send()
    assert (tx["tier"], tx["approvalExpiresAt"]) == ("DELAY", None)
    assert code(await owned.message(tx["id"])) == (404, "OWNER_NOT_CONNECTED")
    await owned.own()
    assert code(await owned.message(tx["id"])) == (404, "APPROVAL_NOT_FOUND")


async def test_of_parallel_decisions_exactly_one_wins(owned: Owned) -> None:
    for _ in range(3):
        tx = (await owned.send())["id"]
        yes = [await owned.signed(tx) for _ in range(3)]
        no = [await owned.signed(tx, "reject") for _ in range(3)]
        answers = await asyncio.gather(
            *(owned.decide(tx, headers) for headers in yes),
            *(owned.decide(tx, headers, "reject") for headers in no),
            owned.caller.request("POST", f"/v1/transactions/{tx}/cancel"),
        )
        assert sorted(answer.status_code for answer in answers) == [200] + [409] * 6
        assert {code(answer)[1] for answer in answers if answer.status_code == 409} == {"TX_ALREADY_PROCESSED"}


async def test_a_deny_rule_made_meanwhile_cancels_it_with_its_own_code(owned: Owned) -> None:
    tx = (await owned.send())["id"]
    headers = await owned.signed(tx)
    rules = {"allowed_addresses": [owned.wallet.address]}
    body = {"type": "WHITELIST", "agentId": owned.agent_id, "rules": rules}
    assert (await owned.caller.api.operator("POST", "/v1/policies", json=body)).status_code == 201
    assert code(await owned.decide(tx, headers)) == (403, "WHITELIST_DENIED")
    assert (await owned.show(tx))["errorCode"] == "WHITELIST_DENIED"


async def test_an_owner_on_ethereum_signs_as_its_wallet_does(api: Api) -> None:
    agent = await api.make_agent(chain="ethereum", network="ethereum-localnet")
    owned = await make_owned(Caller(api, agent, await api.make_session(agent["id"])), EvmWallet(), locked=False)
    tx = await owned.send(10**15, to=EvmWallet(9).address)
    message = (await owned.message(tx["id"])).json()
    assert "Ethereum account:\n" + owned.wallet.address in message["message"]
    assert "send 0.001 ETH (1000000000000000) to " + EvmWallet(9).address in message["message"]
    assert "\nChain ID: 31337\n" in message["message"]
    assert (await owned.decide(tx["id"], shown(owned.wallet, message["message"]))).status_code == 200
    done = await owned.caller.request("GET", f"/v1/transactions/{tx['id']}?wait=20")
    assert (done.json()["status"], await owned.state()) == ("CONFIRMED", "LOCKED")
