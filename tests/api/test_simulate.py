"""A preview says what a send would, and leaves no trace; a price is told whatever the limits say."""

from typing import Any

from tests.api.client import NOBODY, RECIPIENT, Api, Caller, client_of, code, issues
from tests.api.tables import everything
from tests.api.tokens import ETHER, Ethereum, allow, make_evm_caller
from tests.conftest import settings
from waiaas.app import Daemon

SIMULATE, ESTIMATE = "/v1/transactions/simulate", "/v1/transactions/estimate-fee"


async def preview(caller: Caller, **body: Any) -> dict[str, Any]:
    answer = await caller.request("POST", SIMULATE, json=body)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_a_preview_stores_nothing_whatever_it_says(caller: Caller, daemon: Daemon, data: Any) -> None:
    small, large = {"to": RECIPIENT, "amount": "1000000"}, {"to": RECIPIENT, "amount": str(20 * 10**9)}
    token = {
        "type": "TOKEN_TRANSFER",
        "to": RECIPIENT,
        "amount": "1",
        "token": {"address": RECIPIENT, "decimals": 6, "symbol": "X"},
    }
    await preview(caller, **small)
    before = everything(data)
    assert (await preview(caller, **small))["wouldBe"] == {
        "status": "PENDING",
        "executeAt": None,
        "approvalTimeoutSeconds": None,
    }
    queued = await preview(caller, **large)
    assert (queued["wouldBe"]["status"], queued["decision"]["tier"]) == ("QUEUED", "DELAY")
    assert queued["wouldBe"]["executeAt"] >= queued["fee"]["validUntil"]
    denied = await preview(caller, **token)
    assert (denied["wouldBe"]["status"], denied["decision"]["code"]) == ("CANCELLED", "TOKEN_NOT_ALLOWED")
    assert (denied["fee"], denied["simulation"]["status"]) == (None, "skipped")
    assert issues(await caller.request("POST", SIMULATE, json={"to": "nobody", "amount": "1"})) == ["to"]
    assert (await caller.request("POST", ESTIMATE, json=small)).status_code == 200
    assert everything(data) == before
    assert daemon.core.waiting == {}


async def test_a_preview_and_the_send_after_it_are_decided_alike(caller: Caller) -> None:
    for amount in ("1000000", str(20 * 10**9), str(10**12)):
        found = await preview(caller, to=RECIPIENT, amount=amount)
        sent = await caller.send(amount)
        told = sent.json()
        row = (await caller.request("GET", f"/v1/transactions/{told['id']}")).json()
        assert row["decision"] == found["decision"]
        assert told["status"] == found["wouldBe"]["status"]


async def test_what_the_chain_says_comes_with_the_decision(caller: Caller) -> None:
    found = await preview(caller, to=RECIPIENT, amount="1000000")
    simulation, fee = found["simulation"], found["fee"]
    assert (simulation["status"], simulation["error"]) == ("ok", None)
    assert simulation["unitsConsumed"] > 0
    assert simulation["logs"]
    assert (fee["asset"], fee["expected"], fee["max"], fee["accountRent"]) == ("native:solana", "5000", "5000", "0")
    assert fee["computeUnits"] >= simulation["unitsConsumed"]
    too_much = await preview(caller, to=RECIPIENT, amount=str(99_999_999_999))
    assert (too_much["decision"]["outcome"], too_much["simulation"]["status"]) == ("allow", "failed")
    assert too_much["simulation"]["error"].endswith("(INSUFFICIENT_FOR_FEE)")
    assert too_much["fee"] is None


async def test_a_session_is_judged_by_its_constraints_and_the_operator_without(api: Api) -> None:
    caller = await api.make_caller(maxAmountPerTx="10", allowedDestinations=[RECIPIENT])
    body = {"to": RECIPIENT, "amount": "1000000"}
    found = await preview(caller, **body)
    assert found["decision"]["code"] == "SESSION_LIMIT_EXCEEDED"
    assert {rule["type"]: rule["limit"] for rule in found["decision"]["rules"]}["allowedDestinations"] is None
    query = {"agentId": caller.agent["id"]}
    free = await api.operator("POST", SIMULATE, params=query, json=body)
    assert free.json()["decision"]["outcome"] == "allow"
    assert issues(await api.operator("POST", SIMULATE, json=body)) == ["agentId"]
    for path in (SIMULATE, ESTIMATE):
        assert code(await api.operator("POST", path, params={"agentId": NOBODY}, json=body)) == (404, "AGENT_NOT_FOUND")


