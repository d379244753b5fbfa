"""Imports go one way: every import in waiaas, against the table in docs/architecture.md."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROW = re.compile(r"^\| (\d+) \| `([a-z_]+)(?:/|\.py)` \|", re.MULTILINE)
#: a folder of the pipeline, in the second table
FOLDER = re.compile(r"^\| `([a-z]+)/` \|", re.MULTILINE)


def levels() -> dict[str, int]:
    """Module or package right under waiaas → level, as the table has it."""
    return {name: int(level) for level, name in ROW.findall((ROOT / "docs" / "architecture.md").read_text())}


def sources() -> Iterator[tuple[str, Path]]:
    """(module or package right under waiaas, file) for every file but waiaas/__init__.py, which holds the version."""
    for path in sorted((ROOT / "waiaas").rglob("*.py")):
        parts = path.relative_to(ROOT / "waiaas").with_suffix("").parts
        if parts != ("__init__",):
            yield parts[0], path


def imported(path: Path) -> Iterator[tuple[int, str]]:
    """(line, module or package right under waiaas) for every import in a file, wherever it stands."""
    for node in ast.walk(ast.parse(path.read_text())):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno} imports relatively"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            match name.split("."):
                case ["waiaas", str(top), *_] if top != "__version__":
                    yield node.lineno, top


def breaches(own: str, path: Path, level: dict[str, int]) -> Iterator[str]:
    for line, top in imported(path):
        if top != own and level[top] >= level[own]:
            yield f"{path}:{line}: {own} (level {level[own]}) imports {top} (level {level[top]})"


def test_imports_go_one_way():
    level = levels()
    assert [found for own, path in sources() for found in breaches(own, path, level)] == []


def test_the_table_names_exactly_what_is_there():
    assert {own for own, _ in sources()} == set(levels())


def test_the_folders_of_the_pipeline_import_those_below_them():
    pipeline = ROOT / "waiaas" / "pipeline"
    folders = FOLDER.findall((ROOT / "docs" / "architecture.md").read_text())
    assert set(folders) == {path.parent.name for path in pipeline.glob("*/__init__.py")}
    upwards = [
        f"{path}: {found}"
        for level, folder in enumerate(["", *reversed(folders)])
        for path in sorted((pipeline / folder).glob("*.py"))
        for found in re.findall(r"from waiaas\.pipeline(?:\.| import )(\w+)", path.read_text())
        if found in folders and level < len(folders) - folders.index(found)
    ]
    assert upwards == []


def test_a_breach_is_found(tmp_path):
    (tmp_path / "x.py").write_text("def f():\n    from waiaas.api import routes\n")
    assert list(breaches("domain", tmp_path / "x.py", levels())) == [
        f"{tmp_path / 'x.py'}:2: domain (level 1) imports api (level 7)"
    ]


def test_the_top_level_holds_what_the_plan_says():
    made = {"build", "dist", "node_modules"}
    found = {path.name for path in ROOT.iterdir() if not path.name.startswith(".") and path.suffix != ".egg-info"}
    files = {"README.md", "LICENSE", "CHANGELOG.md", "pyproject.toml", "requirements.lock"}
    assert found - made == files | {"waiaas", "sql", "tests", "docs", "scripts"}
