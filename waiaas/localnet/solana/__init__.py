"""The embedded Solana chain: LiteSVM behind the JSON-RPC of a Solana node."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from starlette.types import ASGIApp

from waiaas.clock import Clock
from waiaas.localnet.jsonrpc import JsonRpc
from waiaas.localnet.solana.cluster import Cluster
from waiaas.localnet.solana.methods import bind
from waiaas.localnet.solana.store import open_store


@asynccontextmanager
async def open_solana(directory: Path, clock: Clock) -> AsyncIterator[ASGIApp]:
    """The chain whose state lies in `directory`, begun if there is none, as an ASGI application.

    Raises LocalnetUnusable if another process has it open or its state is damaged.
    """
    with open_store(directory) as store:
        cluster = Cluster(store, clock)
        try:
            yield JsonRpc(bind(cluster), cluster.settle)
        finally:
            cluster.close()
