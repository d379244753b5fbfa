"""Open allowances against the chain: what a spender took is booked as spent, what was granted elsewhere as open.

Why a reading can be trusted to lower what is booked. A group is everything booked for one agent, asset and spender.

- Rows, ledger version and what is in flight are read first, the chain is asked then, and the commit is guarded by that
  version. Accepting, signing and landing an approval each raise the version: a reading taken before a newer approval
  was signed or landed is thrown away by the guard.
- Nothing that could change the allowance may be in flight at that version: on EVM no approval of that asset and
  spender, on Solana none of that asset, for a token account has one delegate. What is accepted and not signed cannot
  land, and what is signed meanwhile raises the version.
- Every approval of the group landed in a final block, and every endpoint answered at that block or above it: no
  endpoint speaks of a time before the approval, or of a fork without it.

So the reading is what those approvals left, less what was taken, plus what was granted elsewhere. What is missing
counts as taken, though it may have been revoked elsewhere: a doubt refuses. Endpoints that are silent, behind, or of
different opinions change nothing.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec
import structlog

from waiaas.chains.base import Allowed, Grant
from waiaas.db import Statement
from waiaas.domain.agent import Agent
from waiaas.domain.asset import token_of
from waiaas.domain.chain import Chain, Network
from waiaas.domain.effects import allowances_set, effects
from waiaas.domain.event import SYSTEM, About, AuditEvent, EventType
from waiaas.domain.ledger import LedgerKind, LedgerRow, LedgerState, OpenAllowance
from waiaas.domain.request import Effect, Request, decode
from waiaas.domain.transaction import Transaction, TransactionType
from waiaas.errors import ChainError, StaleState
from waiaas.ids import new_id
from waiaas.pipeline.core import Core
from waiaas.pipeline.each import each
from waiaas.repositories import audit, ledger, outbox

log = structlog.get_logger()


class Group(msgspec.Struct, frozen=True):
    """What is booked as open for one spender of one asset, oldest first."""

    opened: tuple[OpenAllowance, ...]

    @property
    def place(self) -> tuple[str, str, str]:
        """Agent, asset, spender."""
        row = self.opened[0].row
        assert row.spender is not None
        return row.agent_id, row.asset, row.spender

    @property
    def grant(self) -> Grant:
        """What the chain is asked for."""
        _, asset, spender = self.place
        return Grant(self.opened[0].owner, str(token_of(asset)), spender)

    @property
    def booked(self) -> int:
        """Base units."""
        return sum(one.row.reserved for one in self.opened)

    @property
    def is_final(self) -> bool:
        """Whether no approval of it can be taken back any more."""
        return all(one.is_final for one in self.opened)

    def believes(self, allowed: Allowed | None) -> bool:
        """Whether a reading is one, and not older than any approval."""
        return allowed is not None and all(allowed.height >= one.block for one in self.opened)


async def reconcile_all(core: Core) -> None:
    """Every network on which an allowance is open, each for itself."""
    await each(*(reconcile(core, network) for network in core.chains.networks()))


async def reconcile(core: Core, network: Network) -> None:
    """One look at all open allowances of a network; Transient when no endpoint answers."""
    groups = grouped(await ledger.open_allowances(core.db, network))
    groups = [group for group in groups if group.is_final]
    if groups:
        groups = untouched(groups, await _in_flight(core, network))
        await _settle(core, network, groups)


async def settle_before(core: Core, agent: Agent, tx: Transaction, request: Request) -> None:
    """What spenders took so far is booked before an approval is signed, whose landing ends what was open before.

    Their older approvals need not be final here, for the new one replaces them. Doubt changes nothing.
    """
    granting = allowances_set(effects(request, agent.chain, sender=agent.public_key))
    if not granting:
        return
    opened = await ledger.open_allowances(core.db, agent.network)
    mine = [one for one in opened if one.row.agent_id == agent.id]
    touched = changed_by(agent.id, agent.chain, granting)
    groups = [group for group in grouped(mine) if group.place in touched or group.place[:2] in touched]
    try:
        groups = untouched(groups, await _in_flight(core, agent.network))
        await _settle(core, agent.network, groups)
    except ChainError as error:
        log.warning("allowances_unknown", tx_id=tx.id, error=error.message)


async def replaced(core: Core, tx: Transaction, sender: str, hash: str, block: int, now: int) -> list[Statement]:
    """For the commit in which an approval lands: what was taken until then is spent, what was open besides is released.

    A spender that sees the approval coming can take what is left in front of it, so its landing proves nothing by
    itself: the chain is asked how much was certainly left. Transient: not known now, the landing waits.
    """
    try:
        granting = allowances_set(effects(decode(tx.request), tx.chain, sender=sender))
    except msgspec.MsgspecError:
        # it was signed, and what it was nobody can tell any more: it ends, and everything stays booked
        log.exception("request_does_not_decode", tx_id=tx.id)
        return []
    if not granting:
        return []
    opened = await ledger.open_allowances(core.db, tx.network)
    # one that landed in the same block or later may be the spender's last word
    before = [one for one in opened if one.row.agent_id == tx.agent_id and one.block < block]
    ended = [one for one in before if any(_ends(tx, effect, one) for effect in granting)]
    chain, statements = core.chains.chain(tx.network), list[Statement]()
    for group in grouped(ended):
        granted, since = group.booked + await _spent_before(core, group), min(one.block for one in group.opened)
        left = await chain.untaken(group.grant, hash, since=since, block=block, granted=granted)
        statements += _ended(group, max(0, group.booked - left), now)
    return statements


def _ends(tx: Transaction, granted: Effect, one: OpenAllowance) -> bool:
    """Whether it is the spender's last word; on Solana the account's, where both are about the associated one."""
    if one.row.asset != granted.asset:
        return False
    if tx.chain is Chain.SOLANA:
        return tx.type is TransactionType.APPROVE and one.by_request
    return one.row.spender == granted.counterparty


async def _spent_before(core: Core, group: Group) -> int:
    """What the same approvals have been booked as spent already."""
    approvals = {one.row.tx_id for one in group.opened}
    rows = [row for tx_id in approvals for row in await ledger.of_transaction(core.db, tx_id)]
    mine = (row for row in rows if (row.agent_id, row.asset, row.spender) == group.place)
    return sum(row.settled or 0 for row in mine if row.state is LedgerState.SPENT)


def _ended(group: Group, taken: int, now: int) -> list[Statement]:
    """SPENT as far as it was taken; the rest of the row that covers the last of it ends with it, all others too."""
    about, told = _told(group, taken, 0, "spent")
    statements = _announced(about, told, now) if taken else []
    for one in group.opened:
        part = min(taken, one.row.reserved)
        statements.append(ledger.settle_row(one.row.id, part, now) if part else ledger.release_row(one.row.id, now))
        taken -= part
    return statements


#: (agent, asset, spender), or (agent, asset) where it is about every spender
Places = set[tuple[str, ...]]


def grouped(opened: Iterable[OpenAllowance]) -> list[Group]:
    """By agent, asset and spender."""
    found: defaultdict[tuple[str, str, str | None], list[OpenAllowance]] = defaultdict(list)
    for one in opened:
        found[one.row.agent_id, one.row.asset, one.row.spender].append(one)
    return [Group(tuple(group)) for group in found.values()]


def untouched(groups: Iterable[Group], moving: Places) -> list[Group]:
    """Those that nothing in flight could change."""
    return [group for group in groups if not {group.place, group.place[:2], group.place[:1]} & moving]


def changed_by(agent_id: str, chain: Chain, granted: Iterable[Effect]) -> Places:
    """What approvals change: on Solana they end whatever delegate there was; of a call that names no asset, all."""
    places: Places = set()
    for effect in granted:
        if effect.kind != "APPROVE":
            continue
        if effect.asset is None:
            places.add((agent_id,))
        elif chain is Chain.SOLANA:
            places.add((agent_id, effect.asset))
        else:
            places.add((agent_id, effect.asset, effect.counterparty))
    return places


async def _in_flight(core: Core, network: Network) -> Places:
    """What signed and not yet landed transactions may still change."""
    places: Places = set()
    for agent_id, text in await ledger.in_flight(core.db, network):
        agent = await core.agents.get(agent_id)
        try:
            request = decode(text)
        except msgspec.MsgspecError:
            log.exception("request_does_not_decode", agent_id=agent_id)
            places.add((agent_id,))
        else:
            places |= changed_by(agent_id, agent.chain, effects(request, agent.chain, sender=agent.public_key))
    return places


async def _settle(core: Core, network: Network, groups: Sequence[Group]) -> None:
    """All groups in one question, all of an agent in one commit."""
    if not groups:
        return
    readings = await core.chains.chain(network).allowances([group.grant for group in groups])
    by_agent: defaultdict[str, list[Group]] = defaultdict(list)
    for group in groups:
        if group.believes(readings.get(group.grant)):
            by_agent[group.place[0]].append(group)
    await each(*(_book(core, agent_id, found, readings) for agent_id, found in by_agent.items()))


async def _book(core: Core, agent_id: str, groups: Sequence[Group], readings: Mapping[Grant, Allowed]) -> None:
    now, version = core.clock.now(), groups[0].opened[0].ledger_version
    changes = [statement for group in groups for statement in _changes(group, readings[group.grant].amount, now)]
    if not changes:
        return
    try:
        await core.db.commit(ledger.raise_version(agent_id, was=version), *changes)
    except StaleState:
        log.info("allowances_moved", agent_id=agent_id)


def _changes(group: Group, allowed: int, now: int) -> list[Statement]:
    if allowed == group.booked:
        return []
    newest, taken = group.opened[-1].row, group.booked - allowed
    moved = list(_taken(group, taken, now)) if taken > 0 else [ledger.reserve(_rest(newest, -taken, now))]
    about, told = _told(group, abs(taken), allowed, "spent" if taken > 0 else "granted")
    return [*moved, *_announced(about, told, now)]


def _told(group: Group, amount: int, left: int, what: str) -> tuple[About, dict[str, str]]:
    _, asset, spender = group.place
    row = group.opened[-1].row
    told = {"asset": asset, "spender": spender, "amount": str(amount), "left": str(left), "what": what}
    return About(row.agent_id, row.session_id, row.tx_id), told


def _announced(about: About, told: dict[str, str], now: int) -> list[Statement]:
    return [
        audit.record(AuditEvent.ALLOWANCE_SPENT, SYSTEM, now, about, **told),
        outbox.emit(EventType.ALLOWANCE_SPENT, now, about, **told),
    ]


def _taken(group: Group, taken: int, now: int) -> Iterator[Statement]:
    """The oldest rows first; of the row that covers the last of it a new one holds the rest."""
    for one in group.opened:
        part = min(taken, one.row.reserved)
        if not part:
            return
        yield ledger.settle_row(one.row.id, part, now)
        if part < one.row.reserved:
            yield ledger.reserve(_rest(one.row, one.row.reserved - part, now))
        taken -= part


def _rest(row: LedgerRow, amount: int, now: int) -> LedgerRow:
    """A further row of the same approval."""
    return msgspec.structs.replace(
        row, id=new_id(), kind=LedgerKind.ALLOWANCE, state=LedgerState.RESERVED, reserved=amount, created_at=now
    )
