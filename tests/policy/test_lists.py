"""WHITELIST, ALLOWED_TOKENS, CONTRACT_WHITELIST, METHOD_WHITELIST."""

import pytest

from waiaas.domain.chain import Chain
from waiaas.domain.decision import PolicyChange, details, wire
from waiaas.domain.policy import PolicyType
from waiaas.domain.request import Effect, Transfer
from waiaas.domain.tier import Tier
from waiaas.policy import decide

from .build import (
    AGENT,
    ALICE,
    BOB,
    DAI,
    ETH,
    EVE,
    MINT,
    ROUTER,
    TIERS,
    USDC,
    approval,
    ask,
    ask_eth,
    call,
    contracts,
    facts,
    limit,
    policy,
    send,
    spenders,
    token_transfer,
    tokens,
)

WIDE = limit(per_transaction=str(10**30))


def whitelist(*addresses, **more):
    return policy("WHITELIST", allowed_addresses=list(addresses), **more)


def methods(contract, *selectors, **more):
    return policy("METHOD_WHITELIST", methods=[{"contractAddress": contract, "selectors": list(selectors)}], **more)


# --- WHITELIST ---------------------------------------------------------------------------------


def test_only_listed_recipients_receive():
    assert send(1, WIDE, whitelist(BOB, ALICE), to=ALICE).outcome == "allow"
    decision = send(1, WIDE, whitelist(BOB), to=ALICE)
    assert (decision.code, decision.policy_id, details(decision)) == (
        "WHITELIST_DENIED",
        "WHITELIST",
        {"policyId": "WHITELIST", "observed": ALICE},
    )
    assert decision.remedies == (PolicyChange(PolicyType.WHITELIST),)


@pytest.mark.parametrize("kind", ["TRANSFER", "TOKEN_TRANSFER", "CONTRACT_CALL", "APPROVE"])
def test_every_counterparty_must_be_listed(kind):
    effect = Effect(kind, "stranger", {"TRANSFER": "native:solana"}.get(kind, USDC), 1)
    assert decide(Transfer(ALICE, "1"), [whitelist(ALICE)], facts((effect,))).code == "WHITELIST_DENIED"


def test_taking_a_grant_back_passes_the_whitelist():
    revoke = Effect("APPROVE", "stranger", USDC, 0)
    assert decide(Transfer(ALICE, "1"), [whitelist()], facts((revoke,))).outcome == "allow"


def test_the_list_is_not_told():
    decision = send(1, WIDE, whitelist(BOB), to=ALICE)
    assert BOB not in str(wire(decision, show_lists=False)) + str(details(decision))


# --- ALLOWED_TOKENS ----------------------------------------------------------------------------


def test_only_listed_tokens_are_sent():
    assert ask(token_transfer(1), tokens(MINT)).tier is Tier.NOTIFY
    decision = ask(token_transfer(1), tokens(ALICE))
    assert (decision.code, details(decision)["observed"]) == ("TOKEN_NOT_ALLOWED", MINT)
    assert ask(token_transfer(1)).code == "TOKEN_NOT_ALLOWED"


def test_a_list_says_nothing_of_native_money():
    assert send(1, WIDE, tokens(ALICE)).outcome == "allow"


def test_the_tier_of_a_token_is_at_least_notify_where_no_limit_speaks_of_it():
    covered = limit(limits={USDC: {"instant_max": "10", "notify_max": "20", "delay_max": "30"}})
    assert ask(token_transfer(10), tokens(MINT), covered).tier is Tier.INSTANT
    assert ask(token_transfer(21), tokens(MINT), covered, owner_locked=True).tier is Tier.DELAY
    for other in (limit(**TIERS), limit(limits={ETH: {"daily_total": "1"}})):
        assert ask(token_transfer(10**15), tokens(MINT), other).tier is Tier.NOTIFY


def test_a_token_has_caps_of_its_own():
    capped = limit(limits={USDC: {"daily_total": "10"}})
    assert ask(token_transfer(10), tokens(MINT), capped, fee=1000).outcome == "allow"
    assert ask(token_transfer(11), tokens(MINT), capped).code == "SPENDING_LIMIT_EXCEEDED"


# --- CONTRACT_WHITELIST and METHOD_WHITELIST ---------------------------------------------------


def test_only_listed_contracts_are_called():
    assert ask_eth(call(), contracts(ROUTER)).outcome == "allow"
    assert ask_eth(call(), contracts(DAI)).code == "CONTRACT_NOT_WHITELISTED"
    assert ask_eth(call()).code == "CONTRACT_CALL_DISABLED"


def test_the_value_of_a_call_is_held_to_the_spending_limit():
    assert ask_eth(call(value=5), contracts(ROUTER)).code == "POLICY_DENIED"
    assert ask_eth(call(value=6), contracts(ROUTER), limit(per_transaction="5")).code == "SPENDING_LIMIT_EXCEEDED"
    assert ask_eth(call(value=5), contracts(ROUTER), limit(per_transaction="5")).outcome == "allow"


def test_a_call_that_is_not_understood_needs_the_owner_unless_its_method_is_listed():
    listed = contracts(ROUTER), methods(ROUTER, "0x12345678")
    assert ask_eth(call(), contracts(ROUTER), owner_locked=True).tier is Tier.APPROVAL
    assert ask_eth(call(), contracts(ROUTER)).downgraded_from is Tier.APPROVAL
    assert ask_eth(call(), *listed, owner_locked=True).tier is Tier.NOTIFY
    assert ask_eth(call("0x12345679"), *listed).code == "METHOD_NOT_WHITELISTED"


