"""The program that takes guards out: what it calls killed, and everything that it does not believe."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parents[2] / "scripts" / "mutants.py"
CODE = """
LIMIT = 10


def passes(amount: int) -> bool:
    return 0 < amount <= LIMIT
"""
TESTS = """
import pytest
from waiaas.guard import passes


def test_the_limit_passes():
    assert passes(10)


def test_more_does_not():
    assert not passes(11)


@pytest.fixture
def books():
    yield
    assert not passes(0)


def test_of_nothing_in_particular(books):
    pass


def test_nobody_asks_for():
    pass


def test_that_fails_anyway():
    assert passes(12)
"""
MUTANTS = """
["the limit holds"]
file = "waiaas/guard.py"
tests = ["tests/test_guard.py::test_the_limit_passes", "tests/test_guard.py::test_more_does_not"]

["the limit holds".larger]
old = "LIMIT = 10"
new = "LIMIT = 99"

["the limit holds".smaller]
old = "LIMIT = 10"
new = "LIMIT = 09"

["the limit holds".smallest]
old = "LIMIT = 10"
new = "LIMIT = +9"

["the limit holds".nothing]
old = "0 < amount"
new = "0 <= amount"
tests = ["tests/test_guard.py::test_of_nothing_in_particular"]

["the limit holds".untested]
old = "0 < amount"
new = "1 < amount"

["the limit holds".twice]
old = "LIMIT"
new = "MOST"

["the limit holds".moved]
file = "waiaas/elsewhere.py"
old = "LIMIT = 10"
new = "LIMIT = 11"

["the limit holds".idle]
old = "LIMIT = 10"
new = "LIMIT = 10"

["nobody looks".no_such_test]
file = "waiaas/guard.py"
old = "LIMIT = 10"
new = "LIMIT = 11"
tests = ["tests/test_guard.py::test_more_does"]

["nobody looks".broken_test]
file = "waiaas/guard.py"
old = "LIMIT = 10"
new = "LIMIT = 11"
tests = ["tests/test_guard.py::test_that_fails_anyway"]

["nobody looks".no_such_case]
file = "waiaas/guard.py"
old = "LIMIT = 10"
new = "LIMIT = 11"
tests = ["tests/test_guard.py::test_nobody_asks_for[100]"]

["nobody looks".unreadable_test]
file = "waiaas/guard.py"
old = "LIMIT = 10"
new = "LIMIT = 11"
tests = ["tests/test_unreadable.py::test_something"]
"""
#: mutant → the test that kills it, or what is said of it
OUTCOMES = {
    "larger": "tests/test_guard.py::test_more_does_not",
    "smaller": "its tests could not be run",
    "smallest": "tests/test_guard.py::test_the_limit_passes",
    "nothing": "test_of_nothing_in_particular",
    "untested": "SURVIVED",
    "twice": "its old text occurs 2 times in waiaas/guard.py",
    "moved": "its old text occurs 0 times in waiaas/elsewhere.py",
    "idle": "it changes nothing",
    "no_such_test": "there is no test tests/test_guard.py::test_more_does",
    "broken_test": "tests/test_guard.py::test_that_fails_anyway fails, or is not there, with the guard in place",
    "unreadable_test": "tests/test_unreadable.py::test_something fails, or is not there, with the guard in place",
    "no_such_case": "tests/test_guard.py::test_nobody_asks_for[100] fails, or is not there, with the guard in place",
}


@pytest.fixture
def project(tmp_path):
    """A project of one guard, its tests, its mutants and the program."""
    root = tmp_path / "project"
    for path, text in {
        "pyproject.toml": '[tool.pytest.ini_options]\nasyncio_default_fixture_loop_scope = "function"\n',
        "waiaas/__init__.py": "",
        "waiaas/guard.py": CODE,
        "tests/test_guard.py": TESTS,
        "tests/test_unreadable.py": "import nothing_of_this_name\n\n\ndef test_something(): ...\n",
        "tests/mutants/limits.toml": MUTANTS,
    }.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    (root / "scripts").mkdir()
    shutil.copy(PROGRAM, root / "scripts")
    return root


def run(root: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """The program of that project, its temporary files beside it."""
    scratch = root.parent / "scratch"
    scratch.mkdir(exist_ok=True)
    done = subprocess.run(
        [sys.executable, root / "scripts" / "mutants.py", *options],
        cwd=root,
        env=os.environ | {"TMPDIR": str(scratch)},
        capture_output=True,
        text=True,
        timeout=55,
    )
    assert list(scratch.iterdir()) == []
    return done


def test_only_a_test_that_fails_without_the_guard_alone_kills_a_mutant(project):
    done = run(project, "--json")
    assert done.returncode == 1
    report = json.loads(done.stdout)
    told = {one["mutant"]: one["killed_by"] or one["said"] for one in report["results"]}
    assert told.keys() == OUTCOMES.keys()
    assert {name: told[name][: len(said)] for name, said in OUTCOMES.items()} == OUTCOMES
    killed = {one["mutant"] for one in report["results"] if one["killed_by"]}
    assert killed == {"larger", "smallest", "nothing"}
    assert (report["mutants"], report["killed"]) == (len(OUTCOMES), len(killed))
    assert {one.partition(": ")[2] for one in report["survivors"]} == OUTCOMES.keys() - killed
    assert (project / "waiaas" / "guard.py").read_text() == CODE


def test_all_killed_is_success_and_people_see_which_test_did_it(project):
    done = run(project, "--only", "larger", "--only", "smallest", "--json", "results.json")
    assert done.returncode == 0, done.stderr
    assert json.loads((project / "results.json").read_text())["survivors"] == []
    assert "the limit holds\n  larger" in done.stdout
    assert "tests/test_guard.py::test_more_does_not" in done.stdout


def test_listing_runs_nothing_and_tells_of_all_that_does_not_fit(project):
    done = run(project, "--list")
    assert done.returncode == 1
    assert len(done.stdout.splitlines()) == len(OUTCOMES)
    assert [line.partition(":")[0] for line in done.stderr.splitlines()] == ["twice", "moved", "idle", "no_such_test"]
    assert run(project, "--list", "--only", "larger").returncode == 0
    assert run(project, "--list", "--only", "nobody has this name").returncode == 1


def test_every_mutant_of_this_project_fits_its_code():
    done = subprocess.run([sys.executable, PROGRAM, "--list"], capture_output=True, text=True, timeout=50)
    assert done.returncode == 0, done.stderr
