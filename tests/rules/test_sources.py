"""Time and chance come from clock.py and ids.py alone, so that a test can hold both in its hand."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "waiaas"
MODULES = {"random", "secrets", "uuid", "uuid_utils", "time"}
CALLS = {("os", "urandom"), ("os", "getrandom")}
NOW = {"now", "utcnow", "today"}
#: what a tortured child runs before the program belongs to no program, and sets its clock
HOOK = "cli/torture/hook.py"
ALLOWED = {"clock.py": {"time"}, "ids.py": {"uuid_utils", "os.urandom"}, HOOK: {"time"}}


def touched(path: Path) -> Iterator[str]:
    """What a file takes from a clock or a generator of random things."""
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.Import(names=names):
                yield from (alias.name for alias in names if alias.name.split(".")[0] in MODULES)
            case ast.ImportFrom(module=str(module), names=names):
                if module.split(".")[0] in MODULES:
                    yield module
                yield from (f"{module}.{alias.name}" for alias in names if (module, alias.name) in CALLS)
            case ast.Attribute(value=ast.Name(id=module), attr=attr) if (module, attr) in CALLS:
                yield f"{module}.{attr}"
            case ast.Attribute(value=ast.Name(id="datetime" | "date") | ast.Attribute(attr="datetime"), attr=attr):
                if attr in NOW:
                    yield f"datetime.{attr}"


def test_only_the_clock_and_the_ids_touch_time_and_chance():
    breaches = {
        str(path.relative_to(PACKAGE)): found
        for path in sorted(PACKAGE.rglob("*.py"))
        if (found := set(touched(path)) - ALLOWED.get(str(path.relative_to(PACKAGE)), set()))
    }
    assert breaches == {}


@pytest.mark.parametrize(
    "source",
    [
        "import time",
        "from time import sleep",
        "def f():\n    import uuid",
        "import os\nos.urandom(4)",
        "from os import urandom",
        "import datetime\ndatetime.datetime.now()",
        "from datetime import datetime\ndatetime.utcnow()",
    ],
)
def test_a_breach_is_found(tmp_path, source):
    (tmp_path / "x.py").write_text(source)
    assert list(touched(tmp_path / "x.py")) != []
