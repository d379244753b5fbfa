"""APPROVED_SPENDERS, APPROVE_AMOUNT_LIMIT, APPROVE_TIER_OVERRIDE."""

import pytest

from waiaas.domain.chain import Chain
from waiaas.domain.decision import AmountAtMost, PolicyChange, details
from waiaas.domain.ledger import LedgerKind
from waiaas.domain.policy import PolicyType
from waiaas.domain.tier import Tier
from waiaas.policy import decide

from .build import (
    ALICE,
    BOB,
    DAI,
    EVE,
    MINT,
    ROUTER,
    TIERS,
    USDC,
    approval,
    ask,
    ask_eth,
    batch,
    call,
    contracts,
    facts,
    limit,
    policy,
    row,
    send,
    spenders,
    tokens,
)

HALF = (2**64 - 1) // 2


def up_to(amount, spender=BOB, **more):
    return policy("APPROVED_SPENDERS", spenders=[{"address": spender, "maxAmount": str(amount)}], **more)


def amount_limit(**rules):
    return policy("APPROVE_AMOUNT_LIMIT", **rules)


def tier(name, **more):
    return policy("APPROVE_TIER_OVERRIDE", tier=name, **more)


def test_only_listed_spenders_are_let_spend():
    assert ask(approval(1), spenders(BOB)).outcome == "allow"
    assert ask(approval(1), spenders(ALICE)).code == "SPENDER_NOT_APPROVED"
    assert ask(approval(1)).code == "APPROVE_DISABLED"
    assert ask(approval(1)).remedies == (PolicyChange(PolicyType.APPROVED_SPENDERS),)


@pytest.mark.parametrize(("amount", "code"), [(9, None), (10, None), (11, "APPROVE_AMOUNT_EXCEEDED")])
def test_a_spender_has_an_amount(amount, code):
    assert ask(approval(amount), up_to(10)).code == code
    assert ask(approval(amount), spenders(BOB), amount_limit(maxAmount="10")).code == code
    assert ask(approval(amount), spenders(BOB), up_to(10, id="two")).code == code


def test_the_strictest_entry_of_a_spender_holds():
    twice = policy("APPROVED_SPENDERS", spenders=[{"address": BOB}, {"address": BOB, "maxAmount": "5"}])
    assert ask(approval(6), twice).code == "APPROVE_AMOUNT_EXCEEDED"
    assert ask(approval(6), twice).remedies[0] == AmountAtMost(USDC, "5")
    laxer = policy("APPROVED_SPENDERS", spenders=[{"address": BOB, "maxAmount": each} for each in ("9", "5", "7")])
    assert ask(approval(6), laxer).remedies[0] == AmountAtMost(USDC, "5")


@pytest.mark.parametrize(("amount", "code"), [(HALF - 1, None), (HALF, "UNLIMITED_APPROVE_BLOCKED")])
def test_half_of_what_a_chain_can_say_is_as_good_as_no_limit(amount, code):
    assert ask(approval(amount), spenders(BOB)).code == code
    assert ask(approval(amount), spenders(BOB), amount_limit()).code == code
    assert ask(approval(amount), spenders(BOB), amount_limit(blockUnlimited=False)).code is None


def test_unlimited_is_larger_on_evm():
    half = (2**256 - 1) // 2
    codes = [
        ask_eth(approval(amount, ROUTER, DAI), spenders(ROUTER)).code for amount in (2**64, half - 1, half, 2**256 - 1)
    ]
    assert codes == [None, None, "UNLIMITED_APPROVE_BLOCKED", "UNLIMITED_APPROVE_BLOCKED"]


def test_every_amount_limit_must_let_it_pass():
    limits = amount_limit(blockUnlimited=False), policy("APPROVE_AMOUNT_LIMIT", id="strict")
    assert ask(approval(HALF), spenders(BOB), *limits).policy_id == "strict"


def test_a_blocked_grant_tells_the_largest_that_passes():
    assert ask(approval(HALF), spenders(BOB)).remedies[0] == AmountAtMost(USDC, str(HALF - 1))
    decision = ask(approval(HALF), spenders(BOB), amount_limit(maxAmount="5"))
    assert decision.remedies[0] == AmountAtMost(USDC, "5")
    assert details(decision)["limit"] == "5"


def test_two_missing_policies_are_both_named():
    assert ask(approval(HALF)).remedies == (
        PolicyChange(PolicyType.APPROVED_SPENDERS),
        PolicyChange(PolicyType.APPROVE_AMOUNT_LIMIT),
    )


