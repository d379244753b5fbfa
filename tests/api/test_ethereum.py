"""The API over an agent on the embedded EVM chain: wallet, every type of request, attempts, replacement."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.api.client import NOBODY, Api, Caller, client_of, code, issues
from tests.api.tokens import ETHER, GWEI, Ethereum, allow, ask, finished, made, make_evm_caller
from tests.conftest import settings
from tests.localnet.evm.conftest import calldata
from waiaas.app import Daemon
from waiaas.cli.why import Explanation, explain

TO = "0x00000000000000000000000000000000DeaDBeef"
SPENDER = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
RPC = {"solana_default_network": "localnet", "evm_default_network": "ethereum-localnet"}
AMOUNT = str(10**15)


@pytest.fixture
async def daemon(open_daemon: Any) -> AsyncIterator[Daemon]:
    async with open_daemon(settings(rpc=RPC)) as running:
        yield running


@pytest.fixture
async def caller(api: Api) -> Caller:
    return await make_evm_caller(api)


@pytest.fixture
def ethereum(daemon: Daemon, caller: Caller) -> Ethereum:
    return Ethereum(daemon)


async def attempts(caller: Caller, tx_id: str) -> list[dict[str, Any]]:
    answer = await caller.request("GET", f"/v1/transactions/{tx_id}/attempts")
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


async def submitted(caller: Caller, **body: Any) -> dict[str, Any]:
    """A send that is signed and in no block."""
    tx_id = (await ask(caller, **{"to": TO, "amount": AMOUNT, **body}))["id"]
    async with asyncio.timeout(10):
        while True:
            found: dict[str, Any] = (await caller.request("GET", f"/v1/transactions/{tx_id}")).json()
            if found["status"] == "SUBMITTED" and (await attempts(caller, tx_id))[-1]["sendCount"]:
                return found
            await asyncio.sleep(0.01)


# --- agents and wallets ------------------------------------------------------------------------


async def test_an_agent_lives_on_the_default_network_and_starts_with_100_eth(api: Api) -> None:
    agent = await api.make_agent(chain="ethereum")
    assert (agent["chain"], agent["network"]) == ("ethereum", "ethereum-localnet")
    assert len(agent["publicKey"]) == 42
    answer = await api.operator("GET", "/v1/wallet/balance", params={"agentId": agent["id"]})
    assert (answer.json()["balance"], answer.json()["symbol"], answer.json()["decimals"]) == (
        str(100 * ETHER),
        "ETH",
        18,
    )


async def test_the_faucet_gives_ether(api: Api, caller: Caller) -> None:
    answer = await api.operator("POST", f"/v1/agents/{caller.agent['id']}/faucet", json={"amount": str(ETHER)})
    assert answer.json()["balance"] == str(101 * ETHER)
    assert (answer.json()["asset"], answer.json()["amount"]) == ("native:ethereum", str(ETHER))


async def test_tokens_that_policies_allow_are_shown(api: Api, caller: Caller, ethereum: Ethereum) -> None:
    token = await ethereum.token(caller.agent["publicKey"], 500)
    hidden = await ethereum.token(caller.agent["publicKey"], 500)
    assert [one["mint"] for one in await assets(caller)] == ["native"]
    await allow(caller, "ALLOWED_TOKENS", {"tokens": [{"address": token["address"]}]})
    _, shown = await assets(caller)
    assert shown == {
        "mint": token["address"],
        "symbol": "TKN",
        "name": "Test",
        "balance": "500",
        "decimals": 6,
        "isNative": False,
    }
    solana = "So11111111111111111111111111111111111111112"
    entries = [{"address": hidden["address"], "chain": "ethereum"}, {"address": solana}]
    await api.operator("POST", "/v1/policies", json={"type": "ALLOWED_TOKENS", "rules": {"tokens": entries}})
    assert {one["mint"] for one in await assets(caller)} == {"native", token["address"], hidden["address"]}


async def assets(caller: Caller) -> list[dict[str, Any]]:
    answer = await caller.request("GET", "/v1/wallet/assets")
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["assets"]
    return found


# --- every type of request ---------------------------------------------------------------------


async def test_a_transfer_is_confirmed(caller: Caller) -> None:
    done = await made(caller, to=TO.lower(), amount=AMOUNT, memo="for tea")
    assert (done["status"], done["toAddress"], done["amount"], done["memo"]) == ("CONFIRMED", TO, AMOUNT, "for tea")
    assert (done["chain"], done["asset"], done["fee"]["asset"]) == ("ethereum", "native:ethereum", "native:ethereum")
    assert (done["token"], done["spender"], done["value"], done["programId"], done["children"]) == (None,) * 4 + ([],)


async def test_tokens_are_sent_and_shown_with_what_names_them(caller: Caller, ethereum: Ethereum) -> None:
    token = await ethereum.token(caller.agent["publicKey"], 500)
    await allow(caller, "ALLOWED_TOKENS", {"tokens": [{"address": token["address"]}]})
    done = await made(caller, type="TOKEN_TRANSFER", to=TO, amount="200", token=token)
    assert (done["status"], done["toAddress"], done["amount"]) == ("CONFIRMED", TO, "200"), done["error"]
    assert (done["token"], done["asset"]) == (token, f"ethereum:{token['address']}")
    assert {one["mint"]: one["balance"] for one in await assets(caller)}[token["address"]] == "300"


async def test_a_call_has_a_contract_and_a_value_and_no_amount(caller: Caller, ethereum: Ethereum) -> None:
    contract = await ethereum.deploy("Probe")
    method = calldata("store(uint256)", 7)
    refused = await caller.request(
        "POST", "/v1/transactions/send", json={"type": "CONTRACT_CALL", "to": contract, "calldata": method}
    )
    assert code(refused) == (403, "CONTRACT_CALL_DISABLED")
    await allow(caller, "CONTRACT_WHITELIST", {"contracts": [{"address": contract, "name": "Probe"}]})
    methods = [{"contractAddress": contract, "selectors": [method[:10]]}]
    await allow(caller, "METHOD_WHITELIST", {"methods": methods})
    done = await made(caller, type="CONTRACT_CALL", to=contract, calldata=method, value="5")
    assert (done["status"], done["toAddress"], done["value"]) == ("CONFIRMED", contract, "5"), done["error"]
    assert (done["amount"], done["asset"], done["programId"]) == (None, None, None)


async def test_an_approval_over_another_one_waits_for_its_reset(caller: Caller, ethereum: Ethereum) -> None:
    token = await ethereum.token(caller.agent["publicKey"], 500)
    await allow(caller, "APPROVED_SPENDERS", {"spenders": [{"address": SPENDER, "maxAmount": "100"}]})
    await allow(caller, "APPROVE_TIER_OVERRIDE", {"tier": "INSTANT"})
    first = await made(caller, type="APPROVE", spender=SPENDER, token=token, amount="50")
    assert (first["status"], first["spender"], first["amount"]) == ("CONFIRMED", SPENDER, "50"), first["error"]
    assert (first["toAddress"], first["token"], first["children"]) == (None, token, [])
    second = await made(caller, type="APPROVE", spender=SPENDER, token=token, amount="60")
    assert second["status"] == "CONFIRMED", second["error"]
    (reset,) = second["children"]
    assert (reset["type"], reset["status"], reset["batchIndex"], reset["error"]) == ("APPROVE", "CONFIRMED", 0, None)
    child = (await caller.request("GET", f"/v1/transactions/{reset['id']}")).json()
    assert (child["parentId"], child["batchIndex"], child["amount"]) == (second["id"], 0, "0")
    listed = (await caller.request("GET", "/v1/transactions")).json()["items"]
    assert [tx["id"] for tx in listed] == [second["id"], first["id"]]


async def test_a_batch_shows_its_items_in_order(caller: Caller, ethereum: Ethereum) -> None:
    token = await ethereum.token(caller.agent["publicKey"], 500)
    await allow(caller, "ALLOWED_TOKENS", {"tokens": [{"address": token["address"]}]})
    items = [{"to": TO, "amount": "1"}, {"to": TO, "amount": "2", "token": token}]
    done = await made(caller, type="BATCH", instructions=items)
    assert (done["status"], done["amount"], done["toAddress"], done["txHash"]) == ("CONFIRMED", None, None, None)
    assert done["inDoubt"] is False
    shown = [(one["batchIndex"], one["type"], one["status"]) for one in done["children"]]
    assert shown == [(0, "TRANSFER", "CONFIRMED"), (1, "TOKEN_TRANSFER", "CONFIRMED")]
    assert None not in [one["txHash"] for one in done["children"]]
    first = await attempts(caller, done["children"][0]["id"])
    second = await attempts(caller, done["children"][1]["id"])
    assert second[0]["nonce"] == first[0]["nonce"] + 1
    assert await attempts(caller, done["id"]) == []


async def test_every_refused_item_of_a_batch_is_named(caller: Caller) -> None:
    token = {"address": SPENDER, "decimals": 6, "symbol": "X"}
    items = [{"to": TO, "amount": "1"}, {"to": TO, "amount": "1", "token": token}, {"to": TO, "calldata": "0x01020304"}]
    answer = await caller.request("POST", "/v1/transactions/send", json={"type": "BATCH", "instructions": items})
    assert code(answer) == (403, "BATCH_POLICY_VIOLATION")
    violations = [(one["index"], one["code"]) for one in answer.json()["details"]["violations"]]
    assert violations == [(1, "TOKEN_NOT_ALLOWED"), (2, "CONTRACT_CALL_DISABLED")]


# --- attempts, speed-up, cancel on chain -------------------------------------------------------


async def test_an_attempt_is_shown_without_its_bytes(caller: Caller) -> None:
    done = await made(caller, to=TO, amount=AMOUNT)
    (only,) = await attempts(caller, done["id"])
    assert (only["number"], only["status"], only["kind"], only["nonce"]) == (1, "LANDED", "SEND", 0)
    assert (only["txHash"], only["blockhash"], only["sendCount"]) == (done["txHash"], None, 1)
    assert int(only["maxFee"]) >= int(only["fee"]) == int(done["fee"]["amount"])
    assert "raw" not in only
    missing = await caller.request("GET", f"/v1/transactions/{NOBODY}/attempts")
    assert code(missing) == (404, "TX_NOT_FOUND")


async def test_a_stuck_payment_is_sped_up_with_the_same_nonce(caller: Caller, ethereum: Ethereum) -> None:
    await ethereum.hold()
    tx = await submitted(caller)
    assert (tx["inDoubt"], tx["attemptCount"]) == (True, 1)
    answer = await caller.request("POST", f"/v1/transactions/{tx['id']}/speed-up")
    assert (answer.status_code, answer.json()["id"], answer.json()["status"]) == (200, tx["id"], "SUBMITTED"), (
        answer.text
    )
    first, second = await attempts(caller, tx["id"])
    assert answer.json()["attempt"]["id"] == second["id"]
    assert (first["status"], second["status"], second["kind"]) == ("REPLACED", "LIVE", "SPEED_UP")
    assert first["nonce"] == second["nonce"]
    assert int(second["maxFee"]) * 8 >= int(first["maxFee"]) * 9
    await ethereum.mine()
    done = await finished(caller, tx["id"])
    assert (done["status"], done["txHash"], done["attemptCount"]) == ("CONFIRMED", second["txHash"], 2)


async def test_a_payment_is_cancelled_on_chain_by_its_operator_too(caller: Caller, ethereum: Ethereum) -> None:
    await ethereum.hold()
    tx = await submitted(caller)
    answer = await caller.api.operator("POST", f"/v1/transactions/{tx['id']}/cancel", json={"onChain": True})
    assert (answer.status_code, answer.json()["status"]) == (200, "SUBMITTED"), answer.text
    assert answer.json()["attempt"]["kind"] == "CANCEL"
    await ethereum.mine()
    done = await finished(caller, tx["id"])
    assert (done["status"], done["errorCode"]) == ("FAILED", "CANCELLED_ON_CHAIN")
    again = await caller.request("POST", f"/v1/transactions/{tx['id']}/cancel", json={"onChain": True})
    assert (code(again), again.json()["details"]) == ((409, "TX_ALREADY_PROCESSED"), {"status": "FAILED"})


async def test_fees_are_both_given_and_high_enough_and_below_the_ceiling(caller: Caller, ethereum: Ethereum) -> None:
    await ethereum.hold()
    tx = await submitted(caller)
    path = f"/v1/transactions/{tx['id']}"
    for fees, field in (
        ({"maxFeePerGas": "1", "maxPriorityFeePerGas": "1"}, "maxFeePerGas"),
        ({"maxFeePerGas": str(2000 * GWEI), "maxPriorityFeePerGas": str(2 * GWEI)}, "maxFeePerGas"),
        ({"maxFeePerGas": str(2**256), "maxPriorityFeePerGas": "1"}, "maxFeePerGas"),
        ({"maxFeePerGas": str(50 * GWEI)}, "maxPriorityFeePerGas"),
        ({"maxPriorityFeePerGas": str(50 * GWEI)}, "maxFeePerGas"),
        ({"maxFeePerGas": 1, "maxPriorityFeePerGas": "1"}, "maxFeePerGas"),
        ({"maxFeePerGas": "0x1", "maxPriorityFeePerGas": "1"}, "maxFeePerGas"),
    ):
        assert issues(await caller.request("POST", f"{path}/speed-up", json=fees)) == [field], fees
        assert issues(await caller.request("POST", f"{path}/cancel", json={"onChain": True, **fees})) == [field], fees
    assert issues(await caller.request("POST", f"{path}/speed-up", json={"fee": "1"})) == ["fee"]
    assert len(await attempts(caller, tx["id"])) == 1
    fees = {"maxFeePerGas": str(50 * GWEI), "maxPriorityFeePerGas": str(5 * GWEI)}
    answer = await caller.request("POST", f"{path}/speed-up", json=fees)
    assert answer.status_code == 200, answer.text
    assert int(answer.json()["attempt"]["maxFee"]) % (50 * GWEI) == 0


async def test_a_dearer_fee_that_breaks_a_window_is_refused(caller: Caller, ethereum: Ethereum) -> None:
    await made(caller, to=TO, amount="1")  # until a price is known the ceiling is reserved
    await allow(caller, "SPENDING_LIMIT", {"daily_total": str(2 * 10**15)})
    await ethereum.hold()
    tx = await submitted(caller)
    fees = {"maxFeePerGas": str(900 * GWEI), "maxPriorityFeePerGas": str(5 * GWEI)}
    answer = await caller.request("POST", f"/v1/transactions/{tx['id']}/speed-up", json=fees)
    assert code(answer) == (403, "SPENDING_LIMIT_EXCEEDED")
    assert len(await attempts(caller, tx["id"])) == 1


async def test_only_what_is_signed_and_ones_own_can_be_replaced(caller: Caller) -> None:
    queued = await ask(caller, to=TO, amount=str(2 * ETHER))
    path = f"/v1/transactions/{queued['id']}"
    for route, body in (("speed-up", {}), ("cancel", {"onChain": True})):
        answer = await caller.request("POST", f"{path}/{route}", json=body)
        assert (code(answer), answer.json()["details"]) == ((409, "TX_ALREADY_PROCESSED"), {"status": "QUEUED"})
        other = await caller.request("POST", f"/v1/transactions/{NOBODY}/{route}", json=body)
        assert code(other) == (404, "TX_NOT_FOUND")
    stranger = await make_evm_caller(caller.api)
    assert code(await stranger.request("POST", f"{path}/speed-up")) == (404, "TX_NOT_FOUND")
    assert code(await stranger.request("GET", f"{path}/attempts")) == (404, "TX_NOT_FOUND")
    assert (await caller.request("POST", f"{path}/cancel", json={"onChain": False})).json()["status"] == "CANCELLED"


async def test_nothing_is_replaced_during_recovery(daemon: Daemon, caller: Caller, ethereum: Ethereum) -> None:
    await ethereum.hold()
    tx = await submitted(caller)
    daemon.core.reconciling.add(caller.agent["network"])
    path = f"/v1/transactions/{tx['id']}"
    health = (await caller.api.client.get("/health")).json()
    assert (health["status"], health["reconciling"]) == ("reconciling", {"ethereum-localnet": 1})
    assert code(await caller.request("POST", f"{path}/speed-up")) == (503, "RECONCILING")
    assert code(await caller.api.operator("POST", f"{path}/cancel", json={"onChain": True})) == (503, "RECONCILING")


async def explained(caller: Caller, tx_id: str) -> Explanation:
    """As `waiaas tx why` says it, from what the API really answers."""
    tx = (await caller.request("GET", f"/v1/transactions/{tx_id}")).json()
    health = (await caller.api.client.get("/health")).json()
    return explain(tx, await attempts(caller, tx_id), health)


async def test_every_stage_can_be_explained(caller: Caller, ethereum: Ethereum) -> None:
    await ethereum.hold()
    tx = await submitted(caller)
    told = await explained(caller, tx["id"])
    assert [option.command for option in told.options if option.command] == [
        f"waiaas tx speed-up {tx['id']}",
        f"waiaas tx cancel {tx['id']} --on-chain",
    ]
    assert any("nonce 0" in line and "seen by no endpoint yet" in line for line in told.known)
    await ethereum.mine()
    await finished(caller, tx["id"])
    assert any("The money has moved" in line for line in (await explained(caller, tx["id"])).known)
    queued = await ask(caller, to=TO, amount=str(2 * ETHER))
    assert any("tier is DELAY" in line for line in (await explained(caller, queued["id"])).known)
    await caller.request("POST", f"/v1/transactions/{queued['id']}/cancel")
    denied = await caller.send(to=SPENDER, amount="1", type="CONTRACT_CALL", calldata="0x01020304")
    told = await explained(caller, denied.json()["details"]["transactionId"])
    assert any("CONTRACT_WHITELIST" in option.consequence for option in told.options)
    await ethereum.go_on()
    done = await made(caller, type="BATCH", instructions=[{"to": TO, "amount": "1"}, {"to": TO, "amount": "2"}])
    assert done["status"] == "CONFIRMED", (done["waiting"], done["children"])
    told = await explained(caller, done["id"])
    assert any("Item 2, TRANSFER" in line for line in told.known)


async def test_a_network_without_endpoints_has_no_agents(open_daemon: Any) -> None:
    async with open_daemon(settings(rpc=RPC | {"evm_ethereum_sepolia": ()})) as daemon, client_of(daemon) as client:
        answer = await Api(client).operator(
            "POST", "/v1/agents", json={"name": "a", "chain": "ethereum", "network": "sepolia"}
        )
        assert code(answer) == (400, "CHAIN_NOT_SUPPORTED")
        assert (await Api(client).operator("GET", "/v1/agents")).json() == {"items": []}
