"""Policies about when and how often: TIME_RESTRICTION by the clock of a zone, RATE_LIMIT by requests in a window."""

from bisect import bisect_left
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from datetime import time as wall_time
from zoneinfo import ZoneInfo

from waiaas.domain.decision import Finding
from waiaas.domain.policy import Policy
from waiaas.domain.rules.times import RateLimit, TimeRestriction
from waiaas.errors import PolicyDenied, RateLimitExceeded
from waiaas.policy.facts import Case, Facts
from waiaas.policy.judgement import Judgement, by_policy, refusal

#: days to look ahead for an opening: one day of the week may be all that is allowed, and a zone may skip it
LOOKAHEAD_DAYS = 15


def time_restriction(case: Case) -> Iterator[Judgement]:
    """Requests pass within the hours of the allowed days, by the wall clock of the policy's zone."""
    for policy, rules in case.having(TimeRestriction):
        local = datetime.fromtimestamp(case.facts.now, ZoneInfo(rules.timezone))
        observed, hours = f"{local:%a %H:%M} {rules.timezone}", rules.allowed_hours
        limit = f"{hours.start:02}-{hours.end:02}"
        if is_open(rules, case.facts.now):
            yield Judgement(by_policy(policy, Finding.PASS, "within its hours", observed=observed, limit=limit))
        else:
            verdict = by_policy(policy, Finding.DENY, f"closed at {observed}", observed=observed, limit=limit)
            yield refusal(verdict, PolicyDenied.code, opens_at=next_opening(rules, case.facts.now))


def rate_limit(case: Case) -> Iterator[Judgement]:
    """So many requests of the agent in (now - window, now]; the judged one comes on top."""
    for policy, rules in case.having(RateLimit):
        yield _rate(policy, rules, case.facts)


def is_open(rules: TimeRestriction, now: int) -> bool:
    """Whether the time is in a window that began on an allowed day."""
    local = datetime.fromtimestamp(now, ZoneInfo(rules.timezone))
    start, end = rules.allowed_hours.start, rules.allowed_hours.end
    if start < end:
        return start <= local.hour < end and _day(local.date()) in rules.allowed_days
    if local.hour >= start:
        return _day(local.date()) in rules.allowed_days
    return local.hour < end and _day(local.date() - timedelta(days=1)) in rules.allowed_days


def next_opening(rules: TimeRestriction, now: int) -> int | None:
    """The first time from `now` on at which a window begins; None if there is none in two weeks."""
    zone = ZoneInfo(rules.timezone)
    today = datetime.fromtimestamp(now, zone).date()
    for days in range(-1, LOOKAHEAD_DAYS):
        # an hour that the zone skips begins when the clock goes forward
        begins = datetime.combine(today + timedelta(days=days), wall_time(rules.allowed_hours.start), zone)
        at = int(begins.timestamp())
        if at >= now and is_open(rules, at):
            return at
    return None


def _day(day: date) -> int:
    """0 for Sunday to 6."""
    return day.isoweekday() % 7


def _rate(policy: Policy, rules: RateLimit, facts: Facts) -> Judgement:
    since = facts.now - rules.window_seconds
    made = bisect_left(facts.recent, -since, key=lambda at: -at)
    if made < rules.max_requests:
        return Judgement(by_policy(policy, Finding.PASS, "within the rate", observed=made, limit=rules.max_requests))
    message = f"{rules.max_requests} requests in {rules.window_seconds} seconds are allowed and were made"
    verdict = by_policy(policy, Finding.DENY, message, observed=made, limit=rules.max_requests)
    opens_at = facts.recent[rules.max_requests - 1] + rules.window_seconds
    return refusal(verdict, RateLimitExceeded.code, opens_at=opens_at)
