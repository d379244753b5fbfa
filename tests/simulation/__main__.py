"""Play one seed, a range, or as many as fit into some minutes; or cut the stories off at every act, or at every two.

Exit 0 if everything held, 1 if not.
"""

import argparse
import os
import sys
from pathlib import Path

from tests.simulation import search
from tests.simulation.season import case_of, play
from tests.simulation.shrink import shrink
from tests.simulation.stories import STORIES, cuts, pairs, tell
from tests.simulation.world import Broken


def main() -> int:
    """0 if everything held."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, help="the run to see again")
    parser.add_argument("--shrink", action="store_true", help="leave out what it fails without")
    parser.add_argument("--trace", action="store_true", help="show every act")
    parser.add_argument("--seeds", help="first and last, as in 0..99")
    parser.add_argument("--minutes", type=float, default=1.0, help="how long to look for a seed that fails")
    parser.add_argument("--from", type=int, dest="first", help="the first seed to look at; else one by chance")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write what many seeds came to")
    parser.add_argument("--at-once", type=int, default=1, metavar="N", help="processes that share a range")
    parser.add_argument("--stories", action="store_true", help="all of them, cut off at every act")
    parser.add_argument(
        "--pairs", action="store_true", help="cut off at every act, and once more at every act after it"
    )
    chosen = parser.parse_args()
    if chosen.stories:
        return stories(pairwise=chosen.pairs)
    if chosen.seed is not None:
        return replay(chosen.seed, shrinking=chosen.shrink, tracing=chosen.trace)
    if chosen.seeds:
        first, last = map(int, chosen.seeds.split(".."))
        return search.each(range(first, last + 1), chosen.json, at_once=chosen.at_once)
    return search.long(chosen.minutes, chosen.first, chosen.json)


def replay(seed: int, *, shrinking: bool, tracing: bool) -> int:
    """One seed."""
    try:
        world = play(case_of(seed))
    except Broken as broken:
        print(broken)
    else:
        if tracing:
            print("\n".join(world.acts.lines))
        print(f"seed {seed} holds: {world.acts.count} acts, {world.lives} lives, trace {world.acts.digest}")
        return 0
    if shrinking:
        small = shrink(case_of(seed), play, print)
        try:
            play(small)
        except Broken as broken:
            print(f"{small}\n{small.wants}\n{small.kills}\n{broken}")
    return 1


def stories(*, pairwise: bool) -> int:
    """Every story, cut off everywhere."""
    failed = 0
    for name in STORIES:
        told = 0
        for kills in pairs(name) if pairwise else ([kill] for kill in cuts(name)):
            told += 1
            try:
                tell(name, *kills)
            except Broken as broken:
                failed += 1
                print(f"{name}, {kills}: {broken}", flush=True)
        print(f"{name}: {told} times cut off", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    if os.environ.get("PYTHONHASHSEED") != "0":
        # the order of a set is chance too
        os.execve(
            sys.executable,
            [sys.executable, "-m", "tests.simulation", *sys.argv[1:]],
            os.environ | {"PYTHONHASHSEED": "0"},
        )
    sys.exit(main())
