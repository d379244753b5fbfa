"""Transactions over HTTP: send, list, wait, cancel."""

import asyncio
import time

from tests.api.client import NOBODY, RECIPIENT, Api, Caller, HeldClock, MovedClock, client_of, code, issues, words
from tests.api.tokens import finished
from tests.conftest import settings
from waiaas.app import Daemon

SENT = words("id status type tier createdAt agentId network executeAt approvalExpiresAt downgradedFrom")
TX = words(
    "id agentId type status tier chain toAddress amount txHash error createdAt network sessionId origin asset token "
    "spender value programId memo errorCode downgradedFrom idempotencyKey queuedAt executeAt approvalExpiresAt "
    "approvedAt rejectedAt submittedAt finalAt fee inDoubt attemptCount confirmation parentId batchIndex digest "
    "provenance updatedAt"
)
DETAIL = [*TX, "decision", "waiting", "children"]
SOL = 10**9
#: over the seeded notify_max of 10 SOL and under its delay_max of 50
DELAYED = str(11 * SOL)


async def test_a_send_is_accepted_at_once_and_confirmed_by_itself(caller: Caller) -> None:
    answer = await caller.send("1000000", memo="for tea", provenance={"runId": "r1", "model": "m"})
    sent = answer.json()
    assert (answer.status_code, list(sent)) == (201, SENT)
    assert (sent["status"], sent["type"], sent["tier"]) == ("PENDING", "TRANSFER", "INSTANT")
    done = await finished(caller, sent["id"])
    assert list(done) == DETAIL
    assert (done["status"], done["amount"], done["toAddress"]) == ("CONFIRMED", "1000000", RECIPIENT)
    assert (done["memo"], done["provenance"]) == ("for tea", {"runId": "r1", "model": "m"})
    assert (done["fee"]["asset"], int(done["fee"]["amount"]) >= 5000) == ("native:solana", True)
    assert (done["attemptCount"], done["inDoubt"], done["decision"]["outcome"]) == (1, False, "allow")
    assert done["confirmation"]["height"] >= 0
    assert done["sessionId"] == caller.session["id"]
    assert None not in (done["txHash"], done["submittedAt"], done["finalAt"])


async def test_a_typed_send_is_the_same_request(caller: Caller) -> None:
    bare = (await caller.send("0001", key="k")).json()
    typed = await caller.send("1", key="k", type="TRANSFER", memo=None)
    assert (typed.status_code, typed.json()["id"]) == (200, bare["id"])
    assert typed.headers["idempotent-replayed"] == "true"


async def test_a_key_answers_again_with_the_present_status(caller: Caller) -> None:
    first = await caller.send(DELAYED, key="rent")
    assert (first.json()["status"], "idempotent-replayed" in first.headers) == ("QUEUED", False)
    await caller.request("POST", f"/v1/transactions/{first.json()['id']}/cancel")
    again = await caller.send(DELAYED, key="rent")
    assert (again.status_code, again.json()) == (200, first.json() | {"status": "CANCELLED"})


async def test_a_key_of_another_request_conflicts(caller: Caller) -> None:
    first = (await caller.send("1", key="k")).json()
    answer = await caller.send("2", key="k")
    assert code(answer) == (409, "IDEMPOTENCY_CONFLICT")
    assert answer.json()["details"] == {"transactionId": first["id"]}


async def test_the_same_again_within_moments_is_the_first_one(caller: Caller) -> None:
    first = (await caller.send(DELAYED)).json()
    again = await caller.send(DELAYED, provenance={"runId": "2"})
    assert (again.status_code, again.json()) == (200, first | {"duplicateOf": first["id"]})
    assert "idempotent-replayed" not in again.headers
    by_a_tool = await caller.send(DELAYED, key="auto:0198")
    assert (by_a_tool.status_code, by_a_tool.json()["duplicateOf"]) == (200, first["id"])
    for meant in ({"distinct": True}, {"key": "chosen"}, {"memo": "another"}):
        answer = await caller.send(DELAYED, **meant)
        assert (answer.status_code, "duplicateOf" in answer.json()) == (201, False)
    beside = Caller(caller.api, caller.agent, await caller.api.make_session(caller.agent["id"]))
    assert "duplicateOf" not in (await beside.send(DELAYED)).json()


