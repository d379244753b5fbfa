"""Policy, over the API: P01, P02, P04, P06, P08 to P10, P12 to P14, P16 to P21, P23, B01, B02.

One daemon serves them all. Its networks have no node, so what is accepted stays set aside: nothing moves but limits.
"""

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from eth_abi import encode

from tests.api.client import RECIPIENT, Api, Caller, MovedClock, client_of, code, issues
from tests.api.tokens import allow
from tests.conftest import PASSWORD, settings
from waiaas import app, paths
from waiaas.keystore import Keystore

pytestmark = pytest.mark.asyncio(loop_scope="module")

NOWHERE = ("http://127.0.0.1:9",)
MINT = "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v"
USDC = f"solana:{MINT}"
TOKEN_PROGRAM = "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA"
OTHER = "8qbHbw2BbbTHBW1sbeqakYXVKRQM8Ne7pLK7m6CVfeR9"
DAI = "0x6B175474E89094C44Da98b954EedeAC495271d0F"
ROUTER = "0xE592427A0AEce92De3Edee1F18E0157C05861564"
EVE = "0xd8dA6BF26964aF9D7eEd9e03E53415D37aA96045"
TOKEN = {"address": MINT, "decimals": 6, "symbol": "USDC"}
SEND = "/v1/transactions/send"
#: nothing of it goes on by itself, so what is accepted stays set aside
WAITING = {"instant_max": "0", "notify_max": "0", "delay_max": "1000000"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[Api, MovedClock]]:
    """A daemon without any policy, and its clock."""
    data, clock = paths.DataDir(tmp_path_factory.mktemp("policies") / "waiaas"), MovedClock()
    paths.create(data)
    rpc = {"solana_default_network": "testnet", "solana_testnet": NOWHERE, "evm_ethereum_sepolia": NOWHERE}
    config = settings(
        rpc=rpc, security={"rate_limit_tx_rpm": 0, "rate_limit_session_rpm": 0, "rate_limit_global_ip_rpm": 0}
    )
    await app.initialise(data, config, PASSWORD, clock=clock)
    keystore = Keystore.unlock(data.keystore, PASSWORD)
    async with (
        app.open_daemon(data, config, keystore, clock=clock, options=app.Options()) as daemon,
        client_of(daemon) as client,
    ):
        api = Api(client)
        for seed in (await api.operator("GET", "/v1/policies")).json():
            await api.operator("DELETE", f"/v1/policies/{seed['id']}")
        yield api, clock


@pytest.fixture
def api(shared: tuple[Api, MovedClock]) -> Api:
    return shared[0]


@pytest_asyncio.fixture(loop_scope="module")
async def caller(api: Api) -> Caller:
    return await api.make_caller()


@pytest_asyncio.fixture(loop_scope="module")
async def evm(api: Api) -> Caller:
    agent = await api.make_agent(chain="ethereum", network="ethereum-sepolia")
    return Caller(api, agent, await api.make_session(agent["id"]))


async def want(caller: Caller, **body: Any) -> Any:
    return await caller.request("POST", SEND, json={"distinct": True, **body})


async def codes(caller: Caller, *bodies: dict[str, Any]) -> list[str]:
    """The code of each refusal, or the tier it goes on in."""
    answers = [(await want(caller, **body)).json() for body in bodies]
    return [answer.get("tier") or answer["code"] for answer in answers]


def pay(amount: int, to: str = RECIPIENT) -> dict[str, Any]:
    return {"to": to, "amount": str(amount)}


def pay_token(amount: int, to: str = RECIPIENT) -> dict[str, Any]:
    return {"type": "TOKEN_TRANSFER", "to": to, "amount": str(amount), "token": TOKEN}


def grant(amount: int, spender: str = OTHER) -> dict[str, Any]:
    return {"type": "APPROVE", "spender": spender, "amount": str(amount), "token": TOKEN}


def run(data: bytes, *accounts: str, program: str = TOKEN_PROGRAM, signer: str = "") -> dict[str, Any]:
    metas = [{"pubkey": each, "isSigner": each == signer, "isWritable": True} for each in accounts or (RECIPIENT,)]
    return {
        "type": "CONTRACT_CALL",
        "programId": program,
        "instructionData": b64encode(data).decode(),
        "accounts": metas,
    }


def call(data: str, to: str = ROUTER) -> dict[str, Any]:
    return {"type": "CONTRACT_CALL", "to": to, "calldata": data}


