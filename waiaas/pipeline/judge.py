"""Facts and decision: what is known of an agent's limits now, and what follows for a request."""

from waiaas.domain.agent import Agent, OwnerState
from waiaas.domain.policy import Decision
from waiaas.domain.request import Request, effects
from waiaas.domain.session import Session
from waiaas.pipeline.core import Core
from waiaas.policy import Facts, SessionFacts, decide
from waiaas.repositories import ledger, transactions


async def judge(
    core: Core, agent: Agent, session: Session | None, request: Request, *, fee: int, without: str | None = None
) -> Decision:
    """Decide on facts read now; `fee` is the reservation in native base units.

    `without` is the transaction that is judged again: its own reservation and its own place in counts are left out.
    """
    book = await core.books.book(agent.id)
    policy_version, policies = await core.policies.get(agent.id)
    facts = Facts(
        now=core.clock.now(),
        chain=agent.chain,
        agent_id=agent.id,
        effects=effects(request, agent.chain),
        fee=fee,
        book=book,
        sessions=(await session_facts(core, session, without),) if session and session.constraints else (),
        owner_locked=agent.owner_state is OwnerState.LOCKED,
        policy_version=policy_version,
        default_delay_seconds=core.config.security.policy_defaults_delay_seconds,
        default_approval_timeout=core.config.security.policy_defaults_approval_timeout,
        without=without,
    )
    return decide(request, policies, facts)


async def session_facts(core: Core, session: Session, without: str | None) -> SessionFacts:
    """What the session has used so far, the transaction `without` left out."""
    spent = await ledger.spent_by_session(core.db, session.id, without=without)
    count = await transactions.count_of_session(core.db, session.id, without=without)
    return SessionFacts(id=session.id, constraints=session.constraints, spent=spent, transactions=count)
