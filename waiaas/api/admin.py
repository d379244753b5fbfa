"""The daemon itself: its figures, and stopping it."""

import msgspec

from waiaas import __version__
from waiaas.api.call import AnyCall
from waiaas.api.system import health_of_networks
from waiaas.domain.switch import KillSwitchState
from waiaas.domain.transaction import Status
from waiaas.pipeline.core import Core
from waiaas.repositories import agents, sessions, unfinished
from waiaas.wire.admin import AdminStatusResponse, ShutdownResponse


async def status(call: AnyCall) -> AdminStatusResponse:
    """The daemon in figures; a session sees those of its own agent."""
    core, agent_id = call.core, call.caller.agent_id
    now = core.clock.now()
    kill_switch = await core.switch.get("")
    told = AdminStatusResponse(
        status="running",
        version=__version__,
        uptime=now - core.started_at,
        agent_count=1 if agent_id else await agents.count(core.db),
        active_session_count=await sessions.count_active(core.db, now, agent_id),
        kill_switch_state="NORMAL" if kill_switch.state is KillSwitchState.NORMAL else "ACTIVATED",
        admin_timeout=core.config.daemon.admin_timeout,
        timestamp=now,
        reconciling=bool(core.reconciling),
    )
    return await _for_operator(core, told) if call.caller.is_operator else told


async def _for_operator(core: Core, told: AdminStatusResponse) -> AdminStatusResponse:
    live = await unfinished.count_live(core.db)
    return msgspec.structs.replace(
        told,
        queued_count=sum(count for (status, _), count in live.items() if status == Status.QUEUED),
        pending_approval_count=await unfinished.count_awaiting_approval(core.db),
        in_flight_count=sum(count for (status, _), count in live.items() if status == Status.SUBMITTED),
        database_bytes=core.db.path.stat().st_size,
        networks=health_of_networks(core),
    )


async def shutdown(call: AnyCall) -> ShutdownResponse:
    """Stop the daemon as SIGTERM does: what is signed is finished, what is queued waits for the next start."""
    call.services.stop()
    return ShutdownResponse("Shutdown initiated")
