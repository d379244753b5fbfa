"""The rows P01 to P20 of the security table that policy alone decides, one test per id."""

import base64
import struct

import pytest
from eth_abi import encode
from solders.system_program import ID as SYSTEM

from waiaas.domain.address import canonical_address
from waiaas.domain.chain import Chain
from waiaas.domain.instruction import TOKEN
from waiaas.domain.ledger import LedgerKind
from waiaas.domain.parse import parse_request
from waiaas.domain.policy import check_override
from waiaas.domain.request import AccountMeta, ContractCall, Transfer
from waiaas.domain.tier import Tier
from waiaas.errors import ValidationFailed

from .build import (
    AGENT,
    ALICE,
    BOB,
    DAI,
    ETH,
    EVE,
    MINT,
    NOW,
    OWN,
    OWN_ETH,
    ROUTER,
    SOL,
    TIERS,
    USDC,
    approval,
    ask,
    ask_eth,
    batch,
    call,
    contracts,
    limit,
    policy,
    row,
    send,
    spenders,
    spent,
    token_transfer,
    tokens,
)

PAY = Transfer(ALICE, "1")
UNRELATED = [
    limit(limits={ETH: {"daily_total": "1"}}),
    policy("WHITELIST", allowed_addresses=[ALICE, BOB, MINT, ROUTER, TOKEN]),
    policy("TIME_RESTRICTION", allowed_hours={"start": 0, "end": 24}),
    policy("RATE_LIMIT", max_requests=1, window_seconds=1),
    policy("METHOD_WHITELIST", methods=[{"contractAddress": DAI, "selectors": ["0x12345678"]}]),
    policy("APPROVE_AMOUNT_LIMIT", blockUnlimited=False),
    policy("APPROVE_TIER_OVERRIDE", tier="INSTANT"),
]


def instruction(data, *accounts, program=TOKEN):
    metas = tuple(AccountMeta(account, account == OWN, True) for account in accounts)
    return ContractCall(program_id=program, instruction_data=base64.b64encode(data).decode(), accounts=metas)


@pytest.mark.parametrize("policies", [[], *([each] for each in UNRELATED), UNRELATED])
def test_p01_without_a_policy_that_allows_it_nothing_passes(policies):
    codes = [
        ask(request, *policies).code
        for request in (PAY, token_transfer(1), instruction(b"x", OWN, program=ROUTER_ON_SOLANA), approval(1))
    ]
    if any(each.type == "WHITELIST" for each in policies):
        assert codes == ["POLICY_DENIED", "TOKEN_NOT_ALLOWED", "WHITELIST_DENIED", "APPROVE_DISABLED"]
    else:
        assert codes == ["POLICY_DENIED", "TOKEN_NOT_ALLOWED", "CONTRACT_CALL_DISABLED", "APPROVE_DISABLED"]


ROUTER_ON_SOLANA = "JUP6LkbZbjS1jKKwapdHNy74zcZ3tLUZoi5QNyVTaV4"


def test_p04_the_fee_counts():
    assert send(95, limit(daily_total="100"), fee=5).outcome == "allow"
    assert send(95, limit(daily_total="100"), fee=6).code == "SPENDING_LIMIT_EXCEEDED"
    raised = (row(95, tx_id="mine"), row(5, tx_id="mine", kind=LedgerKind.FEE))
    assert send(95, limit(daily_total="100"), rows=raised, without="mine", fee=6).outcome == "deny"


def test_p05_an_allowance_uses_up_the_budget_until_it_is_gone():
    budget = limit(limits={USDC: {"daily_total": "10"}})
    granted = row(8, asset=USDC, kind=LedgerKind.ALLOWANCE)
    assert ask(token_transfer(3), tokens(MINT), budget, rows=(granted,)).code == "SPENDING_LIMIT_EXCEEDED"
    assert ask(token_transfer(2), tokens(MINT), budget, rows=(granted,)).outcome == "allow"
    assert ask(token_transfer(10), tokens(MINT), budget).outcome == "allow"


