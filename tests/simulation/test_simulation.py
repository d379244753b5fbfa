"""The stories cut off everywhere, a hundred seeds, every seed that ever failed; and a broken product is found out."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec
import pytest

from tests.simulation import engine
from tests.simulation.bounds import SOL
from tests.simulation.faults import CALM
from tests.simulation.season import case_of, play
from tests.simulation.shrink import Case, shrink
from tests.simulation.stories import STORIES, cuts, tell
from tests.simulation.wallet import SOLANA
from tests.simulation.workload import STRANGERS, Want
from tests.simulation.world import Broken
from waiaas import app
from waiaas.chains.base import Proof
from waiaas.chains.solana.adapter import SolanaChain
from waiaas.db import Statement
from waiaas.domain.event import AuditEvent
from waiaas.domain.tally import Tally
from waiaas.pipeline.core import Core
from waiaas.repositories import audit, ledger, sessions

#: on a machine that does other things too
pytestmark = pytest.mark.timeout(180)

ROOT = Path(__file__).parents[2]
SEEDS = range(100)
#: every seed that ever failed; what its run is changes with the workload, and it is run for good all the same
LINES = (Path(__file__).parent / "seeds.txt").read_text().splitlines()
FAILED = [int(line.split()[0]) for line in LINES if not line.startswith("#")]
#: tests that a story's crash points are shared out to
PARTS = 4
#: one seed in so many is run twice
TWICE = 50
RATE = AuditEvent.RATE_LIMIT_EXCEEDED


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("name", STORIES)
def test_a_story_ends_as_it_should_wherever_the_process_dies(name, part):
    for kill in cuts(name)[part::PARTS]:
        tell(name, kill)


def test_in_the_story_of_a_replacement_bytes_are_replaced():
    world = tell("replacement")
    kinds = world.disk.connection.execute("SELECT kind, nonce FROM attempts ORDER BY number").fetchall()
    assert [tuple(row) for row in kinds] == [("SEND", 0), ("SPEED_UP", 0)]


@pytest.mark.parametrize("seed", [*SEEDS, *FAILED])
def test_a_seeded_run_keeps_every_promise(seed):
    play(case_of(seed))


@pytest.mark.parametrize("seed", SEEDS[::TWICE])
def test_the_same_seed_is_the_same_run(seed):
    first, second = play(case_of(seed)).acts, play(case_of(seed)).acts
    for place, digests in enumerate(zip(first.digests, second.digests, strict=False)):
        assert digests[0] == digests[1], f"they part at\n{first.lines[place]}\n{second.lines[place]}"
    assert first.digest == second.digest


def test_a_seed_is_the_same_run_in_every_process():
    seed = 3
    told = subprocess.run(
        [sys.executable, "-m", "tests.simulation", "--seed", str(seed)],
        cwd=ROOT, env=os.environ | {"PYTHONHASHSEED": "17"}, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert told.split()[-1] == play(case_of(seed)).acts.digest


# --- a product that is broken ---------------------------------------------------------------------


def unguarded(statement: Callable[..., Statement]) -> Callable[..., Statement]:
    """The same statement, whatever number of rows it finds."""
    return lambda *args, **kwargs: msgspec.structs.replace(statement(*args, **kwargs), expect=None)


def found(seeds: Iterable[int]) -> str:
    """The invariant that the first failing seed names."""
    for seed in seeds:
        try:
            play(case_of(seed))
        except Broken as broken:
            return broken.invariant
    return "nothing"


def test_a_failure_tells_how_to_see_it_again(monkeypatch):
    monkeypatch.setattr(engine, "make_durable", lambda connection: None)
    with pytest.raises(Broken) as broken:
        play(case_of(0))
    first, *_, acts, last = str(broken.value).splitlines()
    assert first.startswith(f"seed 0 (calm), act {acts.split()[0]}: I2: ")
    assert last == "again: python -m tests.simulation --seed 0 --shrink"


def test_a_failing_run_is_made_smaller(monkeypatch):
    monkeypatch.setattr(engine, "make_durable", lambda connection: None)
    small = shrink(case_of(1), play, lambda told: None)
    assert (len(small.wants), len(small.kills)) == (1, 0)
    assert str(small) == "1 wants, 0 kills, faults: none"


def test_a_writer_that_does_not_sync_is_found_out(monkeypatch):
    monkeypatch.setattr(engine, "make_durable", lambda connection: None)
    with pytest.raises(Broken, match="I2: "):
        tell("transfer")


def test_a_death_without_proof_is_found_out(monkeypatch):
    async def believe(self, attempts):
        return {attempt.hash: Proof(attempt.hash, {}) for attempt in attempts}

    monkeypatch.setattr(SolanaChain, "deaths", believe)
    assert found(range(60)) in ("I1", "I8")


def test_a_network_that_is_open_before_its_recovery_is_found_out(monkeypatch):
    async def nothing(core):
        core.reconciling = set()

    monkeypatch.setattr(app, "close_networks", nothing)
    assert found(range(60)) == "I7"


def test_a_revocation_that_signing_does_not_see_is_found_out(monkeypatch):
    monkeypatch.setattr(sessions, "is_live", unguarded(sessions.is_live))
    assert found(range(5, 300, 6)) == "F13"


def test_limits_that_two_requests_read_at_once_are_found_out(monkeypatch):
    monkeypatch.setattr(Core, "lock", lambda self, agent_id: asyncio.Lock())
    monkeypatch.setattr(ledger, "raise_version", unguarded(ledger.raise_version))
    body = {"to": STRANGERS[SOLANA][0], "amount": str(SOL * 4 // 10)}
    cap = Want(0, 0.0, "cap", 0, body={"daily_total": str(SOL)})
    sends = [Want(number, 2.0, "send", 0, f"key-{number}", body) for number in range(1, 9)]
    with pytest.raises(Broken, match="I3: "):
        play(Case(0, CALM, (cap, *sends), ()))


def test_a_request_that_is_never_uncounted_is_found_out(monkeypatch):
    monkeypatch.setattr(Tally, "_remove", lambda self, request: None)
    assert found(range(60)) == "I3"


@pytest.mark.parametrize("event", ["AGENT_SUSPENDED", "SESSION_ISSUED", "OWNER_SET", "KILL_SWITCH_RECOVERED"])
def test_a_change_that_is_not_audited_is_found_out(monkeypatch, event):
    record = audit.record
    monkeypatch.setattr(
        audit, "record", lambda named, *about, **told: record(RATE if named == event else named, *about, **told)
    )
    kinds = ("suspend", "revoke", "owner", "switch")
    wants = tuple(Want(number, 1.0 + number, kind, 1, amount=1) for number, kind in enumerate(kinds))
    with pytest.raises(Broken, match=f"I6: .*{event}"):
        play(Case(0, CALM, wants, ()))
