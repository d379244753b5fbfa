"""A chain that makes blocks by itself, a moment after a transaction was accepted."""

from asyncio import AbstractEventLoop, TimerHandle

import structlog

from waiaas.localnet.evm.chain import Chain

#: how long the next block is kept open, so that transactions sent at one time share it
GATHER_SECONDS = 0.005

log = structlog.get_logger(__name__)


class Node:
    """A chain and the timer of its next block; with `automine` off blocks come only when they are asked for."""

    def __init__(self, chain: Chain, loop: AbstractEventLoop) -> None:
        self.chain = chain
        self.automine = True
        self._loop = loop
        self._timer: TimerHandle | None = None
        self._wake()

    def send(self, raw: bytes) -> bytes:
        """Accept a transaction and return its hash; RpcRefusal in geth's words."""
        transaction = self.chain.accept(raw)
        self._wake()
        return transaction.hash

    def settle(self) -> None:
        """Make the block now that would be made in a moment."""
        if self.automine:
            self.chain.settle()

    def set_automine(self, on: bool) -> None:
        self.automine = on
        self._wake()

    def close(self) -> None:
        """Make the last block and keep what could not go into it."""
        if self._timer:
            self._timer.cancel()
        try:
            self.settle()
        finally:
            self.chain.close()

    def _wake(self) -> None:
        if self.automine and not self._timer:
            self._timer = self._loop.call_later(GATHER_SECONDS, self._mine)

    def _mine(self) -> None:
        self._timer = None
        try:
            self.settle()
        except Exception:
            # the pool still has everything: whoever sends next, or asks for a receipt, tries again
            log.exception("the embedded chain could not make a block")