def test_p06_a_drip_is_instant_until_the_total_is_full():
    policies, rows = (limit(**TIERS, daily_total="30"),), ()
    for _ in range(3):
        assert send(10, *policies, rows=rows).tier is Tier.INSTANT
        rows = (*rows, spent(10))
    assert send(1, *policies, rows=rows).code == "SPENDING_LIMIT_EXCEEDED"


def test_p07_sums_above_2_to_the_63_are_exact():
    six = 6 * 10**18
    rules = {"instant_max": str(six), "notify_max": str(2 * six - 1), "delay_max": str(2 * six)}
    held = (row(six, asset=ETH),)
    exact = send(six, limit(**rules, daily_total=str(2 * six)), rows=held, chain=Chain.ETHEREUM)
    assert (exact.tier, exact.rules[-1].observed) == (Tier.DELAY, str(2 * six))
    assert send(six, limit(daily_total=str(2 * six - 1)), rows=held, chain=Chain.ETHEREUM).outcome == "deny"


def test_p08_the_strictest_policy_holds():
    lax = limit(id="own", agent_id=AGENT, priority=9, instant_max="100", notify_max="200", delay_max="300")
    assert send(15, lax, limit(id="all", **TIERS)).tier is Tier.NOTIFY
    ties = [limit(id=name, **{cap: "5"}) for name, cap in (("b", "daily_total"), ("a", "hourly_total"))]
    assert send(6, *ties).policy_id == send(6, *reversed(ties)).policy_id == "a"
    narrow = policy("WHITELIST", id="all", allowed_addresses=[BOB])
    own = {"id": "own", "agent_id": AGENT, "allowed_addresses": [ALICE]}
    assert send(1, limit(**TIERS), narrow, policy("WHITELIST", **own)).code == "WHITELIST_DENIED"
    assert send(1, limit(**TIERS), narrow, policy("WHITELIST", **own, override=True)).outcome == "allow"
    with pytest.raises(ValidationFailed):
        check_override(lax.type, agent_id=AGENT, override=True)


def test_p09_a_whitelist_compares_exactly():
    assert ask_eth(Transfer(EVE, "1"), limit(**TIERS), listed(EVE.lower())).outcome == "allow"
    twin = ALICE.replace("kLKi", "KLKi")
    assert send(1, limit(**TIERS), listed(twin)).code == "WHITELIST_DENIED"
    assert send(1, limit(**TIERS), listed()).code == "WHITELIST_DENIED"
    for text in (" ", f"{ALICE} ", f"{ALICE}\0", "١" * 40, f"0X{EVE[2:]}", "0x" + "١" * 40):
        with pytest.raises(ValidationFailed):
            listed(text)


def listed(*addresses):
    return policy("WHITELIST", allowed_addresses=list(addresses))


def test_p10_a_rule_of_another_chain_asset_or_type_neither_allows_nor_denies():
    others = (
        limit(id="eth", limits={ETH: {"per_transaction": "0"}}),
        limit(id="usdc", limits={USDC: {"per_transaction": "0"}}),
        tokens(MINT, id="t"),
        contracts(ROUTER, id="c"),
        policy("METHOD_WHITELIST", methods=[{"contractAddress": ROUTER, "selectors": ["0x12345678"]}]),
        policy("APPROVE_AMOUNT_LIMIT", maxAmount="0"),
        policy("APPROVE_TIER_OVERRIDE", tier="APPROVAL"),
    )
    assert send(1, *others).code == "POLICY_DENIED"
    assert send(1, limit(**TIERS), *others).tier is Tier.INSTANT


