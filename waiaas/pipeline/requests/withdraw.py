"""Everything an agent holds goes to its registered owner: a row for each token, and one for what the fee leaves.

The owner must have signed once (LOCKED): that, and not a signature for this withdrawal, keeps money from whoever has
stolen the master password. No policy judges it and no ledger row speaks of it, so limits are what they were before.
"""

import asyncio
from collections.abc import Sequence

import msgspec
import structlog

from waiaas.chains.base import Chain, Holding, Prepared
from waiaas.domain.agent import Agent, AgentStatus, OwnerState
from waiaas.domain.asset import token_asset
from waiaas.domain.event import Actor, AuditEvent
from waiaas.domain.request import Left, Sweep, SweepToken, canonical, decode
from waiaas.domain.switch import KillSwitchState
from waiaas.domain.transaction import Transaction
from waiaas.errors import (
    AgentIsTerminated,
    ConstraintFailed,
    FeeNotCovered,
    IdempotencyConflict,
    InsufficientBalance,
    InsufficientForFee,
    InsufficientTokenBalance,
    KeystoreLocked,
    KillSwitchActive,
    NoOwner,
    Permanent,
    Reconciling,
    StaleState,
    StorageBusy,
    WithdrawLockedOnly,
)
from waiaas.pipeline.core import Core
from waiaas.pipeline.requests.withdrawal import decided, requested, sweeping_row
from waiaas.repositories import agents, audit, switch, transactions

#: how often it is composed anew when agent, owner or switch move under it
ROUNDS = 3
ALL, NATIVE = "all", "native"
FROZEN, UNSUPPORTED = "frozen", "unsupported"

log = structlog.get_logger()


class Withdrawal(msgspec.Struct, frozen=True):
    """What was accepted, tokens first; `left` is what stays behind."""

    agent_id: str
    to: str
    scope: str
    rows: list[Transaction]
    left: tuple[Left, ...]
    replayed: bool = False


class Found(msgspec.Struct, frozen=True):
    """What there is to be moved, as the chain has simulated it."""

    holdings: tuple[Holding, ...]
    left: tuple[Left, ...]


async def withdraw(
    core: Core, agent_id: str, scope: str, *, tokens: Sequence[str], key: str | None, actor: Actor
) -> Withdrawal:
    """Accept a withdrawal; every row of it is on disk when this returns. `tokens` are asked for on EVM.

    AgentNotFound, AgentIsTerminated, NoOwner, WithdrawLockedOnly, KeystoreLocked, KillSwitchActive, Reconciling,
    FeeNotCovered, IdempotencyConflict; Transient or Permanent where the chain has no answer.
    """
    for _ in range(ROUNDS):
        agent = await core.agents.get(agent_id)
        if before := await _accepted_before(core, agent, scope, key):
            return before
        generation = await _check_open(core, agent)
        found = await _look(core, agent, scope, tokens)
        try:
            return await _accept(core, agent, scope, found, key, generation, actor)
        except StaleState:
            continue
        except ConstraintFailed as error:
            if "idempotency_key" not in error.name:
                raise
    raise StorageBusy("The agent kept changing while this was prepared: nothing was done.")


async def _accepted_before(core: Core, agent: Agent, scope: str, key: str | None) -> Withdrawal | None:
    """The withdrawal that this key is bound to; IdempotencyConflict if it was another request."""
    if key is None or (known := await transactions.find_by_key(core.db, agent.id, key)) is None:
        return None
    request = decode(known.request)
    if not isinstance(request, Sweep) or request.scope != scope:
        raise IdempotencyConflict(transactionId=known.id)
    rows = [await transactions.get(core.db, tx_id) for tx_id in request.after]
    return Withdrawal(agent.id, request.to, scope, [*rows, known], request.left, replayed=True)


async def _check_open(core: Core, agent: Agent) -> int:
    """The generation of a switch that is off; a refusal if nothing may leave for the owner."""
    if agent.status is AgentStatus.TERMINATED:
        raise AgentIsTerminated()
    if agent.owner_state is OwnerState.NONE:
        raise NoOwner()
    if agent.owner_state is not OwnerState.LOCKED:
        raise WithdrawLockedOnly()
    if agent.network in core.reconciling:
        raise Reconciling()
    kill_switch = await core.switch.get("")
    if kill_switch.state is not KillSwitchState.NORMAL:
        raise KillSwitchActive(activatedAt=kill_switch.activated_at)
    if not core.keystore.usable(agent.id):
        raise KeystoreLocked()
    return kill_switch.generation


