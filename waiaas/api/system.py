"""GET /health, /ready, /v1/nonce and the OpenAPI document."""

from typing import Literal

from waiaas import __version__
from waiaas.api.call import AnyCall, Reply, encode
from waiaas.auth import nonces
from waiaas.domain.control import KillSwitchState
from waiaas.errors import Reconciling, StorageError
from waiaas.pipeline.core import Core
from waiaas.repositories import switch
from waiaas.wire.system import HealthChecks, HealthResponse, NonceResponse, ReadyChecks, ReadyResponse


async def health(call: AnyCall) -> HealthResponse:
    """How the daemon is, and why if it is not well."""
    core = call.core
    locked, database = await _look(core)
    networks = health_of_networks(core)
    warnings = [f"network {name}: no healthy endpoint" for name, state in networks.items() if state == "down"]
    warnings += [f"agent {agent_id}: its key cannot be used: {why}" for agent_id, why in core.quarantined.items()]
    if not database:
        warnings.append("the database cannot be read")
    if core.db.refuses:
        warnings.append(f"the database cannot be written: {core.db.refuses}")
    now = core.clock.now()
    return HealthResponse(
        status=_status(core, locked=locked, degraded=bool(warnings)),
        version=__version__,
        uptime=now - core.started_at,
        timestamp=now,
        checks=HealthChecks("ok" if database else "down", "locked" if locked else "ok", networks),
        warnings=warnings,
    )


def _status(core: Core, *, locked: bool, degraded: bool) -> Literal["ok", "degraded", "locked", "reconciling"]:
    if core.reconciling:
        return "reconciling"
    if locked:
        return "locked"
    return "degraded" if degraded else "ok"


async def _look(core: Core) -> tuple[bool, bool]:
    """(the kill switch is on, the database can be read)."""
    try:
        return (await switch.get(core.db)).state is not KillSwitchState.NORMAL, True
    except StorageError:
        return False, False


def health_of_networks(core: Core) -> dict[str, Literal["ok", "down"]]:
    """`ok` or `down` by network."""
    return {name: "ok" if state == "ok" else "down" for name, state in core.chains.health().items()}


async def ready(call: AnyCall) -> ReadyResponse | Reply:
    """200 when requests can be served in full, else 503 in the same shape."""
    core = call.core
    _, database = await _look(core)
    checks = ReadyChecks(
        database=database,
        keystore=core.keystore.unlocked,
        reconciled=not core.reconciling,
        accepting=not core.stopping,
    )
    if checks.all_hold:
        return ReadyResponse(ready=True, checks=checks)
    body = encode(ReadyResponse(ready=False, checks=checks))
    return Reply(503, body, [(b"retry-after", b"%d" % (Reconciling.retry_after or 1))])


async def nonce(call: AnyCall) -> NonceResponse:
    """A number that is good once, for a text that an owner signs."""
    core = call.core
    made = await nonces.issue(core.db, now=core.clock.now(), most=core.config.security.max_open_nonces)
    return NonceResponse(*made)


async def document(call: AnyCall) -> Reply:
    """This API as OpenAPI 3.0.0."""
    return Reply(200, call.services.document())
