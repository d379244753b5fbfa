"""The schedule follows from the seed, and meets every point in turn."""

import pytest

from waiaas.cli.torture.chance import Chance
from waiaas.cli.torture.points import NAMED, Schedule, parse, parse_list
from waiaas.cli.torture.report import missed_points, recovery
from waiaas.errors import UsageWrong


def schedule(seed: int, count: int, points=None) -> list:
    made = Schedule(Chance(seed), points)
    return [made.next() for _ in range(count)]


def test_a_seed_decides_every_kill():
    assert schedule(7, 50) == schedule(7, 50)
    assert schedule(7, 50) != schedule(8, 50)


def test_every_named_point_comes_up():
    named = {name for names in NAMED.values() for name in names}
    found = {str(point) for point in schedule(1, 4 * len(named))}
    assert {str(parse(name)) for name in named} <= found
    assert "random" in found


def test_points_restrict_it():
    assert {str(point) for point in schedule(1, 20, parse_list("g,random"))} == {*NAMED["g"], "random"}


def test_a_statement_may_have_colons_and_needs_no_side():
    assert parse("sql:UPDATE t SET a = 'x:y'").what == "UPDATE t SET a = 'x:y'"
    assert (parse("rpc:sendTransaction:after").what, parse("rpc:sendTransaction:after").when) == (
        "sendTransaction",
        "after",
    )
    assert str(parse("file:epoch.json")) == "file:epoch.json"


@pytest.mark.parametrize("text", ["z", "rpc:", "whenever", ""])
def test_what_is_no_point_is_refused(text):
    with pytest.raises(UsageWrong):
        parse_list(text)


def test_chance_is_evenly_spread():
    drawn = [Chance(1, "spread").apart(number).number() for number in range(2000)]
    assert 0.45 < sum(drawn) / len(drawn) < 0.55
    assert min(drawn) >= 0
    assert max(drawn) < 1
    assert {Chance(1).apart(number).whole(1, 3) for number in range(100)} == {1, 2, 3}


def test_a_long_run_must_have_met_the_points():
    hits = dict.fromkeys(NAMED, 1) | {"g": 0}
    assert missed_points(99, hits, restricted=False) == []
    assert missed_points(100, hits, restricted=True) == []
    assert missed_points(100, hits, restricted=False) == ["points: 100 kills, and none at point g"]


def test_percentiles_are_those_of_the_measured():
    told = recovery([number / 100 for number in range(1, 101)])
    assert (told.p50, told.p99, told.max) == (0.5, 0.99, 1.0)
    assert recovery([]).max == 0
