"""What every command has: the data directory, the configuration, and one way to answer.

A command module makes its groups with `cls=Group` and its commands with `@click.command(cls=Command)`
(commands of a Group are Commands by themselves). Each then takes --data-dir, --quiet and --json, and is
called with a Context first:

    @db.command()
    @click.option("--dry-run", is_flag=True, help="Try it on a copy.")
    def migrate(context: Context, dry_run: bool) -> None:
        ...
        context.answer({"from": 1, "to": 2}, "Migrated from 1 to 2.")

Errors are raised as WaiaasError; `waiaas.cli` prints them and ends with their exit code.
"""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click
import msgspec

from waiaas.clock import Clock
from waiaas.errors import DaemonRefused, NotInitialised, StartError, UsageWrong, WaiaasError, WrongPassword
from waiaas.paths import DataDir, locate

if TYPE_CHECKING:
    from rich.console import RenderableType

    from waiaas.config import Config


T = TypeVar("T")
#: details for programs alone
UNTOLD = ("requestId", "issues", "decision")
#: columns of a table that no terminal cuts
WIDEST = 100_000


class Context(msgspec.Struct, frozen=True):
    """The data directory, the clock and the voice of one command."""

    data: DataDir
    clock: Clock
    quiet: bool = False
    json: bool = False

    def config(self, **overrides: Any) -> "Config":
        """The configuration as file, environment and `overrides` (`daemon_port=4000`) give it; ConfigInvalid."""
        from waiaas.config.load import load

        flags = {key.replace("_", ".", 1): value for key, value in overrides.items()}
        return load(self.data.config, os.environ, flags).config

    def require_initialised(self) -> None:
        """NotInitialised (exit 3) unless `waiaas init` has run on the data directory."""
        if not self.data.initialised:
            raise NotInitialised(f"There is no wallet in {self.data.root}.")

    def note(self, text: str) -> None:
        """A remark for people beside the answer, on stderr; --quiet hides it."""
        if not self.quiet:
            click.echo(text, err=True)

    def warn(self, text: str) -> None:
        """Something people should see to, on stderr, --quiet or not."""
        click.echo(f"Warning: {text}", err=True)

    def answer(self, fields: dict[str, Any], text: "RenderableType") -> None:
        """The result: one JSON object with --json, else text or a rich table for people; both on stdout."""
        if self.json:
            click.echo(msgspec.json.encode({"ok": True, **fields}, enc_hook=str))
        elif isinstance(text, str):
            click.echo(text)
        else:
            show(text)

    def exit(self, code: int) -> NoReturn:
        """End the command with this exit code, after the answer."""
        raise click.exceptions.Exit(code)


def show(renderable: "RenderableType") -> None:
    """Print a table as wide as the terminal, or as wide as it needs where there is none."""
    from rich.console import Console

    Console(width=None if sys.stdout.isatty() else WIDEST, soft_wrap=not sys.stdout.isatty()).print(renderable)


class Command(click.Command):
    """A command that takes --data-dir, --quiet and --json, and whose function gets a Context first."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params += [
            click.Option(["--data-dir"], metavar="PATH", help="The data directory (WAIAAS_DATA_DIR, else ~/.waiaas)."),
            click.Option(["--quiet"], is_flag=True, help="The answer only, no remarks."),
            click.Option(["--json"], is_flag=True, help="One JSON object on stdout."),
        ]

    def invoke(self, ctx: click.Context) -> Any:
        """Run the function with a Context made of the three common options."""
        data = locate(ctx.params.pop("data_dir"), os.environ)
        context = Context(data, Clock(), ctx.params.pop("quiet"), ctx.params.pop("json"))
        assert self.callback is not None
        return ctx.invoke(self.callback, context, **ctx.params)


class Group(click.Group):
    """A group whose commands are Commands."""

    command_class = Command
    group_class: type | None = type

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The whole line of each command, where click would cut it."""
        commands = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl([(name, (command and command.help) or "") for name, command in commands])


def exit_code(error: WaiaasError) -> int:
    """4 for a wrong password, the error's own code if it is meant for a command, else 1."""
    if isinstance(error, WrongPassword):
        return 4
    return error.exit_code if isinstance(error, StartError) else 1


def told(error: WaiaasError) -> str:
    """The error for people: its message, what to do, and of a refusal the code and the details that the hint names."""
    lines = [f"Error: {error.message}", error.hint or ""]
    if isinstance(error, DaemonRefused):
        from waiaas.cli.show import text

        known = {"code": error.code, **error.details}
        lines += [
            f"  {name}: {text(name, value)}"
            for name, value in known.items()
            if name not in UNTOLD and isinstance(value, int | str)
        ]
        if made := known.get("transactionId"):
            lines.append(f"'waiaas tx why {made}' tells more.")
    return "\n".join(line for line in lines if line)


def error_fields(error: WaiaasError) -> dict[str, Any]:
    """`{code, message, hint?, details?}`."""
    fields: dict[str, Any] = {"code": error.code, "message": error.message}
    if error.hint:
        fields["hint"] = error.hint
    if error.details:
        fields["details"] = dict(error.details)
    return fields


def confirm(question: str, *, yes: bool) -> None:
    """Ask on the terminal, unless --yes was given; UsageWrong where there is no terminal, StartError on a no."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageWrong("There is no terminal to ask on: add --yes.")
    if not click.confirm(question, err=True):
        raise StartError("Nothing was done.")


def read_object(text: str) -> dict[str, Any]:
    """A JSON object, or with `@` before it the file that holds one; UsageWrong if it is not."""
    return _read(text, dict[str, Any], "a JSON object")


def read_list(text: str) -> list[Any]:
    """A JSON list, or with `@` before it the file that holds one; UsageWrong if it is not."""
    return _read(text, list[Any], "a JSON list")


def _read(text: str, kind: type[T], what: str) -> T:
    try:
        source = Path(text[1:]).read_bytes() if text.startswith("@") else text.encode()
        return msgspec.json.decode(source, type=kind)
    except (OSError, msgspec.MsgspecError) as error:
        raise UsageWrong(f"{text[:80]!r} is not {what}: {error}.") from error
