"""What an agent and its session may still move: policies' rolling totals and constraints against the ledger."""

from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Literal

from waiaas.domain.agent import Agent
from waiaas.domain.asset import chain_of_asset
from waiaas.domain.chain import Chain, native_asset
from waiaas.domain.ledger import Book, LedgerKind
from waiaas.domain.policy import Policy
from waiaas.domain.rules.spending import WINDOWS, SpendingLimit
from waiaas.domain.session import Session
from waiaas.domain.usage import NOTHING
from waiaas.pipeline.core import Core
from waiaas.pipeline.requests.judge import ancestors, made_by, used_by
from waiaas.policy.facts import in_scope
from waiaas.wire.wallet import AssetLimits, OpenAllowance, SessionLeft, WindowLimit

KINDS: dict[str, Literal["hour", "day", "week", "month"]] = {
    "hourly_total": "hour",
    "daily_total": "day",
    "weekly_total": "week",
    "monthly_total": "month",
}


async def limits_of(core: Core, agent: Agent) -> list[AssetLimits]:
    """Per asset, native first, the rolling totals in scope and the open allowances."""
    _, policies = await core.policies.get(agent.id)
    held = in_scope(policies, agent.id)
    book, now = await core.books.book(agent.id), core.clock.now()
    opened = book.allowances()
    native = native_asset(agent.chain)
    named = {native, *_named(held, agent.chain), *(asset for asset, _ in opened)}
    return [
        AssetLimits(
            asset,
            list(_windows(book, held, asset, agent.chain, now)),
            [OpenAllowance(spender, str(amount)) for (of, spender), amount in sorted(opened.items()) if of == asset],
        )
        for asset in sorted(named, key=lambda asset: (asset != native, asset))
    ]


def _named(policies: Iterable[Policy], chain: Chain) -> Iterator[str]:
    """A global policy may speak of other chains too."""
    for policy in policies:
        if isinstance(policy.rules, SpendingLimit):
            yield from (asset for asset in policy.rules.limits if chain_of_asset(asset) is chain)


def _windows(book: Book, policies: Iterable[Policy], asset: str, chain: Chain, now: int) -> Iterator[WindowLimit]:
    reserved = sum(book.reserved(asset, kind) for kind in LedgerKind)
    for policy in policies:
        entry = policy.rules.entry(asset, chain) if isinstance(policy.rules, SpendingLimit) else None
        for name, seconds in WINDOWS.items():
            if entry is None or (limit := getattr(entry, name)) is None:
                continue
            used = book.used(asset, seconds, now)
            spent = used - reserved
            yield WindowLimit(
                kind=KINDS[name],
                limit=str(limit),
                spent=str(spent),
                reserved=str(reserved),
                remaining=str(max(0, limit - used)),
                # when a little less is used than now: its oldest spend has left
                resets_at=book.next_release(asset, seconds, now, room=used - 1) if spent else None,
                policy_id=policy.id,
            )


async def left_of(core: Core, agent: Agent, session: Session) -> SessionLeft:
    """Of the session and those above it, which all judge it, what the tightest leaves."""
    native = native_asset(agent.chain)
    lineage = [session, *await ancestors(core, session)]
    used = [(each, (await used_by(core, each)).get(native, NOTHING)) for each in lineage]
    limited = [(_most(each, agent.chain), one) for each, one in used]
    held = [(most, one) for most, one in limited if most is not None]
    most, tightest = min(held, key=lambda pair: pair[0] - pair[1].total) if held else (None, used[0][1])
    return SessionLeft(
        max_total_amount=None if most is None else str(most),
        spent=str(tightest.spent),
        reserved=str(tightest.reserved),
        transactions_left=min([left async for left in _requests_left(core, lineage)], default=None),
    )


def _most(session: Session, chain: Chain) -> int | None:
    """Native money may be limited at the top and in `limits`: the lower one holds."""
    limits = session.constraints.amounts(chain) if session.constraints else ()
    totals = [limit.max_total_amount for _, asset, limit in limits if asset == native_asset(chain)]
    return min((int(total) for total in totals if total is not None), default=None)


async def _requests_left(core: Core, lineage: Iterable[Session]) -> AsyncIterator[int]:
    for session in lineage:
        most = session.constraints.max_transactions if session.constraints else None
        if most is not None:
            yield max(0, most - await made_by(core, session))
