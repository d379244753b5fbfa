"""What a decision says of itself: trace, remedies, facts, storage; and what is booked."""

import pytest

from waiaas.domain.chain import Chain
from waiaas.domain.decision import After, AmountAtMost, OwnerApproval, PolicyChange, decode_decision, wire
from waiaas.domain.effects import effects
from waiaas.domain.ledger import LedgerKind
from waiaas.domain.policy import PolicyType
from waiaas.domain.request import Effect, Transfer, canonical
from waiaas.policy import decide, reservation
from waiaas.policy.facts import Case
from waiaas.policy.remedies import remedies
from waiaas.policy.spending import caps

from .build import (
    ALICE,
    BOB,
    DAI,
    ETH,
    MINT,
    NOW,
    OWN,
    SOL,
    TIERS,
    USDC,
    contracts,
    facts,
    limit,
    row,
    send,
    session,
    spenders,
    spent,
    tokens,
)

SOLANA_MINT = "So11111111111111111111111111111111111111112"
CHANGE = PolicyChange(PolicyType.SPENDING_LIMIT)


def test_a_decision_is_stored_whole_and_shown_in_part():
    decision = send(25, limit(**TIERS, daily_total="100"), sessions=(session(maxTotalAmount="30"),), fee=5)
    assert decode_decision(canonical(decision)) == decision
    shown = wire(decision, show_lists=False)
    assert list(shown) == ["outcome", "tier", "code", "reason", "policyId", "downgradedFrom", "rules", "remedies"]
    assert [set(rule) for rule in shown["rules"]] == [
        {"policyId", "type", "scope", "outcome", "tier", "observed", "limit", "message"}
    ] * 3
    assert [(rule["type"], rule["observed"], rule["limit"], rule["outcome"]) for rule in shown["rules"]] == [
        ("maxTotalAmount", "25", "30", "pass"),
        ("SPENDING_LIMIT", "30", "100", "pass"),
        ("SPENDING_LIMIT", "25", "20", "tier"),
    ]


def test_amounts_beyond_64_bits_are_stored_exactly():
    huge = 2**256 - 1
    decision = send(huge, limit(daily_total="1"), chain=Chain.ETHEREUM)
    again = decode_decision(canonical(decision))
    assert (again.effects[0].amount, again.denial.requested) == (str(huge), str(huge))


def test_the_sums_that_were_used_are_kept():
    rows = spent(7, ago=10), row(3, tx_id="other")
    used = send(1, limit(**TIERS, daily_total="100"), rows=rows, fee=2).facts
    assert (used.now, used.fee, used.ledger_version) == (NOW, "2", 1)
    assert [(known.asset, known.value, known.window_seconds) for known in used.sums] == [
        (SOL, "10", 86400),
        (SOL, "3", None),
    ]


# --- remedies ----------------------------------------------------------------------------------


def test_the_largest_amount_that_would_pass_is_offered():
    decision = send(50, limit(per_transaction="40", daily_total="100"), rows=(row(70),), fee=5)
    assert decision.remedies == (AmountAtMost(SOL, "25"), CHANGE)
    assert send(25, limit(per_transaction="40", daily_total="100"), rows=(row(70),), fee=5).outcome == "allow"
    assert send(26, limit(per_transaction="40", daily_total="100"), rows=(row(70),), fee=5).outcome == "deny"


def test_the_session_counts_for_the_largest_amount():
    own = session(maxTotalAmount="20", spent={SOL: 9})
    assert send(50, limit(daily_total="40"), sessions=(own,)).remedies == (AmountAtMost(SOL, "11"),)


def test_a_full_cap_offers_no_amount():
    assert send(1, limit(daily_total="40"), rows=(row(40),)).remedies == (CHANGE,)


def test_a_refusal_that_is_not_about_amounts_offers_none():
    assert send(50, limit(daily_total="40"), sessions=(session(allowedDestinations=["x"]),)).remedies == ()
    assert send(50).remedies == (CHANGE,)


def test_the_earliest_time_at_which_it_passes_is_offered():
    policies = limit(id="d", daily_total="100"), limit(id="h", hourly_total="60")
    rows = spent(50, ago=200), spent(40, ago=100)
    decision = send(55, *policies, rows=rows)
    after = next(remedy for remedy in decision.remedies if isinstance(remedy, After))
    assert after == After(NOW - 200 + 86400)
    assert send(55, *policies, rows=rows, now=after.at).outcome == "allow"
    assert send(55, *policies, rows=rows, now=after.at - 1).outcome == "deny"