async def test_a_key_survives_a_restart(open_daemon) -> None:
    async with open_daemon() as daemon, client_of(daemon) as client:
        caller = await Api(client).make_caller()
        first = (await caller.send(DELAYED, key="rent")).json()
    async with open_daemon() as daemon, client_of(daemon) as client:
        caller.api.client = client
        again = await caller.send(DELAYED, key="rent")
        assert (again.status_code, again.json()["id"]) == (200, first["id"])
        assert code(await caller.send("1", key="rent")) == (409, "IDEMPOTENCY_CONFLICT")


async def test_what_is_final_is_no_duplicate(caller: Caller) -> None:
    first = (await caller.send()).json()
    await finished(caller, first["id"])
    again = await caller.send()
    assert (again.status_code, again.json()["id"] != first["id"]) == (201, True)


async def test_a_window_of_duplicates_ends_and_can_be_closed(open_daemon) -> None:
    clock = MovedClock()
    async with open_daemon(clock=clock) as daemon, client_of(daemon) as client:
        caller = await Api(client).make_caller()
        first = (await caller.send(DELAYED)).json()
        clock.move(11)
        assert (await caller.send(DELAYED)).json()["id"] != first["id"]
    async with (
        open_daemon(settings(security={"duplicate_window_seconds": 0})) as daemon,
        client_of(daemon) as client,
    ):
        caller = await Api(client).make_caller()
        assert [(await caller.send(DELAYED)).status_code for _ in range(2)] == [201, 201]


async def test_two_equal_keys_at_once_make_one_transaction(caller: Caller) -> None:
    answers = await asyncio.gather(*(caller.send("1", key="k") for _ in range(5)))
    assert sorted(answer.status_code for answer in answers) == [200, 200, 200, 200, 201]
    assert len({answer.json()["id"] for answer in answers}) == 1


async def test_a_key_that_is_none_is_refused_at_its_header(caller: Caller) -> None:
    for key in ("", "x" * 256, "a b", "ü", "\x7f"):
        body = {"to": RECIPIENT, "amount": "1"}
        headers = {"Idempotency-Key": key.encode("latin-1")}
        assert issues(await caller.request("POST", "/v1/transactions/send", json=body, headers=headers)) == [
            "Idempotency-Key"
        ]


async def test_a_denial_says_why_and_leaves_a_cancelled_row(caller: Caller, api: Api) -> None:
    narrow = await api.make_session(caller.agent["id"], constraints={"maxAmountPerTx": "10"})
    tight = Caller(api, caller.agent, narrow)
    answer = await tight.send("11")
    assert code(answer) == (403, "SESSION_LIMIT_EXCEEDED")
    details = answer.json()["details"]
    assert (details["constraint"], details["decision"]["outcome"]) == ("maxAmountPerTx", "deny")
    row = (await tight.request("GET", f"/v1/transactions/{details['transactionId']}")).json()
    assert (row["status"], row["errorCode"]) == ("CANCELLED", "SESSION_LIMIT_EXCEEDED")
    assert row["decision"]["code"] == "SESSION_LIMIT_EXCEEDED"


async def test_a_list_is_shown_to_the_operator_alone(caller: Caller, api: Api) -> None:
    listed = await api.make_session(
        caller.agent["id"], constraints={"allowedDestinations": [caller.agent["publicKey"]]}
    )
    answer = await Caller(api, caller.agent, listed).send("1")
    assert code(answer) == (403, "CONSTRAINT_VIOLATED")
    assert caller.agent["publicKey"] not in answer.text
    path = f"/v1/transactions/{answer.json()['details']['transactionId']}"
    rules = [
        (await asked).json()["decision"]["rules"] for asked in (caller.request("GET", path), api.operator("GET", path))
    ]
    assert [rule["limit"] for rule in rules[0] if rule["outcome"] == "deny"] == [None]
    assert [rule["limit"] is None for rule in rules[1] if rule["outcome"] == "deny"] == [False]


