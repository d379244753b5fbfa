"""Rules about when and how often: TIME_RESTRICTION, RATE_LIMIT, AUTO_STOP."""

from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from waiaas.domain.chain import Chain
from waiaas.domain.fields import Fields, integer, parse_object, text

LONGEST_ZONE = 64
EVERY_DAY = tuple(range(7))
FAILURES = (1, 100)
REQUESTS = (1, 100_000)


class Hours(msgspec.Struct, frozen=True):
    """Local hours from `start` up to, and not with, `end`; start > end goes over midnight."""

    start: int
    end: int


class TimeRestriction(msgspec.Struct, frozen=True):
    """TIME_RESTRICTION: when requests pass, by the clock of a time zone; days count from 0, Sunday."""

    allowed_hours: Hours
    allowed_days: tuple[int, ...]
    timezone: str


class RateLimit(msgspec.Struct, frozen=True):
    """RATE_LIMIT: so many requests of an agent in any window."""

    max_requests: int
    window_seconds: int


class AutoStopAction(StrEnum):
    """What follows when a rule of AUTO_STOP fires."""

    WARN = "WARN"
    SUSPEND = "SUSPEND"


class AutoStop(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """AUTO_STOP: what an agent must not do before it is stopped; judged after the fact, never of a request."""

    action: AutoStopAction
    consecutive_failures: int | None = None
    max_per_hour: int | None = None
    max_same_destination_per_hour: int | None = None


class Firing(msgspec.Struct, frozen=True):
    """A rule of an AUTO_STOP that was reached, and how far."""

    rule: str
    observed: int
    limit: int


def fires(rules: AutoStop, failures: int, requests: int, same_destination: int) -> Firing | None:
    """The first rule that fires: as many failures in a row as its bound, or one request more in an hour."""
    if rules.consecutive_failures is not None and failures >= rules.consecutive_failures:
        return Firing("consecutive_failures", failures, rules.consecutive_failures)
    if rules.max_per_hour is not None and requests > rules.max_per_hour:
        return Firing("max_per_hour", requests, rules.max_per_hour)
    if rules.max_same_destination_per_hour is not None and same_destination > rules.max_same_destination_per_hour:
        return Firing("max_same_destination_per_hour", same_destination, rules.max_same_destination_per_hour)
    return None


def parse_time_restriction(raw: object, chain: Chain | None) -> TimeRestriction:
    """The rules of a TIME_RESTRICTION; ValidationFailed lists all issues."""

    def read(fields: Fields) -> TimeRestriction:
        given = fields.get("allowed_days") is not None
        days = fields.each("allowed_days", 1, 7, integer(0, 6)) if given else EVERY_DAY
        if len(set(days)) < len(days):
            fields.refuse("allowed_days", "names a day twice")
        zone = fields.read("timezone", _zone) or "UTC"
        return TimeRestriction(allowed_hours=_hours(fields), allowed_days=tuple(sorted(days)), timezone=zone)

    return parse_object(raw, "rules", ("allowed_hours", "allowed_days", "timezone"), read)


def parse_rate_limit(raw: object, chain: Chain | None) -> RateLimit:
    """The rules of a RATE_LIMIT; ValidationFailed lists all issues."""

    def read(fields: Fields) -> RateLimit:
        return RateLimit(
            max_requests=fields.need("max_requests", integer(1, 1_000_000)),
            window_seconds=fields.need("window_seconds", integer(1, 2_592_000)),
        )

    return parse_object(raw, "rules", ("max_requests", "window_seconds"), read)


def parse_auto_stop(raw: object, chain: Chain | None) -> AutoStop:
    """The rules of an AUTO_STOP; ValidationFailed lists all issues."""

    def read(fields: Fields) -> AutoStop:
        rules = AutoStop(
            action=fields.read("action", _action) or AutoStopAction.SUSPEND,
            consecutive_failures=fields.read("consecutive_failures", integer(*FAILURES)),
            max_per_hour=fields.read("max_per_hour", integer(*REQUESTS)),
            max_same_destination_per_hour=fields.read("max_same_destination_per_hour", integer(*REQUESTS)),
        )
        if all(fields.get(name) is None for name in counted):
            fields.refuse(None, f"must give at least one of {', '.join(counted)}")
        return rules

    counted = ("consecutive_failures", "max_per_hour", "max_same_destination_per_hour")
    return parse_object(raw, "rules", (*counted, "action"), read)


def _hours(fields: Fields) -> Hours:
    if fields.get("allowed_hours") is None:
        fields.refuse("allowed_hours", "required")
        return Hours(0, 24)
    inner = fields.inside("allowed_hours", fields.get("allowed_hours"), ("start", "end"))
    hours = Hours(inner.need("start", integer(0, 23)), inner.need("end", integer(1, 24)))
    if hours.start is not None and hours.start == hours.end:
        inner.refuse("end", "must differ from start")
    return hours


def _zone(value: Any) -> str:
    """The name of a zone of the IANA database; one that is none, or leads out of the database, is refused."""
    try:
        return ZoneInfo(text(LONGEST_ZONE)(value)).key
    except (KeyError, ValueError, OSError):
        raise ValueError('must be the IANA name of a time zone, like "Europe/Berlin"') from None


def _action(value: Any) -> AutoStopAction:
    if value not in list(AutoStopAction):
        raise ValueError(f"must be one of {', '.join(AutoStopAction)}")
    return AutoStopAction(value)
