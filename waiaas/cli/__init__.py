"""The command line: commands are named here and imported only when they are called."""

import importlib
import sys
import traceback
from collections.abc import Sequence
from typing import Any, NoReturn

import click
import msgspec

from waiaas.cli.context import Group, error_fields, exit_code, told
from waiaas.errors import StartError, UsageWrong, WaiaasError

#: name → module under waiaas.cli that holds it, and its line in the help
COMMANDS = {
    "init": ("init", "Create the wallet: data directory, keystore and database."),
    "serve": ("daemon", "Run the daemon in the foreground."),
    "start": ("daemon", "Run the daemon, in the background with -d."),
    "stop": ("daemon", "Stop the daemon."),
    "status": ("status", "Tell whether the daemon runs and how it is."),
    "agent": ("agent", "Agents: one key on one network each."),
    "session": ("session", "Session tokens for programs that act for an agent."),
    "owner": ("owner", "Owners: whose wallet has the last word on an agent's money."),
    "approve": ("approve", "Decide a transaction as the agent's owner: the text is shown, then signed."),
    "tx": ("tx", "Transactions: send, follow, explain, speed up and cancel them."),
    "policy": ("policy", "Policies: what agents may spend."),
    "faucet": ("agent", "Give an agent on a localnet more money."),
    "kill-switch": ("killswitch", "The kill switch: stop everything at once."),
    "recover": ("killswitch", "Lift the kill switch: the agents that it stopped act again, sessions stay revoked."),
    "secret": ("secret", "The secret that session tokens are signed with."),
    "config": ("config", "Read and edit config.toml."),
    "db": ("db", "The database: migrations and checks."),
    "audit": ("audit", "The audit log."),
    "localnet": ("localnet", "The embedded chain, served alone."),
    "torture": ("torture", "Kill the daemon again and again, and compare what it says with the chain."),
    "version": ("version", "Tell the version."),
}


class Root(Group):
    """`waiaas`: loads a command's module when it is called, and turns every error into text and exit code."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"waiaas.cli.{COMMANDS[cmd_name][0]}")
        command: click.Command = getattr(module, cmd_name.replace("-", "_"))
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The help texts written above, so that `--help` imports no command."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])

    def main(  # type: ignore[override]  # click's own says what is returned in each mode
        self, args: Sequence[str] | None = None, prog_name: str | None = None, **extra: Any
    ) -> NoReturn:
        """Run one command and exit: 0, or the code of the error, which is told on stderr or as JSON on stdout."""
        args = list(sys.argv[1:] if args is None else args)
        try:
            if sys.platform not in ("linux", "darwin"):
                raise StartError("WAIaaS runs on Linux and macOS.")
            extra["standalone_mode"] = False
            code = super().main(args, prog_name or "waiaas", **extra)
        except click.ClickException as error:
            code = fail(UsageWrong(error.format_message()), "--json" in args)
        except click.Abort:
            code = fail(StartError("Interrupted."), "--json" in args)
        except OSError as error:
            code = fail(StartError(f"{error.filename or 'waiaas'}: {error.strerror or error}."), "--json" in args)
        except WaiaasError as error:
            code = fail(error, "--json" in args)
        except Exception:
            traceback.print_exc()
            code = fail(WaiaasError(), "--json" in args)
        sys.exit(code if isinstance(code, int) else 0)


def fail(error: WaiaasError, as_json: bool) -> int:
    """Tell the error, with its hint, to a program or to people; its exit code."""
    if as_json:
        click.echo(msgspec.json.encode({"ok": False, "error": error_fields(error)}, enc_hook=str))
    else:
        click.echo(told(error), err=True)
    return exit_code(error)


root = Root("waiaas", help="WAIaaS: a self-hosted wallet for AI agents, with limits that are real.")


def main() -> NoReturn:
    """The entry of a process: hardened before it reads any secret."""
    from waiaas.lifecycle import harden

    harden()
    root.main()
