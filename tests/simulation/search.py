"""Many seeds, on every processor, and what they came to."""

import itertools
import json
import multiprocessing
import re
import secrets
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from multiprocessing.pool import Pool
from pathlib import Path

from tests.simulation.season import case_of, play
from tests.simulation.world import Broken, World

LARGEST = 10**9
ENDS = "SELECT status || COALESCE(' ' || error_code, '') FROM transactions"
TOLD = "SELECT event_type FROM audit_log"

#: of a line of the trace: act and time come first; how it begins where something went wrong
PREFIX = len(f"{0:5} {0:10.3f} ")
FAULTS = {
    "the process is killed": "kill", "the power fails": "power cut", "lost": "exchange lost",
    "unheard": "answer lost", "status": "HTTP status", "garbage": "garbage", "refused": "commit refused",
}  # fmt: skip
LIE = re.compile(r"[\w-]+: seat \d lies about \[(.+)\]")
LAG = re.compile(r"[\w-]+: seat \d is [1-9]")
#: what a run came to: its seed, its failure if it has one, and how often what happened
Found = tuple[int, str, Counter[str]]


def each(seeds: Iterable[int], file: Path | None = None, *, at_once: int = 1) -> int:
    """All of them, with a tally of everything that happened, in `file` too; 1 if one failed."""
    if at_once == 1:
        return _report(map(one, seeds), tally=True, file=file)
    with multiprocessing.get_context("spawn").Pool(at_once) as pool:
        return _report(pool.imap_unordered(one, seeds), tally=True, file=file)


def long(minutes: float, first: int | None, file: Path | None = None) -> int:
    """As many as fit into so many minutes, counted up from `first`; 1 if one failed."""
    first = secrets.randbelow(LARGEST) if first is None else first
    with multiprocessing.get_context("spawn").Pool() as pool:
        return _report(_side_by_side(pool, first, time.monotonic() + 60 * minutes), tally=False, file=file)


def one(seed: int) -> Found:
    """Play a seed."""
    try:
        return seed, "", happened(play(case_of(seed)))
    except Broken as broken:
        return seed, str(broken), Counter()


def happened(world: World) -> Counter[str]:
    """Acts, lives, effects on chain, faults, the ends of transactions, and the audit events of a run."""
    connection = world.disk.connection
    ends = Counter(f"transaction {row[0]}" for row in connection.execute(ENDS))
    told = Counter(f"audited {row[0]}" for row in connection.execute(TOLD))
    told["effects"] = len(world.cluster.landed) + len(world.evm.landed) - len(world.evm.strangers)
    return ends + told + faults(world.acts.lines) + Counter({"acts": world.acts.count, "lives": world.lives, "runs": 1})


def faults(trace: Iterable[str]) -> Counter[str]:
    """What went wrong around the process, by kind; of lies, by what they are about."""
    found = Counter[str]()
    for line in trace:
        said = line[PREFIX:]
        for start, fault in FAULTS.items():
            found[f"fault {fault}"] += said.startswith(start)
        if lie := LIE.match(said):
            found[f"lie {lie[1]}"] += 1
        found["fault lag"] += LAG.match(said) is not None
        found["fault fork"] += ": a fork of " in said
    return +found


def report(played: int, failed: Sequence[int], total: Counter[str], seconds: float) -> dict[str, object]:
    """A campaign as JSON."""

    def of(kind: str) -> dict[str, int]:
        return {what.partition(" ")[2]: count for what, count in sorted(total.items()) if what.startswith(f"{kind} ")}

    return {
        "seeds": played,
        "acts": total["acts"],
        "lives": total["lives"],
        "crashes": total["fault kill"] + total["fault power cut"],
        "faults": of("fault"),
        "lies": of("lie"),
        "requests": total["audited TX_REQUESTED"],
        "effects": total["effects"],
        "ends": of("transaction"),
        "audited": of("audited"),
        "violations": list(failed),
        "seconds": round(seconds),
    }


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


def _report(found: Iterable[Found], *, tally: bool, file: Path | None) -> int:
    played, failed, total = 0, [], Counter[str]()
    began = time.monotonic()
    for seed, broken, counts in found:
        played += 1
        total += counts
        if broken:
            failed.append(seed)
            print(f"\n{broken}" if len(failed) == 1 else f"\nseed {seed} failed too", flush=True)
        print(f"\r{played} seeds, {len(failed)} failed, {time.monotonic() - began:.0f} s", end="", file=sys.stderr)
    if file is not None:
        file.write_text(json.dumps(report(played, failed, total, time.monotonic() - began), indent=2) + "\n")
    print(file=sys.stderr)
    print(f"{played} seeds held: {total['acts']} acts in {total['lives']} lives" if not failed else f"failed: {failed}")
    for what, count in sorted(total.items()) if tally else ():
        print(f"{count:8} {what}")
    return 1 if failed else 0