def test_no_time_is_offered_for_more_than_the_cap_or_behind_money_in_flight():
    policy = limit(daily_total="100")
    for amount, rows in ((101, (spent(50),)), (50, (row(51),))):
        assert not any(isinstance(remedy, After) for remedy in send(amount, policy, rows=rows).remedies)


def test_the_owners_approval_is_offered_where_the_tier_is_approval():
    assert send(31, limit(**TIERS)).remedies == (OwnerApproval(),)
    assert send(31, limit(**TIERS), owner_locked=True).remedies == (OwnerApproval(),)
    assert send(30, limit(**TIERS)).remedies == ()


def test_a_policy_change_is_not_offered_where_the_session_refuses_too():
    assert send(50, limit(daily_total="0"), sessions=(session(maxAmountPerTx="40"),)).remedies == ()


def test_nothing_is_offered_that_does_not_pass_when_it_is_judged():
    request = Transfer(ALICE, "50")
    known = facts(effects(request, Chain.SOLANA, sender=OWN), spent(60, ago=100))
    decision = decide(request, [limit(daily_total="100")], known)
    assert {type(remedy) for remedy in decision.remedies} == {AmountAtMost, After, PolicyChange}
    case = Case(request, (limit(daily_total="100"),), known)
    assert list(remedies(case, decision, list(caps(case)), lambda _: (decision, []))) == []


# --- deny first --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "effect",
    [
        Effect("SOMETHING_NEW", ALICE, SOL, 1),
        Effect("TRANSFER", ALICE, USDC, 1),
        Effect("TRANSFER", ALICE, ETH, 1),
        Effect("TRANSFER", ALICE, SOL),
        Effect("TRANSFER", ALICE),
        Effect("TOKEN_TRANSFER", ALICE, SOL, 1),
        Effect("TOKEN_TRANSFER", ALICE, f"ethereum:{DAI}", 1),
        Effect("TOKEN_TRANSFER", ALICE, None, 1),
        Effect("TOKEN_TRANSFER", ALICE, USDC),
        Effect("APPROVE", BOB, None, 1),
        Effect("FORBIDDEN", BOB, selector="0x06", decoded=False),
    ],
)
def test_what_no_policy_can_allow_is_denied(effect):
    listed = (
        limit(per_transaction="100", limits={USDC: {"per_transaction": "100"}}),
        tokens(MINT, DAI, SOLANA_MINT),
        contracts(BOB),
        spenders(BOB),
    )
    decision = decide(Transfer(ALICE, "1"), listed, facts((Effect("TRANSFER", ALICE, SOL, 1), effect)))
    assert decision.outcome == "deny"
    forbidden = [rule for rule in decision.rules if rule.type == "FORBIDDEN"]
    assert [(rule.outcome, rule.policy_id) for rule in forbidden] == [("deny", None)]
    assert decision.code in ("POLICY_DENIED", "TOKEN_NOT_ALLOWED")
    assert decision.remedies == ()


def test_revoking_what_a_call_does_not_name_is_not_forbidden():
    effect = Effect("APPROVE", ALICE, None, 0)
    assert decide(Transfer(ALICE, "1"), [], facts((effect,))).outcome == "allow"


# --- booking -----------------------------------------------------------------------------------


def test_a_request_books_its_outflow_and_allowances_per_asset_and_its_fee():
    asked = (
        Effect("TRANSFER", ALICE, SOL, 5),
        Effect("TOKEN_TRANSFER", ALICE, USDC, 7),
        Effect("TRANSFER", BOB, SOL, 6),
        Effect("CONTRACT_CALL", "program"),
        Effect("APPROVE", BOB, USDC, 8),
        Effect("APPROVE", BOB, USDC, 1),
        Effect("APPROVE", ALICE, USDC, 2),
        Effect("APPROVE", ALICE, f"solana:{BOB}", 0),
        Effect("APPROVE", ALICE, None, 0),
    )
    assert reservation(asked, 3, Chain.SOLANA) == [
        (SOL, LedgerKind.AMOUNT, 11, None),
        (USDC, LedgerKind.AMOUNT, 7, None),
        (USDC, LedgerKind.ALLOWANCE, 9, BOB),
        (USDC, LedgerKind.ALLOWANCE, 2, ALICE),
        (SOL, LedgerKind.FEE, 3, None),
    ]
