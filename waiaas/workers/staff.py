"""Every worker of the daemon, started together and joined together."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

from waiaas.chains.base import Chain
from waiaas.chains.pool import EMBEDDED
from waiaas.domain.chain import LOCALNETS, Network
from waiaas.domain.event import SYSTEM, AuditEvent, EventType
from waiaas.pipeline.core import Core
from waiaas.pipeline.elsewhere.allowances import reconcile_all
from waiaas.pipeline.elsewhere.strangers import Strangers
from waiaas.pipeline.family import end_orphans
from waiaas.pipeline.landing.confirm import confirm
from waiaas.pipeline.landing.recover import recover, refresh_prices
from waiaas.pipeline.registry.agents import end_terminating
from waiaas.pipeline.registry.sessions import note_expired
from waiaas.pipeline.stops.autostop import AutoStopping
from waiaas.pipeline.stops.switch import try_to_store
from waiaas.pipeline.waiting.approve import Undecided
from waiaas.pipeline.waiting.release import Delays, expire_unsigned
from waiaas.repositories import audit, nonces, outbox, settings
from waiaas.workers.executing import Executing
from waiaas.workers.loop import Rest, Worker
from waiaas.workers.pulse import EVERY_SECONDS, Pulse

#: seconds between looks at a network on which nothing is known to be under way
IDLE_SECONDS = 15.0
RECOVERY_SECONDS = 1.0


@asynccontextmanager
async def working(core: Core, minutely: Sequence[Callable[[], Awaitable[None]]]) -> AsyncIterator[list[Worker]]:
    """Workers run inside; on leaving they are asked, not cancelled, and everything being signed is finished.

    `minutely` is what other parts want done once a minute.
    """
    executing, stopping = Executing(core), AutoStopping(core)
    workers = [
        Worker("execute", executing.tick, every_seconds=1, wake=core.execute_soon),
        *(_confirming(core, network) for network in core.chains.networks()),
        Worker("delays", Delays(core).tick, every_seconds=5, wake=core.delays_soon),
        Worker("auto-stop", stopping.tick, every_seconds=5, wake=stopping.soon),
        Worker("switch", lambda: try_to_store(core), every_seconds=1),
        Worker("allowances", lambda: reconcile_all(core), every_seconds=60, wake=core.allowances_soon),
        Worker("approvals", Undecided(core).tick, every_seconds=30, wake=core.approvals_soon),
        Worker("timeouts", lambda: expire_unsigned(core), every_seconds=30),
        Worker("cleanup", lambda: _cleanup(core, minutely), every_seconds=60),
        Worker("pulse", Pulse(core, asyncio.get_running_loop().time).tick, every_seconds=EVERY_SECONDS),
        Worker("prices", lambda: refresh_prices(core), every_seconds=15),
        Worker("strangers", Strangers(core).tick, every_seconds=60),
        Worker("endpoints", lambda: _endpoints(core), every_seconds=30),
        Worker("checkpoint", core.db.checkpoint, every_seconds=core.config.database.wal_checkpoint_interval),
    ]
    async with asyncio.TaskGroup() as tasks:
        for worker in workers:
            tasks.create_task(worker.run(), name=f"worker {worker.name}")
        try:
            yield workers
        finally:
            for worker in workers:
                worker.stop()
            await executing.join()


def _confirming(core: Core, network: Network) -> Worker:
    async def tick() -> Rest | float | None:
        began = core.clock.monotonic()
        if network in core.reconciling and not await recover(core, network):
            return RECOVERY_SECONDS
        if not await confirm(core, network):
            return None
        await end_terminating(core)
        return _rest(core.chains.chain(network), core.clock.monotonic() - began)

    return Worker(f"confirm {network}", tick, every_seconds=IDLE_SECONDS, wake=core.confirm_soon[network])


def _rest(chain: Chain, took: float) -> Rest | float:
    """Until the next poll; where blocks come at once what is sent meanwhile ends it, but looks take a third at most."""
    if chain.hurry_seconds is None:
        return chain.poll_seconds
    return Rest(min(chain.poll_seconds, max(chain.hurry_seconds, 2 * took)), chain.poll_seconds)


async def _cleanup(core: Core, minutely: Sequence[Callable[[], Awaitable[None]]]) -> None:
    await note_expired(core)
    await end_orphans(core)
    await core.db.commit(nonces.sweep(core.clock.now()))
    await end_terminating(core)
    for work in minutely:
        await work()


async def _endpoints(core: Core) -> None:
    """Look at every endpoint; tell of those that lied, and remember which chain a localnet is."""
    await core.chains.watch()
    now = core.clock.now()
    for lie in core.chains.take_quarantined():
        told = {"network": lie.network, "endpoint": lie.endpoint, "reason": lie.reason}
        await core.db.commit(
            audit.record(AuditEvent.RPC_QUARANTINED, SYSTEM, now, **told),
            outbox.emit(EventType.RPC_QUARANTINED, now, **told),
        )
    for network, identity in core.chains.identities().items():
        outside = network in LOCALNETS and EMBEDDED not in core.config.endpoints(network)
        if outside and await settings.find(core.db, f"genesis:{network}") is None:
            await core.db.commit(settings.put(f"genesis:{network}", identity, now))