def tokens() -> tuple[str, dict[str, Any]]:
    return "ALLOWED_TOKENS", {"tokens": [{"address": MINT}]}


async def test_p01_without_a_policy_nothing_passes(caller: Caller) -> None:
    asked = pay(1), pay_token(1), run(b"x"), grant(1)
    denied = ["POLICY_DENIED", "TOKEN_NOT_ALLOWED", "CONTRACT_CALL_DISABLED", "APPROVE_DISABLED"]
    assert await codes(caller, *asked) == denied
    await allow(caller, "RATE_LIMIT", {"max_requests": 100, "window_seconds": 60})
    assert await codes(caller, *asked) == denied


async def test_p02_two_sessions_share_what_is_left_of_a_limit(api: Api, caller: Caller) -> None:
    await allow(caller, *tokens())
    await allow(caller, "SPENDING_LIMIT", {"limits": {USDC: {**WAITING, "daily_total": "10"}}})
    second = Caller(api, caller.agent, await api.make_session(caller.agent["id"]))
    assert (await want(caller, **pay_token(8))).status_code == 201
    lost = await asyncio.gather(want(caller, **pay_token(3)), want(second, **pay_token(3)))
    assert [code(answer) for answer in lost] == [(403, "SPENDING_LIMIT_EXCEEDED")] * 2
    raced = await asyncio.gather(want(caller, **pay_token(2)), want(second, **pay_token(2)))
    assert sorted(answer.status_code for answer in raced) == [201, 403]


async def test_p04_the_fee_counts_with_the_amount(caller: Caller) -> None:
    await allow(caller, "SPENDING_LIMIT", {"daily_total": "10000000"})
    refused = await want(caller, **pay(10_000_000))
    assert code(refused) == (403, "SPENDING_LIMIT_EXCEEDED")
    room = refused.json()["details"]["decision"]["remedies"][0]
    assert room["kind"] == "amount_at_most"
    assert 0 < int(room["value"]) < 10_000_000
    assert (await want(caller, **pay(int(room["value"]) + 1))).status_code == 403
    assert (await want(caller, **pay(int(room["value"])))).status_code == 201


async def test_p06_a_drip_keeps_its_tier_until_the_total_is_full(caller: Caller) -> None:
    await allow(caller, *tokens())
    bounds = {"instant_max": "30", "notify_max": "40", "delay_max": "50", "daily_total": "30"}
    await allow(caller, "SPENDING_LIMIT", {"limits": {USDC: bounds}})
    drips = [pay_token(10)] * 3
    assert await codes(caller, *drips, pay_token(1)) == ["INSTANT"] * 3 + ["SPENDING_LIMIT_EXCEEDED"]


async def test_p08_the_strictest_policy_holds_unless_a_list_sets_the_global_one_aside(api: Api, caller: Caller) -> None:
    await allow(caller, "SPENDING_LIMIT", {"instant_max": "100", "notify_max": "200", "delay_max": "300"})
    strict = {"type": "SPENDING_LIMIT", "rules": {"per_transaction": "5"}, "priority": -9}
    narrow = {"type": "WHITELIST", "rules": {"allowed_addresses": [OTHER]}}
    made = [(await api.operator("POST", "/v1/policies", json=body)).json() for body in (strict, narrow)]
    try:
        assert await codes(caller, pay(1), pay(6, OTHER)) == ["WHITELIST_DENIED", "SPENDING_LIMIT_EXCEEDED"]
        own = await allow(caller, "WHITELIST", {"allowed_addresses": [RECIPIENT]})
        assert await codes(caller, pay(1), pay(1, OTHER)) == ["WHITELIST_DENIED"] * 2
        await api.operator("PUT", f"/v1/policies/{own['id']}", json={"override": True})
        assert await codes(caller, pay(1), pay(1, OTHER)) == ["INSTANT", "WHITELIST_DENIED"]
        body = {**strict, "agentId": caller.agent["id"], "override": True}
        assert issues(await api.operator("POST", "/v1/policies", json=body)) == ["override"]
    finally:
        for policy in made:
            await api.operator("DELETE", f"/v1/policies/{policy['id']}")