async def _look(core: Core, agent: Agent, scope: str, tokens: Sequence[str]) -> Found:
    """What can be moved, each simulated; FeeNotCovered if the native money does not pay for it."""
    chain = core.chains.chain(agent.network)
    if scope == NATIVE:
        await _check_native(chain, agent)
        return Found((), ())
    held = await chain.holdings(agent.public_key, tokens)
    free = [one for one in held if one.obstacle is None]
    tried = await asyncio.gather(*(_try(chain, agent, _sweep_token(agent, one)) for one in free))
    moving = tuple(one for one, outcome in zip(free, tried, strict=True) if isinstance(outcome, Prepared))
    if moving:
        await _check_fees(chain, agent, [outcome for outcome in tried if isinstance(outcome, Prepared)])
    else:
        await _check_native(chain, agent)
    refused = [one for one, outcome in zip(free, tried, strict=True) if outcome == UNSUPPORTED]
    stopped = [(one, one.obstacle) for one in held if one.obstacle] + [(one, UNSUPPORTED) for one in refused]
    left = tuple(Left(token_asset(agent.chain, one.token.address), reason) for one, reason in stopped)
    return Found(moving, left)


async def _try(chain: Chain, agent: Agent, sweep: SweepToken) -> Prepared | str | None:
    """As it would be signed; UNSUPPORTED where the chain refuses it, None where it has gone meanwhile."""
    try:
        return await chain.prepare(sweep, agent.public_key)
    except (InsufficientForFee, InsufficientBalance) as short:
        raise FeeNotCovered(short.message, address=agent.public_key, **short.details) from short
    except InsufficientTokenBalance:
        return None
    except Permanent as refusal:
        log.info("token not swept", agent_id=agent.id, token=sweep.token.address, reason=refusal.message)
        return UNSUPPORTED


async def _check_fees(chain: Chain, agent: Agent, prepared: Sequence[Prepared]) -> None:
    """Fees add up; rent for the owner's accounts comes back with each account that is closed."""
    fees = sum(one.max_fee - one.rent for one in prepared) + max(one.rent for one in prepared)
    held = await chain.balance(agent.public_key)
    if held < fees:
        raise FeeNotCovered(address=agent.public_key, held=str(held), fee=str(fees))


async def _check_native(chain: Chain, agent: Agent) -> None:
    """FeeNotCovered if nothing is left behind the fee; what else is wrong ends the row with its own code."""
    assert agent.owner_address is not None
    try:
        await chain.prepare(Sweep(agent.owner_address, NATIVE), agent.public_key)
    except (InsufficientForFee, InsufficientBalance) as short:
        raise FeeNotCovered(short.message, address=agent.public_key, **short.details) from short
    except Permanent as refusal:
        log.info("native money is not swept", agent_id=agent.id, reason=refusal.message)


def _sweep_token(agent: Agent, holding: Holding) -> SweepToken:
    assert agent.owner_address is not None
    return SweepToken(agent.owner_address, holding.token, holding.account)


async def _accept(
    core: Core, agent: Agent, scope: str, found: Found, key: str | None, generation: int, actor: Actor
) -> Withdrawal:
    assert agent.owner_address is not None
    now, to = core.clock.now(), agent.owner_address
    decision = canonical(decided(now, (await core.policies.get(agent.id))[0], agent)).decode()
    rows = [sweeping_row(agent, _sweep_token(agent, one), decision, None, now) for one in found.holdings]
    last = Sweep(to, scope, tuple(row.id for row in rows), found.left)
    rows.append(sweeping_row(agent, last, decision, key, now))
    await core.db.commit(
        switch.is_off(generation),
        agents.may_withdraw(agent.id, to),
        *(transactions.insert(row) for row in rows),
        *(statement for row in rows for statement in requested(row, now, actor)),
        audit.record(
            AuditEvent.FUND_WITHDRAWN,
            actor,
            now,
            rows[-1].about,
            to=to,
            scope=scope,
            transactions=[row.id for row in rows],
            left=msgspec.to_builtins(found.left),
        ),
    )
    for row in rows:
        core.metrics.began(row.id)
    core.execute_soon.set()
    return Withdrawal(agent.id, to, scope, rows, found.left)
