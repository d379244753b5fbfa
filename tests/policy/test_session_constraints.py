"""Session constraints, their order, their boundaries, and how they are read."""

import pytest

from waiaas.domain.chain import Chain
from waiaas.domain.decision import details, wire
from waiaas.domain.request import Effect, Transfer, canonical
from waiaas.domain.session import Constraints, decode_constraints, parse_constraints
from waiaas.errors import ValidationFailed
from waiaas.policy import decide

from .build import (
    ALICE,
    BOB,
    ETH,
    MINT,
    SOL,
    TIERS,
    USDC,
    approval,
    ask,
    constrained,
    facts,
    limit,
    send,
    session,
    spenders,
)

WIDE = limit(per_transaction=str(10**12))


def denied(decision):
    return decision.code, details(decision).get("constraint")


@pytest.mark.parametrize(("amount", "outcome"), [(99, "allow"), (100, "allow"), (101, "deny")])
def test_the_most_per_transaction(amount, outcome):
    assert send(amount, WIDE, sessions=(session(maxAmountPerTx="100"),)).outcome == outcome
    assert send(amount, WIDE, sessions=(session(limits={SOL: {"maxAmountPerTx": "100"}}),)).outcome == outcome


@pytest.mark.parametrize(("amount", "outcome"), [(39, "allow"), (40, "allow"), (41, "deny")])
def test_the_most_in_all(amount, outcome):
    own = session(maxTotalAmount="100", spent={SOL: 60, ETH: 1000})
    assert send(amount, WIDE, sessions=(own,), fee=1000).outcome == outcome


@pytest.mark.parametrize(("amount", "outcome"), [(40, "allow"), (41, "deny")])
@pytest.mark.parametrize("name", ["maxAmountPerTx", "maxTotalAmount"])
def test_what_it_lets_others_spend_counts(name, amount, outcome):
    most, used = ("40", 0) if name == "maxAmountPerTx" else ("100", 60)
    own = session(limits={USDC: {name: most}}, spent={USDC: used})
    assert ask(approval(amount), spenders(BOB), sessions=(own,)).outcome == outcome


@pytest.mark.parametrize(("made", "outcome"), [(1, "allow"), (2, "deny"), (3, "deny")])
def test_the_most_transactions(made, outcome):
    assert send(1, WIDE, sessions=(session(maxTransactions=2, transactions=made),)).outcome == outcome


def test_a_limit_of_another_asset_says_nothing():
    assert send(10, WIDE, sessions=(session(limits={USDC: {"maxAmountPerTx": "1"}}),)).outcome == "allow"


def test_the_refusal_names_constraint_session_observed_and_limit():
    decision = send(41, WIDE, sessions=(session(maxTotalAmount="100", spent={SOL: 60}),))
    assert decision.code == "SESSION_LIMIT_EXCEEDED"
    assert details(decision) == {
        "constraint": "maxTotalAmount",
        "sessionId": "session",
        "observed": "101",
        "limit": "100",
        "asset": SOL,
    }


def test_every_ancestor_is_judged_nearest_first():
    chain = (
        session(id="own", maxAmountPerTx="100"),
        session(id="parent", maxAmountPerTx="50"),
        session(id="grandparent", maxTotalAmount="10"),
    )
    decision = send(60, WIDE, sessions=chain)
    assert details(decision)["sessionId"] == "parent"
    assert [rule.outcome for rule in decision.rules[:3]] == ["pass", "deny", "deny"]


def test_a_session_without_constraints_is_not_limited():
    assert send(10, WIDE, sessions=(session(),)).outcome == "allow"


def test_the_session_is_judged_before_the_policies_and_the_trace_has_both():
    decision = send(10, limit(per_transaction="5"), sessions=(session(maxAmountPerTx="7"),))
    assert decision.code == "SESSION_LIMIT_EXCEEDED"
    assert decision.policy_id is None
    assert [rule.type for rule in decision.rules if rule.outcome == "deny"] == ["maxAmountPerTx", "SPENDING_LIMIT"]


