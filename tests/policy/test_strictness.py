"""What must hold for every policy, amount and history."""

from hypothesis import given, settings
from hypothesis import strategies as st

from waiaas.domain.decision import AmountAtMost
from waiaas.domain.tier import Tier

from .build import AGENT, SOL, USDC, limit, row, send, session, spent

amounts = st.integers(0, 40)
digits = amounts.map(str)
caps = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(("per_transaction", "hourly_total", "daily_total", "weekly_total", "monthly_total"), digits),
)
seconds = st.fixed_dictionaries(
    {}, optional={"delay_seconds": st.integers(1, 900), "approval_timeout": st.integers(60, 900)}
)
bounds = st.one_of(
    st.just({}),
    st.lists(amounts, min_size=3, max_size=3).map(
        lambda found: dict(zip(("instant_max", "notify_max", "delay_max"), map(str, sorted(found)), strict=True))
    ),
)


@st.composite
def entries(draw):
    entry = draw(bounds) | draw(caps)
    return (entry or {"per_transaction": draw(digits)}) | draw(seconds)


@st.composite
def policies(draw):
    rules = draw(entries())
    if draw(st.booleans()):
        rules |= {"limits": {draw(st.sampled_from([SOL, USDC])): draw(entries())}}
    agent_id, priority = draw(st.sampled_from([None, AGENT])), draw(st.integers(-2, 2))
    return limit(id=f"p{draw(st.integers(0, 999))}", agent_id=agent_id, priority=priority, **rules)


histories = st.lists(
    st.one_of(amounts.map(row), st.builds(spent, amounts, ago=st.sampled_from([0, 3599, 3600, 86400, 700_000]))),
    max_size=4,
).map(tuple)
known = st.fixed_dictionaries({"rows": histories, "fee": st.integers(0, 5), "owner_locked": st.booleans()})


def severity(decision):
    """Comparable: a denial is beyond every tier; within a tier a longer delay and a shorter approval are stricter."""
    if decision.outcome == "deny":
        return (len(Tier), 0, 0)
    asked = decision.downgraded_from or decision.tier
    return (asked.severity, decision.delay_seconds or 0, -(decision.approval_timeout or 0))


@settings(max_examples=120, deadline=None)
@given(st.lists(policies(), max_size=3), amounts, amounts, known)
def test_a_larger_amount_is_never_judged_milder(rules, amount, more, facts):
    assert severity(send(amount + more, *rules, **facts)) >= severity(send(amount, *rules, **facts))


@settings(max_examples=120, deadline=None)
@given(st.lists(policies(), min_size=1, max_size=3), policies(), amounts, known)
def test_one_more_policy_never_makes_it_milder(rules, another, amount, facts):
    if send(amount, *rules, **facts).code == "POLICY_DENIED":
        return
    assert severity(send(amount, *rules, another, **facts)) >= severity(send(amount, *rules, **facts))


@settings(max_examples=80, deadline=None)
@given(st.lists(policies(), max_size=4, unique_by=lambda policy: policy.id), st.randoms(), amounts, known)
def test_the_order_in_which_policies_come_means_nothing(rules, random, amount, facts):
    shuffled = random.sample(rules, len(rules))
    assert send(amount, *shuffled, **facts) == send(amount, *rules, **facts)


@settings(max_examples=80, deadline=None)
@given(st.lists(policies(), max_size=2), amounts, amounts, known)
def test_two_sends_are_judged_at_least_as_strictly_as_their_sum_in_tier(rules, first, second, facts):
    both = send(first + second, *rules, **facts)
    later = send(second, *rules, **(facts | {"rows": (*facts["rows"], row(first))}))
    if both.outcome == later.outcome == "allow":
        assert severity(later) == severity(both)


@settings(max_examples=80, deadline=None)
@given(st.lists(policies(), min_size=1, max_size=3), amounts, known, st.integers(0, 40))
def test_the_amount_offered_is_the_largest_that_passes(rules, amount, facts, left):
    facts = facts | {"sessions": (session(maxTotalAmount="40", spent={SOL: left}),)}
    for remedy in send(amount, *rules, **facts).remedies:
        if isinstance(remedy, AmountAtMost):
            assert send(int(remedy.value), *rules, **facts).outcome == "allow"
            assert send(int(remedy.value) + 1, *rules, **facts).outcome == "deny"