def test_p11_hours_are_half_open_in_the_policys_zone():
    seoul = policy("TIME_RESTRICTION", allowed_hours={"start": 9, "end": 18}, timezone="Asia/Seoul")
    nine = 1_767_225_600  # 2026-01-01 00:00:00 UTC is 09:00:00 in Seoul
    outcomes = [send(1, limit(**TIERS), seoul, now=nine + shift).outcome for shift in (-1, 0, 9 * 3600 - 1, 9 * 3600)]
    assert outcomes == ["deny", "allow", "allow", "deny"]
    assert send(1, limit(**TIERS), seoul, now=nine - 1).code == "POLICY_DENIED"


def test_p12_the_eleventh_of_ten_requests_waits_until_the_oldest_leaves():
    ten = policy("RATE_LIMIT", max_requests=10, window_seconds=60)
    recent = tuple(NOW - 5 * place for place in range(10))
    assert ask(PAY, limit(**TIERS), ten, recent=recent).code == "RATE_LIMIT_EXCEEDED"
    assert ask(PAY, limit(**TIERS), ten, recent=recent, now=NOW + 14).outcome == "deny"
    assert ask(PAY, limit(**TIERS), ten, recent=recent, now=NOW + 15).outcome == "allow"
    assert ask(PAY, limit(**TIERS), ten, recent=recent[1:]).outcome == "allow"


def test_p13_the_first_violation_gives_the_code_and_the_trace_lists_all():
    rules = (
        limit(per_transaction="1"),
        tokens(ALICE),
        listed(),
        policy("RATE_LIMIT", max_requests=1, window_seconds=60),
        policy("TIME_RESTRICTION", allowed_hours={"start": 2, "end": 3}),
    )
    decision = ask(token_transfer(5), *rules, recent=(NOW,))
    assert decision.code == "WHITELIST_DENIED"
    assert [rule.type for rule in decision.rules if rule.outcome == "deny"] == [
        "WHITELIST",
        "TIME_RESTRICTION",
        "RATE_LIMIT",
        "ALLOWED_TOKENS",
    ]


def parse(raw, chain):
    own = OWN if chain is Chain.SOLANA else OWN_ETH
    return parse_request(raw, chain, own, lambda text: canonical_address(text, chain))


def test_p16_no_spelling_of_a_contract_call_gets_around_the_list():
    account = {"pubkey": BOB, "isSigner": False, "isWritable": True}
    solana = {"type": "CONTRACT_CALL", "programId": TOKEN, "instructionData": "", "accounts": [account]}
    evm = {"type": "CONTRACT_CALL", "calldata": "0x12345678"}
    for raw, chain in (
        ({**solana, "to": MINT}, Chain.SOLANA),
        ({**solana, "accounts": [{**account, "isSigner": True}]}, Chain.SOLANA),
        (evm, Chain.ETHEREUM),
        ({**evm, "to": ROUTER.swapcase()}, Chain.ETHEREUM),
    ):
        with pytest.raises(ValidationFailed):
            parse(raw, chain)
    other_chain = policy("CONTRACT_WHITELIST", contracts=[{"address": ROUTER_ON_SOLANA, "chain": "solana"}])
    assert ask_eth(call(), other_chain).code == "CONTRACT_NOT_WHITELISTED"
    lower = parse({**evm, "to": ROUTER.lower()}, Chain.ETHEREUM)
    assert ask_eth(lower, contracts(DAI)).code == "CONTRACT_NOT_WHITELISTED"
    assert ask_eth(lower, contracts(ROUTER)).outcome == "allow"


def test_p17_only_listed_selectors_pass():
    rules = (
        contracts(ROUTER),
        policy("METHOD_WHITELIST", methods=[{"contractAddress": ROUTER, "selectors": ["0x12345678"]}]),
    )
    assert ask_eth(call("0x12345678"), *rules).outcome == "allow"
    assert ask_eth(call("0x12345679"), *rules).code == "METHOD_NOT_WHITELISTED"
    hidden = "0xac9650d8" + encode(["bytes[]"], [[b"\x12\x34"]]).hex()
    both = policy("METHOD_WHITELIST", methods=[{"contractAddress": ROUTER, "selectors": ["0x12345678", "0xac9650d8"]}])
    assert ask_eth(call(hidden), contracts(ROUTER), both).code == "METHOD_NOT_WHITELISTED"
    for short in ("0x", "0x123456"):
        with pytest.raises(ValidationFailed):
            parse({"type": "CONTRACT_CALL", "to": ROUTER, "calldata": short}, Chain.ETHEREUM)