async def test_p09_a_whitelist_compares_what_is_meant(caller: Caller, evm: Caller) -> None:
    for each in (caller, evm):
        await allow(each, "SPENDING_LIMIT", {"instant_max": "9", "notify_max": "9", "delay_max": "9"})
    policy = await allow(evm, "WHITELIST", {"allowed_addresses": [EVE.lower()]})
    assert await codes(evm, pay(1, EVE), pay(1, EVE.lower())) == ["INSTANT"] * 2
    twin = next(
        text
        for at in range(44)
        if (text := RECIPIENT[:at] + RECIPIENT[at].swapcase() + RECIPIENT[at + 1 :]) != RECIPIENT and _is_address(text)
    )
    await allow(caller, "WHITELIST", {"allowed_addresses": [RECIPIENT]})
    assert await codes(caller, pay(1), pay(1, twin)) == ["INSTANT", "WHITELIST_DENIED"]
    api, path = evm.api, f"/v1/policies/{policy['id']}"
    await api.operator("PUT", path, json={"rules": {"allowed_addresses": []}})
    assert await codes(evm, pay(1, EVE)) == ["WHITELIST_DENIED"]
    for text in (" ", f"{EVE} ", f"{EVE}\0", f"0X{EVE[2:]}", "0x" + "١" * 40, EVE[:-1] + EVE[-1].upper() + "x"):
        answer = await api.operator("PUT", path, json={"rules": {"allowed_addresses": [text]}})
        assert issues(answer) == ["rules.allowed_addresses.0"], text
        assert (await want(evm, to=text, amount="1")).status_code == 400


def _is_address(text: str) -> bool:
    from waiaas.domain.address import canonical_address
    from waiaas.domain.chain import Chain

    try:
        return bool(canonical_address(text, Chain.SOLANA))
    except ValueError:
        return False


async def test_p10_a_rule_of_another_chain_asset_or_type_says_nothing(caller: Caller) -> None:
    await allow(caller, "SPENDING_LIMIT", {"limits": {"native:ethereum": {"per_transaction": "0"}}})
    await allow(caller, "SPENDING_LIMIT", {"limits": {USDC: {"per_transaction": "0"}}})
    await allow(caller, *tokens())
    await allow(caller, "APPROVE_TIER_OVERRIDE", {"tier": "APPROVAL"})
    await allow(caller, "APPROVE_AMOUNT_LIMIT", {"maxAmount": "0"})
    assert await codes(caller, pay(1)) == ["POLICY_DENIED"]
    await allow(caller, "SPENDING_LIMIT", {"instant_max": "9", "notify_max": "9", "delay_max": "9"})
    assert await codes(caller, pay(1)) == ["INSTANT"]


async def test_p12_the_eleventh_of_ten_waits_until_the_oldest_leaves(caller: Caller, shared: Any) -> None:
    _, clock = shared
    await allow(caller, "SPENDING_LIMIT", {"per_transaction": "1000"})
    await allow(caller, "RATE_LIMIT", {"max_requests": 10, "window_seconds": 600})
    batch = {"type": "BATCH", "instructions": [pay(1)] * 3}
    assert await codes(caller, batch) == ["INSTANT"]
    clock.move(100)
    assert await codes(caller, *[pay(1)] * 9) == ["INSTANT"] * 9
    refused = await want(caller, **pay(1))
    assert code(refused) == (429, "RATE_LIMIT_EXCEEDED")
    wait = int(refused.headers["Retry-After"])
    assert 450 < wait <= 500
    clock.move(wait + 1)
    assert await codes(caller, pay(1), pay(1)) == ["INSTANT", "RATE_LIMIT_EXCEEDED"]


async def test_p13_the_first_violation_gives_the_code_and_the_trace_lists_all(caller: Caller) -> None:
    await allow(caller, "RATE_LIMIT", {"max_requests": 1, "window_seconds": 600})
    await allow(caller, "SPENDING_LIMIT", {"per_transaction": "9"})
    assert await codes(caller, pay(1)) == ["INSTANT"]
    await allow(caller, "WHITELIST", {"allowed_addresses": []})
    refused = await want(caller, **pay(10))
    assert code(refused) == (403, "WHITELIST_DENIED")
    rules = refused.json()["details"]["decision"]["rules"]
    denied = [rule["type"] for rule in rules if rule["outcome"] == "deny"]
    assert denied == ["WHITELIST", "RATE_LIMIT", "SPENDING_LIMIT"]


