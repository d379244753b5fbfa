"""The execute worker: takes what is accepted as far as SUBMITTED, a bounded number per network at once."""

import asyncio
from collections import Counter

import structlog

from waiaas.domain.chain import Network
from waiaas.domain.transaction import Transaction
from waiaas.errors import NoEndpoint, NonceLaneBusy, Transient, WaiaasError
from waiaas.pipeline.core import Core
from waiaas.pipeline.signing.execute import execute
from waiaas.repositories import queue
from waiaas.workers.loop import Crew

#: rows of one network that are built and signed at the same time; another network's trouble takes no place here
AT_ONCE = 32
#: seconds before a row that could not be signed is tried again, then every LATER
FIRST_PAUSES = (1, 2, 4)
LATER = 10
PAGE = 64
#: rows that are accepted or done within this time are looked for once
SHARED_SECONDS = 0.003

log = structlog.get_logger()


class Executing:
    """Feeds PENDING and unsigned EXECUTING rows to `execute`; keeps what must wait and until when."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._crew = Crew("execute")
        self._busy: Counter[Network] = Counter()
        #: networks without a healthy endpoint: none of their rows is tried before then
        self._silent_until: dict[Network, int] = {}

    async def tick(self) -> float | None:
        """Start what can be started; while the kill switch is being thrown, its commit ends what waits."""
        if self._core.held is not None:
            return None
        for network in await queue.networks_at_work(self._core.db):
            await self._fill(network)
        # whatever wakes it meanwhile shares one look
        await asyncio.sleep(SHARED_SECONDS)
        return None

    async def join(self) -> None:
        """Let what is under way reach SUBMITTED or its end."""
        await self._crew.join()

    def _is_open(self, network: Network) -> bool:
        core = self._core
        if core.stopping or network in core.reconciling or self._busy[network] >= AT_ONCE:
            return False
        return self._silent_until.get(network, 0) <= core.clock.now()

    async def _fill(self, network: Network) -> None:
        after: str | None = ""
        while after is not None and self._is_open(network):
            rows, after = await queue.to_execute(self._core.db, network, after=after, limit=PAGE)
            for tx in rows:
                if self._is_open(network) and self._is_free(tx):
                    self._busy[network] += 1
                    self._crew.start(tx.id, self._execute(tx))

    def _is_free(self, tx: Transaction) -> bool:
        waiting = self._core.waiting.get(tx.id)
        return tx.id not in self._crew and (waiting is None or waiting.next_try_at <= self._core.clock.now())

    async def _execute(self, tx: Transaction) -> None:
        core = self._core
        try:
            await execute(core, tx)
        except Transient as error:
            pause = self._postpone(tx, error.waiting)
            if isinstance(error, NoEndpoint):
                self._silent_until[tx.network] = core.clock.now() + pause
            log.warning("not_signed_yet", tx_id=tx.id, error=error.message, next_try_seconds=pause)
        except Exception as error:
            pause = self._postpone(tx, error.code if isinstance(error, WaiaasError) else WaiaasError.code)
            log.exception("not_signed_yet", tx_id=tx.id, next_try_seconds=pause)
        else:
            core.waiting.pop(tx.id, None)
        finally:
            self._busy[tx.network] -= 1
            core.execute_soon.set()

    def _postpone(self, tx: Transaction, reason: str) -> int:
        """Note why and until when it waits; in how many seconds it is tried again."""
        before = self._core.waiting.get(tx.id)
        tries = before.tries if before else 0
        pause = FIRST_PAUSES[tries] if tries < len(FIRST_PAUSES) else LATER
        # a batch holds its agent's lane for moments: nothing is asked of the chain too often by waiting for that
        pause = FIRST_PAUSES[0] if reason == NonceLaneBusy.waiting else pause
        self._core.wait(tx.id, reason, pause)
        return pause
