"""`waiaas localnet`: the embedded chains without the daemon, for outside tools."""

import asyncio
import os
import shutil
import signal
import socket
from contextlib import AsyncExitStack, ExitStack
from typing import TYPE_CHECKING

import click

from waiaas import __version__
from waiaas.cli.context import Context, Group
from waiaas.cli.stored import database_path
from waiaas.db.connection import reading
from waiaas.errors import LocalnetInUse, PortTaken
from waiaas.lifecycle import Holder, hold
from waiaas.log import Stderr, start
from waiaas.paths import create
from waiaas.repositories.soundness import live_on_localnets

if TYPE_CHECKING:
    from hypercorn.config import Config


@click.group(cls=Group)
def localnet() -> None:
    """The embedded chain, served alone."""


@localnet.command()
@click.option(
    "--solana-port", type=click.IntRange(0, 65535), default=8899, show_default=True, help="Port; 0 takes a free one."
)
@click.option("--evm-port", type=click.IntRange(0, 65535), help="Serve Ethereum too, on this port; 0 takes a free one.")
def serve(context: Context, solana_port: int, evm_port: int | None) -> None:
    """Serve the embedded chains as JSON-RPC on 127.0.0.1 until interrupted; the daemon must be stopped."""
    create(context.data)
    start(Stderr(), level="warn", clock=context.clock)
    with hold(context.data.lock, holder(context)), ExitStack() as stack:
        solana = stack.enter_context(listen(solana_port))
        ethereum = None if evm_port is None else stack.enter_context(listen(evm_port))
        asyncio.run(serve_chains(context, solana, ethereum))


@localnet.command()
@click.confirmation_option(prompt="Delete the embedded chains and all money on them?")
def reset(context: Context) -> None:
    """Delete the embedded chains: the next start begins new ones; the daemon must be stopped."""
    create(context.data)
    with hold(context.data.lock, holder(context)):
        require_unused(context)
        shutil.rmtree(context.data.localnet)
        create(context.data)
    context.answer(
        {"deleted": str(context.data.localnet)}, "The embedded chains are deleted; the next start begins anew."
    )


def require_unused(context: Context) -> None:
    """LocalnetInUse while a transaction waits for what only these chains can tell."""
    if not context.data.initialised:
        return
    with reading(database_path(context)) as connection:
        live = live_on_localnets(connection)
    if live:
        raise LocalnetInUse(f"{len(live)} transactions on the embedded chains have not ended yet.", transactions=live)


def holder(context: Context) -> Holder:
    """What this process writes into the data directory's lock."""
    return Holder(pid=os.getpid(), started_at=context.clock.now(), version=__version__)


def listen(port: int) -> socket.socket:
    """A listening socket on loopback; PortTaken if another program has the port."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
        listener.listen()
    except OSError as error:
        listener.close()
        raise PortTaken(f"Port {port} cannot be used: {error.strerror}.") from error
    return listener


async def serve_chains(context: Context, solana: socket.socket, ethereum: socket.socket | None) -> None:
    """Serve until SIGINT or SIGTERM; the present blocks are committed before it returns."""
    from hypercorn.asyncio import serve as serve_http

    from waiaas.localnet import open_evm, open_solana

    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with AsyncExitStack() as stack:
        served = {
            "solana": (solana, await stack.enter_async_context(open_solana(context.data.localnet, context.clock)))
        }
        if ethereum:
            app = await stack.enter_async_context(open_evm(context.data.localnet, context.clock))
            served["ethereum"] = (ethereum, app)
        urls = {name: f"http://127.0.0.1:{listener.getsockname()[1]}" for name, (listener, _) in served.items()}
        context.answer(urls, "\n".join(f"{name.capitalize()} localnet: {url}" for name, url in urls.items()))
        await asyncio.gather(
            *(
                serve_http(app, server_config(listener), shutdown_trigger=stop.wait)  # type: ignore[arg-type]  # a plain ASGI application
                for listener, app in served.values()
            )
        )


def server_config(listener: socket.socket) -> "Config":
    from hypercorn.config import Config

    config = Config()
    # hypercorn closes what it is given
    config.bind = [f"fd://{listener.detach()}"]
    config.loglevel = "WARNING"
    config.graceful_timeout = 2.0
    return config
