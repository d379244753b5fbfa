"""Facts and decision: what is known of an agent's limits now, and what follows for a request."""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import msgspec

from waiaas.domain.agent import Agent, OwnerState
from waiaas.domain.chain import Chain
from waiaas.domain.decision import Decision
from waiaas.domain.effects import effects
from waiaas.domain.ledger import Book, LedgerState
from waiaas.domain.request import Batch, Effect, Request
from waiaas.domain.rules.times import RateLimit
from waiaas.domain.session import Session
from waiaas.domain.transaction import Transaction, TransactionType
from waiaas.domain.usage import Used
from waiaas.errors import SessionNotFound
from waiaas.pipeline.core import Core
from waiaas.policy import Facts, SessionFacts, decide
from waiaas.repositories import transactions


async def judge(
    core: Core,
    agent: Agent,
    session: Session | None,
    request: Request,
    *,
    fee: int,
    again: Transaction | None = None,
    undeclared: Sequence[Effect] = (),
) -> Decision:
    """Decide on facts read now; `fee` is the reservation in native base units.

    `again` is the transaction that is judged again: its own reservation (of a batch, its items') and its own place
    in counts are left out.
    `undeclared` is what a simulation saw leave beyond what the request says.
    """
    own = await _own(core, again) if again else NONE
    book = await _book(core, agent, request, own)
    policy_version, policies = await core.policies.get(agent.id)
    limited = await session_facts(core, session, own) if session else ()
    is_rated = any(isinstance(policy.rules, RateLimit) for policy in policies)
    facts = Facts(
        now=core.clock.now(),
        chain=agent.chain,
        agent_id=agent.id,
        effects=(*effects(request, agent.chain, sender=agent.public_key), *undeclared),
        fee=fee,
        book=book,
        # good until anything else runs: the decision does not wait
        recent=(await core.books.tally(agent.id)).recent(without=own.request) if is_rated else (),
        sessions=limited,
        owner_locked=agent.owner_state is OwnerState.LOCKED,
        policy_version=policy_version,
        default_delay_seconds=core.config.security.policy_defaults_delay_seconds,
        default_approval_timeout=core.config.security.policy_defaults_approval_timeout,
        without=own.id,
    )
    return decide(request, policies, facts)


class _Own(NamedTuple):
    """What is judged again: its id, those of its items or its reset, and that of the request that it is of."""

    id: str | None = None
    below: tuple[str, ...] = ()
    request: str | None = None


NONE: Final = _Own()


async def _own(core: Core, tx: Transaction) -> _Own:
    """Nothing is read for what has neither items nor a parent, and of that kind are almost all."""
    below: tuple[str, ...] = ()
    if tx.chain is Chain.ETHEREUM and tx.type in (TransactionType.BATCH, TransactionType.APPROVE):
        below = tuple(child.id for child in await transactions.children(core.db, tx.id))
    top = tx
    while top.parent_id is not None:
        top = await transactions.get(core.db, top.parent_id)
    return _Own(tx.id, below, top.id)


async def _book(core: Core, agent: Agent, request: Request, own: _Own) -> Book:
    """The agent's book; an EVM batch that is judged again is not in it, for its items hold what is set aside for it."""
    book = await core.books.book(agent.id)
    if not isinstance(request, Batch) or not own.below:
        return book
    rows = [row for tx_id in own.below for row in book.set_aside(tx_id)]
    return book.after(book.version + 1, (msgspec.structs.replace(row, state=LedgerState.RELEASED) for row in rows))


async def session_facts(core: Core, session: Session, own: _Own = NONE) -> tuple[SessionFacts, ...]:
    """What the session and each of its ancestors have used so far, nearest first, but for `own`.

    What a session has used is the sum over all below it. Sessions without constraints have nothing to judge.
    """
    lineage = [session, *await ancestors(core, session)]
    return tuple([await _facts_of(core, each, own) for each in lineage if each.constraints is not None])


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


async def used_by(core: Core, session: Session, own: _Own = NONE) -> Mapping[str, Used]:
    """Asset → what the session and all below it have set aside and spent, but for `own`."""
    usage = await core.books.usage(session.agent_id)
    members = await core.books.tree(session.agent_id, session.id)
    return usage.of(members, without=() if own.id is None else (own.id, *own.below))


async def made_by(core: Core, session: Session, own: _Own = NONE) -> int:
    """How many requests of the session and all below it count against its maxTransactions, but for `own`."""
    tally = await core.books.tally(session.agent_id)
    members = await core.books.tree(session.agent_id, session.id)
    return tally.of(members, without=own.request)


async def _facts_of(core: Core, session: Session, own: _Own) -> SessionFacts:
    """Only what its constraints ask for is looked up."""
    constraints = session.constraints
    assert constraints is not None
    used = await used_by(core, session, own) if constraints.has_totals else {}
    return SessionFacts(
        id=session.id,
        constraints=constraints,
        spent={asset: amount.total for asset, amount in used.items()},
        transactions=await made_by(core, session, own) if constraints.max_transactions is not None else 0,
    )