def test_a_method_list_says_nothing_of_other_contracts():
    decision = ask_eth(call(), contracts(ROUTER), methods(DAI, "0xa9059cbb"), owner_locked=True)
    assert (decision.outcome, decision.tier) == ("allow", Tier.APPROVAL)


def test_every_method_list_that_names_a_contract_must_list_the_method():
    lists = contracts(ROUTER), methods(ROUTER, "0x12345678", id="a"), methods(ROUTER, "0x00000000", id="b")
    assert ask_eth(call(), *lists).policy_id == "b"


def test_a_method_listed_for_one_contract_is_not_listed_for_another():
    listed = [
        {"contractAddress": ROUTER, "selectors": ["0x00000000"]},
        {"contractAddress": DAI, "selectors": ["0x12345678"]},
    ]
    both = policy("METHOD_WHITELIST", methods=listed)
    assert ask_eth(call(), contracts(ROUTER), both).code == "METHOD_NOT_WHITELISTED"


def test_the_delay_that_stands_in_for_an_approval_is_the_longest_of_the_limits_in_scope():
    limits = limit(id="a", **TIERS, delay_seconds=900), limit(id="b", daily_total="1")
    assert ask_eth(call(), contracts(ROUTER), *limits).delay_seconds == 900
    assert ask_eth(call(), contracts(ROUTER)).delay_seconds == 300
    short = limit(**TIERS, approval_timeout=60)
    assert ask_eth(call(), contracts(ROUTER), short, owner_locked=True).approval_timeout == 60


# --- scope -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_", "make", "good", "bad"),
    [
        (token_transfer(1), tokens, MINT, ALICE),
        (approval(1), spenders, BOB, ALICE),
        (call(), contracts, ROUTER, DAI),
    ],
)
def test_every_list_of_a_kind_must_name_it(request_, make, good, bad):
    judged = ask_eth if make is contracts else ask
    assert judged(request_, make(good, id="a"), make(good, id="b")).outcome == "allow"
    assert judged(request_, make(good, id="a"), make(bad, id="b")).policy_id == "b"


LISTS = [
    (token_transfer(1), tokens, (MINT,), (ALICE,)),
    (Transfer(ALICE, "1"), whitelist, (ALICE,), (BOB,)),
    (approval(1), spenders, (BOB,), (ALICE,)),
]


@pytest.mark.parametrize(("request_", "make", "good", "bad"), LISTS)
def test_an_agents_list_narrows_the_global_one(request_, make, good, bad):
    base = (WIDE, tokens(MINT, id="t")) if make is not tokens else (WIDE,)
    both = make(*good, *bad, id="all"), make(*good, id="own", agent_id=AGENT)
    assert ask(request_, *base, *both).outcome == "allow"
    assert ask(request_, *base, make(*bad, id="all"), make(*good, id="own", agent_id=AGENT)).policy_id == "all"
    assert ask(request_, *base, make(*good, id="all"), make(*bad, id="own", agent_id=AGENT)).policy_id == "own"


@pytest.mark.parametrize(("request_", "make", "good", "bad"), LISTS)
def test_an_overriding_list_sets_aside_the_global_one_and_no_other(request_, make, good, bad):
    base = (WIDE, tokens(MINT, id="t")) if make is not tokens else (WIDE,)
    narrow = make(*bad, id="all")
    for override, outcome in ((False, "deny"), (True, "allow")):
        own = make(*good, id="own", agent_id=AGENT, override=override)
        assert ask(request_, *base, narrow, own).outcome == outcome
    elsewhere = make(*good, id="other", agent_id="another agent", override=True)
    off = make(*good, id="off", agent_id=AGENT, override=True, enabled=False)
    strict = make(*bad, id="strict", agent_id=AGENT)
    overriding = make(*good, id="own", agent_id=AGENT, override=True)
    everywhere = make(*good, id="everywhere", override=True)
    assert ask(request_, *base, narrow, elsewhere).outcome == "deny"
    assert ask(request_, *base, narrow, everywhere).outcome == "deny"
    assert ask(request_, *base, narrow, off).outcome == "deny"
    assert ask(request_, *base, strict, overriding).outcome == "deny"


def test_an_overriding_list_sets_aside_its_own_type_only():
    own = whitelist(ALICE, agent_id=AGENT, override=True)
    assert ask(token_transfer(1), own, tokens(ALICE)).code == "TOKEN_NOT_ALLOWED"
    assert (
        ask(token_transfer(1), tokens(MINT, agent_id=AGENT, override=True), whitelist(BOB)).code == "WHITELIST_DENIED"
    )


def test_an_entry_of_another_chain_does_not_count():
    elsewhere = policy("CONTRACT_WHITELIST", contracts=[{"address": ROUTER, "chain": "ethereum"}])
    call_effect = (Effect("CONTRACT_CALL", ROUTER, selector="0x12345678", decoded=False),)
    assert decide(Transfer(ALICE, "1"), [elsewhere], facts(call_effect, chain=Chain.ETHEREUM)).outcome == "allow"
    assert decide(Transfer(ALICE, "1"), [elsewhere], facts(call_effect)).code == "CONTRACT_NOT_WHITELISTED"
    let_spend = policy("APPROVED_SPENDERS", spenders=[{"address": ROUTER, "chain": "ethereum"}])
    grant = (Effect("APPROVE", ROUTER, USDC, 1),)
    assert decide(approval(1), [let_spend], facts(grant)).code == "SPENDER_NOT_APPROVED"


def test_an_evm_address_is_listed_whatever_its_case():
    assert ask_eth(Transfer(EVE, "1"), WIDE, whitelist(EVE.lower())).outcome == "allow"
    assert send(1, WIDE, whitelist(ALICE.replace("kLKi", "KLKi")), to=ALICE).code == "WHITELIST_DENIED"
