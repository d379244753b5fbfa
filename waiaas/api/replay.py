"""Other policies tried over stored requests, before they judge real ones. Nothing is stored."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec

from waiaas.api.call import Call
from waiaas.api.decode import Nothing
from waiaas.api.policies import chain_of_agent
from waiaas.domain.policy import Policy, canonical_type, check_override, parse_rules
from waiaas.errors import PolicyNotFound, ValidationFailed
from waiaas.ids import new_id
from waiaas.pipeline.core import Core
from waiaas.pipeline.requests.replay import Judged, replay
from waiaas.repositories import policies
from waiaas.wire.replay import (
    MOST_FLIPS,
    AddPolicy,
    CandidatePolicy,
    Change,
    Counted,
    FlippedRequest,
    RemovePolicy,
    ReplayRequest,
    ReplayResponse,
    TierCounts,
    UpdatePolicy,
    new_verdict,
    tier_counts,
    verdict,
)

#: as far back as requests are looked at, unless said otherwise
MONTH = 2_592_000


async def run(call: Call[Nothing, ReplayRequest]) -> ReplayResponse:
    """Judge stored requests again as if the policies were others; nothing is written."""
    core, body, now = call.core, call.body, call.core.clock.now()
    if body.agent_id is not None:
        await core.agents.get(body.agent_id)
    present = await policies.page(core.db)
    candidate = {policy.id: policy for policy in present}
    for index, change in enumerate(body.changes):
        await _apply(core, candidate, change, f"changes.{index}", now)
    found = await replay(
        core,
        list(candidate.values()),
        agent_id=body.agent_id,
        since=now - MONTH if body.since is None else body.since,
        until=now + 1 if body.until is None else body.until,
        limit=body.limit,
    )
    stored, flips = frozenset(policy.id for policy in present), found.flips
    return ReplayResponse(
        evaluated=len(found.judged),
        allowed=Counted(*found.allowed),
        tiers=TierCounts(*map(tier_counts, found.tiers)),
        flips=[_flipped(flip, stored) for flip in flips[:MOST_FLIPS]],
        truncated=len(flips) > MOST_FLIPS,
    )


async def _apply(core: Core, candidate: dict[str, Policy], change: Change, path: str, now: int) -> None:
    """One change, in its turn; ValidationFailed, PolicyNotFound, AgentNotFound."""
    match change:
        case AddPolicy(policy=asked):
            with _inside(f"{path}.policy"):
                made = await _made(core, asked, now)
            candidate[made.id] = made
        case UpdatePolicy():
            with _inside(path):
                candidate[change.id] = await _changed(core, _stored(candidate, change.id), change)
        case RemovePolicy():
            del candidate[_stored(candidate, change.id).id]


@contextmanager
def _inside(path: str) -> Iterator[None]:
    """Issues are told with the path of the change they are in."""
    try:
        yield
    except ValidationFailed as failed:
        raise ValidationFailed(*((f"{path}.{place}" if place else path, why) for place, why in failed.issues)) from None


def _stored(candidate: dict[str, Policy], policy_id: str) -> Policy:
    found = candidate.get(policy_id.lower())
    if found is None:
        raise PolicyNotFound()
    return found


async def _made(core: Core, asked: CandidatePolicy, now: int) -> Policy:
    kind, override = canonical_type(asked.type), bool(asked.override)
    check_override(kind, agent_id=asked.agent_id, override=override)
    rules = parse_rules(kind, asked.rules, chain=await chain_of_agent(core, asked.agent_id))
    return Policy(new_id(), asked.agent_id, kind, rules, asked.priority or 0, True, override, 0, now, now)


async def _changed(core: Core, policy: Policy, change: UpdatePolicy) -> Policy:
    given: dict[str, Any] = {"priority": change.priority, "enabled": change.enabled, "override": change.override}
    if change.rules is not None:
        chain = await chain_of_agent(core, policy.agent_id)
        given["rules"] = parse_rules(policy.type, change.rules, chain=chain)
    changes = {name: value for name, value in given.items() if value is not None}
    if not changes:
        raise ValidationFailed(("", "must give rules, priority, enabled or override"))
    if change.override is not None:
        check_override(policy.type, agent_id=policy.agent_id, override=change.override)
    return msgspec.structs.replace(policy, **changes)


def _flipped(flip: Judged, stored: frozenset[str]) -> FlippedRequest:
    tx = flip.tx
    return FlippedRequest(
        transaction_id=tx.id,
        agent_id=tx.agent_id,
        type=tx.type,
        asset=tx.asset,
        amount=tx.amount,
        created_at=tx.created_at,
        was=verdict(flip.was),
        now=new_verdict(flip.now, stored),
    )
