"""How rules are read, refused and stored."""

import msgspec
import pytest

from waiaas.domain.asset import chain_of_asset, parse_asset, token_of
from waiaas.domain.chain import Chain
from waiaas.domain.policy import (
    PolicyType,
    canonical_type,
    check_override,
    decode_rules,
    encode_rules,
    parse_rules,
)
from waiaas.domain.rules.spending import AssetLimit
from waiaas.errors import ValidationFailed

from .build import ETH, MINT, SOL, TIERS, USDC

LIMIT = PolicyType.SPENDING_LIMIT
VITALIK = "0xd8dA6BF26964aF9D7eEd9e03E53415D37aA96045"


def parse(raw, chain=None):
    return parse_rules(LIMIT, raw, chain=chain)


def issues(raw, chain=None):
    with pytest.raises(ValidationFailed) as refusal:
        parse(raw, chain)
    return [path for path, _ in refusal.value.issues]


def test_keys_are_taken_in_both_spellings_and_returned_in_one():
    rules = parse(
        {
            "instantMax": "01",
            "notify_max": "2",
            "delayMax": "3",
            "delaySeconds": 60,
            "limits": {USDC: {"dailyTotal": "4"}},
        }
    )
    assert encode_rules(rules) == (
        b'{"delay_max":"3","delay_seconds":60,"instant_max":"1","limits":{"' + USDC.encode() + b'":'
        b'{"daily_total":"4"}},"notify_max":"2"}'
    )


def test_what_is_stored_is_what_was_meant():
    rules = parse({**TIERS, "monthly_total": str(2**256 - 1), "limits": {ETH: {"per_transaction": "0"}}})
    assert decode_rules(LIMIT, encode_rules(rules)) == rules


@pytest.mark.parametrize("text", [b"", b"[]", b'{"instant_max":"1"}', b'{"x":"1"}'])
def test_a_damaged_column_does_not_decode(text):
    with pytest.raises((msgspec.DecodeError, ValidationFailed)):
        decode_rules(LIMIT, text)


def test_null_means_absent():
    assert parse({"daily_total": "5", "instant_max": None, "limits": None}) == parse({"daily_total": "5"})


@pytest.mark.parametrize(
    ("raw", "paths"),
    [
        ([], ["rules"]),
        ("x", ["rules"]),
        ({}, ["rules"]),
        ({"delay_seconds": 60}, ["rules"]),
        ({"limits": {}}, ["rules"]),
        ({**TIERS, "instantMax": "1"}, ["rules.instant_max"]),
        ({**TIERS, "maximum": "1"}, ["rules.maximum"]),
        ({"instant_max": "1"}, ["rules.notify_max", "rules.delay_max"]),
        ({"instant_max": "1", "delay_max": "1"}, ["rules.notify_max"]),
        ({"instant_max": "2", "notify_max": "1", "delay_max": "3"}, ["rules.notify_max"]),
        ({"instant_max": "1", "notify_max": "3", "delay_max": "2"}, ["rules.delay_max"]),
        ({"daily_total": 5}, ["rules.daily_total"]),
        ({"daily_total": 5.0}, ["rules.daily_total"]),
        ({"daily_total": True}, ["rules.daily_total"]),
        ({"daily_total": ""}, ["rules.daily_total"]),
        ({"daily_total": "+1"}, ["rules.daily_total"]),
        ({"daily_total": "-1"}, ["rules.daily_total"]),
        ({"daily_total": "1.0"}, ["rules.daily_total"]),
        ({"daily_total": "1e3"}, ["rules.daily_total"]),
        ({"daily_total": "١"}, ["rules.daily_total"]),
        ({"daily_total": str(2**256)}, ["rules.daily_total"]),
        ({**TIERS, "delay_seconds": 0}, ["rules.delay_seconds"]),
        ({**TIERS, "delay_seconds": 604801}, ["rules.delay_seconds"]),
        ({**TIERS, "delay_seconds": "60"}, ["rules.delay_seconds"]),
        ({**TIERS, "delay_seconds": True}, ["rules.delay_seconds"]),
        ({**TIERS, "approval_timeout": 59}, ["rules.approval_timeout"]),
        ({**TIERS, "approval_timeout": 604801}, ["rules.approval_timeout"]),
        ({"limits": []}, ["rules.limits"]),
        ({"limits": {SOL: "5"}}, [f"rules.limits.{SOL}"]),
        ({"limits": {SOL: {}}}, [f"rules.limits.{SOL}"]),
        ({"limits": {SOL: {"limits": {}}}}, [f"rules.limits.{SOL}.limits"]),
        ({"limits": {SOL: {"instant_max": "1"}}}, [f"rules.limits.{SOL}.notify_max", f"rules.limits.{SOL}.delay_max"]),
        ({"limits": {SOL: {"daily_total": str(2**64)}}}, [f"rules.limits.{SOL}.daily_total"]),
        ({"limits": {"native:sol": {"daily_total": "1"}}}, ["rules.limits.native:sol"]),
    ],
)
def test_malformed_rules_are_refused_at_their_field(raw, paths):
    assert issues(raw) == paths