def test_a_grant_counts_against_the_caps_of_its_token():
    capped = limit(limits={USDC: {"daily_total": "10"}})
    assert ask(approval(10), spenders(BOB), capped).outcome == "allow"
    assert ask(approval(11), spenders(BOB), capped).code == "SPENDING_LIMIT_EXCEEDED"
    held = row(8, asset=USDC, kind=LedgerKind.ALLOWANCE)
    assert ask(approval(3), spenders(BOB), capped, rows=(held,)).code == "SPENDING_LIMIT_EXCEEDED"
    assert ask(approval(11), spenders(BOB), limit(limits={USDC: {"per_transaction": "10"}})).outcome == "deny"


def test_a_grant_needs_the_owner_or_what_the_strictest_override_says():
    assert ask(approval(1), spenders(BOB), owner_locked=True).tier is Tier.APPROVAL
    assert ask(approval(1), spenders(BOB), tier("INSTANT")).tier is Tier.INSTANT
    several = tier("NOTIFY", id="a"), tier("DELAY", id="b"), tier("INSTANT", id="c")
    assert ask(approval(1), spenders(BOB), *several).tier is Tier.DELAY
    assert ask(approval(1), spenders(BOB), tier("DELAY"), limit(**TIERS, delay_seconds=77)).delay_seconds == 77


def test_an_override_is_about_grants_only():
    assert send(1, limit(**TIERS), tier("APPROVAL")).tier is Tier.INSTANT


def test_taking_a_grant_back_passes_every_list_and_amount_and_is_instant():
    strict = spenders(ALICE), amount_limit(maxAmount="0"), tier("APPROVAL"), policy("WHITELIST", allowed_addresses=[])
    decision = ask(approval(0), *strict)
    assert (decision.outcome, decision.tier, decision.rules[-1].type) == ("allow", Tier.INSTANT, "REVOKE")
    assert ask(approval(0)).tier is Tier.INSTANT
    assert ask(approval(0), limit(daily_total="5"), fee=6).code == "SPENDING_LIMIT_EXCEEDED"


# --- grants inside calls -----------------------------------------------------------------------


def increase(amount, spender=ROUTER):
    return call(f"0x39509351{int(spender, 16):064x}{amount:064x}", to=DAI)


ALLOWED = contracts(DAI), tokens(DAI)


def test_an_increase_stands_upon_what_the_spender_could_take_before():
    asset = f"ethereum:{DAI}"
    mine = row(7, asset=asset, kind=LedgerKind.ALLOWANCE)
    others = row(50, asset=asset, kind=LedgerKind.ALLOWANCE)
    booked = [type(mine)(**{**_fields(mine), "spender": ROUTER}), type(others)(**{**_fields(others), "spender": EVE})]
    policies = *ALLOWED, up_to(10, ROUTER)
    assert ask_eth(increase(10), *policies).outcome == "allow"
    assert ask_eth(increase(3), *policies, rows=tuple(booked)).outcome == "allow"
    decision = ask_eth(increase(4), *policies, rows=tuple(booked))
    assert (decision.code, details(decision)["observed"]) == ("APPROVE_AMOUNT_EXCEEDED", "11")
    assert decision.remedies[0] == AmountAtMost(asset, "3")
    assert ask_eth(increase(10), *policies, rows=tuple(booked), without=mine.tx_id).outcome == "allow"


def _fields(ledger_row):
    return {name: getattr(ledger_row, name) for name in ledger_row.__struct_fields__}


def test_increases_in_one_batch_add_up_and_an_approval_starts_anew():
    policies = *ALLOWED, up_to(10, ROUTER)
    assert ask_eth(batch(increase(5), increase(5)), *policies).outcome == "allow"
    assert ask_eth(batch(increase(5), increase(6)), *policies).code == "BATCH_POLICY_VIOLATION"
    assert ask_eth(batch(approval(4, ROUTER, DAI), increase(6)), *policies).outcome == "allow"
    assert ask_eth(batch(approval(5, ROUTER, DAI), increase(6)), *policies).code == "BATCH_POLICY_VIOLATION"
    assert ask_eth(batch(increase(9), approval(9, ROUTER, DAI)), *policies).outcome == "allow"


def test_what_a_spender_may_take_without_end_inside_a_call_is_blocked():
    everything = f"0xa22cb465{int(ROUTER, 16):064x}{1:064x}"
    assert ask_eth(call(everything, to=DAI), *ALLOWED, spenders(ROUTER)).code == "UNLIMITED_APPROVE_BLOCKED"


def test_a_decision_depends_on_its_arguments_only():
    request, policies = approval(5), (spenders(BOB), tier("NOTIFY"))
    assert ask(request, *policies) == ask(request, *policies)
    assert decide(request, policies, facts((), chain=Chain.SOLANA)).tier is Tier.INSTANT
    assert MINT in str(ask(request, *policies).effects)