def erc20(selector, types, *values):
    return "0x" + selector + encode(types, values).hex()


def wrapped(data):
    return "0x5ae401dc" + encode(["uint256", "bytes[]"], [9, [bytes.fromhex(data[2:])]]).hex()


PAIR = ["address", "uint256"]
HIDDEN = {
    "transfer": (erc20("a9059cbb", PAIR, EVE, 5), "TOKEN_NOT_ALLOWED"),
    "transferFrom": (erc20("23b872dd", ["address", *PAIR], OWN_ETH, EVE, 5), "TOKEN_NOT_ALLOWED"),
    "approve": (erc20("095ea7b3", PAIR, EVE, 5), "APPROVE_DISABLED"),
    "increaseAllowance": (erc20("39509351", PAIR, EVE, 5), "APPROVE_DISABLED"),
    "permit": (
        erc20(
            "d505accf",
            ["address", *PAIR, "uint256", "uint8", "bytes32", "bytes32"],
            *(OWN_ETH, EVE, 5, 9, 27, b"", b""),
        ),
        "APPROVE_DISABLED",
    ),
    "setApprovalForAll": (erc20("a22cb465", ["address", "bool"], EVE, True), "APPROVE_DISABLED"),
}


@pytest.mark.parametrize("name", HIDDEN)
@pytest.mark.parametrize("wrap", [lambda data: data, wrapped, lambda data: wrapped(wrapped(data))])
def test_p18_what_hides_in_a_call_is_judged_as_what_it_does(name, wrap):
    data, code = HIDDEN[name]
    hidden = call(wrap(data), to=DAI)
    assert ask_eth(hidden, contracts(DAI)).code == code
    whitelist = policy("WHITELIST", allowed_addresses=[DAI])
    assert ask_eth(hidden, contracts(DAI), tokens(DAI), spenders(EVE), whitelist).code == "WHITELIST_DENIED"
    capped = limit(limits={f"ethereum:{DAI}": {"per_transaction": "4"}})
    amounts = policy("APPROVE_AMOUNT_LIMIT", blockUnlimited=False)
    opened = contracts(DAI), tokens(DAI), spenders(EVE), amounts
    assert ask_eth(hidden, *opened, capped).code == "SPENDING_LIMIT_EXCEEDED"
    allowed = ask_eth(hidden, *opened, owner_locked=True)
    assert allowed.tier is (Tier.APPROVAL if code == "APPROVE_DISABLED" else Tier.NOTIFY)


def test_p18_what_cannot_be_decoded_is_never_instant():
    assert ask_eth(call(), contracts(ROUTER), owner_locked=True).tier is Tier.APPROVAL
    too_deep = HIDDEN["approve"][0]
    for _ in range(5):
        too_deep = wrapped(too_deep)
    assert ask_eth(call(too_deep, to=DAI), contracts(DAI), spenders(EVE)).code == "POLICY_DENIED"


@pytest.mark.parametrize(
    ("data", "accounts", "code"),
    [
        (struct.pack("<BQB", 12, 5, 6), [ROUTER_ON_SOLANA, MINT, BOB, OWN], "TOKEN_NOT_ALLOWED"),
        (struct.pack("<BQ", 3, 5), [ROUTER_ON_SOLANA, BOB, OWN], "TOKEN_NOT_ALLOWED"),
        (struct.pack("<BQ", 8, 5), [ROUTER_ON_SOLANA, MINT, OWN], "TOKEN_NOT_ALLOWED"),
        (struct.pack("<BQB", 13, 5, 6), [ROUTER_ON_SOLANA, MINT, BOB, OWN], "APPROVE_DISABLED"),
        (struct.pack("<BQ", 4, 5), [ROUTER_ON_SOLANA, BOB, OWN], "APPROVE_DISABLED"),
        (struct.pack("<BB", 6, 2) + b"\1" + bytes(32), [ROUTER_ON_SOLANA, OWN], "POLICY_DENIED"),
        (struct.pack("<B", 9), [ROUTER_ON_SOLANA, BOB, OWN], "POLICY_DENIED"),
    ],
)
def test_p18_what_hides_in_an_instruction_is_judged_as_what_it_does(data, accounts, code):
    assert ask(instruction(data, *accounts), contracts(TOKEN)).code == code


