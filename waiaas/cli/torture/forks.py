"""A node whose newest blocks may go: what was in them is in none any more, as when a network takes another branch."""

import msgspec

from waiaas.cli.torture.exchange import Node, ask

#: names of blocks that no branch takes away
FINAL = ("finalized", "safe")
#: blocks asked for in one JSON-RPC batch
BATCH = 50


class Fork:
    """In front of an EVM node with anvil's methods; while a branch is open nothing on it is told of as final."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._root: int | None = None
        self._snapshot = ""

    async def __call__(self, body: bytes) -> bytes:
        if self._root is None:
            return await self._node(body)
        decoded = msgspec.json.decode(body)
        for call in decoded if isinstance(decoded, list) else [decoded]:
            call["params"] = [hex(self._root) if one in FINAL else one for one in call.get("params") or ()]
        return await self._node(msgspec.json.encode(decoded))

    async def open(self) -> None:
        """From here on blocks may go."""
        (head,) = await ask(self._node, ("eth_blockNumber", []))
        # a block may be made before the snapshot is: it stays, and is final a little late
        self._root = int(head, 16)
        (self._snapshot,) = await ask(self._node, ("evm_snapshot", []))

    async def close(self) -> list[str]:
        """The blocks since then are gone, and what waited too; the hashes of what was in them."""
        assert self._root is not None
        (head,) = await ask(self._node, ("eth_blockNumber", []))
        numbers = [hex(number) for number in range(self._root + 1, int(head, 16) + 1)]
        gone: list[str] = []
        for first in range(0, len(numbers), BATCH):
            calls = (("eth_getBlockByNumber", [number, False]) for number in numbers[first : first + BATCH])
            for block in await ask(self._node, *calls):
                gone += block["transactions"]
        await ask(self._node, ("evm_revert", [self._snapshot]))
        self._root = None
        return gone
