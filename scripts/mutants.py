"""Take each guard out of a scratch copy, one at a time, and see that the tests named for it fail; docs/mutants.md."""

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue

import msgspec

ROOT = Path(__file__).parents[1]
LISTS = ROOT / "tests" / "mutants"
#: what a copy needs for any test that a mutant may name
COPIED = ("waiaas", "sql", "tests", "docs", "scripts", "pyproject.toml", "README.md")
LEFT_OUT = shutil.ignore_patterns("__pycache__", "node_modules")
#: copies at work at the same time
AT_ONCE = 2
#: a run without a guard that takes longer proves nothing; all tests with every guard in place may take that long
LONGEST_SECONDS, LONGEST_OF_ALL = 180.0, 1800.0
PYTEST = (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-rfE", "--tb=short")
FAILED = re.compile(r"^FAILED (.+?)(?: - (.*))?$", re.M)
#: the invariants are looked at when a test is over: what they find is a failure of that test
FAILED_AFTERWARDS = re.compile(r"^_+ (ERROR at teardown) of (.+?) _+$", re.M)
BROKEN = re.compile(r"^(?:FAILED|ERROR) (.+?)(?: - (.*))?$", re.M)
NOT_FOUND = re.compile(r"^ERROR: not found: .+\n", re.M)
STDOUT = "-"
#: exit codes of pytest: interrupted, no such test, none selected
COULD_NOT_BEGIN = (2, 4, 5)


class Mutant(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A guard taken out: `old`, which stands in `file` exactly once, becomes `new`; then one of `tests` must fail."""

    file: str
    old: str
    new: str
    tests: list[str]
    guard: str = ""
    name: str = ""


class Result(msgspec.Struct, frozen=True):
    """How it went: the test that killed it, or else why nothing is proven."""

    guard: str
    mutant: str
    killed_by: str | None
    #: what that test said, or what went wrong
    said: str
    seconds: float


class Run(msgspec.Struct, frozen=True):
    """One run of pytest; `code` is None if it had to be ended."""

    code: int | None
    output: str
    seconds: float


class Copy:
    """A copy of the project in which tests run."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        for name in COPIED:
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, directory / name, ignore=LEFT_OUT)
            elif source.exists():
                shutil.copy(source, directory / name)

    @contextmanager
    def without(self, mutant: Mutant) -> Iterator[None]:
        """Inside, the guard is gone."""
        path = self._directory / mutant.file
        text = path.read_text()
        self._write(path, text.replace(mutant.old, mutant.new))
        try:
            yield
        finally:
            self._write(path, text)

    def _write(self, path: Path, text: str) -> None:
        """Compiled code goes too: one made in the same second from as many bytes would pass for the new one."""
        path.write_text(text)
        for compiled in (path.parent / "__pycache__").glob(f"{path.stem}.*.pyc"):
            compiled.unlink()

    def run(self, tests: Iterable[str], *options: str, within_seconds: float = LONGEST_SECONDS) -> Run:
        """These tests, on this copy."""
        environment = os.environ | {"PYTHONPATH": str(self._directory), "COLUMNS": "400"}
        began = time.monotonic()
        process = subprocess.Popen(
            [*PYTEST, *options, *tests],
            cwd=self._directory,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
        try:
            output, _ = process.communicate(timeout=within_seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            output, _ = process.communicate()
            return Run(None, output, time.monotonic() - began)
        return Run(process.returncode, output, time.monotonic() - began)


def read_lists() -> list[Mutant]:
    """Every mutant of every list, in order; what a guard says of `file` and `tests` holds for all of its own."""
    found = []
    for path in sorted(LISTS.glob("*.toml")):
        for guard, fields in tomllib.loads(path.read_text()).items():
            shared = {name: value for name, value in fields.items() if not isinstance(value, dict)}
            for name, own in fields.items():
                if isinstance(own, dict):
                    found.append(msgspec.convert(shared | own | {"guard": guard, "name": name}, Mutant))
    return found


def misfits(mutant: Mutant) -> Iterator[str]:
    """Why this mutant cannot be tried."""
    path = ROOT / mutant.file
    found = path.read_text().count(mutant.old) if path.exists() else 0
    if found != 1:
        yield f"its old text occurs {found} times in {mutant.file}"
    if mutant.old == mutant.new:
        yield "it changes nothing"
    if not mutant.tests:
        yield "it names no test"
    for test in mutant.tests:
        file, _, name = test.partition("::")
        wanted = f"def {name.partition('[')[0]}(" if name else "def test_"
        if not (ROOT / test).is_dir() and not ((ROOT / file).is_file() and wanted in (ROOT / file).read_text()):
            yield f"there is no test {test}"


def is_named(test: str, unknown: str) -> bool:
    """Whether pytest says that it does not know the test; it leaves the case out where nothing is parametrised."""
    return f"{test}\n" in unknown or f"{test.partition('[')[0]}\n" in unknown


def failing(copy: Copy, tests: Sequence[str]) -> list[str]:
    """Those of the tests that fail, or are not there, although nothing was taken out."""
    if not tests:
        return []
    run = copy.run(tests, within_seconds=LONGEST_OF_ALL)
    found = [test for test, _ in BROKEN.findall(run.output)]
    if run.code in COULD_NOT_BEGIN:
        # one name that is not known, one file that cannot be imported, and none of the others is run
        unknown = "".join(NOT_FOUND.findall(run.output))
        if useless := [test for test in tests if is_named(test, unknown) or test.partition("::")[0] in found]:
            return useless + failing(copy, [test for test in tests if test not in useless])
    if run.code != 0 and not found:
        sys.exit(f"The tests cannot be run:\n{run.output[-4000:]}")
    return found


def tried(copy: Copy, mutant: Mutant, broken: Sequence[str]) -> Result:
    """What the tests say without the guard; nothing is proven by tests that fail with it too."""
    if misfit := next(misfits(mutant), None):
        return Result(mutant.guard, mutant.name, None, misfit, 0.0)
    useless = [test for test in mutant.tests if any(one.startswith(test) or test.startswith(one) for one in broken)]
    if useless:
        return Result(
            mutant.guard, mutant.name, None, f"{useless[0]} fails, or is not there, with the guard in place", 0.0
        )
    with copy.without(mutant):
        run = copy.run(mutant.tests, "-x")
    if run.code == 0:
        return Result(mutant.guard, mutant.name, None, "SURVIVED: no test fails without this guard", run.seconds)
    if run.code == 1 and (found := FAILED.search(run.output)):
        return Result(mutant.guard, mutant.name, found[1], found[2] or "", run.seconds)
    if run.code == 1 and (found := FAILED_AFTERWARDS.search(run.output)):
        return Result(mutant.guard, mutant.name, found[2], found[1], run.seconds)
    why = "its tests do not end" if run.code is None else "its tests could not be run"
    return Result(mutant.guard, mutant.name, None, f"{why}: {run.output[-400:]}", run.seconds)


def campaign(mutants: Sequence[Mutant]) -> list[Result]:
    """Every mutant in one of the copies, after every test has passed with all guards in place."""
    tests = sorted({test for mutant in mutants for test in mutant.tests if not any(misfits(mutant))})
    with tempfile.TemporaryDirectory(prefix="waiaas-mutants-") as scratch, ThreadPoolExecutor(AT_ONCE) as pool:
        copies = [Copy(Path(scratch) / str(number)) for number in range(AT_ONCE)]
        half = -(-len(tests) // AT_ONCE) or 1
        shares = [tests[start : start + half] for start in range(0, len(tests), half)]
        broken = [one for found in pool.map(failing, copies, shares) for one in found]
        free: SimpleQueue[Copy] = SimpleQueue()
        for copy in copies:
            free.put(copy)

        def work(mutant: Mutant) -> Result:
            copy = free.get()
            try:
                result = tried(copy, mutant, broken)
            finally:
                free.put(copy)
            print(f"{mutant.name}: {'killed' if result.killed_by else result.said}", file=sys.stderr)
            return result

        return list(pool.map(work, mutants))


def show(results: Sequence[Result]) -> None:
    """A line for each mutant under its guard, for people."""
    wide = max(len(result.mutant) for result in results)
    guard = ""
    for result in results:
        if result.guard != guard:
            print(f"\n{(guard := result.guard)}")
        print(f"  {result.mutant:<{wide}}  {result.seconds:5.1f} s  {result.killed_by or result.said}")


def report(results: Sequence[Result], seconds: float) -> dict[str, object]:
    """A campaign as JSON: how many there were and were killed, who is left, and each of them."""
    alive = [f"{one.guard}: {one.mutant}" for one in results if one.killed_by is None]
    return {
        "mutants": len(results),
        "killed": len(results) - len(alive),
        "survivors": alive,
        "seconds": round(seconds),
        "results": msgspec.to_builtins(results),
    }


def main() -> None:
    """Exit 1 if a mutant survives or does not fit the code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", metavar="NAME", action="append", help="those whose name or guard has this in it")
    parser.add_argument("--list", action="store_true", help="check that they fit the code and name them; run nothing")
    parser.add_argument("--json", nargs="?", const=STDOUT, metavar="FILE", help="results for programs")
    options = parser.parse_args()
    wanted = options.only or [""]
    chosen = [one for one in read_lists() if any(text in one.name or text in one.guard for text in wanted)]
    if not chosen:
        sys.exit(f"There is no mutant {' or '.join(wanted)}.")
    if options.list:
        print("\n".join(f"{one.guard}: {one.name} in {one.file}" for one in chosen))
        sys.exit("\n".join(f"{one.name}: {misfit}" for one in chosen for misfit in misfits(one)) or None)
    began = time.monotonic()
    results = campaign(chosen)
    if options.json:
        told = json.dumps(report(results, time.monotonic() - began), indent=2)
        print(told) if options.json == STDOUT else Path(options.json).write_text(f"{told}\n")
    if options.json != STDOUT:
        show(results)
    alive = [result.mutant for result in results if result.killed_by is None]
    if alive:
        sys.exit(f"{len(alive)} of {len(results)} are not killed: {', '.join(alive)}")
    print(f"All {len(results)} are killed, in {time.monotonic() - began:.0f} s.", file=sys.stderr)


main()
