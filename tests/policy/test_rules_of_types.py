"""How the rules of every type are read, refused, stored and shown; SPENDING_LIMIT has a page of its own."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from waiaas.domain.chain import Chain
from waiaas.domain.policy import PARSERS, PolicyType, decode_rules, encode_rules, parse_rules
from waiaas.domain.rules.times import AutoStop, AutoStopAction, parse_auto_stop
from waiaas.errors import ValidationFailed

from .build import ALICE, BOB, DAI, EVE, MINT, ROUTER

SELECTOR = "0xa9059cbb"
METHOD = {"contractAddress": DAI, "selectors": [SELECTOR]}
HOURS = {"start": 9, "end": 18}

#: type → (rules as they may be sent, as they come back)
READ = [
    ("WHITELIST", {"allowedAddresses": [ALICE, EVE.lower()]}, {"allowed_addresses": [ALICE, EVE]}),
    ("WHITELIST", {"allowed_addresses": []}, {"allowed_addresses": []}),
    (
        "TIME_RESTRICTION",
        {"allowed_hours": HOURS},
        {"allowed_hours": HOURS, "allowed_days": [0, 1, 2, 3, 4, 5, 6], "timezone": "UTC"},
    ),
    (
        "TIME_RESTRICTION",
        {"allowedHours": {"start": 23, "end": 24}, "allowedDays": [5, 1], "timezone": "Asia/Seoul"},
        {"allowed_hours": {"start": 23, "end": 24}, "allowed_days": [1, 5], "timezone": "Asia/Seoul"},
    ),
    ("RATE_LIMIT", {"maxRequests": 10, "windowSeconds": 60}, {"max_requests": 10, "window_seconds": 60}),
    (
        "ALLOWED_TOKENS",
        {"tokens": [{"address": MINT, "symbol": "USDC", "chain": "solana"}, {"address": DAI.lower(), "chain": None}]},
        {"tokens": [{"address": MINT, "symbol": "USDC", "chain": "solana"}, {"address": DAI}]},
    ),
    ("CONTRACT_WHITELIST", {"contracts": [{"address": ROUTER, "name": "Router"}]}, None),
    (
        "METHOD_WHITELIST",
        {"methods": [{"contract_address": DAI.lower(), "selectors": ["0xA9059CBB", "0x00000000"]}]},
        {"methods": [{"contractAddress": DAI, "selectors": [SELECTOR, "0x00000000"]}]},
    ),
    (
        "APPROVED_SPENDERS",
        {"spenders": [{"address": ROUTER, "max_amount": "0100", "chain": "ethereum"}, {"address": BOB, "name": "b"}]},
        {"spenders": [{"address": ROUTER, "maxAmount": "100", "chain": "ethereum"}, {"address": BOB, "name": "b"}]},
    ),
    ("APPROVE_AMOUNT_LIMIT", {}, {"blockUnlimited": True}),
    (
        "APPROVE_AMOUNT_LIMIT",
        {"max_amount": str(2**256 - 1), "block_unlimited": False},
        {"maxAmount": str(2**256 - 1), "blockUnlimited": False},
    ),
    ("APPROVE_TIER_OVERRIDE", {"tier": "NOTIFY"}, None),
]


@pytest.mark.parametrize(("type", "raw", "shown"), READ)
def test_rules_are_taken_in_both_spellings_and_returned_in_one(type, raw, shown):
    rules = parse_rules(PolicyType(type), raw, chain=None)
    assert json.loads(encode_rules(rules)) == (raw if shown is None else shown)
    assert decode_rules(PolicyType(type), encode_rules(rules)) == rules


LONG = "x" * 101
REFUSED = [
    ("WHITELIST", {}, "rules.allowed_addresses"),
    ("WHITELIST", {"allowed_addresses": ALICE}, "rules.allowed_addresses"),
    ("WHITELIST", {"allowed_addresses": [ALICE] * 1001}, "rules.allowed_addresses"),
    ("WHITELIST", {"allowed_addresses": [ALICE, " "]}, "rules.allowed_addresses.1"),
    ("WHITELIST", {"allowed_addresses": [f"{ALICE}\0"]}, "rules.allowed_addresses.0"),
    ("WHITELIST", {"allowed_addresses": ["١" * 40]}, "rules.allowed_addresses.0"),
    ("WHITELIST", {"allowed_addresses": [f"0X{EVE[2:]}"]}, "rules.allowed_addresses.0"),
    ("WHITELIST", {"allowed_addresses": [5]}, "rules.allowed_addresses.0"),
    ("WHITELIST", {"allowed_addresses": [], "allowedAddresses": []}, "rules.allowed_addresses"),
    ("WHITELIST", {"allowed_addresses": [], "x": 1}, "rules.x"),
    ("TIME_RESTRICTION", {}, "rules.allowed_hours"),
    ("TIME_RESTRICTION", {"allowed_hours": 9}, "rules.allowed_hours"),
    ("TIME_RESTRICTION", {"allowed_hours": {"start": 9}}, "rules.allowed_hours.end"),
    ("TIME_RESTRICTION", {"allowed_hours": {"start": 9, "end": 9}}, "rules.allowed_hours.end"),
    ("TIME_RESTRICTION", {"allowed_hours": {"start": 24, "end": 9}}, "rules.allowed_hours.start"),
    ("TIME_RESTRICTION", {"allowed_hours": {"start": 9, "end": 25}}, "rules.allowed_hours.end"),
    ("TIME_RESTRICTION", {"allowed_hours": {"start": 9, "end": 0}}, "rules.allowed_hours.end"),
    ("TIME_RESTRICTION", {"allowed_hours": {**HOURS, "minute": 5}}, "rules.allowed_hours.minute"),
    ("TIME_RESTRICTION", {"allowed_hours": HOURS, "allowed_days": []}, "rules.allowed_days"),
    ("TIME_RESTRICTION", {"allowed_hours": HOURS, "allowed_days": [7]}, "rules.allowed_days.0"),
    ("TIME_RESTRICTION", {"allowed_hours": HOURS, "allowed_days": [1, 1]}, "rules.allowed_days"),
    ("TIME_RESTRICTION", {"allowed_hours": HOURS, "timezone": "Mars/Base"}, "rules.timezone"),
    ("TIME_RESTRICTION", {"allowed_hours": HOURS, "timezone": "../../etc/passwd"}, "rules.timezone"),
    ("TIME_RESTRICTION", {"allowed_hours": HOURS, "timezone": "Europe"}, "rules.timezone"),
    ("TIME_RESTRICTION", {"allowed_hours": HOURS, "timezone": "U\0TC"}, "rules.timezone"),
    ("TIME_RESTRICTION", {"allowed_hours": HOURS, "timezone": ""}, "rules.timezone"),
    ("TIME_RESTRICTION", {"allowed_hours": HOURS, "timezone": 1}, "rules.timezone"),
    ("RATE_LIMIT", {"max_requests": 1}, "rules.window_seconds"),
    ("RATE_LIMIT", {"max_requests": 0, "window_seconds": 1}, "rules.max_requests"),
    ("RATE_LIMIT", {"max_requests": 1_000_001, "window_seconds": 1}, "rules.max_requests"),
    ("RATE_LIMIT", {"max_requests": 1, "window_seconds": 2_592_001}, "rules.window_seconds"),
    ("RATE_LIMIT", {"max_requests": "1", "window_seconds": 1}, "rules.max_requests"),
    ("ALLOWED_TOKENS", {"tokens": []}, "rules.tokens"),
    ("ALLOWED_TOKENS", {"tokens": [{"address": MINT}] * 201}, "rules.tokens"),
    ("ALLOWED_TOKENS", {"tokens": [MINT]}, "rules.tokens.0"),
    ("ALLOWED_TOKENS", {"tokens": [{"address": MINT, "chain": "bitcoin"}]}, "rules.tokens.0.chain"),
    ("ALLOWED_TOKENS", {"tokens": [{"address": MINT, "chain": "ethereum"}]}, "rules.tokens.0.address"),
    ("ALLOWED_TOKENS", {"tokens": [{"address": MINT, "symbol": LONG}]}, "rules.tokens.0.symbol"),
    ("ALLOWED_TOKENS", {"tokens": [{"address": MINT, "name": "x"}]}, "rules.tokens.0.name"),
    ("CONTRACT_WHITELIST", {"contracts": []}, "rules.contracts"),
    ("CONTRACT_WHITELIST", {"contracts": [{"name": "x"}]}, "rules.contracts.0.address"),
    ("CONTRACT_WHITELIST", {"contracts": [{"address": ROUTER, "name": ""}]}, "rules.contracts.0.name"),
    ("METHOD_WHITELIST", {"methods": []}, "rules.methods"),
    ("METHOD_WHITELIST", {"methods": [{**METHOD, "selectors": []}]}, "rules.methods.0.selectors"),
    ("METHOD_WHITELIST", {"methods": [{**METHOD, "selectors": [SELECTOR] * 101}]}, "rules.methods.0.selectors"),
    ("METHOD_WHITELIST", {"methods": [{**METHOD, "selectors": ["0xa9059cb"]}]}, "rules.methods.0.selectors.0"),
    ("METHOD_WHITELIST", {"methods": [{**METHOD, "selectors": ["transfer"]}]}, "rules.methods.0.selectors.0"),
    ("METHOD_WHITELIST", {"methods": [{**METHOD, "contractAddress": MINT}]}, "rules.methods.0.contract_address"),
    ("APPROVED_SPENDERS", {"spenders": []}, "rules.spenders"),
    ("APPROVED_SPENDERS", {"spenders": [{"address": BOB, "maxAmount": 5}]}, "rules.spenders.0.max_amount"),
    (
        "APPROVED_SPENDERS",
        {"spenders": [{"address": BOB, "maxAmount": str(2**64), "chain": "solana"}]},
        "rules.spenders.0.max_amount",
    ),
    ("APPROVE_AMOUNT_LIMIT", {"maxAmount": "-1"}, "rules.max_amount"),
    ("APPROVE_AMOUNT_LIMIT", {"blockUnlimited": "no"}, "rules.block_unlimited"),
    ("APPROVE_TIER_OVERRIDE", {}, "rules.tier"),
    ("APPROVE_TIER_OVERRIDE", {"tier": "instant"}, "rules.tier"),
    ("APPROVE_TIER_OVERRIDE", {"overrides": {}}, "rules.overrides"),
    *((kind, [], "rules") for kind in PolicyType),
]


@pytest.mark.parametrize(("type", "raw", "path"), REFUSED)
def test_p14_malformed_rules_are_refused_at_their_field(type, raw, path):
    with pytest.raises(ValidationFailed) as refusal:
        parse_rules(PolicyType(type), raw, chain=None)
    assert path in [found for found, _ in refusal.value.issues]


def test_an_address_is_one_of_the_agents_chain_unless_the_entry_names_another():
    kind = PolicyType.ALLOWED_TOKENS
    with pytest.raises(ValidationFailed):
        parse_rules(kind, {"tokens": [{"address": DAI}]}, chain=Chain.SOLANA)
    parse_rules(kind, {"tokens": [{"address": DAI, "chain": "ethereum"}]}, chain=Chain.SOLANA)
    with pytest.raises(ValidationFailed):
        parse_rules(PolicyType.WHITELIST, {"allowed_addresses": [ALICE]}, chain=Chain.ETHEREUM)


def test_methods_are_of_evm_contracts():
    with pytest.raises(ValidationFailed) as refusal:
        parse_rules(PolicyType.METHOD_WHITELIST, {"methods": [METHOD]}, chain=Chain.SOLANA)
    assert refusal.value.issues[0][0] == "rules.methods"


def test_every_type_has_rules():
    assert set(PARSERS) == set(PolicyType)


def test_the_rules_of_an_auto_stop_are_read():
    assert parse_auto_stop({"maxPerHour": 5}, None) == AutoStop(action=AutoStopAction.SUSPEND, max_per_hour=5)
    warn = {"consecutive_failures": 100, "max_same_destination_per_hour": 100_000, "action": "WARN"}
    assert parse_auto_stop(warn, None).action is AutoStopAction.WARN


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        ({}, "rules"),
        ({"action": "WARN"}, "rules"),
        ({"consecutive_failures": 0}, "rules.consecutive_failures"),
        ({"consecutive_failures": 101}, "rules.consecutive_failures"),
        ({"max_per_hour": 100_001}, "rules.max_per_hour"),
        ({"max_per_hour": 1, "action": "KILL"}, "rules.action"),
        ({"max_per_hour": 1, "x": 1}, "rules.x"),
    ],
)
def test_the_rules_of_an_auto_stop_are_refused_at_their_field(raw, path):
    with pytest.raises(ValidationFailed) as refusal:
        parse_auto_stop(raw, None)
    assert [found for found, _ in refusal.value.issues] == [path]


leaves = st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=5), st.sampled_from([ALICE, DAI, "5"]))
keys = st.sampled_from(
    ["allowed_addresses", "allowed_hours", "allowed_days", "timezone", "tokens", "contracts", "methods", "spenders"]
)
objects = st.dictionaries(st.one_of(keys, st.sampled_from(["address", "start", "tier", "maxAmount"])), leaves)
bodies = st.dictionaries(keys, st.one_of(leaves, objects, st.lists(st.one_of(leaves, objects), max_size=3)))


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(PolicyType), bodies, st.one_of(st.none(), st.sampled_from(Chain)))
def test_any_rules_are_read_or_refused_with_issues(type, raw, chain):
    rules = issues = None
    try:
        rules = parse_rules(type, raw, chain=chain)
    except ValidationFailed as refusal:
        issues = refusal.issues
    assert issues or decode_rules(type, encode_rules(rules)) == rules
