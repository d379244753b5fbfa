"""The figures of a run, for people and as JSON."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from waiaas.cli.torture.points import MANY, MUST, NAMED

if TYPE_CHECKING:
    from rich.table import Table


class Recovery(msgspec.Struct, frozen=True):
    """Seconds from the start of a process to its first ready answer."""

    p50: float
    p99: float
    max: float


class Report(msgspec.Struct, frozen=True, rename="camel"):
    """What a run did and found; `points` counts the kills that caught something in each state on disk."""

    seed: int
    kills: int
    clients: int
    networks: list[str]
    seconds: float
    hits_per_point: dict[str, int]
    kills_per_trigger: dict[str, int]
    missed_triggers: int
    faults: dict[str, int]
    leaps: int
    evicted: int
    throws: int
    suspensions: int
    forks: int
    jumps: int
    strangers: int
    decisions: int
    renewals: int
    operations: dict[str, int]
    intents: int
    accepted: int
    transactions: int
    ends: dict[str, int]
    landed: int
    signed_again: int
    duplicates: int
    lost: int
    violated_limits: int
    unbalanced: int
    recovery: Recovery
    passed: bool
    findings: list[str]


def recovery(seconds: Sequence[float]) -> Recovery:
    """Percentiles by nearest rank; zeros if nothing was measured."""
    ranked = sorted(seconds) or [0.0]

    def at(share: float) -> float:
        return round(ranked[max(0, math.ceil(share * len(ranked)) - 1)], 3)

    return Recovery(at(0.5), at(0.99), round(ranked[-1], 3))


def missed_points(kills: int, hits: dict[str, int], *, restricted: bool) -> list[str]:
    """What a long run should have met and did not."""
    if kills < MANY or restricted:
        return []
    return [f"points: {kills} kills, and none at point {letter}" for letter in MUST if not hits[letter]]


def table(report: Report) -> "Table":
    """One line for each figure."""
    from rich.table import Table

    shown = Table("figure", "value", title=f"Torture, seed {report.seed}", title_justify="left")
    shown.columns[1].overflow = "fold"
    found, went = report.recovery, f"{report.leaps} leaps, {report.evicted} evicted"
    for name, value in (
        ("kills", f"{report.kills} in {report.seconds:.0f} s, {report.missed_triggers} triggers not met"),
        ("caught at point", "  ".join(f"{letter} {report.hits_per_point[letter]}" for letter in NAMED)),
        ("transactions", f"{report.transactions} of {report.intents} intents, {report.landed} landed"),
        ("ended", "\n".join(f"{number} {ending}" for ending, number in report.ends.items())),
        ("faults", f"{sum(report.faults.values())} of {len(report.faults)} kinds, {went}"),
        ("stopped", f"{report.throws} times everything, {report.suspensions} times an agent"),
        (
            "befell",
            f"{report.forks} forks, {report.jumps} jumps of the price, {report.strangers} payments of a stranger",
        ),
        ("owners, sessions", f"{report.decisions} decisions, {report.renewals} renewals"),
        ("duplicates, lost", f"{report.duplicates}, {report.lost}"),
        ("limits violated, unbalanced", f"{report.violated_limits}, {report.unbalanced}"),
        ("recovery", f"p50 {found.p50} s, p99 {found.p99} s, at most {found.max} s"),
        ("verdict", "passed" if report.passed else f"{len(report.findings)} findings"),
    ):
        shown.add_row(name, value)
    return shown
