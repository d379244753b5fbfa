"""The daemon's process from lock to exit code, in the foreground or as the child of `start -d`."""

import asyncio
import os
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress

import msgspec
import structlog

from waiaas import __version__, log
from waiaas.cli.context import Context
from waiaas.config import Config
from waiaas.config.load import load
from waiaas.errors import WaiaasError
from waiaas.files import sweep, write_atomic
from waiaas.lifecycle import hold, holder, keep_started
from waiaas.paths import DataDir, check


class Flags(msgspec.Struct, frozen=True):
    """What the command line sets for one run."""

    port: int | None = None
    log_level: str | None = None
    accept_clock: bool = False

    @property
    def overrides(self) -> dict[str, int | str | None]:
        """As the configuration takes them."""
        return {"daemon.port": self.port, "daemon.log_level": self.log_level}

    def arguments(self) -> list[str]:
        """The same flags, for a child process."""
        given = [("--port", self.port), ("--log-level", self.log_level)]
        named = [text for name, value in given if value is not None for text in (name, str(value))]
        return [*named, "--accept-clock"] if self.accept_clock else named


def run(context: Context, flags: Flags, password: Callable[[], str], ready: Callable[[Config], None]) -> int:
    """Serve until told to stop; the exit code. A start that fails raises its WaiaasError, after logging it.

    `password` is asked only once lock, configuration and directory are in order; `ready` is told when the
    daemon answers.
    """
    context.require_initialised()
    with hold(context.data.lock, holder(context.clock.now(), __version__)):
        loaded = load(context.data.config, os.environ, flags.overrides)
        notices = check(context.data, allow_network_filesystem=loaded.config.database.allow_network_filesystem)
        with logging(context, loaded.config):
            for notice in (*loaded.notices, *notices):
                structlog.get_logger().warning(notice)
            return serve(context, loaded.config, flags, password, ready)


@contextmanager
def logging(context: Context, config: Config) -> Iterator[None]:
    """Log lines go where the configuration says; a start that fails is the last of them."""
    path = context.data.within(config.daemon.log_file) if config.daemon.log_file else None
    sink = log.sink_for(path, largest=config.daemon.log_max_bytes, count=config.daemon.log_max_files)
    log.start(sink, level=config.daemon.log_level, clock=context.clock)
    try:
        yield
    except WaiaasError as error:
        structlog.get_logger().critical("start failed", code=error.code, message=error.message)
        raise
    except Exception:
        structlog.get_logger().critical("daemon failed", exc_info=True)
        raise
    finally:
        sink.close()


def serve(
    context: Context, config: Config, flags: Flags, password: Callable[[], str], ready: Callable[[Config], None]
) -> int:
    """The composition root, with the pid file beside it from ready to stop."""
    from waiaas.app import Options
    from waiaas.app import run as run_daemon

    def when_ready() -> None:
        write_atomic(context.data.pid, f"{os.getpid()}\n".encode())
        keep_started()
        ready(config)

    sweep_temporaries(context.data)
    options = Options(accept_clock=flags.accept_clock)
    try:
        return on_loop(run_daemon(context.data, config, password(), options, ready=when_ready, clock=context.clock))
    finally:
        context.data.pid.unlink(missing_ok=True)


def sweep_temporaries(data: DataDir) -> None:
    """Remove what atomic writes of dead processes left; the log names it."""
    for directory in (data.root, *data.directories):
        with suppress(FileNotFoundError):
            for name in sweep(directory):
                structlog.get_logger().info("removed a file that a dead process left", directory=directory, name=name)


def on_loop(main: Coroutine[None, None, int]) -> int:
    """Run on uvloop where it is installed, else on asyncio's own loop."""
    try:
        import uvloop
    except ImportError:
        return asyncio.run(main)
    return uvloop.run(main)