@pytest.mark.parametrize(
    ("kind", "rules", "issue"),
    [
        ("SPENDING_LIMIT", {"instant_max": "9", "notify_max": "8", "delay_max": "9"}, "rules.notify_max"),
        ("SPENDING_LIMIT", {"daily_total": "-1"}, "rules.daily_total"),
        ("SPENDING_LIMIT", {"daily_totals": "1"}, "rules.daily_totals"),
        ("RATE_LIMIT", {"max_requests": 0, "window_seconds": 1}, "rules.max_requests"),
        ("WHITELIST", {"allowed_addresses": ["nobody"]}, "rules.allowed_addresses.0"),
    ],
)
async def test_p14_rules_that_make_no_sense_are_never_stored(
    api: Api, caller: Caller, kind: str, rules: dict[str, Any], issue: str
) -> None:
    good = {"SPENDING_LIMIT": {"daily_total": "1"}, "RATE_LIMIT": {"max_requests": 1, "window_seconds": 1}}
    stored = await allow(caller, kind, good.get(kind, {"allowed_addresses": []}))
    body = {"type": kind, "rules": rules, "agentId": caller.agent["id"]}
    assert issue in issues(await api.operator("POST", "/v1/policies", json=body))
    path = f"/v1/policies/{stored['id']}"
    assert issue in issues(await api.operator("PUT", path, json={"rules": rules}))
    query = {"agentId": caller.agent["id"]}
    assert (await api.operator("GET", "/v1/policies", params=query)).json() == [stored]


async def test_p16_no_spelling_of_a_call_gets_around_the_list(caller: Caller, evm: Caller) -> None:
    await allow(caller, "CONTRACT_WHITELIST", {"contracts": [{"address": MINT}]})
    assert issues(await want(caller, **run(b"x"), to=MINT)) == ["to"]
    assert issues(await want(caller, **run(b"x", OTHER, signer=OTHER))) == ["accounts.0.isSigner"]
    assert (await want(evm, type="CONTRACT_CALL", calldata="0x12345678")).status_code == 400
    assert (await want(evm, **call("0x12345678", ROUTER.swapcase()))).status_code == 400
    await allow(evm, "CONTRACT_WHITELIST", {"contracts": [{"address": MINT, "chain": "solana"}, {"address": DAI}]})
    asked = call("0x12345678"), call("0x12345678", ROUTER.lower()), call("0x12345678", DAI.lower())
    assert await codes(evm, *asked) == ["CONTRACT_NOT_WHITELISTED"] * 2 + ["DELAY"]
    assert await codes(caller, run(b"x")) == ["CONTRACT_NOT_WHITELISTED"]


async def test_p17_only_listed_methods_are_called(evm: Caller) -> None:
    await allow(evm, "CONTRACT_WHITELIST", {"contracts": [{"address": ROUTER}]})
    await allow(evm, "METHOD_WHITELIST", {"methods": [{"contractAddress": ROUTER, "selectors": ["0x12345678"]}]})
    assert await codes(evm, call("0x12345678"), call("0x12345679")) == ["NOTIFY", "METHOD_NOT_WHITELISTED"]
    inside = "0xac9650d8" + encode(["bytes[]"], [[bytes.fromhex("12345678")]]).hex()
    assert await codes(evm, call(inside)) == ["METHOD_NOT_WHITELISTED"]
    for data in ("0x", "0x123456", "0x1234567", "12345678"):
        assert issues(await want(evm, **call(data))) == ["calldata"]


def erc20(selector: str, *words: Any) -> str:
    return selector + encode(["address" if isinstance(word, str) else "uint256" for word in words], words).hex()


def wrapped(data: str) -> str:
    return "0xac9650d8" + encode(["bytes[]"], [[bytes.fromhex(data[2:])]]).hex()


PERMIT = ["address", "address", "uint256", "uint256", "uint8", "bytes32", "bytes32"]


