"""What holds for every command: lazily loaded, strict, and one shape of answer and error."""

import importlib
import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from tests.cli.conftest import Run, told
from waiaas import __version__
from waiaas.cli import COMMANDS, root
from waiaas.cli.context import Command, Group
from waiaas.errors import WrongPassword
from waiaas.paths import DataDir

LOADED = """
import sys
from waiaas.cli import root
try:
    root.main(["--help"])
except SystemExit as end:
    assert end.code == 0, end.code
print([name for name in ("httpx", "tomlkit", "structlog", "solders", "rich", "sqlite3") if name in sys.modules])
"""


def commands() -> list[tuple[str, click.Command]]:
    """Every command there is, with its whole name."""
    found = []
    for name, (module, _) in COMMANDS.items():
        command = getattr(importlib.import_module(f"waiaas.cli.{module}"), name.replace("-", "_"))
        inner = command.commands if isinstance(command, click.Group) else {"": command}
        found += [(f"{name} {sub}".strip(), each) for sub, each in inner.items()]
    return found


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_each_command_is_the_line_in_the_table(name: str):
    module, line = COMMANDS[name]
    assert getattr(importlib.import_module(f"waiaas.cli.{module}"), name.replace("-", "_")).help == line


#: it has no wallet to name: it makes one in a directory of its own, and --json names the file of its report
WITHOUT_A_WALLET = {"torture"}


def test_every_command_takes_the_common_options():
    for name, command in commands():
        if name in WITHOUT_A_WALLET:
            assert "data_dir" not in {param.name for param in command.params}
            continue
        assert isinstance(command, Command), name
        assert {"data_dir", "quiet", "json"} <= {param.name for param in command.params}, name


def test_every_command_says_what_it_does_and_every_group_is_ours():
    assert [name for name, command in commands() if not command.help] == []
    for name, (module, _) in COMMANDS.items():
        command = getattr(importlib.import_module(f"waiaas.cli.{module}"), name.replace("-", "_"))
        assert name in WITHOUT_A_WALLET or isinstance(command, Group | Command), name


def test_the_help_loads_nothing_heavy():
    told = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, text=True, check=True)
    assert told.stdout.splitlines()[-1] == "[]"
    assert "Run the daemon in the foreground." in told.stdout


def test_the_version_is_told_to_people_and_programs(run: Run):
    assert run("version").stdout == f"waiaas {__version__}\n"
    assert told(run("version", "--json")) == {"ok": True, "version": __version__}


def test_the_module_runs_as_a_program():
    ended = subprocess.run([sys.executable, "-m", "waiaas", "version"], capture_output=True, text=True, check=True)
    assert ended.stdout == f"waiaas {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nonsense"], "No such command 'nonsense'."),
        (["version", "--jso"], "No such option"),
        (["version", "--what"], "No such option"),
        (["config", "get"], "Missing argument"),
    ],
)
def test_what_cannot_be_understood_ends_with_1_not_2(run: Run, arguments: list[str], said: str):
    ended = CliRunner().invoke(root, arguments)
    assert ended.exit_code == 1
    assert said in ended.stderr
    assert ended.stdout == ""
    ended = CliRunner().invoke(root, [*arguments, "--json"])
    assert told(ended)["error"]["code"] == "USAGE"


def test_an_error_has_code_message_and_hint(run: Run, data: DataDir):
    ended = run("serve", "--json")
    assert ended.exit_code == 3
    assert told(ended) == {
        "ok": False,
        "error": {
            "code": "NOT_INITIALISED",
            "message": f"There is no wallet in {data.root}.",
            "hint": "Run 'waiaas init' first, or name another directory with --data-dir.",
        },
    }
    ended = run("serve")
    assert ended.stderr.startswith(f"Error: There is no wallet in {data.root}.\nRun 'waiaas init'")
    assert ended.stdout == ""


def test_an_error_of_the_operating_system_is_a_sentence(run: Run, data: DataDir):
    data.master.touch()
    data.lock.symlink_to("/dev/null")
    ended = run("serve")
    assert ended.exit_code == 1
    assert ended.stderr == f"Error: {data.lock}: Too many levels of symbolic links.\n"


def test_a_wrong_password_ends_with_4(run: Run, monkeypatch: pytest.MonkeyPatch):
    def wrong(*_: object) -> None:
        raise WrongPassword

    monkeypatch.setattr("waiaas.cli.version.version.callback", wrong)
    ended = run("version", "--json")
    assert ended.exit_code == 4
    assert told(ended)["error"]["code"] == "INVALID_MASTER_PASSWORD"


def test_what_nobody_foresaw_is_one_object_too_and_its_traceback_goes_to_stderr(
    run: Run, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("waiaas.cli.version.version.callback", lambda _: 1 / 0)
    ended = run("version", "--json")
    assert ended.exit_code == 1
    assert told(ended)["error"] == {"code": "INTERNAL_ERROR", "message": "Something unexpected happened."}
    assert "ZeroDivisionError" in ended.stderr


def test_elsewhere_than_on_linux_and_macos_every_command_says_so(run: Run, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "platform", "win32")
    ended = run("version")
    assert (ended.exit_code, ended.stderr) == (1, "Error: WAIaaS runs on Linux and macOS.\n")