async def test_a_large_send_waits_and_can_be_taken_back_once(caller: Caller) -> None:
    sent = (await caller.send(DELAYED)).json()
    assert (sent["status"], sent["tier"], sent["executeAt"] - sent["createdAt"]) == ("QUEUED", "DELAY", 300)
    path = f"/v1/transactions/{sent['id']}"
    assert [item["id"] for item in (await caller.request("GET", "/v1/transactions/pending")).json()["items"]] == [
        sent["id"]
    ]
    assert (await caller.request("POST", f"{path}/cancel")).json() == {"id": sent["id"], "status": "CANCELLED"}
    again = await caller.request("POST", f"{path}/cancel")
    assert (code(again), again.json()["details"]) == ((409, "TX_ALREADY_PROCESSED"), {"status": "CANCELLED"})
    assert (await caller.request("GET", path)).json()["errorCode"] == "CANCELLED_BY_CALLER"
    assert (await caller.request("GET", "/v1/transactions/pending")).json() == {"items": []}


async def test_the_operator_may_cancel_but_not_during_recovery(daemon: Daemon, caller: Caller) -> None:
    sent = (await caller.send(DELAYED)).json()
    path = f"/v1/transactions/{sent['id']}/cancel"
    daemon.core.reconciling.add(caller.agent["network"])
    assert code(await caller.api.operator("POST", path)) == (503, "RECONCILING")
    daemon.core.reconciling.clear()
    assert (await caller.api.operator("POST", path)).status_code == 200
    assert code(await caller.api.operator("POST", f"/v1/transactions/{NOBODY}/cancel")) == (404, "TX_NOT_FOUND")


async def test_too_many_waiting_sends_are_refused(open_daemon) -> None:
    async with open_daemon(settings(security={"max_pending_tx": 1})) as daemon, client_of(daemon) as client:
        caller = await Api(client).make_caller()
        await caller.send(DELAYED)
        answer = await caller.send(DELAYED, distinct=True)
        assert code(answer) == (429, "PENDING_LIMIT_EXCEEDED")
        assert (answer.headers["retry-after"], answer.json()["details"]["retryAfter"]) == ("5", 5)


async def test_an_agent_without_a_usable_key_sends_nothing(daemon: Daemon, caller: Caller) -> None:
    daemon.core.keystore.forget(caller.agent["id"])
    answer = await caller.send()
    assert code(answer) == (503, "KEYSTORE_LOCKED")
    assert answer.headers["retry-after"] == "60"


async def test_transactions_are_paged_newest_first(caller: Caller) -> None:
    made = [(await caller.send(DELAYED, distinct=True)).json()["id"] for _ in range(3)]
    first = (await caller.request("GET", "/v1/transactions", params={"limit": 2})).json()
    assert list(first) == ["items", "cursor", "hasMore"]
    assert list(first["items"][0]) == TX
    assert ([tx["id"] for tx in first["items"]], first["cursor"], first["hasMore"]) == (made[:0:-1], made[1], True)
    rest = (await caller.request("GET", "/v1/transactions", params={"cursor": first["cursor"]})).json()
    assert ([tx["id"] for tx in rest["items"]], rest["cursor"], rest["hasMore"]) == ([made[0]], None, False)


async def test_transactions_are_filtered(caller: Caller) -> None:
    done = (await caller.send()).json()
    await finished(caller, done["id"])
    queued = (await caller.send(DELAYED)).json()
    now = done["createdAt"]
    for params, expected in (
        ({"status": "QUEUED"}, [queued["id"]]),
        ({"tier": "INSTANT"}, [done["id"]]),
        ({"type": "TRANSFER"}, [queued["id"], done["id"]]),
        ({"type": "BATCH"}, []),
        ({"since": now}, [queued["id"], done["id"]]),
        ({"until": now}, []),
        ({"since": now + 60}, []),
    ):
        items = (await caller.request("GET", "/v1/transactions", params=params)).json()["items"]
        assert [tx["id"] for tx in items] == expected, params


