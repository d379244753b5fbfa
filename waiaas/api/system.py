"""GET /health, /ready, /metrics, /v1/nonce and the OpenAPI document."""

import asyncio
import importlib
from collections.abc import Mapping
from typing import Literal

import structlog

from waiaas import __version__
from waiaas.api.call import AnyCall, Reply, encode
from waiaas.auth import nonces
from waiaas.domain.switch import KillSwitchState
from waiaas.domain.transaction import Status
from waiaas.errors import Reconciling, StorageError
from waiaas.pipeline.core import Core
from waiaas.pipeline.stops import restored
from waiaas.repositories import switch, unfinished
from waiaas.wire.system import HealthChecks, HealthResponse, NonceResponse, ReadyChecks, ReadyResponse

#: how long it is told that the event loop stood still
TOLD_SECONDS = 60
EXPOSITION = b"text/plain; version=0.0.4; charset=utf-8"

log = structlog.get_logger()


async def health(call: AnyCall) -> HealthResponse:
    """How the daemon is, and why if it is not well."""
    core = call.core
    state = await _switch(core)
    locked, database = state not in (None, KillSwitchState.NORMAL), state is not None
    networks = health_of_networks(core)
    faults = [f"network {name}: no healthy endpoint" for name, state in networks.items() if state == "down"]
    faults += [f"network {network}: {reason}" for network, reason in core.chains.divided().items()]
    faults += [f"agent {agent_id}: its key cannot be used: {why}" for agent_id, why in core.quarantined.items()]
    if not database:
        faults.append("the database cannot be read")
    elif lost := await restored.warning(core):
        faults.append(lost)
    if core.db.refuses:
        faults.append(f"the database cannot be written: {core.db.refuses}")
    if core.stood_still and core.stood_still[1] + TOLD_SECONDS > core.clock.now():
        faults.append(f"everything stood still for {core.stood_still[0]:.0f} s")
    if core.held is not None:
        faults.append("the kill switch holds in memory only: the database cannot take it")
    now, keys = core.clock.now(), core.keystore.unlocked and not locked
    return HealthResponse(
        status=_status(core, locked=locked, degraded=bool(faults)),
        version=__version__,
        uptime=now - core.started_at,
        timestamp=now,
        checks=HealthChecks("ok" if database else "down", "ok" if keys else "locked", networks),
        warnings=[*faults, *_liars(core)],
        reconciling=await _progress(core),
    )


def _status(core: Core, *, locked: bool, degraded: bool) -> Literal["ok", "degraded", "locked", "reconciling"]:
    if core.reconciling:
        return "reconciling"
    if locked:
        return "locked"
    return "degraded" if degraded else "ok"


async def _switch(core: Core) -> KillSwitchState | None:
    """As the database has it; None if it cannot be read."""
    try:
        stored = await switch.get(core.db)
        return (core.held or stored).state
    except StorageError as error:
        log.warning("database_not_readable", error=error.message)
        return None


async def _live(core: Core) -> Mapping[tuple[str, str], int] | None:
    """(status, network) → transactions that are not final; None if the database cannot be read."""
    try:
        return await unfinished.count_live(core.db)
    except StorageError as error:
        log.warning("database_not_readable", error=error.message)
        return None


async def _progress(core: Core) -> dict[str, int]:
    """What start-up recovery has still to look at, by network."""
    live = await _live(core) if core.reconciling else None
    return {name: (live or {}).get((Status.SUBMITTED, name), 0) for name in sorted(core.reconciling)}


def _liars(core: Core) -> list[str]:
    """Endpoints that are not asked any more, by host and port; others may do their work."""
    return [
        f"network {network}: endpoint {one.name} is quarantined: {one.quarantined}"
        for network, endpoints in core.chains.endpoints().items()
        for one in endpoints
        if one.quarantined
    ]


def health_of_networks(core: Core) -> dict[str, Literal["ok", "down"]]:
    """`ok` or `down` by network."""
    return {name: "ok" if state == "ok" else "down" for name, state in core.chains.health().items()}


async def ready(call: AnyCall) -> ReadyResponse | Reply:
    """200 when requests can be served in full, else 503 in the same shape."""
    core = call.core
    checks = ReadyChecks(
        database=await _switch(core) is not None,
        keystore=core.keystore.unlocked,
        reconciled=not core.reconciling,
        accepting=not core.stopping,
    )
    if checks.all_hold:
        return ReadyResponse(ready=True, checks=checks)
    body = encode(ReadyResponse(ready=False, checks=checks))
    return Reply(503, body, [(b"retry-after", b"%d" % (Reconciling.retry_after or 1))])


async def metrics(call: AnyCall) -> Reply:
    """The figures of the daemon, for Prometheus."""
    exposition = await asyncio.to_thread(importlib.import_module, "waiaas.api.exposition")
    core = call.core
    return Reply(200, exposition.exposition(core, await _live(core), await _switch(core)), kind=EXPOSITION)


async def nonce(call: AnyCall) -> NonceResponse:
    """A number that is good once, for a text that an owner signs."""
    core = call.core
    made = await nonces.issue(core.db, now=core.clock.now(), most=core.config.security.max_open_nonces)
    return NonceResponse(*made)


async def document(call: AnyCall) -> Reply:
    """This API as OpenAPI 3.0.0."""
    return Reply(200, call.services.document())
