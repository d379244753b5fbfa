"""Many seeds, on every processor, and what they came to."""

import itertools
import multiprocessing
import secrets
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from multiprocessing.pool import Pool

from tests.simulation.season import case_of, play
from tests.simulation.world import Broken, World

LARGEST = 10**9
ENDS = "SELECT status || COALESCE(' ' || error_code, '') FROM transactions"
TOLD = "SELECT event_type FROM audit_log"

#: what a run came to: its seed, its failure if it has one, and how often what happened
Found = tuple[int, str, Counter[str]]


def each(seeds: Iterable[int]) -> int:
    """All of them, one after the other, with a tally of everything that happened; 1 if one failed."""
    return _report(map(one, seeds), tally=True)


def long(minutes: float, first: int | None) -> int:
    """As many as fit into so many minutes, counted up from `first`; 1 if one failed."""
    first = secrets.randbelow(LARGEST) if first is None else first
    with multiprocessing.get_context("spawn").Pool() as pool:
        return _report(_side_by_side(pool, first, time.monotonic() + 60 * minutes), tally=False)


def one(seed: int) -> Found:
    """Play a seed."""
    try:
        return seed, "", happened(play(case_of(seed)))
    except Broken as broken:
        return seed, str(broken), Counter()


def happened(world: World) -> Counter[str]:
    """Acts, lives, the ends of transactions, and the audit events of a run."""
    connection = world.disk.connection
    ends = Counter(f"transaction {row[0]}" for row in connection.execute(ENDS))
    told = Counter(f"audited {row[0]}" for row in connection.execute(TOLD))
    return ends + told + Counter({"acts": world.acts.count, "lives": world.lives, "runs": 1})


def _side_by_side(pool: Pool, seed: int, deadline: float) -> Iterator[Found]:
    """A pool takes all that it is offered, so it is offered only what it can begin now."""
    free = threading.Semaphore(multiprocessing.cpu_count())

    def offered() -> Iterator[int]:
        for number in itertools.count(seed):
            free.acquire()
            if time.monotonic() >= deadline:
                return
            yield number

    for found in pool.imap_unordered(one, offered()):
        free.release()
        yield found


def _report(found: Iterable[Found], *, tally: bool) -> int:
    played, failed, total = 0, [], Counter[str]()
    began = time.monotonic()
    for seed, broken, counts in found:
        played += 1
        total += counts
        if broken:
            failed.append(seed)
            print(f"\n{broken}" if len(failed) == 1 else f"\nseed {seed} failed too", flush=True)
        print(f"\r{played} seeds, {len(failed)} failed, {time.monotonic() - began:.0f} s", end="", file=sys.stderr)
    print(file=sys.stderr)
    print(f"{played} seeds held: {total['acts']} acts in {total['lives']} lives" if not failed else f"failed: {failed}")
    for what, count in sorted(total.items()) if tally else ():
        print(f"{count:8} {what}")
    return 1 if failed else 0
