"""The embedded chains: virtual machines of this process, behind the JSON-RPC of a real node.

A facade has no idea who calls it: the daemon reaches it through `httpx.ASGITransport`, other programs over
a socket. It knows no wallet and no policy. Its state lies in SQLite in a directory of its own, which may be
deleted while nothing runs.
"""

from waiaas.localnet.evm import open_evm
from waiaas.localnet.solana import open_solana

__all__ = ["open_evm", "open_solana"]
