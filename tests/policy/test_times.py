"""TIME_RESTRICTION and RATE_LIMIT."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from waiaas.domain.decision import After, PolicyChange, details, retry_after
from waiaas.domain.policy import PolicyType
from waiaas.domain.rules.times import Hours, TimeRestriction
from waiaas.errors import denial
from waiaas.policy import lookback
from waiaas.policy.times import is_open, next_opening

from .build import AGENT, NOW, limit, policy, row, send, spent

WIDE = limit(per_transaction="100")
SUN, MON, TUE, WED, THU, FRI, SAT = range(7)


def hours(start, end, *, days=tuple(range(7)), zone="UTC"):
    return TimeRestriction(Hours(start, end), tuple(days), zone)


def at(text, zone="UTC", fold=0):
    """Epoch seconds of a wall clock reading."""
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold).timestamp())


def restriction(start, end, **more):
    return policy("TIME_RESTRICTION", allowed_hours={"start": start, "end": end}, **more)


@pytest.mark.parametrize(
    ("time", "open"),
    [("08:59:59", False), ("09:00:00", True), ("17:59:59", True), ("18:00:00", False), ("00:00:00", False)],
)
def test_a_window_is_half_open(time, open):
    now = at(f"2026-03-04T{time}")
    assert is_open(hours(9, 18), now) is open
    assert (send(1, WIDE, restriction(9, 18), now=now).outcome == "allow") is open


def test_a_day_has_twenty_four_hours():
    for time in ("00:00:00", "23:59:59"):
        assert is_open(hours(0, 24), at(f"2026-03-04T{time}"))
    assert not is_open(hours(23, 24), at("2026-03-05T00:00:00"))


@pytest.mark.parametrize(
    ("time", "open"),
    [
        ("2026-03-06T21:59:59", False),  # Friday
        ("2026-03-06T22:00:00", True),
        ("2026-03-07T05:59:59", True),
        ("2026-03-07T06:00:00", False),
        ("2026-03-07T22:00:00", False),
        ("2026-03-06T05:59:59", False),
    ],
)
def test_a_window_over_midnight_belongs_to_the_day_it_began(time, open):
    assert is_open(hours(22, 6, days=(FRI,)), at(time)) is open


def test_days_count_from_sunday():
    sunday = at("2026-03-08T12:00:00")
    assert [is_open(hours(0, 24, days=(SUN,)), sunday + day * 86400) for day in range(7)] == [True] + [False] * 6


def test_the_clock_is_that_of_the_policys_zone():
    now = at("2026-03-04T23:30:00")
    assert is_open(hours(8, 9, zone="Asia/Seoul", days=(THU,)), now)
    assert not is_open(hours(8, 9, zone="Asia/Seoul", days=(WED,)), now)
    assert is_open(hours(5, 6, zone="Asia/Kathmandu"), now)


BERLIN = "Europe/Berlin"


def test_on_the_day_the_clock_goes_forward_a_skipped_hour_opens_when_it_is_over():
    early = at("2026-03-29T00:30:00", BERLIN)
    assert next_opening(hours(2, 5, zone=BERLIN), early) == at("2026-03-29T03:00:00", BERLIN)
    assert not is_open(hours(2, 5, zone=BERLIN), at("2026-03-29T01:59:59", BERLIN))
    assert is_open(hours(2, 5, zone=BERLIN), at("2026-03-29T03:00:00", BERLIN))
    # the only hour that is allowed does not exist on that day
    assert next_opening(hours(2, 3, zone=BERLIN), early) == at("2026-03-30T02:00:00", BERLIN)


def test_on_the_day_the_clock_goes_back_the_hour_that_comes_twice_is_open_twice():
    rules = hours(2, 3, zone=BERLIN)
    first, second = at("2026-10-25T02:00:00", BERLIN), at("2026-10-25T02:00:00", BERLIN, fold=1)
    assert second - first == 3600
    assert [is_open(rules, now) for now in (first - 1, first, second, second + 3599, second + 3600)] == [
        False,
        True,
        True,
        True,
        False,
    ]


def test_a_refusal_tells_when_it_opens():
    now = at("2026-03-06T18:00:00")
    decision = send(1, WIDE, restriction(9, 18, allowed_days=[MON, FRI]), now=now)
    opens = at("2026-03-09T09:00:00")
    assert (decision.code, decision.policy_id) == ("POLICY_DENIED", "TIME_RESTRICTION")
    assert details(decision)["nextAllowedAt"] == opens
    assert decision.remedies == (After(opens), PolicyChange(PolicyType.TIME_RESTRICTION))
    assert retry_after(decision) is None


def test_a_zone_that_skipped_a_day_opens_on_the_next():
    now = at("2011-12-29T23:00:00", "Pacific/Apia")
    assert next_opening(hours(9, 10, zone="Pacific/Apia", days=(FRI,)), now) == at(
        "2012-01-06T09:00:00", "Pacific/Apia"
    )


zones = st.sampled_from(["UTC", BERLIN, "Asia/Kathmandu", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia"])
days = st.sets(st.integers(0, 6), min_size=1)
windows = st.tuples(st.integers(0, 23), st.integers(1, 24)).filter(lambda pair: pair[0] != pair[1])


@settings(max_examples=150, deadline=None)
@given(windows, days, zones, st.integers(1_300_000_000, 1_800_000_000))
def test_it_opens_at_the_first_time_that_is_open(window, allowed, zone, now):
    rules = hours(*window, days=sorted(allowed), zone=zone)
    opening = next_opening(rules, now)
    if is_open(rules, now):
        return
    assert opening is not None
    assert is_open(rules, opening)
    assert not any(is_open(rules, moment) for moment in range(now, opening, 1800))
    assert not is_open(rules, opening - 1)


# --- RATE_LIMIT --------------------------------------------------------------------------------


def rate(most, seconds, **more):
    return policy("RATE_LIMIT", max_requests=most, window_seconds=seconds, **more)


def times(*ago):
    return tuple(NOW - seconds for seconds in ago)


def test_the_request_after_the_last_is_refused_until_the_oldest_leaves():
    recent = times(*range(0, 100, 10))
    assert send(1, WIDE, rate(11, 100), recent=recent).outcome == "allow"
    decision = send(1, WIDE, rate(10, 100), recent=recent)
    assert (decision.code, details(decision)["nextAllowedAt"], retry_after(decision)) == (
        "RATE_LIMIT_EXCEEDED",
        NOW + 10,
        10,
    )
    assert decision.remedies == (After(NOW + 10), PolicyChange(PolicyType.RATE_LIMIT))
    assert send(1, WIDE, rate(10, 100), recent=recent, now=NOW + 9).outcome == "deny"
    assert send(1, WIDE, rate(10, 100), recent=recent, now=NOW + 10).outcome == "allow"


def test_the_refusal_is_too_many_requests_and_may_be_repeated():
    decision = send(1, WIDE, rate(1, 60), recent=times(0))
    refusal = denial(decision.code)(decision.reason, retry_after=retry_after(decision), **details(decision))
    assert (refusal.status, refusal.retryable, refusal.retry_after, refusal.details["retryAfter"]) == (
        429,
        True,
        60,
        60,
    )


def test_several_rates_hold_at_once():
    rates = rate(2, 10, id="a"), rate(3, 1000, id="b")
    assert send(1, WIDE, *rates, recent=times(5, 50)).outcome == "allow"
    assert send(1, WIDE, *rates, recent=times(1, 2)).policy_id == "a"
    assert send(1, WIDE, *rates, recent=times(20, 30, 40)).policy_id == "b"


def test_more_requests_than_allowed_push_the_opening_back():
    decision = send(1, WIDE, rate(2, 100), recent=times(1, 2, 3, 4))
    assert details(decision)["nextAllowedAt"] == NOW + 98


def test_the_facts_look_back_as_far_as_the_longest_window_in_force():
    policies = (
        rate(2, 10, id="a"),
        rate(50, 5, id="b", agent_id=AGENT),
        rate(1, 9999, id="c", agent_id="another"),
        rate(1, 9999, id="d", enabled=False),
        WIDE,
    )
    assert lookback(policies, AGENT) == (10, 50)
    assert lookback([WIDE], AGENT) == (0, 0)


def test_the_time_offered_is_one_at_which_every_rule_is_open():
    now = at("2026-03-04T17:00:00")
    policies = limit(daily_total="100"), restriction(9, 18), rate(1, 3600)
    decision = send(60, *policies, rows=(_settled(50, now - 86400 + 7200),), recent=(now - 10,), now=now)
    assert decision.code == "RATE_LIMIT_EXCEEDED"
    after = next(remedy for remedy in decision.remedies if isinstance(remedy, After))
    assert after.at == at("2026-03-05T09:00:00")


def _settled(amount, moment):
    return spent(amount, ago=NOW - moment)


def test_no_time_is_offered_while_money_in_flight_blocks():
    policies = limit(daily_total="100"), rate(1, 3600)
    decision = send(60, *policies, rows=(row(50),), recent=times(10))
    assert not any(isinstance(remedy, After) for remedy in decision.remedies)
