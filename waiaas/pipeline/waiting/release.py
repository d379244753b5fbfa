"""QUEUED → EXECUTING when a delay is over, and the end of what was never signed in time."""

import structlog

from waiaas.domain.event import SYSTEM, AuditEvent
from waiaas.domain.ledger import LedgerKind
from waiaas.domain.transaction import Reason, Status, Transaction
from waiaas.errors import StaleState
from waiaas.pipeline import family
from waiaas.pipeline.alarm import Alarm
from waiaas.pipeline.core import Core
from waiaas.pipeline.each import each
from waiaas.pipeline.end import closing
from waiaas.pipeline.signing.execute import stored_request
from waiaas.pipeline.signing.gate import Stopped, pass_gate
from waiaas.repositories import audit, ledger, queue, transactions

log = structlog.get_logger()


class Delays:
    """Releases what has waited long enough: by the wall clock and by the clock that nobody can set."""

    def __init__(self, core: Core) -> None:
        self._core = core
        #: transaction → seconds since boot at which its remaining time has really passed
        self._deadlines: dict[str, float] = {}
        self._alarm = Alarm(core.delays_soon)

    async def tick(self) -> None:
        """Release or end every delay that is over, and be woken when the next one is.

        While the kill switch is being thrown, its commit ends what waits.
        """
        if self._core.held is not None:
            return
        waiting = await queue.delayed(self._core.db)
        now, boot = self._core.clock.now(), self._core.clock.boot()
        known = {tx.id: self._deadlines.get(tx.id, boot + max(0, (tx.due_at or now) - now)) for tx in waiting}
        self._deadlines = known
        due = [tx for tx in waiting if (tx.due_at or now) <= now and known[tx.id] <= boot]
        await each(*(self._release(tx) for tx in due))
        self._alarm.ring_in(max(known[tx.id] - boot, (tx.due_at or now) - now) for tx in waiting if tx not in due)

    async def _release(self, tx: Transaction) -> None:
        core, now = self._core, self._core.clock.now()
        rows = [*await ledger.of_transaction(core.db, tx.id), *await ledger.of_items(core.db, tx.id)]
        try:
            fee = sum(row.reserved for row in rows if row.kind is LedgerKind.FEE)
            gate = await pass_gate(core, tx, stored_request(tx), fee=fee)
            started = audit.record(AuditEvent.TX_EXECUTING, SYSTEM, now, tx.about)
            await core.db.commit(transactions.mark_released(tx.id, now), *closing(tx, now), *gate.guards(), started)
            core.metrics.began(tx.id)
        except Stopped as stop:
            await family.end(core, tx, Status.CANCELLED, stop.code, stop.message)
        except StaleState:
            log.info("moved_by_another_step", tx_id=tx.id)
        core.execute_soon.set()


async def expire_unsigned(core: Core) -> None:
    """PENDING → EXPIRED and EXECUTING → FAILED when nothing was signed for too long: no payment comes hours late."""
    before = core.clock.now() - core.config.security.unsigned_timeout_seconds
    message = "It could not be signed in time; nothing was sent."
    ends = {Status.PENDING: Status.EXPIRED, Status.EXECUTING: Status.FAILED}
    late = await queue.unsigned_since(core.db, before)
    await each(*(family.end(core, tx, ends[tx.status], Reason.PENDING_TIMEOUT, message) for tx in late))
