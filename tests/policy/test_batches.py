"""A batch is judged as one request, and its refusal names every item."""

import pytest

from waiaas.domain.decision import After, details
from waiaas.domain.request import Transfer
from waiaas.domain.tier import Tier

from .build import (
    ALICE,
    BOB,
    DAI,
    MINT,
    NOW,
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
    session,
    spenders,
    token_transfer,
    tokens,
)

WIDE = limit(per_transaction="1000")


def pay(amount, to=ALICE):
    return Transfer(to, str(amount))


def violations(decision):
    return [(found["index"], found["type"], found["code"]) for found in details(decision)["violations"]]


def test_the_sum_sets_the_tier():
    for parts in (2, 15):
        assert ask(batch(*[pay(30 // parts)] * parts), limit(**TIERS), owner_locked=True).tier is Tier.DELAY
    assert ask(batch(pay(5), pay(5)), limit(**TIERS)).tier is Tier.INSTANT
    assert ask(batch(*[pay(2)] * 16), limit(**TIERS), owner_locked=True).tier is Tier.APPROVAL


def test_the_strictest_item_sets_the_tier():
    request = batch(pay(1), approval(5))
    assert ask(request, limit(**TIERS), spenders(BOB), owner_locked=True).tier is Tier.APPROVAL
    known = call("0xa9059cbb" + "0" * 128, to=DAI)
    calls = contracts(DAI, ROUTER), tokens(DAI), spenders(BOB)
    assert ask_eth(batch(known, known), *calls, owner_locked=True).tier is Tier.NOTIFY
    assert ask_eth(batch(known, call()), *calls, owner_locked=True).tier is Tier.APPROVAL


def test_every_violation_of_every_item_is_named():
    request = batch(pay(1), token_transfer(1), pay(1, BOB), approval(2**64 - 1), token_transfer(1, BOB, ALICE))
    whitelist = policy("WHITELIST", allowed_addresses=[ALICE])
    decision = ask(request, WIDE, whitelist, tokens(MINT))
    assert decision.code == "BATCH_POLICY_VIOLATION"
    assert violations(decision) == [
        (2, "TRANSFER", "WHITELIST_DENIED"),
        (3, "APPROVE", "WHITELIST_DENIED"),
        (4, "TOKEN_TRANSFER", "WHITELIST_DENIED"),
        (4, "TOKEN_TRANSFER", "TOKEN_NOT_ALLOWED"),
        (3, "APPROVE", "APPROVE_DISABLED"),
        (3, "APPROVE", "UNLIMITED_APPROVE_BLOCKED"),
    ]
    assert (decision.policy_id, decision.reason) == ("WHITELIST", f"{BOB} is not on the list, and 5 more")


def test_one_bad_item_among_good_ones_refuses_them_all():
    decision = ask(batch(pay(1), token_transfer(1), pay(1)), WIDE, tokens(ALICE))
    assert (decision.outcome, violations(decision)) == ("deny", [(1, "TOKEN_TRANSFER", "TOKEN_NOT_ALLOWED")])
    assert details(decision)["violations"][0]["reason"] == f"{MINT} is not on the list"


def test_a_cap_that_the_sum_breaks_is_of_the_batch_and_one_that_an_item_breaks_is_its_own():
    capped = limit(per_transaction="10", limits={USDC: {"per_transaction": "5"}})
    assert violations(ask(batch(pay(5), pay(6)), capped)) == [(None, "BATCH", "SPENDING_LIMIT_EXCEEDED")]
    assert violations(ask(batch(pay(5), token_transfer(6)), capped, tokens(MINT))) == [
        (1, "TOKEN_TRANSFER", "SPENDING_LIMIT_EXCEEDED")
    ]


def test_every_uncovered_item_is_named():
    assert violations(ask(batch(pay(5), token_transfer(1), pay(6)), tokens(MINT))) == [
        (0, "TRANSFER", "POLICY_DENIED"),
        (2, "TRANSFER", "POLICY_DENIED"),
    ]


@pytest.mark.parametrize(
    ("rule", "code"),
    [
        (policy("RATE_LIMIT", max_requests=1, window_seconds=60), "RATE_LIMIT_EXCEEDED"),
        (policy("TIME_RESTRICTION", allowed_hours={"start": 2, "end": 3}), "POLICY_DENIED"),
    ],
)
def test_a_rule_about_the_whole_keeps_its_code_until_an_item_is_refused_too(rule, code):
    good, bad = batch(pay(1), pay(1)), batch(pay(1), token_transfer(1))
    alone = ask(good, WIDE, rule, recent=(NOW - 1,))
    assert (alone.code, isinstance(alone.remedies[0], After)) == (code, True)
    assert violations(ask(bad, WIDE, rule, recent=(NOW - 1,))) == [
        (None, "BATCH", code),
        (1, "TOKEN_TRANSFER", "TOKEN_NOT_ALLOWED"),
    ]


def test_a_batch_counts_once():
    rate = policy("RATE_LIMIT", max_requests=2, window_seconds=60)
    assert ask(batch(*[pay(1)] * 20), WIDE, rate, recent=(NOW - 1,)).outcome == "allow"


def test_the_session_keeps_its_code():
    own = session(allowedDestinations=[ALICE])
    decision = ask(batch(pay(1), token_transfer(1, BOB)), WIDE, sessions=(own,))
    assert (decision.code, details(decision)["observed"]) == ("CONSTRAINT_VIOLATED", BOB)


def test_the_session_must_allow_the_batch_and_each_item():
    request = batch(pay(1), token_transfer(1))
    for allowed, outcome in (
        (["BATCH", "TRANSFER", "TOKEN_TRANSFER"], "allow"),
        (["TRANSFER", "TOKEN_TRANSFER"], "deny"),
        (["BATCH", "TRANSFER"], "deny"),
    ):
        decision = ask(request, WIDE, tokens(MINT), sessions=(session(allowedOperations=allowed),))
        assert decision.outcome == outcome


def test_the_sessions_amounts_are_those_of_the_sum():
    for most, outcome in (("11", "allow"), ("10", "deny")):
        assert ask(batch(pay(5), pay(6)), WIDE, sessions=(session(maxAmountPerTx=most),)).outcome == outcome


def test_an_effect_is_stored_with_the_item_that_makes_it():
    decision = ask_eth(batch(call(), call(to=DAI)), contracts(ROUTER))
    assert [(effect.kind, effect.index) for effect in decision.effects] == [("CONTRACT_CALL", 0), ("CONTRACT_CALL", 1)]
    assert violations(decision) == [(1, "CONTRACT_CALL", "CONTRACT_NOT_WHITELISTED")]


def test_every_bad_call_inside_one_item_is_named_once():
    decision = ask_eth(batch(call(), call("0x87654321")), contracts(DAI))
    assert violations(decision) == [(index, "CONTRACT_CALL", "CONTRACT_NOT_WHITELISTED") for index in (0, 1)]
    assert SOL not in str(details(decision))
