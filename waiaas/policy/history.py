"""The past of one agent, played again: its ledger and counts as they were, and as they would have been.

The order is that of the agent's ledger version: a decision names the version it was made on, a row the one that ended
it, so even what fell into one second keeps its order. Of what has no version (a fee that the signature fixed, what left
undeclared) the second is known.
"""

from bisect import bisect_left
from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import attrgetter
from typing import NamedTuple

import msgspec

from waiaas.domain.chain import Chain
from waiaas.domain.decision import Decision
from waiaas.domain.effects import allowances_set
from waiaas.domain.history import Entry, Made, Past
from waiaas.domain.ledger import Book, LedgerKind, LedgerRow, LedgerState
from waiaas.policy.booking import reservation


class Step(NamedTuple):
    """A row as it stands from a version on; what has no version of its own, from a second on."""

    version: int
    root: str
    row: LedgerRow
    since: int = 0

    def is_before(self, past: Past) -> bool:
        """Whether that decision has seen it."""
        return self.version <= past.version and self.since <= past.made.created_at


class History:
    """One agent's requests in order, oldest first, from the first of `pasts` on; nothing outside is changed.

    `entries` are all rows that were open or counted at its time, `earlier` the requests before it, oldest first.
    `lineage` tells a session and its ancestors, by its id. Call `go_to`, look, then `allow` or `deny`, each in turn.
    """

    def __init__(
        self,
        chain: Chain,
        entries: Iterable[Entry],
        earlier: Iterable[Made],
        pasts: Sequence[Past],
        lineage: Mapping[str, tuple[str, ...]],
    ) -> None:
        self._chain = chain
        self._lineage = lineage
        self._denied: set[str] = set()
        self._gone = {past.made.id for past in pasts if past.made.gone and past.was_allowed}
        self._spent: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._transactions: Counter[str] = Counter()
        #: what each row counts for its session
        self._counted: dict[str, int] = {}
        #: requests that count, oldest first: when made, by which session
        self._made: dict[str, tuple[int, str | None]] = {}
        #: allowances that only the candidate granted, by asset and spender
        self._granted: dict[tuple[str, str], LedgerRow] = {}
        for made in earlier:
            self._count(made)
            if made.gone:
                self._gone.add(made.id)
        self._steps = deque(in_order(entries, pasts))
        begun: dict[str, LedgerRow] = {}
        while self._steps and self._steps[0].is_before(pasts[0]):
            step = self._steps.popleft()
            begun[step.row.id] = step.row
            self._note(step)
        self.book = Book.of(0, begun.values())

    def go_to(self, past: Past) -> None:
        """Everything that happened before it was judged, but for what was denied here."""
        changed = []
        while self._steps and self._steps[0].is_before(past):
            step = self._steps.popleft()
            if step.root not in self._denied:
                self._note(step)
                changed.append(step.row)
        self._write(changed)

    def allow(self, past: Past, decision: Decision) -> None:
        """It counts: as what became of it, or if it had been denied as spent at once, as requested.

        Grants that it takes back or replaces end where nothing else says so.
        """
        self._count(past.made)
        released = [self._granted.pop(place) for place in sorted(self._replaced(past))]
        rows = [msgspec.structs.replace(row, state=LedgerState.RELEASED, settled_at=row.created_at) for row in released]
        if not past.was_allowed:
            rows += self._as_requested(past, decision)
        for row in rows:
            self._note(Step(past.version, past.made.id, row))
        self._write(rows)

    def deny(self, past: Past) -> None:
        """It counts for nothing, whatever became of it."""
        self._denied.add(past.made.id)

    def recent(self, after: int, most: int) -> tuple[int, ...]:
        """When the requests later than `after` were made, newest first."""
        found: list[int] = []
        for at, _ in reversed(self._made.values()):
            if at <= after or len(found) == most:
                break
            found.append(at)
        return tuple(found)

    def spent_by(self, session_id: str) -> dict[str, int]:
        """Asset → what the session and those below it have settled and reserved, without fees."""
        return dict(self._spent[session_id])

    def transactions_of(self, session_id: str) -> int:
        """Requests of the session and those below it that count."""
        return self._transactions[session_id]

    def _count(self, made: Made) -> None:
        self._made[made.id] = (made.created_at, made.session_id)
        self._transactions.update(self._above(made.session_id))

    def _above(self, session_id: str | None) -> tuple[str, ...]:
        return self._lineage.get(session_id, ()) if session_id is not None else ()

    def _note(self, step: Step) -> None:
        """What a row says of its session, and of a request that was taken back."""
        row = step.row
        if row.kind is not LedgerKind.FEE:
            worth = _worth(row)
            change = worth - self._counted.get(row.id, 0)
            self._counted[row.id] = worth
            for session_id in self._above(row.session_id):
                self._spent[session_id][row.asset] += change
        elif row.state is LedgerState.RELEASED and step.root in self._gone and step.root in self._made:
            _, made_by = self._made.pop(step.root)
            self._transactions.subtract(self._above(made_by))

    def _write(self, rows: Sequence[LedgerRow]) -> None:
        if rows:
            self.book = self.book.after(self.book.version + 1, rows)

    def _replaced(self, past: Past) -> set[tuple[str, str]]:
        places = {(effect.asset or "", effect.counterparty) for effect in allowances_set(past.effects)}
        return places & self._granted.keys()

    def _as_requested(self, past: Past, decision: Decision) -> Iterator[LedgerRow]:
        made, now = past.made, decision.facts.now
        booked = reservation(past.effects, int(decision.facts.fee), self._chain)
        for number, (asset, kind, amount, spender) in enumerate(booked):
            stays = kind is LedgerKind.ALLOWANCE
            row = LedgerRow(
                id=f"{made.id}#{number}",
                agent_id="",
                session_id=made.session_id,
                tx_id=made.id,
                asset=asset,
                kind=kind,
                spender=spender,
                state=LedgerState.RESERVED if stays else LedgerState.SPENT,
                reserved=amount,
                settled=None if stays else amount,
                created_at=now,
                settled_at=None if stays else now,
            )
            if spender is not None:
                self._granted[asset, spender] = row
            yield row


