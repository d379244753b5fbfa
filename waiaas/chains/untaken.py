"""What was certainly left of an allowance, as the endpoint says that grants the wallet least."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from waiaas.chains.base import Grant
from waiaas.chains.rpc import Rpc, Witness
from waiaas.errors import NodeRefused, Transient

log = structlog.get_logger(__name__)


async def least_untaken(rpc: Rpc, grant: Grant, ask: Callable[[Witness], Awaitable[int]]) -> int:
    """The least that an endpoint tells; 0 where the past is only refused, Transient where nobody answers."""
    told = await asyncio.gather(*(_told(witness, ask) for witness in await rpc.witnesses()))
    known = [one for one in told if isinstance(one, int)]
    if not known and not any(isinstance(one, NodeRefused) for one in told):
        raise Transient("No endpoint tells what was taken before the approval landed.")
    if not known:
        log.warning("past refused", network=rpc.network, token=grant.token)
    return min(known, default=0)


async def _told(witness: Witness, ask: Callable[[Witness], Awaitable[int]]) -> int | NodeRefused | Transient:
    try:
        return await ask(witness)
    except (NodeRefused, Transient) as error:
        return error
