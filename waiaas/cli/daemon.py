"""`waiaas serve`, `start` and `stop`."""

import functools
import os
import signal
from collections.abc import Callable
from typing import Any

import click

from waiaas import __version__
from waiaas.cli.context import Command, Context
from waiaas.cli.detach import Parent, start_detached
from waiaas.cli.password import PasswordOptions, password_options, read_password
from waiaas.cli.run import Flags, run
from waiaas.config import Config, Daemon
from waiaas.config.load import load
from waiaas.errors import AlreadyRunning, ConfigInvalid, NotRunning, StartError
from waiaas.lifecycle import is_held, read_holder, send_signal, wait_until_free

POLL_SECONDS = 0.5
#: beyond `daemon.shutdown_timeout`, before a daemon that does not stop is killed
GRACE_SECONDS = 5
KILLED = 5


def serve_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """--port, --log-level and --accept-clock as `flags: Flags`, and the password options."""

    @click.option("--port", type=int, help="TCP port, instead of daemon.port.")
    @click.option("--log-level", help="debug, info, warn or error, instead of daemon.log_level.")
    @click.option("--accept-clock", is_flag=True, help="Start although the clock went back.")
    @password_options
    @functools.wraps(function)
    def wrapper(*args: Any, port: int | None, log_level: str | None, accept_clock: bool, **kwargs: Any) -> Any:
        return function(*args, flags=Flags(port, log_level, accept_clock), **kwargs)

    return wrapper


@click.command(cls=Command)
@serve_options
@click.option("--handover", hidden=True)
def serve(context: Context, flags: Flags, password: PasswordOptions, handover: str | None) -> None:
    """Run the daemon in the foreground."""
    if handover is None:
        foreground(context, flags, password)
    else:
        parent = Parent(handover)
        with parent.told_of_errors():
            context.exit(run(context, flags, parent.password, parent.ready))


@click.command(cls=Command)
@serve_options
@click.option("-d", "--detach", is_flag=True, help="In the background; returns when the daemon is ready.")
def start(context: Context, flags: Flags, password: PasswordOptions, detach: bool) -> None:
    """Run the daemon, in the background with -d."""
    if not detach:
        foreground(context, flags, password)
    context.require_initialised()
    if is_held(context.data.lock):
        raise AlreadyRunning
    config = load(context.data.config, os.environ, flags.overrides).config
    pid = start_detached(context.data, flags.arguments(), read_password(context, password))
    announce(context, config, pid)


def foreground(context: Context, flags: Flags, password: PasswordOptions) -> None:
    """Serve here and exit."""
    obtain = functools.partial(read_password, context, password)
    context.exit(run(context, flags, obtain, lambda config: announce(context, config, os.getpid())))


def announce(context: Context, config: Config, pid: int) -> None:
    """The ready line."""
    address = f"http://{config.daemon.hostname}:{config.daemon.port}"
    fields = {"ready": True, "version": __version__, "address": address, "pid": pid}
    context.answer(fields, f"WAIaaS daemon v{__version__} ready on {address} (pid {pid})")


@click.command(cls=Command)
@click.option("--force", is_flag=True, help="Kill it at once; the database and the chain stay right.")
def stop(context: Context, force: bool) -> None:
    """Stop the daemon."""
    if not is_held(context.data.lock):
        context.data.pid.unlink(missing_ok=True)
        raise NotRunning
    found = read_holder(context.data.lock)
    if found is None:
        raise StartError(f"{context.data.lock} does not say which process holds it.")
    if not force and send_signal(found.pid, signal.SIGTERM) and freed(context, patience(context)):
        context.answer({"stopped": True, "killed": False, "pid": found.pid}, f"Stopped (pid {found.pid}).")
    else:
        kill(context, found.pid)


def kill(context: Context, pid: int) -> None:
    """SIGKILL and exit 5: nothing is lost, the rows are the queue."""
    send_signal(pid, signal.SIGKILL)
    if not freed(context, GRACE_SECONDS):
        raise StartError(f"Process {pid} was killed and yet {context.data.lock} is held.")
    context.data.pid.unlink(missing_ok=True)
    context.answer({"stopped": True, "killed": True, "pid": pid}, f"Killed (pid {pid}).")
    context.exit(KILLED)


def patience(context: Context) -> int:
    """Seconds that stopping may take; a configuration that cannot be read must not keep the daemon running."""
    try:
        timeout = context.config().daemon.shutdown_timeout
    except ConfigInvalid as error:
        context.warn(error.message)
        timeout = Daemon().shutdown_timeout
    return timeout + GRACE_SECONDS


def freed(context: Context, seconds: int) -> bool:
    """Whether the lock becomes free in that time."""
    return wait_until_free(context.data.lock, steps=int(seconds / POLL_SECONDS), step_seconds=POLL_SECONDS)
