"""The pages tell what is there: every setting, error code, command, route, state and dependency, and nothing else."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import click
import pytest

from waiaas import errors
from waiaas.api.routes import ROUTES
from waiaas.cli import root
from waiaas.config import KEYS
from waiaas.domain.event import AuditEvent, EventType
from waiaas.domain.transaction import MOVES, Reason

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted(DOCS.rglob("*.md"))]


def page(name: str) -> str:
    return (DOCS / name).read_text()


def rows(text: str) -> list[list[str]]:
    """The cells of every table row whose first cell is a plain word."""
    found = [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in text.splitlines() if line[:2] == "| "]
    return [cells for cells in found if re.fullmatch(r"[A-Z_]+", cells[0])]


def section(text: str, heading: str) -> str:
    """What stands under a heading of the second level."""
    return text.split(f"\n## {heading}\n")[1].split("\n## ")[0]


def names_used() -> set[str]:
    """Every name and attribute that waiaas reads."""
    used = set()
    for path in (ROOT / "waiaas").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Name(id=name, ctx=ast.Load()) | ast.Attribute(attr=name, ctx=ast.Load()):
                    used.add(name)
    return used


# --- settings ----------------------------------------------------------------------------------


def test_every_setting_has_a_heading_and_every_heading_a_setting():
    headings = re.findall(r"^#{2,4} `?([a-z]+\.[a-z0-9_]+)", page("config.md"), re.MULTILINE)
    assert sorted(headings) == sorted(KEYS)


def test_every_setting_is_read():
    used = names_used()
    assert [key.dotted for key in KEYS.values() if not key.is_endpoints and key.name not in used] == []


# --- errors ------------------------------------------------------------------------------------


def test_every_refusal_is_documented_with_its_status():
    said = {
        (code, int(status), again == "yes") for code, status, again, _ in rows(section(page("errors.md"), "Over HTTP"))
    }
    kinds = [kind for kind in errors.tree(errors.Refusal) if kind.code != "INTERNAL_ERROR" or kind is errors.Refusal]
    assert said == {(kind.code, kind.status, kind.retryable) for kind in kinds if issubclass(kind, errors.Refusal)}


def test_every_code_of_a_row_is_documented():
    said = {cells[0] for cells in rows(section(page("errors.md"), "On a transaction"))}
    permanent = {kind.code for kind in errors.tree(errors.Permanent) if kind is not errors.Permanent}
    assert said == permanent | {reason.value for reason in Reason}


def test_every_code_of_a_command_is_documented_with_its_exit_code():
    said = {(cells[0], int(cells[1])) for cells in rows(section(page("errors.md"), "From a command"))}
    stopping = [*errors.tree(errors.StartError), *errors.tree(errors.StorageError), *errors.tree(errors.KeystoreError)]
    codes = {(kind.code, getattr(kind, "exit_code", 1)) for kind in stopping if kind.code != "INTERNAL_ERROR"}
    over_http = {kind.code for kind in errors.tree(errors.Refusal)}
    assert said == {(code, number) for code, number in codes if code not in over_http}


def test_every_error_is_raised_somewhere():
    raised = set()
    for path in (ROOT / "waiaas").rglob("*.py"):
        if path.name != "errors.py":
            tree = ast.parse(path.read_text())
            raised |= {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
            raised |= {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    leaves = [
        kind.__name__ for kind in errors.tree() if not kind.__subclasses__() and kind.__module__ == "waiaas.errors"
    ]
    by_code = {kind.__name__ for kind in errors.tree(errors.Denied)}
    assert [name for name in leaves if name not in raised | by_code] == []


def test_every_reason_of_a_row_is_given_somewhere():
    used = names_used()
    assert [reason.name for reason in Reason if reason.name not in used] == []


@pytest.mark.parametrize("kind", [AuditEvent, EventType])
def test_every_event_is_told_somewhere(kind):
    used = {
        node.attr
        for path in (ROOT / "waiaas").rglob("*.py")
        if path.name != "event.py"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == kind.__name__
    }
    assert used == set(kind.__members__)


# --- commands ----------------------------------------------------------------------------------


def commands(group: click.Group, path: tuple[str, ...] = ()) -> dict[str, click.Command]:
    """Path in words → command, for every command that does something."""
    found: dict[str, click.Command] = {}
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        nested = commands(command, (*path, name)) if isinstance(command, click.Group) else {}
        found |= nested or {" ".join((*path, name)): command}
    return found


def headings() -> dict[str, str]:
    """Command in words → what docs/commands.md says under its heading."""
    found = re.findall(
        r"^### `waiaas ([a-z -]+?)(?: [^a-z`]*)?`\n(.*?)(?=^#|\Z)", page("commands.md"), re.MULTILINE | re.DOTALL
    )
    return {name.strip(): text for name, text in found}


def test_every_command_has_a_heading_and_every_heading_a_command():
    assert sorted(headings()) == sorted(commands(root))


def options(command: click.Command) -> set[str]:
    """The long options of a command, both spellings of a flag that can be off."""
    shown = [part for part in command.params if isinstance(part, click.Option) and not part.hidden]
    return {option for part in shown for option in (*part.opts, *part.secondary_opts) if option.startswith("--")}


def test_every_option_is_documented_at_its_command():
    common = set(re.findall(r"^\| `(--[a-z-]+)", page("commands.md"), re.MULTILINE))
    said = {name: set(re.findall(r"`(--[a-z-]+)", text)) for name, text in headings().items()}
    assert said == {name: options(command) - common for name, command in commands(root).items()}
    assert common <= {"--help"}.union(*(options(command) for command in commands(root).values()))


# --- states, dependencies, links ---------------------------------------------------------------


def test_the_states_are_drawn_as_they_move():
    drawn = re.search(r"```mermaid\n(.*?)```", page("states.md"), re.DOTALL)
    made = subprocess.run(
        [sys.executable, ROOT / "scripts" / "states.py", "--stdout"], capture_output=True, text=True, check=True
    )
    assert drawn is not None
    assert drawn[1] == made.stdout, "run scripts/states"


def test_every_move_is_told():
    assert sorted((before, after) for before, after, *_ in rows(page("states.md"))) == sorted(MOVES)


def test_every_dependency_has_its_reason():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [
        *project["dependencies"],
        *(name for extra in project["optional-dependencies"].values() for name in extra),
    ]
    names = {re.match(r"[a-z0-9-]+", text)[0] for text in wanted}  # type: ignore[index]
    said = set(re.findall(r"^\| `([a-z0-9-]+)` \|", page("decisions/0001-dependencies.md"), re.MULTILINE))
    assert said == names


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path):
    links = re.findall(r"\]\((?!https?://)([^)#]+)", path.read_text())
    assert [link for link in links if not (path.parent / link).exists()] == []


def test_the_lock_file_names_no_place_to_fetch_from():
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    assert [line for line in lines if line.startswith("-") or "://" in line] == []


# --- routes ------------------------------------------------------------------------------------


def test_every_route_is_listed_with_who_may_call():
    listed = re.findall(r"^\| ([A-Z]+) \| `([^`]+)` \| ([a-z, ]+?) \|", page("api.md"), re.MULTILINE)
    said = {(method, path, tuple(sorted(guards.split(", ")))) for method, path, guards in listed}
    names = {"masterAuth": "operator", "sessionAuth": "session", "ownerAuth": "owner"}
    guards = {route: tuple(sorted(names[kind.scheme] for kind in route.guard.kinds)) or ("anyone",) for route in ROUTES}
    assert said == {(route.method, route.path, guards[route]) for route in ROUTES}
