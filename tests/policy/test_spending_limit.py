"""SPENDING_LIMIT: cover, caps, tiers, several policies, scope."""

import pytest

from waiaas.domain.chain import Chain
from waiaas.domain.decision import details
from waiaas.domain.ledger import LedgerKind
from waiaas.domain.tier import Tier, stricter

from .build import AGENT, ALICE, ETH, MINT, NOW, SOL, TIERS, USDC, ask, limit, row, send, spent, token_transfer, tokens

INSTANT, NOTIFY, DELAY, APPROVAL = Tier


@pytest.mark.parametrize(
    ("amount", "tier"),
    [
        (9, INSTANT), (10, INSTANT), (11, NOTIFY),
        (19, NOTIFY), (20, NOTIFY), (21, DELAY),
        (29, DELAY), (30, DELAY), (31, APPROVAL),
    ],
)  # fmt: skip
def test_each_bound_belongs_to_the_milder_tier(amount, tier):
    assert send(amount, limit(**TIERS), owner_locked=True).tier is tier


@pytest.mark.parametrize(("amount", "tier"), [(5, INSTANT), (6, NOTIFY), (7, DELAY), (8, APPROVAL)])
def test_limits_by_asset_stand_before_the_top_level(amount, tier):
    by_asset = {SOL: {"instant_max": "5", "notify_max": "6", "delay_max": "7"}}
    assert send(amount, limit(**TIERS, limits=by_asset), owner_locked=True).tier is tier


def test_splitting_a_payment_never_lowers_the_tier():
    in_flight = ()
    for _ in range(3):
        decision = send(10, limit(**TIERS), rows=in_flight, owner_locked=True)
        in_flight = (*in_flight, row(10))
    assert decision.tier is send(30, limit(**TIERS), owner_locked=True).tier is DELAY
    assert send(1, limit(**TIERS), rows=in_flight, owner_locked=True).tier is APPROVAL


def test_fees_and_other_assets_in_flight_do_not_raise_the_tier():
    in_flight = (row(100, kind=LedgerKind.FEE), row(100, asset=USDC), row(100, kind=LedgerKind.ALLOWANCE))
    assert send(10, limit(**TIERS), rows=in_flight).tier is INSTANT


def test_what_has_settled_does_not_raise_the_tier():
    assert send(10, limit(**TIERS), rows=(spent(1000),)).tier is INSTANT


def test_an_entry_with_caps_only_is_instant():
    assert send(10**9, limit(per_transaction=str(10**9))).tier is INSTANT


def test_a_drip_below_the_bound_is_instant_until_the_daily_total_is_full():
    policy = limit(**TIERS, daily_total="50")
    rows = ()
    for _ in range(5):
        assert send(10, policy, rows=rows).tier is INSTANT
        rows = (*rows, spent(10))
    assert send(1, policy, rows=rows).code == "SPENDING_LIMIT_EXCEEDED"


@pytest.mark.parametrize(("amount", "outcome"), [(99, "allow"), (100, "allow"), (101, "deny")])
@pytest.mark.parametrize("cap", ["per_transaction", "hourly_total", "daily_total", "weekly_total", "monthly_total"])
def test_each_cap_passes_when_exactly_full(cap, amount, outcome):
    assert send(amount, limit(**{cap: "100"})).outcome == outcome


WINDOWS = [("hourly_total", 3600), ("daily_total", 86400), ("weekly_total", 604800), ("monthly_total", 2592000)]


@pytest.mark.parametrize(("cap", "seconds"), WINDOWS)
def test_a_spend_leaves_its_window_when_it_is_as_old_as_that(cap, seconds):
    policy = limit(**{cap: "100"})
    assert send(1, policy, rows=(spent(100, ago=seconds - 1),)).outcome == "deny"
    assert send(1, policy, rows=(spent(100, ago=seconds),)).outcome == "allow"


@pytest.mark.parametrize("kind", list(LedgerKind))
def test_what_is_in_flight_counts_whatever_its_age_and_kind(kind):
    policy = limit(hourly_total="100")
    old = row(95, kind=kind)
    assert send(5, policy, rows=(old,), now=NOW + 10**7).outcome == "allow"
    assert send(6, policy, rows=(old,), now=NOW + 10**7).outcome == "deny"


def test_the_fee_counts_for_the_totals_and_not_for_one_transaction():
    assert send(100, limit(per_transaction="100"), fee=5).outcome == "allow"
    assert send(95, limit(daily_total="100"), fee=5).outcome == "allow"
    assert send(96, limit(daily_total="100"), fee=5).outcome == "deny"


def test_a_transaction_judged_again_does_not_count_itself():
    policy, own = limit(**TIERS, daily_total="30"), row(30, tx_id="mine")
    assert send(30, policy, rows=(own,)).outcome == "deny"
    again = send(30, policy, rows=(own,), without="mine", owner_locked=True)
    assert (again.outcome, again.tier) == ("allow", DELAY)


def test_sums_beyond_64_bits_are_exact():
    six = 6 * 10**18
    policy = limit(limits={ETH: {"daily_total": str(2 * six), **{bound: str(six) for bound in TIERS}}})
    rows = (row(six, asset=ETH),)
    full = send(six, policy, rows=rows, chain=Chain.ETHEREUM, owner_locked=True)
    assert (full.outcome, full.tier, full.rules[-1].observed) == ("allow", APPROVAL, str(2 * six))
    assert send(six + 1, policy, rows=rows, chain=Chain.ETHEREUM).outcome == "deny"


