"""How many requests count is the same whether they are counted anew or followed one by one."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from waiaas.domain.ledger import KEPT_SECONDS
from waiaas.domain.tally import Standing, Tally

SESSIONS = ("a", "b", None)
#: (session, seconds after the one before, what becomes of it: nothing yet, an effect, none)
REQUESTS = st.lists(
    st.tuples(st.sampled_from(SESSIONS), st.integers(-5, 9), st.sampled_from(["open", "ended", "gone"])), max_size=20
)


def made(requests) -> list[Standing]:
    now, found = 10**9, []
    for place, (session, seconds, _) in enumerate(requests):
        now += seconds
        found.append(Standing(f"r{place}", place, session, now, counts=True, is_final=False))
    return found


def later(standing: Standing, end: str) -> Standing:
    return msgspec.structs.replace(standing, counts=end != "gone", is_final=end != "open")


def told(tally: Tally, without: str | None = None) -> tuple[list[int], int, int]:
    recent = tally.recent(without=without)
    times = [recent[number] for number in range(len(recent))]
    return times, tally.of(["a"], without=without), tally.of(["a", "b"], without=without)


def naive(standings: list[Standing], without: str | None = None) -> tuple[list[int], int, int]:
    counting = [each for each in standings if each.counts and each.id != without]
    of = [each.session_id for each in counting]
    return sorted((each.made_at for each in counting), reverse=True), of.count("a"), of.count("a") + of.count("b")


@given(REQUESTS, st.integers(0, 20), st.integers(0, 20), st.integers(0, 20))
def test_counts_follow_the_requests(requests, known, seen, again):
    """Counted at one moment, with what ended before it; then each change, some of them twice or known already."""
    begun = made(requests)
    ends = [end for _, _, end in requests]
    first = [later(each, ends[each.place]) if each.place < seen else each for each in begun[:known]]
    counting = [each for each in first if each.counts]
    tally = Tally({}, max((each.place for each in counting), default=-1), counting)
    now = [later(each, end) for each, end in zip(begun, ends, strict=True)]
    tally.take([*now[again:], *now])
    tally.take(now[:again])
    assert told(tally) == naive(now)
    for each in now:
        if not each.is_final:
            assert told(tally, each.id) == naive(now, each.id)


def test_what_ended_long_ago_counts_for_its_session_alone():
    young = Standing("r9", 9, "a", 10**9, counts=True, is_final=False)
    tally = Tally({"a": 5, None: 2}, 12, [young])
    assert told(tally) == ([10**9], 6, 6)
    # two that the count has in it already: a clock was put back between the young one and the second
    tally.take([Standing(f"r{place}", place, "a", 1, counts=True, is_final=True) for place in (7, 12)])
    assert told(tally) == ([10**9], 6, 6)


def test_times_older_than_any_window_are_dropped():
    tally = Tally({}, -1, [])
    for place in range(100):
        tally.take([Standing(f"r{place}", place, "a", place * 86400, counts=True, is_final=place > 0)])
    times, of_session, _ = told(tally)
    assert times[:31] == [at * 86400 for at in range(99, 68, -1)]
    assert len(times) * 86400 <= 2 * KEPT_SECONDS
    assert of_session == 100
    # whose time is not kept any more can still be left out, and end without effect
    assert tally.of(["a"], without="r0") == 99
    assert told(tally, "r0")[0] == times
    tally.take([Standing("r0", 0, "a", 0, counts=False, is_final=True)])
    assert (told(tally)[0], tally.of(["a"])) == (times, 99)


def test_a_time_ahead_of_the_others_drops_none_of_them():
    """The clock was two months ahead for one request, and the operator put it back."""
    before, ahead, after = (
        Standing(f"r{place}", place, "a", at, counts=True, is_final=False)
        for place, at in enumerate((10**9, 10**9 + 2 * KEPT_SECONDS, 10**9 + 60))
    )
    tally = Tally({}, 1, [before, ahead])
    tally.take([after])
    assert told(tally) == naive([before, ahead, after])
