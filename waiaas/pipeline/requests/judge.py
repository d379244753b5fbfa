"""Facts and decision: what is known of an agent's limits now, and what follows for a request."""

from collections.abc import Mapping, Sequence

import msgspec

from waiaas.domain.agent import Agent, OwnerState
from waiaas.domain.decision import Decision
from waiaas.domain.effects import effects
from waiaas.domain.ledger import Book, LedgerState
from waiaas.domain.policy import Policy
from waiaas.domain.request import Batch, Effect, Request
from waiaas.domain.session import Session
from waiaas.domain.usage import Used
from waiaas.errors import SessionNotFound
from waiaas.pipeline.core import Core
from waiaas.policy import Facts, SessionFacts, decide, lookback
from waiaas.repositories import ledger, requests, sessions


async def judge(
    core: Core,
    agent: Agent,
    session: Session | None,
    request: Request,
    *,
    fee: int,
    without: str | None = None,
    undeclared: Sequence[Effect] = (),
) -> Decision:
    """Decide on facts read now; `fee` is the reservation in native base units.

    `without` is the transaction that is judged again: its own reservation (of a batch, its items') and its own place
    in counts are left out.
    `undeclared` is what a simulation saw leave beyond what the request says.
    """
    book = await _book(core, agent, request, without)
    policy_version, policies = await core.policies.get(agent.id)
    now = core.clock.now()
    facts = Facts(
        now=now,
        chain=agent.chain,
        agent_id=agent.id,
        effects=(*effects(request, agent.chain, sender=agent.public_key), *undeclared),
        fee=fee,
        book=book,
        recent=await requests_of(core, agent.id, policies, now, without),
        sessions=await session_facts(core, session, without) if session else (),
        owner_locked=agent.owner_state is OwnerState.LOCKED,
        policy_version=policy_version,
        default_delay_seconds=core.config.security.policy_defaults_delay_seconds,
        default_approval_timeout=core.config.security.policy_defaults_approval_timeout,
        without=without,
    )
    return decide(request, policies, facts)


async def _book(core: Core, agent: Agent, request: Request, without: str | None) -> Book:
    """The agent's book; an EVM batch that is judged again is not in it, for its items hold what is set aside for it."""
    book = await core.books.book(agent.id)
    if without is None or not isinstance(request, Batch):
        return book
    rows = [row for row in await ledger.of_items(core.db, without) if row.state is LedgerState.RESERVED]
    return book.after(book.version + 1, (msgspec.structs.replace(row, state=LedgerState.RELEASED) for row in rows))


async def requests_of(
    core: Core, agent_id: str, policies: Sequence[Policy], now: int, without: str | None
) -> tuple[int, ...]:
    """When the agent made requests, as far back as a RATE_LIMIT in scope looks; nothing is read where there is none."""
    seconds, most = lookback(policies, agent_id)
    if not seconds:
        return ()
    return await requests.recent(core.db, agent_id, since=now - seconds, limit=most, without=without)


async def session_facts(core: Core, session: Session, without: str | None) -> tuple[SessionFacts, ...]:
    """What the session and each of its ancestors have used so far, nearest first, the transaction `without` left out.

    What a session has used is the sum over all below it. Sessions without constraints have nothing to judge.
    """
    lineage = [session, *await ancestors(core, session)]
    return tuple([await _facts_of(core, each, without) for each in lineage if each.constraints is not None])


async def ancestors(core: Core, session: Session) -> list[Session]:
    """Parent, grandparent and so on, as they are now; SessionNotFound if one of them is gone."""
    found: list[Session] = []
    while session.parent_id is not None:
        parent = await core.sessions.get(session.parent_id)
        if parent is None:
            raise SessionNotFound()
        found.append(parent)
        session = parent
    return found


async def used_by(core: Core, session: Session, without: str | None = None) -> Mapping[str, Used]:
    """Asset → what the session and all below it have set aside and spent, the transaction `without` left out."""
    left_out = () if without is None else (without, *[row.tx_id for row in await ledger.of_items(core.db, without)])
    members = await sessions.tree(core.db, session.id)
    usage = await core.usages.usage(session.agent_id)
    return usage.of(members, without=left_out)


async def _facts_of(core: Core, session: Session, without: str | None) -> SessionFacts:
    """Only what its constraints ask for is looked up."""
    constraints = session.constraints
    assert constraints is not None
    used = await used_by(core, session, without) if constraints.has_totals else {}
    counted = constraints.max_transactions is not None
    return SessionFacts(
        id=session.id,
        constraints=constraints,
        spent={asset: amount.total for asset, amount in used.items()},
        transactions=await requests.count_of_session(core.db, session.id, without=without) if counted else 0,
    )