async def test_the_operator_sees_every_agents_transactions(caller: Caller, api: Api) -> None:
    other = await api.make_caller()
    mine, theirs = [(await one.send(DELAYED)).json()["id"] for one in (caller, other)]
    for path in ("/v1/transactions", "/v1/transactions/pending"):
        everything = (await api.operator("GET", path)).json()["items"]
        assert [tx["id"] for tx in everything] == [theirs, mine]
        of_one = (await api.operator("GET", path, params={"agentId": caller.agent["id"]})).json()["items"]
        assert [tx["id"] for tx in of_one] == [mine]


async def test_waiting_ends_with_the_status_or_with_the_time(caller: Caller) -> None:
    queued = (await caller.send(DELAYED)).json()
    path = f"/v1/transactions/{queued['id']}"
    began = time.monotonic()
    assert (await caller.request("GET", path, params={"wait": 1})).json()["status"] == "QUEUED"
    assert 0.99 <= time.monotonic() - began < 5
    waiting = asyncio.create_task(caller.request("GET", path, params={"wait": 30}))
    await asyncio.sleep(0.05)
    await caller.request("POST", f"{path}/cancel")
    assert (await asyncio.wait_for(waiting, 5)).json()["status"] == "CANCELLED"


async def test_a_stop_answers_those_who_wait(daemon: Daemon, caller: Caller) -> None:
    queued = (await caller.send(DELAYED)).json()
    waiting = asyncio.create_task(caller.request("GET", f"/v1/transactions/{queued['id']}", params={"wait": 60}))
    await asyncio.sleep(0.05)
    daemon.core.watch.close()
    assert (await asyncio.wait_for(waiting, 5)).json()["status"] == "QUEUED"


async def test_on_solana_nothing_signed_is_replaced(caller: Caller) -> None:
    sent = (await caller.send()).json()
    done = await finished(caller, sent["id"])
    (attempt,) = (await caller.request("GET", f"/v1/transactions/{sent['id']}/attempts")).json()["items"]
    assert (attempt["status"], attempt["nonce"], attempt["txHash"]) == ("LANDED", None, done["txHash"])
    assert attempt["lastValidBlockHeight"] > 0
    answer = await caller.request("POST", f"/v1/transactions/{sent['id']}/speed-up")
    assert code(answer) == (409, "TX_ALREADY_PROCESSED")


async def test_what_is_signed_on_solana_lands_or_expires_and_is_not_replaced(open_daemon) -> None:
    clock = HeldClock()
    async with open_daemon(clock=clock) as daemon, client_of(daemon) as client:
        caller = await Api(client).make_caller()
        clock.hold()
        path = f"/v1/transactions/{(await caller.send()).json()['id']}"
        while (found := (await caller.request("GET", path)).json())["status"] != "SUBMITTED":
            await asyncio.sleep(0.01)
        assert found["inDoubt"] is True
        for route, body in (("speed-up", {}), ("cancel", {"onChain": True})):
            answer = await caller.request("POST", f"{path}/{route}", json=body)
            assert code(answer) == (400, "CHAIN_NOT_SUPPORTED")
        clock.go_on()
        assert (await finished(caller, found["id"]))["status"] == "CONFIRMED"


async def test_what_waits_tells_why_and_until_when(daemon: Daemon, caller: Caller) -> None:
    sent = (await caller.send(DELAYED)).json()
    daemon.core.wait(sent["id"], "NONCE_LANE", 4)
    daemon.core.wait(sent["id"], "NONCE_LANE", 10)
    waiting = (await caller.request("GET", f"/v1/transactions/{sent['id']}")).json()["waiting"]
    now = daemon.core.clock.now()
    assert (waiting["reason"], waiting["tries"]) == ("NONCE_LANE", 2)
    assert waiting["since"] <= now <= waiting["nextTryAt"] <= now + 10
