"""The hook kills exactly where it was told, and a program without a plan does not notice it."""

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from waiaas.cli.torture import hook

PROGRAM = """
import os, sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("CREATE TABLE IF NOT EXISTS t (name TEXT)")
for name in ("one", "two", "three"):
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("INSERT INTO t VALUES (:name)", {"name": name})
    connection.execute("COMMIT")
for name in ("a.json", "b.json"):
    open(sys.argv[1] + ".new", "w").close()
    os.rename(sys.argv[1] + ".new", os.path.join(os.path.dirname(sys.argv[1]), name))
"""


@pytest.fixture
def run(tmp_path):
    """Runs the program with a plan; its exit code, the rows it left, the files it renamed."""

    def run(plan: dict | None) -> tuple[int, list[str], list[str]]:
        shutil.copy(hook.__file__, tmp_path / "sitecustomize.py")
        if plan:
            (tmp_path / "plan.json").write_text(json.dumps(plan))
        database = tmp_path / "t.db"
        environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
        ended = subprocess.run([sys.executable, "-c", PROGRAM, str(database)], env=environment, check=False)
        connection = sqlite3.connect(database)
        rows = [name for (name,) in connection.execute("SELECT name FROM t")]
        connection.close()
        return ended.returncode, rows, sorted(path.name for path in tmp_path.glob("?.json"))

    return run


def test_without_a_plan_nothing_happens(run):
    assert run(None) == (0, ["one", "two", "three"], ["a.json", "b.json"])


def test_it_dies_before_the_commit(run):
    plan = {"kind": "sql", "text": "'two'", "when": "before", "count": 1}
    assert run(plan) == (-signal.SIGKILL, ["one"], [])


def test_it_dies_after_the_commit(run):
    plan = {"kind": "sql", "text": "'two'", "when": "after", "count": 1}
    assert run(plan) == (-signal.SIGKILL, ["one", "two"], [])


def test_it_counts_the_groups_that_hold_the_statement(run):
    plan = {"kind": "sql", "text": "INSERT INTO t", "when": "before", "count": 3}
    assert run(plan) == (-signal.SIGKILL, ["one", "two"], [])


def test_it_dies_before_the_rename(run):
    assert run({"kind": "file", "name": "b.*", "count": 1}) == (-signal.SIGKILL, ["one", "two", "three"], ["a.json"])


def test_a_group_without_the_statement_is_left_alone(run):
    plan = {"kind": "sql", "text": "'four'", "when": "before", "count": 1}
    assert run(plan)[0] == 0


def test_a_machine_that_was_off_for_a_while_comes_back_later(tmp_path):
    shutil.copy(hook.__file__, tmp_path / "sitecustomize.py")
    (tmp_path / "clock.json").write_text("160")
    program = "import os, time; print(time.time() - os.stat(__import__('sys').argv[1]).st_mtime)"
    (tmp_path / "now").touch()
    command = [sys.executable, "-c", program, str(tmp_path / "now")]
    told = subprocess.run(command, env={**os.environ, "PYTHONPATH": str(tmp_path)}, capture_output=True, check=True)
    assert 159 < float(told.stdout) < 190


STARTER = """
import os, subprocess, sys
with open(os.path.join(sys.argv[1], "parent.json"), "w") as file:
    file.write(str(os.getpid()))
environment = {**os.environ, "PYTHONPATH": sys.argv[1]}
print(subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], env=environment).pid, flush=True)
input()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="prctl(2) is of Linux")
def test_it_does_not_outlive_who_started_it(tmp_path):
    shutil.copy(hook.__file__, tmp_path / "sitecustomize.py")
    command = [sys.executable, "-c", STARTER, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as starter:
        assert starter.stdout is not None
        child = int(starter.stdout.readline())
        # it has set itself up when it sleeps
        wait_until(lambda: is_running(child, "S"))
        starter.kill()
    wait_until(lambda: not is_running(child))


def wait_until(holds: Callable[[], bool]) -> None:
    for _ in range(500):
        if holds():
            return
        time.sleep(0.01)
    raise AssertionError("it took more than five seconds")


def is_running(pid: int, states: str = "RSDTtW") -> bool:
    """Whether such a process is there in one of these states, and not only waiting to be collected."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in states
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_an_orphan_does_not_even_begin(tmp_path):
    shutil.copy(hook.__file__, tmp_path / "sitecustomize.py")
    (tmp_path / "parent.json").write_text("1")
    command = [sys.executable, "-c", PROGRAM, str(tmp_path / "t.db")]
    ended = subprocess.run(command, env={**os.environ, "PYTHONPATH": str(tmp_path)}, check=False)
    assert (ended.returncode, (tmp_path / "t.db").exists()) == (-signal.SIGKILL, False)
