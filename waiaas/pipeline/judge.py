"""Facts and decision: what is known of an agent's limits now, and what follows for a request."""

from collections.abc import Sequence

import msgspec

from waiaas.domain.agent import Agent, OwnerState
from waiaas.domain.decision import Decision
from waiaas.domain.effects import effects
from waiaas.domain.ledger import Book, LedgerState
from waiaas.domain.policy import Policy
from waiaas.domain.request import Batch, Effect, Request
from waiaas.domain.session import Session
from waiaas.pipeline.core import Core
from waiaas.policy import Facts, SessionFacts, decide, lookback
from waiaas.repositories import ledger, transactions


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
        sessions=(await session_facts(core, session, without),) if session and session.constraints else (),
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
    return await transactions.recent(core.db, agent_id, since=now - seconds, limit=most, without=without)


async def session_facts(core: Core, session: Session, without: str | None) -> SessionFacts:
    """What the session has used so far, the transaction `without` left out."""
    spent = await ledger.spent_by_session(core.db, session.id, without=without)
    count = await transactions.count_of_session(core.db, session.id, without=without)
    return SessionFacts(id=session.id, constraints=session.constraints, spent=spent, transactions=count)