def test_the_refusal_names_window_limit_use_and_when_it_opens():
    decision = send(10, limit(id="day", daily_total="100"), rows=(spent(60, ago=100), spent(40, ago=50)), fee=1)
    assert decision.code == "SPENDING_LIMIT_EXCEEDED"
    assert decision.policy_id == "day"
    assert details(decision) == {
        "policyId": "day",
        "asset": SOL,
        "window": "day",
        "limit": "100",
        "used": "100",
        "requested": "11",
        "nextAllowedAt": NOW - 100 + 86400,
    }


def test_no_time_is_named_while_money_in_flight_blocks():
    decision = send(10, limit(daily_total="100"), rows=(row(95),))
    assert details(decision)["nextAllowedAt"] is None


# --- cover -------------------------------------------------------------------------------------


def test_without_any_policy_a_transfer_is_denied():
    decision = send(1)
    assert (decision.outcome, decision.code, decision.policy_id) == ("deny", "POLICY_DENIED", None)
    assert [rule.scope for rule in decision.rules] == ["builtin"]


@pytest.mark.parametrize(
    "other",
    [
        limit(limits={ETH: {"daily_total": "1"}}),
        limit(limits={USDC: {"daily_total": "1"}}),
        limit(daily_total="1", enabled=False),
        limit(daily_total="1", agent_id="someone else"),
    ],
)
def test_a_rule_of_another_asset_chain_or_agent_neither_allows_nor_denies(other):
    assert send(5, other).code == "POLICY_DENIED"
    assert send(5, limit(daily_total="5"), other).outcome == "allow"


def test_the_top_level_is_for_the_native_money_of_whichever_chain_the_agent_is_on():
    policy = limit(**TIERS)
    assert send(11, policy, chain=Chain.ETHEREUM).tier is send(11, policy).tier is NOTIFY
    # and for no token: bounds in lamports say nothing of those
    assert ask(token_transfer(1), tokens(MINT), policy).tier is NOTIFY


# --- several policies --------------------------------------------------------------------------

LAX = {"instant_max": "1000", "notify_max": "2000", "delay_max": "3000"}


@pytest.mark.parametrize("priority", [-1, 0, 1])
def test_a_lax_agent_policy_does_not_loosen_the_global_one(priority):
    policies = limit(id="own", agent_id=AGENT, priority=priority, **LAX), limit(id="all", **TIERS, daily_total="50")
    assert send(31, *policies, owner_locked=True).tier is APPROVAL
    assert send(51, *policies).policy_id == "all"


def test_every_cap_of_every_policy_holds():
    policies = limit(id="a", per_transaction="50"), limit(id="b", daily_total="40"), limit(id="c", hourly_total="30")
    assert send(30, *policies).outcome == "allow"
    assert send(31, *policies).policy_id == "c"


def test_the_longest_delay_and_the_shortest_approval_hold():
    policies = (
        limit(id="a", **TIERS, delay_seconds=600, approval_timeout=900),
        limit(id="b", **LAX, delay_seconds=900, approval_timeout=600),
    )
    assert send(25, *policies).delay_seconds == 900
    approval = send(31, *policies, owner_locked=True)
    assert (approval.approval_timeout, approval.delay_seconds) == (600, None)


def test_an_entry_without_seconds_takes_the_policys_and_then_the_installations():
    entry = {"limits": {SOL: TIERS}}
    assert send(25, limit(**entry, delay_seconds=77)).delay_seconds == 77
    assert send(25, limit(**entry)).delay_seconds == 300
    assert send(25, limit(limits={SOL: {**TIERS, "delay_seconds": 88}}, delay_seconds=77)).delay_seconds == 88


def test_a_policy_of_caps_does_not_bring_the_installations_delay():
    assert send(25, limit(id="a", **TIERS, delay_seconds=60), limit(id="b", daily_total="100")).delay_seconds == 60


def test_priority_orders_the_trace_and_ties_go_by_id():
    policies = [limit(id=name, priority=priority, **TIERS) for name, priority in (("c", 0), ("b", 5), ("a", 0))]
    assert [rule.policy_id for rule in send(1, *policies).rules] == ["b", "a", "c"]


def test_the_trace_lists_every_refusal_and_the_first_gives_the_code():
    policies = limit(id="a", per_transaction="5", daily_total="6"), limit(id="b", hourly_total="7")
    decision = send(10, *policies, to=ALICE)
    assert [(rule.policy_id, rule.limit) for rule in decision.rules if rule.outcome == "deny"] == [
        ("a", "5"),
        ("a", "6"),
        ("b", "7"),
    ]
    assert (decision.policy_id, decision.reason) == ("a", decision.rules[0].message)
    assert decision.tier is None


# --- the owner ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("asked", "given"), [(1, 60), (59, 60), (60, 60), (61, 61)])
def test_without_a_locked_owner_an_approval_becomes_a_delay_of_at_least_a_minute(asked, given):
    decision = send(31, limit(**TIERS, delay_seconds=asked))
    assert (decision.tier, decision.downgraded_from, decision.delay_seconds) == (DELAY, APPROVAL, given)
    assert decision.rules[-1].type == "OWNER_DOWNGRADE"
    assert decision.approval_timeout is None


def test_a_delay_is_no_downgrade():
    decision = send(30, limit(**TIERS, delay_seconds=5))
    assert (decision.tier, decision.downgraded_from, decision.delay_seconds) == (DELAY, None, 5)


def test_with_a_locked_owner_the_approval_stays():
    decision = send(31, limit(**TIERS), owner_locked=True)
    assert (decision.tier, decision.downgraded_from, decision.approval_timeout) == (APPROVAL, None, 3600)


def test_the_stricter_of_two_tiers():
    assert [stricter(first, second) for first in Tier for second in (INSTANT, DELAY)] == [
        INSTANT, DELAY, NOTIFY, DELAY, DELAY, DELAY, APPROVAL, APPROVAL,
    ]  # fmt: skip