def test_the_constraints_are_judged_in_the_order_of_the_contract():
    everything = session(
        maxAmountPerTx="1",
        maxTotalAmount="1",
        maxTransactions=1,
        transactions=1,
        allowedOperations=["APPROVE"],
        allowedDestinations=["x"],
        allowedTokens=["x"],
        allowedContracts=["x"],
        allowedSpenders=["x"],
    )
    asked = (
        Effect("TRANSFER", "y", SOL, 2),
        Effect("TOKEN_TRANSFER", "y", USDC, 2),
        Effect("CONTRACT_CALL", "y", SOL, 0),
        Effect("APPROVE", "y", USDC, 2),
    )
    decision = decide(Transfer("y", "2"), [], facts(asked, sessions=(everything,)))
    assert [rule.type for rule in decision.rules if rule.scope == "session" and rule.outcome == "deny"] == [
        "maxAmountPerTx",
        "maxTotalAmount",
        "maxTransactions",
        "allowedOperations",
        "allowedDestinations",
        "allowedTokens",
        "allowedContracts",
        "allowedSpenders",
    ]


LISTED = {
    "allowedDestinations": (Effect("TRANSFER", ALICE, SOL, 1), ALICE),
    "allowedTokens": (Effect("TOKEN_TRANSFER", ALICE, USDC, 1), MINT),
    "allowedContracts": (Effect("CONTRACT_CALL", ALICE, SOL, 0), ALICE),
    "allowedSpenders": (Effect("APPROVE", ALICE, USDC, 1), ALICE),
}


@pytest.mark.parametrize("constraint", LISTED)
def test_a_list_must_hold_exactly_what_the_effect_names(constraint):
    effect, value = LISTED[constraint]
    for listed, refused in ((value, False), (value.lower(), True), (value.swapcase(), True)):
        own = session(**{constraint: ["other", listed]})
        decision = decide(Transfer(ALICE, "1"), [WIDE], facts((effect,), sessions=(own,)))
        assert (denied(decision) == ("CONSTRAINT_VIOLATED", constraint)) is refused


def test_a_token_that_others_are_let_spend_must_be_listed():
    own = session(allowedTokens=["other"])
    assert denied(ask(approval(1), spenders(BOB), sessions=(own,))) == ("CONSTRAINT_VIOLATED", "allowedTokens")


@pytest.mark.parametrize("constraint", LISTED)
def test_one_unlisted_effect_among_several_is_refused(constraint):
    effect, value = LISTED[constraint]
    stranger = (
        Effect(effect.kind, effect.counterparty, "solana:other", 1)
        if constraint == "allowedTokens"
        else Effect(effect.kind, "stranger", effect.asset, effect.amount)
    )
    own = session(**{constraint: [value]})
    assert denied(decide(Transfer(ALICE, "1"), [WIDE], facts((effect, stranger), sessions=(own,)))) == (
        "CONSTRAINT_VIOLATED",
        constraint,
    )


def test_an_operation_off_the_list_is_refused():
    own = session(allowedOperations=["TOKEN_TRANSFER", "APPROVE"])
    assert denied(send(1, WIDE, sessions=(own,))) == ("CONSTRAINT_VIOLATED", "allowedOperations")
    assert wire(send(1, WIDE, sessions=(own,)), show_lists=False)["rules"][0]["limit"] is None
    assert send(1, WIDE, sessions=(session(allowedOperations=["TRANSFER"]),)).outcome == "allow"


def test_a_list_is_shown_only_where_asked_for():
    decision = send(1, WIDE, sessions=(session(allowedDestinations=["secret"]),))
    assert "secret" not in str(wire(decision, show_lists=False))
    assert "secret" not in str(details(decision))
    assert "limit" in details(decision)
    assert wire(decision, show_lists=True)["rules"][0]["limit"] == "secret"


def test_lists_about_other_kinds_do_not_apply_to_a_transfer():
    own = session(allowedTokens=["x"], allowedContracts=["x"], allowedSpenders=["x"])
    decision = send(1, limit(**TIERS), sessions=(own,))
    assert decision.outcome == "allow"
    assert {rule.outcome for rule in decision.rules if rule.scope == "session"} == {"not_applicable"}


# --- reading -----------------------------------------------------------------------------------


def test_constraints_are_stored_as_they_are_judged():
    constraints = constrained(
        maxAmountPerTx="007",
        maxTransactions=5,
        maxRenewals=0,
        allowedOperations=["TRANSFER", "TRANSFER"],
        allowedDestinations=[ALICE, ALICE],
        limits={USDC: {"maxTotalAmount": "9"}},
    )
    stored = canonical(constraints)
    assert stored == (
        b'{"allowedDestinations":["' + ALICE.encode() + b'"],"allowedOperations":["TRANSFER"],'
        b'"limits":{"' + USDC.encode() + b'":{"maxTotalAmount":"9"}},"maxAmountPerTx":"7","maxRenewals":0,'
        b'"maxTransactions":5}'
    )
    assert decode_constraints(stored) == constraints