def test_p18_a_grant_or_transfer_of_an_unnamed_token_cannot_get_around_its_cap():
    capped = limit(limits={USDC: {"per_transaction": "4"}})
    for data, accounts in (
        (struct.pack("<BQ", 4, 5), [ROUTER_ON_SOLANA, BOB, OWN]),
        (struct.pack("<BQ", 3, 5), [ROUTER_ON_SOLANA, BOB, OWN]),
    ):
        opened = contracts(TOKEN), tokens(MINT), spenders(BOB), capped
        assert ask(instruction(data, *accounts), *opened).outcome == "deny"
    named = instruction(struct.pack("<BQB", 13, 5, 6), ROUTER_ON_SOLANA, MINT, BOB, OWN)
    assert ask(named, contracts(TOKEN), spenders(BOB), capped).code == "SPENDING_LIMIT_EXCEEDED"


def test_p18_lamports_that_an_instruction_sends_are_a_transfer():
    data = struct.pack("<IQ", 2, 5)
    hidden = instruction(data, OWN, BOB, program=str(SYSTEM))
    assert ask(hidden, contracts(str(SYSTEM))).code == "POLICY_DENIED"
    assert ask(hidden, contracts(str(SYSTEM)), limit(daily_total="4")).code == "SPENDING_LIMIT_EXCEEDED"
    assert ask(hidden, contracts(str(SYSTEM)), limit(daily_total="5")).tier is Tier.NOTIFY
    assert SOL in str(ask(hidden, contracts(str(SYSTEM)), limit(daily_total="5")).effects)


def test_p19_a_grant_is_limited_listed_and_always_revocable():
    whole = 2**256 - 1
    blocked = [ask_eth(approval(amount, ROUTER, DAI), spenders(ROUTER)).code for amount in (whole, whole // 2)]
    on_solana = [ask(approval(amount), spenders(BOB)).code for amount in (2**64 - 1, (2**64 - 1) // 2)]
    assert {*blocked, *on_solana} == {"UNLIMITED_APPROVE_BLOCKED"}
    cap = policy("APPROVE_AMOUNT_LIMIT", maxAmount="10")
    assert ask(approval(11), spenders(BOB), cap).code == "APPROVE_AMOUNT_EXCEEDED"
    assert ask(approval(1), spenders(ALICE)).code == "SPENDER_NOT_APPROVED"
    assert ask(approval(0)).outcome == ask(approval(0), spenders(ALICE), listed()).outcome == "allow"


def test_p20_splitting_into_a_batch_changes_nothing():
    parts = batch(*[Transfer(ALICE, "2")] * 16)
    assert ask(parts, limit(**TIERS), owner_locked=True).tier is send(32, limit(**TIERS), owner_locked=True).tier
    use = batch(approval(5), token_transfer(5))
    assert ask(use, spenders(BOB), tokens(MINT), owner_locked=True).tier is Tier.APPROVAL
    bad = ask(batch(Transfer(ALICE, "1"), token_transfer(1), approval(1)), limit(**TIERS))
    assert bad.code == "BATCH_POLICY_VIOLATION"
    assert [(found.index, found.code) for found in bad.denial.violations] == [
        (1, "TOKEN_NOT_ALLOWED"),
        (2, "APPROVE_DISABLED"),
    ]
