"""The kill switch: look at it, throw it, lift it."""

from waiaas.api.call import AnyCall, Call, Reply, encode
from waiaas.api.check import Issues
from waiaas.api.decode import Nothing
from waiaas.api.signatures import host_of, served, signed
from waiaas.auth.operator import as_utf8
from waiaas.auth.texts import Wanted
from waiaas.domain.address import canonical_address
from waiaas.domain.chain import Chain
from waiaas.domain.owner import OwnerAction
from waiaas.errors import OwnerNotConnected
from waiaas.pipeline.stops import switch
from waiaas.repositories import agents
from waiaas.wire.owners import OwnerMessageResponse
from waiaas.wire.switch import (
    ActivateKillSwitchRequest,
    KillSwitchActivateResponse,
    KillSwitchMessageQuery,
    KillSwitchResponse,
    RecoverResponse,
    kill_switch_response,
    may_land,
)

#: what an owner's text is about
DAEMON = "daemon"
STATEMENT = "Throw the kill switch: stop every agent of this wallet, revoke every session, sign nothing more."


async def get(call: AnyCall) -> KillSwitchResponse:
    """Whether the kill switch is on, since when and by whom."""
    return kill_switch_response(await call.core.switch.get(""))


async def message(call: Call[KillSwitchMessageQuery, None]) -> OwnerMessageResponse:
    """The text that the owner of any agent signs to throw the kill switch."""
    issues = Issues()
    address = issues.given("address", call.query.address, _canonical)
    issues.settle()
    assert address is not None
    owned = await agents.owned_by(call.core.db, address)
    if not owned:
        raise OwnerNotConnected("No agent has this owner.")
    wanted = Wanted(
        action=OwnerAction.ACTIVATE_KILL_SWITCH,
        subject=DAEMON,
        address=address,
        network=owned[0].network,
        statement=STATEMENT,
        host=host_of(call),
        path="/v1/admin/kill-switch",
    )
    return await served(call, wanted, None)


def _canonical(text: str) -> str:
    return canonical_address(text, Chain.ETHEREUM if text.startswith("0x") else Chain.SOLANA)


async def activate(call: Call[Nothing, ActivateKillSwitchRequest]) -> KillSwitchActivateResponse:
    """Stop everything at once: nothing more is signed or sent; what may still land is listed."""
    if not call.caller.is_operator:
        everyone = await agents.owner_addresses(call.core.db)
        await signed(call, action=OwnerAction.ACTIVATE_KILL_SWITCH, subject=DAEMON, allowed=everyone)
    done = await switch.activate(call.core, call.caller.actor, call.body.reason)
    return KillSwitchActivateResponse(
        state="ACTIVATED",
        activated_at=done.activated_at,
        stored=done.stored,
        sessions_revoked=done.counts.sessions_revoked,
        transactions_cancelled=done.counts.transactions_cancelled,
        agents_suspended=done.counts.agents_suspended,
        in_flight=[may_land(found) for found in done.in_flight],
    )


async def recover(call: AnyCall) -> RecoverResponse | Reply:
    """Lift the kill switch: the agents that it stopped act again, sessions stay revoked."""
    password = as_utf8(call.headers[b"x-master-password"])
    done = await switch.recover(call.core, password, call.caller.actor)
    if isinstance(done, switch.Recovered):
        return RecoverResponse("NORMAL", recovered_at=done.at, agents_resumed=done.agents_resumed)
    waiting = RecoverResponse("RECOVERING", eligible_at=done.eligible_at, retry_after=done.seconds)
    return Reply(202, encode(waiting), [(b"retry-after", b"%d" % done.seconds)])