def test_null_means_absent():
    assert constrained(maxAmountPerTx=None, allowedTokens=None, limits=None) == Constraints()


def test_addresses_are_kept_canonical():
    assert parse_constraints({"allowedTokens": ["a", "A"]}, Chain.SOLANA, str.upper).allowed_tokens == ("A",)


def test_an_asset_is_limited_once_however_it_is_spelled():
    address = "0x52908400098527886E0F7030069857D2E4169EE7"
    limits = {f"ethereum:{spelling}": {"maxTotalAmount": "1"} for spelling in (address, address.lower())}
    with pytest.raises(ValidationFailed) as refused:
        parse_constraints({"limits": limits}, Chain.ETHEREUM, str)
    assert refused.value.issues[0][0] == f"constraints.limits.ethereum:{address.lower()}"


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        ([], "constraints"),
        ("x", "constraints"),
        ({"maxAmount": "1"}, "constraints.maxAmount"),
        ({"max_amount_per_tx": "1"}, "constraints.max_amount_per_tx"),
        ({"maxAmountPerTx": 1}, "constraints.maxAmountPerTx"),
        ({"maxAmountPerTx": "1.0"}, "constraints.maxAmountPerTx"),
        ({"maxAmountPerTx": str(2**64)}, "constraints.maxAmountPerTx"),
        ({"maxTotalAmount": "-1"}, "constraints.maxTotalAmount"),
        ({"maxTotalAmount": "١"}, "constraints.maxTotalAmount"),
        ({"maxTransactions": 0}, "constraints.maxTransactions"),
        ({"maxTransactions": 1_000_001}, "constraints.maxTransactions"),
        ({"maxTransactions": True}, "constraints.maxTransactions"),
        ({"maxTransactions": "5"}, "constraints.maxTransactions"),
        ({"maxTransactions": 5.0}, "constraints.maxTransactions"),
        ({"maxRenewals": -1}, "constraints.maxRenewals"),
        ({"maxRenewals": 101}, "constraints.maxRenewals"),
        ({"allowedOperations": []}, "constraints.allowedOperations"),
        ({"allowedOperations": "TRANSFER"}, "constraints.allowedOperations"),
        ({"allowedOperations": ["PAY"]}, "constraints.allowedOperations"),
        ({"allowedOperations": [["TRANSFER"]]}, "constraints.allowedOperations"),
        ({"allowedDestinations": []}, "constraints.allowedDestinations"),
        ({"allowedDestinations": ["x"] * 201}, "constraints.allowedDestinations"),
        ({"allowedDestinations": ["x", 5]}, "constraints.allowedDestinations.1"),
        ({"allowedSpenders": ["x", "bad"]}, "constraints.allowedSpenders.1"),
        ({"limits": []}, "constraints.limits"),
        ({"limits": {"sol": {"maxAmountPerTx": "1"}}}, "constraints.limits.sol"),
        ({"limits": {ETH: {"maxAmountPerTx": "1"}}}, f"constraints.limits.{ETH}"),
        ({"limits": {SOL: {}}}, f"constraints.limits.{SOL}"),
        ({"limits": {SOL: {"maxTransactions": 1}}}, f"constraints.limits.{SOL}.maxTransactions"),
        ({"limits": {SOL: {"maxAmountPerTx": "x"}}}, f"constraints.limits.{SOL}.maxAmountPerTx"),
    ],
)
def test_a_malformed_constraint_is_refused_at_its_field(raw, path):
    def address(text):
        if text == "bad":
            raise ValueError("is not an address")
        return text

    with pytest.raises(ValidationFailed) as refusal:
        parse_constraints(raw, Chain.SOLANA, address)
    assert path in [found for found, _ in refusal.value.issues]


def test_all_that_is_wrong_with_constraints_is_told_at_once():
    with pytest.raises(ValidationFailed) as refusal:
        constrained(maxAmountPerTx="x", maxTransactions=0, allowedOperations=["PAY"], allowedTokens=[])
    assert len(refusal.value.issues) == 4
