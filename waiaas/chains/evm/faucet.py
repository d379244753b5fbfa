"""Money out of nothing on the local network, by the methods that test nodes have for it (anvil's names)."""

import asyncio

from waiaas.chains.evm import answers, ask
from waiaas.chains.rpc import Rpc
from waiaas.errors import Transient


class Giver:
    """Gives one gift at a time: a balance can only be set, not added to."""

    def __init__(self, rpc: Rpc) -> None:
        self._rpc = rpc
        self._lock = asyncio.Lock()

    async def give(self, address: str, amount: int) -> None:
        """Add wei to the balance and make a block; Transient if the chain does not show it."""
        async with self._lock:
            before = await ask.balance(self._rpc, address)
            await self._rpc.call("anvil_setBalance", [address, hex(before + amount)], answers.done)
            await self._rpc.call("evm_mine", (), answers.done)
            if amount and await ask.balance(self._rpc, address) == before:
                raise Transient("The gift was made, but the chain does not show it.")