async def test_what_cannot_be_asked_for_cannot_be_previewed(api: Api, caller: Caller) -> None:
    body = {"to": RECIPIENT, "amount": "1000000"}
    await api.operator("DELETE", f"/v1/agents/{caller.agent['id']}")
    query = {"agentId": caller.agent["id"]}
    assert code(await api.operator("POST", SIMULATE, params=query, json=body)) == (410, "AGENT_TERMINATED")
    odd = await api.make_caller()
    told = {"conversationId": NOBODY}
    assert issues(await odd.request("POST", SIMULATE, json={**body, "provenance": told})) == [
        "provenance.conversationId"
    ]


async def test_a_queue_that_is_full_is_told_beforehand(open_daemon: Any) -> None:
    async with open_daemon(settings(security={"max_pending_tx": 1})) as daemon, client_of(daemon) as client:
        caller = await Api(client).make_caller()
        assert (await caller.send(str(20 * 10**9))).status_code == 201
        answer = await caller.request("POST", SIMULATE, json={"to": RECIPIENT, "amount": str(21 * 10**9)})
        assert code(answer) == (429, "PENDING_LIMIT_EXCEEDED")


async def test_a_preview_without_a_node_is_still_a_decision(open_daemon: Any) -> None:
    nowhere = {"solana_default_network": "testnet", "solana_testnet": ("http://127.0.0.1:9",)}
    async with open_daemon(settings(rpc=nowhere)) as daemon, client_of(daemon) as client:
        caller = await Api(client).make_caller()
        found = await preview(caller, to=RECIPIENT, amount="1000000")
        assert (found["decision"]["outcome"], found["fee"]) == ("allow", None)
        assert found["simulation"]["status"] == "unavailable"
        answer = await caller.request("POST", ESTIMATE, json={"to": RECIPIENT, "amount": "1"})
        assert answer.status_code in (502, 503)


async def test_a_price_is_told_whatever_the_limits_say(caller: Caller) -> None:
    token = {"address": RECIPIENT, "decimals": 6, "symbol": "X"}
    denied = {"type": "TOKEN_TRANSFER", "to": RECIPIENT, "amount": "1", "token": token}
    answer = await caller.request("POST", ESTIMATE, json=denied)
    assert code(answer) == (422, "SIMULATION_FAILED")
    assert answer.json()["details"] == {"errorCode": "TOKEN_MISMATCH"}
    free = (await caller.request("POST", ESTIMATE, json={"to": RECIPIENT, "amount": "1000000"})).json()
    assert (free["expected"], free["gasLimit"], free["maxFeePerGas"]) == ("5000", None, None)


async def test_on_evm_gas_and_price_are_told_and_every_item_of_a_batch_is_tried(daemon: Daemon, api: Api) -> None:
    caller = await make_evm_caller(api)
    to = "0x" + "aa" * 20
    await allow(
        caller, "SPENDING_LIMIT", {"instant_max": str(ETHER), "notify_max": str(ETHER), "delay_max": str(ETHER)}
    )
    found = await preview(caller, to=to, amount="1000")
    fee = found["fee"]
    assert found["simulation"] == {"status": "ok", "error": None, "logs": [], "unitsConsumed": 21000}
    assert (fee["asset"], fee["gasLimit"], fee["computeUnits"]) == ("native:ethereum", 25200, None)
    assert int(fee["max"]) == fee["gasLimit"] * int(fee["maxFeePerGas"])
    batch = await preview(caller, type="BATCH", instructions=[{"to": to, "amount": "1"}] * 3)
    assert (batch["fee"]["gasLimit"], batch["simulation"]["unitsConsumed"]) == (3 * 25200, 3 * 21000)
    chain = Ethereum(daemon)
    token = await chain.token(caller.agent["publicKey"], 100)
    await allow(caller, "ALLOWED_TOKENS", {"tokens": [{"address": token["address"]}]})
    short = {"type": "TOKEN_TRANSFER", "to": to, "amount": "101", "token": token}
    failing = await preview(caller, type="BATCH", instructions=[{"to": to, "amount": "1"}, short])
    assert failing["simulation"]["status"] == "failed"
    assert failing["simulation"]["error"].startswith("Item 1, tried alone: ")