async def test_p18_what_hides_in_a_call_is_judged_as_what_it_does(caller: Caller, evm: Caller) -> None:
    await allow(evm, "CONTRACT_WHITELIST", {"contracts": [{"address": DAI}]})
    await allow(evm, "SPENDING_LIMIT", {"limits": {"native:ethereum": {"per_transaction": "5"}}})
    own = evm.agent["publicKey"]
    permit = "0xd505accf" + encode(PERMIT, [own, EVE, 5, 2**40, 27, bytes(32), bytes(32)]).hex()
    moves = erc20("0xa9059cbb", EVE, 5), erc20("0x23b872dd", own, EVE, 5)
    grants = erc20("0x095ea7b3", EVE, 5), erc20("0x39509351", EVE, 5), erc20("0xa22cb465", EVE, 1), permit
    for data in moves:
        assert await codes(evm, call(data, DAI), call(wrapped(data), DAI)) == ["TOKEN_NOT_ALLOWED"] * 2
    for data in grants:
        assert await codes(evm, call(data, DAI), call(wrapped(data), DAI)) == ["APPROVE_DISABLED"] * 2
    rich = await want(evm, **call("0x12345678", DAI), value="6")
    assert code(rich) == (403, "SPENDING_LIMIT_EXCEEDED")
    unknown = (await want(evm, **call("0x12345678", DAI))).json()
    assert (unknown["tier"], unknown["downgradedFrom"]) == ("DELAY", "APPROVAL")
    await allow(caller, "CONTRACT_WHITELIST", {"contracts": [{"address": TOKEN_PROGRAM}]})
    me, five = caller.agent["publicKey"], (5).to_bytes(8, "little")
    hidden = (
        run(b"\x0c" + five + b"\x06", OTHER, MINT, RECIPIENT, me, signer=me),
        run(b"\x03" + five, OTHER, RECIPIENT, me, signer=me),
        run(b"\x0d" + five + b"\x06", OTHER, MINT, RECIPIENT, me, signer=me),
        run(b"\x04" + five, OTHER, RECIPIENT, me, signer=me),
        run(b"\x06\x02\x01" + bytes(32), OTHER, me, signer=me),
    )
    assert await codes(caller, *hidden) == ["TOKEN_NOT_ALLOWED"] * 2 + ["APPROVE_DISABLED"] * 2 + ["POLICY_DENIED"]


