"""After a start: every row that is not final is looked at before its network accepts or signs anything."""

import structlog

from waiaas.domain.chain import Network
from waiaas.domain.event import SYSTEM, AuditEvent
from waiaas.errors import ChainNotSupported, Transient
from waiaas.pipeline.confirm import confirm
from waiaas.pipeline.core import Core
from waiaas.repositories import attempts, audit, transactions

log = structlog.get_logger()


async def close_networks(core: Core) -> None:
    """Before anything is accepted: networks with signed bytes whose end is not known answer RECONCILING.

    PENDING, QUEUED and EXECUTING rows have no durable signature, so the workers simply go on with them.
    """
    core.reconciling = {Network(name) for name in await attempts.open_networks(core.db)}
    live = await transactions.count_live(core.db)
    log.info(
        "recovery_begins",
        networks=sorted(core.reconciling),
        rows={f"{status} {network}": count for (status, network), count in live.items()},
    )


async def recover(core: Core, network: Network) -> bool:
    """Look up all signed bytes of a network once and open it; False when no endpoint answered."""
    try:
        followed = await confirm(core, network)
    except (Transient, ChainNotSupported) as error:
        log.warning("recovery_waits", network=network, error=error.message)
        return False
    recovered = audit.record(AuditEvent.DAEMON_RECOVERED, SYSTEM, core.clock.now(), network=network, followed=followed)
    await core.db.commit(recovered)
    core.reconciling.discard(network)
    core.execute_soon.set()
    log.info("recovered", network=network, followed=followed)
    return True
