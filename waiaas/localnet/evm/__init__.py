"""The embedded Ethereum chain: py-evm behind the JSON-RPC of an Ethereum node."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from starlette.types import ASGIApp

from waiaas.clock import Clock
from waiaas.errors import ExtraMissing
from waiaas.localnet.evm.stack import restore
from waiaas.localnet.evm.store import open_store
from waiaas.localnet.jsonrpc import JsonRpc


@asynccontextmanager
async def open_evm(directory: Path, clock: Clock) -> AsyncIterator[ASGIApp]:
    """The chain whose state lies in `directory`, begun if there is none, as an ASGI application.

    Raises LocalnetUnusable if another process has it open or its state is damaged, ExtraMissing without py-evm.
    """
    try:
        # a second of imports, of packages that a daemon without this chain does not need
        from waiaas.localnet.evm.chain import Chain
        from waiaas.localnet.evm.methods import bind
        from waiaas.localnet.evm.node import Node
    except ModuleNotFoundError as missing:
        raise ExtraMissing(f"The embedded Ethereum chain needs the package {missing.name}.") from missing
    finally:
        restore()
    with open_store(directory) as store:
        node = Node(Chain(store, clock), asyncio.get_running_loop())
        try:
            yield JsonRpc(bind(node), settle=lambda: None, slow=("eth_call", "eth_estimateGas"))
        finally:
            node.close()
