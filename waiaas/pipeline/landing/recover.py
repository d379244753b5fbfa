"""After a start: every row that is not final is looked at before its network accepts or signs anything."""

import asyncio

import structlog

from waiaas.domain.chain import Network
from waiaas.domain.event import SYSTEM, AuditEvent
from waiaas.errors import ChainNotSupported, Transient
from waiaas.pipeline.core import Core
from waiaas.pipeline.each import each
from waiaas.pipeline.elsewhere.strangers import look_at_all
from waiaas.pipeline.landing.confirm import confirm
from waiaas.repositories import agents, attempts, audit, unfinished

#: seconds that a start waits for prices: without them the highest fees allowed are set aside
PRICES_SECONDS = 3.0

log = structlog.get_logger()


async def close_networks(core: Core) -> None:
    """Before anything is accepted: networks with signed bytes whose end is not known answer RECONCILING.

    PENDING, QUEUED and EXECUTING rows have no durable signature, so the workers simply go on with them.
    """
    core.reconciling = {Network(name) for name in await attempts.open_networks(core.db)}
    live = await unfinished.count_live(core.db)
    log.info(
        "recovery_begins",
        networks=sorted(core.reconciling),
        rows={f"{status} {network}": count for (status, network), count in live.items()},
    )


async def recover(core: Core, network: Network) -> bool:
    """Look up all signed bytes of a network once and open it; False when no endpoint answered."""
    try:
        followed = await confirm(core, network)
        # best effort: a node that keeps no history must not keep the network closed
        await look_at_all(core, network)
    except (Transient, ChainNotSupported) as error:
        log.warning("recovery_waits", network=network, error=error.message)
        return False
    recovered = audit.record(AuditEvent.DAEMON_RECOVERED, SYSTEM, core.clock.now(), network=network, followed=followed)
    await core.db.commit(recovered)
    core.reconciling.discard(network)
    core.execute_soon.set()
    log.info("recovered", network=network, followed=followed)
    return True


async def refresh_prices(core: Core) -> None:
    """Know the present price on every network where an agent may act: what a send sets aside for its fee."""
    there = await agents.networks(core.db) & set(core.chains.networks())
    await each(*(core.chains.chain(network).refresh() for network in there))


async def first_prices(core: Core) -> None:
    """At start, before the first send: an agent with a small limit must not be denied for want of a price."""
    try:
        async with asyncio.timeout(PRICES_SECONDS):
            await refresh_prices(core)
    except TimeoutError:
        log.warning("prices_unknown", waited_seconds=PRICES_SECONDS)
