"""A failing run made small: wants, faults and kills are left out while it still fails."""

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import msgspec

from tests.simulation.acts import Kill
from tests.simulation.faults import Profile
from tests.simulation.workload import Want
from tests.simulation.world import Broken

T = TypeVar("T")
#: what a profile may do without
FAULTS = ("lost", "unheard", "status", "garbage", "hangs", "twice", "dropped", "refused")
HABITS = ("lies", "lags", "reorganisations", "prices")


class Case(msgspec.Struct, frozen=True):
    """Everything that is left to chance before a run begins."""

    seed: int
    profile: Profile
    wants: tuple[Want, ...]
    kills: tuple[Kill, ...]

    def __str__(self) -> str:
        left = [name for name in (*FAULTS, *HABITS) if getattr(self.profile, name)]
        return f"{len(self.wants)} wants, {len(self.kills)} kills, faults: {', '.join(left) or 'none'}"


def shrink(case: Case, play: Callable[[Case], object], told: Callable[[str], None], tries: int = 400) -> Case:
    """A smaller case that breaks the same invariant; `told` hears of every step."""
    invariant = failure(case, play)
    smaller = True
    while smaller and tries > 0:
        smaller = False
        for candidate in candidates(case):
            tries -= 1
            if tries > 0 and failure(candidate, play) == invariant:
                case, smaller = candidate, True
                told(str(case))
                break
    return case


def failure(case: Case, play: Callable[[Case], object]) -> str:
    """The invariant that a case breaks; empty if none."""
    try:
        play(case)
    except Broken as broken:
        return broken.invariant
    return ""


def candidates(case: Case) -> Iterator[Case]:
    """Smaller cases, the boldest first."""
    for kills in fewer(case.kills):
        yield msgspec.structs.replace(case, kills=kills)
    for wants in fewer(case.wants):
        yield msgspec.structs.replace(case, wants=wants)
    for name in (*FAULTS, *HABITS):
        if getattr(case.profile, name):
            calmer = msgspec.structs.replace(case.profile, **{name: 0.0 if name in FAULTS else False})
            yield msgspec.structs.replace(case, profile=calmer)


def fewer(items: Sequence[T]) -> Iterator[tuple[T, ...]]:
    """Without a half, a quarter, … of them, wherever it stands."""
    size = len(items) // 2 or 1
    while items and size:
        for start in range(0, len(items), size):
            yield (*items[:start], *items[start + size :])
        size //= 2