def in_order(entries: Iterable[Entry], pasts: Sequence[Past]) -> list[Step]:
    """How the rows came to stand as they are, step by step, in the order of the ledger's version."""
    judged = {past.made.id: past for past in pasts}
    dated: list[Step] = []
    undated: list[Step] = []
    for entry in entries:
        row, past = entry.row, judged.get(entry.root)
        first = _as_begun(entry, past)
        if past is not None and row.created_at == past.made.created_at:
            dated.append(Step(past.version + 1, entry.root, first))
        elif row.created_at < pasts[0].made.created_at:
            dated.append(Step(-1, entry.root, first))
        else:
            undated.append(Step(0, entry.root, first, since=row.created_at))
        if row.state is not LedgerState.RESERVED:
            dated.append(Step(entry.version, entry.root, row))
        if first.reserved != row.reserved and entry.signed_at is not None:
            undated.append(Step(0, entry.root, _open(row), since=entry.signed_at + 1))
    return _merged(sorted(dated, key=attrgetter("version")), undated)


def _as_begun(entry: Entry, past: Past | None) -> LedgerRow:
    """The row as it was set aside; a fee as it was judged, before the signature fixed it."""
    row = _open(entry.row)
    is_own_fee = row.kind is LedgerKind.FEE and row.tx_id == entry.root
    if past is None or not past.was_allowed or not is_own_fee or row.created_at != past.made.created_at:
        return row
    return msgspec.structs.replace(row, reserved=int(past.decision.facts.fee))


def _open(row: LedgerRow) -> LedgerRow:
    return msgspec.structs.replace(row, state=LedgerState.RESERVED, settled=None, settled_at=None)


def _merged(dated: list[Step], undated: Iterable[Step]) -> list[Step]:
    """Steps without a version behind what is older than they are; a row is never changed once it has ended."""
    times: list[int] = []
    for step in dated:
        times.append(max(_at(step.row), times[-1] if times else 0))
    ends = {step.row.id: step.version for step in dated if step.row.state is not LedgerState.RESERVED}
    steps = [(step.version, 0, step) for step in dated]
    for step in undated:
        place = bisect_left(times, step.since)
        version = dated[place - 1].version if place else -1
        if version < ends.get(step.row.id, version + 1):
            steps.append((version, step.since, step._replace(version=version)))
    return [step for _, _, step in sorted(steps, key=lambda each: each[:2])]


def _at(row: LedgerRow) -> int:
    return row.created_at if row.settled_at is None else row.settled_at


def _worth(row: LedgerRow) -> int:
    """What a row counts for its session."""
    if row.state is LedgerState.RELEASED:
        return 0
    return row.reserved if row.settled is None else row.settled
