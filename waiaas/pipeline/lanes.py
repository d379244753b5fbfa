"""EVM nonces: one lane per network and address; a number is taken only together with durable signed bytes."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from waiaas.chains.base import Nonce, Slot
from waiaas.db import Database
from waiaas.domain.chain import Network
from waiaas.domain.transaction import AttemptStatus, Transaction
from waiaas.errors import NonceLaneBusy
from waiaas.repositories import attempts, queue, transactions


class Lanes:
    """Keeps signers of one address in line. The unique index over live and landed nonces is what decides."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._locks: defaultdict[tuple[Network, str], asyncio.Lock] = defaultdict(asyncio.Lock)

    @asynccontextmanager
    async def hold(self, tx: Transaction, signer: str, slot: Slot) -> AsyncIterator[Slot]:
        """The slot to sign with: a blockhash as it is, or the next free nonce, held until the signing commit is done.

        `slot` holds the nonce as the chain counts landed transactions. NonceLaneBusy while a batch of the agent runs.
        """
        if not isinstance(slot, Nonce):
            yield slot
            return
        async with self._locks[tx.network, signer]:
            await self._check_batches(tx)
            yield Nonce(await self._next(tx.network, signer, slot.number))

    async def _check_batches(self, tx: Transaction) -> None:
        """While a batch is under way only its own items take nonces, so that they are consecutive."""
        running = await queue.running_batch(self._db, tx.agent_id)
        if running is not None and running not in await transactions.ancestors(self._db, tx):
            raise NonceLaneBusy()

    async def _next(self, network: Network, signer: str, counted: int) -> int:
        """The smallest number, not below what the chain or this wallet knows as spent, that no live bytes hold.

        A gap that lost state left is filled by the next transaction; what a mempool says moves nothing.
        """
        held = await attempts.held_nonces(self._db, network, signer, counted)
        # bytes die by the proof that their nonce is spent
        spent = (nonce for nonce, status in held.items() if status != AttemptStatus.LIVE)
        number = max(spent, default=counted - 1) + 1
        while number in held:
            number += 1
        return number