async def test_p19_a_grant_is_listed_bounded_and_can_always_be_taken_back(caller: Caller, evm: Caller) -> None:
    await allow(caller, "APPROVED_SPENDERS", {"spenders": [{"address": OTHER}]})
    u64 = 2**64 - 1
    assert await codes(caller, grant(u64), grant(u64 // 2)) == ["UNLIMITED_APPROVE_BLOCKED"] * 2
    await allow(caller, "APPROVE_AMOUNT_LIMIT", {"maxAmount": "10"})
    await allow(caller, "WHITELIST", {"allowed_addresses": [OTHER]})
    assert await codes(caller, grant(11), grant(1, RECIPIENT)) == ["APPROVE_AMOUNT_EXCEEDED", "WHITELIST_DENIED"]
    assert await codes(caller, grant(10), grant(0, RECIPIENT)) == ["DELAY", "INSTANT"]
    await allow(evm, "APPROVED_SPENDERS", {"spenders": [{"address": ROUTER}]})
    dai = {"address": DAI, "decimals": 18, "symbol": "DAI"}
    asked = [{**grant(amount, ROUTER), "token": dai} for amount in (2**256 - 1, (2**256 - 1) // 2, 1)]
    stranger = {**grant(1, EVE), "token": dai}
    unlimited = ["UNLIMITED_APPROVE_BLOCKED"] * 2
    assert await codes(evm, *asked, stranger) == [*unlimited, "DELAY", "SPENDER_NOT_APPROVED"]


async def test_p20_splitting_into_a_batch_changes_nothing(caller: Caller) -> None:
    await allow(caller, "SPENDING_LIMIT", {"instant_max": "10", "notify_max": "20", "delay_max": "40"})
    parts = {"type": "BATCH", "instructions": [pay(2)] * 20}
    assert await codes(caller, parts) == ["DELAY"]
    mixed = {"type": "BATCH", "instructions": [pay(1), pay_token(1), pay(1), grant(1)]}
    refused = await want(caller, **mixed)
    assert code(refused) == (403, "BATCH_POLICY_VIOLATION")
    told = refused.json()["details"]
    named = [(each["index"], each["code"]) for each in told["violations"]]
    assert named == [(1, "TOKEN_NOT_ALLOWED"), (3, "APPROVE_DISABLED")]
    row = (await caller.request("GET", f"/v1/transactions/{told['transactionId']}")).json()
    assert (row["status"], row["attemptCount"], row["children"]) == ("CANCELLED", 0, [])
    await allow(caller, *tokens())
    await allow(caller, "APPROVED_SPENDERS", {"spenders": [{"address": OTHER}]})
    use = {"type": "BATCH", "instructions": [grant(1), pay_token(1)]}
    asked = (await want(caller, **use)).json()
    assert (asked["tier"], asked["downgradedFrom"]) == ("DELAY", "APPROVAL")


async def test_p21_one_key_is_one_transaction_and_haste_is_no_second_one(caller: Caller, shared: Any) -> None:
    _, clock = shared
    await allow(caller, "SPENDING_LIMIT", {"per_transaction": "1000"})
    answers = await asyncio.gather(*(caller.send("1", key="k") for _ in range(20)))
    assert sorted(answer.status_code for answer in answers) == [200] * 19 + [201]
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert sum(answer.headers.get("Idempotent-Replayed") == "true" for answer in answers) == 19
    assert code(await caller.send("2", key="k")) == (409, "IDEMPOTENCY_CONFLICT")
    first = await caller.send("3")
    for again in (await caller.send("3"), await caller.send("3", key="auto:1")):
        assert (again.status_code, again.json()["duplicateOf"]) == (200, first.json()["id"])
    others = await caller.send("3", distinct=True), await caller.send("3", key="fresh")
    assert [answer.status_code for answer in others] == [201, 201]
    clock.move(11)
    assert (await caller.send("3")).status_code == 201


async def test_p23_the_eleventh_that_would_wait_is_not_stored(caller: Caller) -> None:
    await allow(caller, "SPENDING_LIMIT", WAITING)
    assert await codes(caller, *[pay(1)] * 10) == ["DELAY"] * 10
    before = (await caller.request("GET", "/v1/transactions", params={"limit": 100})).json()
    assert code(await want(caller, **pay(1))) == (429, "PENDING_LIMIT_EXCEEDED")
    assert (await caller.request("GET", "/v1/transactions", params={"limit": 100})).json() == before
    await caller.request("POST", f"/v1/transactions/{before['items'][0]['id']}/cancel")
    assert await codes(caller, pay(1)) == ["DELAY"]


BOUNDS = {"instant_max": "10", "notify_max": "20", "delay_max": "30"}


@pytest.mark.parametrize("asset", ["native:solana", USDC])
async def test_b01_the_bounds_of_the_tiers(api: Api, asset: str) -> None:
    rules = BOUNDS if asset == "native:solana" else {"limits": {asset: BOUNDS}}
    make = pay if asset == "native:solana" else pay_token
    for bound, tier, above in ((10, "INSTANT", "NOTIFY"), (20, "NOTIFY", "DELAY"), (30, "DELAY", "APPROVAL")):
        for amount, expected in ((bound - 1, tier), (bound, tier), (bound + 1, above)):
            caller = await api.make_caller()
            await allow(caller, *tokens())
            await allow(caller, "SPENDING_LIMIT", rules)
            sent = (await want(caller, **make(amount))).json()
            assert (sent["downgradedFrom"] or sent["tier"]) == expected, amount


@pytest.mark.parametrize("window", ["per_transaction", "hourly_total", "daily_total", "weekly_total", "monthly_total"])
async def test_b02_every_cap_passes_what_makes_it_exactly_full(caller: Caller, window: str) -> None:
    await allow(caller, *tokens())
    await allow(caller, "SPENDING_LIMIT", {"limits": {USDC: {window: "10"}}})
    if window == "per_transaction":
        asked, expected = [9, 10, 11], ["INSTANT", "INSTANT", "SPENDING_LIMIT_EXCEEDED"]
    else:
        asked, expected = [9, 2, 1, 1], ["INSTANT", "SPENDING_LIMIT_EXCEEDED", "INSTANT", "SPENDING_LIMIT_EXCEEDED"]
    assert await codes(caller, *map(pay_token, asked)) == expected


@pytest.mark.parametrize(
    ("constraints", "asked", "expected"),
    [
        ({"maxAmountPerTx": "10"}, [9, 10, 11], ["INSTANT", "INSTANT", "SESSION_LIMIT_EXCEEDED"]),
        ({"maxTotalAmount": "10"}, [9, 2, 1, 1], ["INSTANT", "SESSION_LIMIT_EXCEEDED"] * 2),
        ({"maxTransactions": 2}, [1, 1, 1], ["INSTANT", "INSTANT", "SESSION_LIMIT_EXCEEDED"]),
    ],
)
async def test_b02_the_caps_of_a_session(
    api: Api, constraints: dict[str, Any], asked: list[int], expected: list[str]
) -> None:
    caller = await api.make_caller(**constraints)
    await allow(caller, "SPENDING_LIMIT", {"per_transaction": "1000"})
    assert await codes(caller, *map(pay, asked)) == expected