def test_all_that_is_wrong_with_rules_is_told_at_once():
    raw = {"x": "1", "daily_total": 5, "delay_seconds": 0, "limits": {"y": {"daily_total": "1"}}}
    assert sorted(issues(raw)) == ["rules.daily_total", "rules.delay_seconds", "rules.limits.y", "rules.x"]


def test_the_bounds_of_seconds_are_allowed():
    for name, values in {"delay_seconds": (1, 604800), "approval_timeout": (60, 604800)}.items():
        for value in values:
            assert getattr(parse({**TIERS, name: value}), name) == value


def test_equal_bounds_are_allowed():
    assert parse(dict.fromkeys(TIERS, "0")).delay_max == 0


def test_an_amount_is_at_most_what_the_agents_chain_can_carry():
    assert issues({"daily_total": str(2**64)}, Chain.SOLANA) == ["rules.daily_total"]
    assert parse({"daily_total": str(2**64 - 1)}, Chain.SOLANA).daily_total == 2**64 - 1
    assert parse({"daily_total": str(2**64)}, Chain.ETHEREUM).daily_total == 2**64


def test_one_token_in_two_spellings_is_one_asset():
    entry = {"daily_total": "1"}
    assert issues({"limits": {f"ethereum:{VITALIK}": entry, f"ethereum:{VITALIK.lower()}": entry}}) == [
        f"rules.limits.ethereum:{VITALIK.lower()}"
    ]


def test_a_type_has_one_alias():
    assert canonical_type("ALLOWED_ADDRESSES") is canonical_type("WHITELIST") is PolicyType.WHITELIST
    with pytest.raises(ValidationFailed) as refusal:
        canonical_type("spending_limit")
    assert refusal.value.issues[0][0] == "type"


@pytest.mark.parametrize(
    ("type", "agent_id"), [(LIMIT, "agent"), (LIMIT, None), (PolicyType.WHITELIST, None), (PolicyType.AUTO_STOP, "a")]
)
def test_override_is_only_for_lists_of_one_agent(type, agent_id):
    check_override(PolicyType.WHITELIST, agent_id="agent", override=True)
    check_override(type, agent_id=agent_id, override=False)
    with pytest.raises(ValidationFailed) as refusal:
        check_override(type, agent_id=agent_id, override=True)
    assert refusal.value.issues[0][0] == "override"


# --- assets ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "asset"),
    [
        (SOL, SOL),
        (ETH, ETH),
        (USDC, USDC),
        ("solana:" + "1" * 32, "solana:" + "1" * 32),
        (f"ethereum:{VITALIK}", f"ethereum:{VITALIK}"),
        (f"ethereum:{VITALIK.lower()}", f"ethereum:{VITALIK}"),
        (f"ethereum:0x{VITALIK[2:].upper()}", f"ethereum:{VITALIK}"),
    ],
)
def test_an_asset_has_one_name(text, asset):
    assert parse_asset(text) == asset


@pytest.mark.parametrize(
    "text",
    [
        "",
        "solana",
        "native",
        "native:bitcoin",
        "Native:solana",
        "solana:",
        f"Solana:{MINT}",
        f"solana: {MINT}",
        f"solana:{MINT[:-3]}",
        f"solana:{MINT}1",
        f"solana:{MINT[:-1]}0",
        "solana:" + "1" * 31,
        "solana:" + "1" * 33,
        "solana:" + "z" * 44,
        "solana:" + "2" * 100_000,
        "ethereum:",
        f"ethereum:{VITALIK[2:]}",
        f"ethereum:0X{VITALIK[2:]}",
        f"ethereum:{VITALIK[:-1]}",
        f"ethereum:{VITALIK}0",
        f"ethereum:{VITALIK[:-2]}g5",
        f"ethereum:{VITALIK.replace('d8dA', 'd8DA')}",
        f"polygon:{VITALIK}",
    ],
)
def test_what_is_no_asset_is_refused(text):
    with pytest.raises(ValueError):
        parse_asset(text)


def test_an_asset_tells_its_chain_and_token():
    assert [chain_of_asset(asset) for asset in (SOL, ETH, USDC)] == [Chain.SOLANA, Chain.ETHEREUM, Chain.SOLANA]
    assert [token_of(asset) for asset in (SOL, ETH, USDC)] == [None, None, MINT]


def test_an_entry_is_found_by_asset_and_chain():
    rules = parse({"daily_total": "1", "limits": {ETH: {"daily_total": "2"}}})
    assert rules.entry(SOL, Chain.SOLANA) is rules
    assert rules.entry(ETH, Chain.ETHEREUM) == AssetLimit(daily_total=2)
    assert rules.entry(USDC, Chain.SOLANA) is None
    assert parse({"limits": {ETH: {"daily_total": "2"}}}).entry(SOL, Chain.SOLANA) is None
