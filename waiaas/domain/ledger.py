"""The spend ledger's arithmetic: what is set aside or was spent, per asset and rolling window."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from typing import Final

import msgspec

#: how long settled spends are kept in a book: the longest window is 30 days
KEPT_SECONDS = 31 * 86400
SHARDS = 64


class LedgerKind(StrEnum):
    """What money was set aside for."""

    AMOUNT = "AMOUNT"
    #: gas, priority, L1 part and rent, in native money
    FEE = "FEE"
    #: what a spender may still take
    ALLOWANCE = "ALLOWANCE"


class LedgerState(StrEnum):
    """RESERVED → SPENT or RELEASED."""

    RESERVED = "RESERVED"
    SPENT = "SPENT"
    RELEASED = "RELEASED"


class LedgerRow(msgspec.Struct, frozen=True):
    """A row of `spend_ledger`; `settled` and `settled_at` are given for SPENT, `settled_at` also for RELEASED."""

    id: str
    agent_id: str
    session_id: str | None
    tx_id: str
    asset: str
    kind: LedgerKind
    spender: str | None
    state: LedgerState
    reserved: int
    settled: int | None
    created_at: int
    settled_at: int | None


class OpenAllowance(msgspec.Struct, frozen=True):
    """A RESERVED row of kind ALLOWANCE, the agent's address and ledger version, the block or slot that granted it.

    `by_request`: by an APPROVE and not inside a call or batch; on Solana it is the associated account's then.
    """

    row: LedgerRow
    owner: str
    ledger_version: int
    block: int
    is_final: bool
    by_request: bool


class _Open:
    """Open rows by transaction and their totals, never changed once made; a change copies one shard of many."""

    __slots__ = ("shards", "totals")

    def __init__(
        self, shards: tuple[Mapping[str, tuple[LedgerRow, ...]], ...], totals: Mapping[tuple[str, LedgerKind], int]
    ) -> None:
        self.shards: Final = shards
        self.totals: Final = totals

    def rows(self, tx_id: str) -> tuple[LedgerRow, ...]:
        return self.shards[hash(tx_id) % SHARDS].get(tx_id, ())

    def changed(self, rows: Iterable[LedgerRow]) -> "_Open":
        """With each row taken in, replaced or (no longer RESERVED) taken out."""
        shards = list(self.shards)
        fresh: dict[int, dict[str, tuple[LedgerRow, ...]]] = {}
        totals = dict(self.totals)
        for row in rows:
            place = hash(row.tx_id) % SHARDS
            shard = shards[place] = fresh.setdefault(place, dict(shards[place]))
            _put(shard, totals, row)
        return _Open(tuple(shards), totals)


def _put(shard: dict[str, tuple[LedgerRow, ...]], totals: dict[tuple[str, LedgerKind], int], row: LedgerRow) -> None:
    kept = []
    for old in shard.pop(row.tx_id, ()):
        if old.id == row.id:
            totals[old.asset, old.kind] -= old.reserved
        else:
            kept.append(old)
    if row.state is LedgerState.RESERVED:
        kept.append(row)
        totals[row.asset, row.kind] = totals.get((row.asset, row.kind), 0) + row.reserved
    if kept:
        shard[row.tx_id] = tuple(kept)


class _Spent:
    """Settled spends of one asset in the order of time, with running sums; a successor shares what it adds to.

    `times[i]` is when the i-th spend settled, `sums[i]` the sum of the first i. Lists are only ever appended to, and
    only by the view that reaches their end; a view looks at its own first `length` entries, so none sees a later one.
    """

    __slots__ = ("length", "sums", "times")

    def __init__(self, times: list[int], sums: list[int], length: int) -> None:
        self.times: Final = times
        self.sums: Final = sums
        self.length: Final = length

    @classmethod
    def of(cls, spends: Iterable[tuple[int, int]]) -> "_Spent":
        times: list[int] = []
        sums = [0]
        for at, amount in sorted(spends):
            times.append(at)
            sums.append(sums[-1] + amount)
        return cls(times, sums, len(times))

    def spends(self) -> Iterator[tuple[int, int]]:
        for i in range(self.length):
            yield self.times[i], self.sums[i + 1] - self.sums[i]

    def plus(self, at: int, amount: int) -> "_Spent":
        """With one more spend; amortised constant time when it is the latest."""
        if self.length == len(self.times) and (not self.times or at >= self.times[-1]):
            if self.times and self.times[self.length // 2] <= at - KEPT_SECONDS:
                return _Spent.of([*(spend for spend in self.spends() if spend[0] > at - KEPT_SECONDS), (at, amount)])
            self.times.append(at)
            self.sums.append(self.sums[-1] + amount)
            return _Spent(self.times, self.sums, self.length + 1)
        return _Spent.of([*self.spends(), (at, amount)])

    def since(self, after: int) -> int:
        """What settled later than `after`."""
        return self.sums[self.length] - self.sums[bisect_right(self.times, after, hi=self.length)]

    def falls_to(self, room: int) -> int | None:
        """The time of the spend after which no more than `room` was spent; None if that holds for all of them."""
        gone = bisect_left(self.sums, self.sums[self.length] - room, hi=self.length + 1)
        return self.times[gone - 1] if gone else None


class Book:
    """One agent's ledger at one version: every open row, and what settled in the last 31 days; it never changes.

    A sum costs the logarithm of the history, a change of a few rows does not depend on it.
    """

    __slots__ = ("_open", "_spent", "version")

    def __init__(self, version: int, open: _Open, spent: Mapping[str, _Spent]) -> None:
        self.version: Final = version
        self._open: Final = open
        self._spent: Final = spent

    @classmethod
    def of(cls, version: int, rows: Iterable[LedgerRow]) -> "Book":
        """A book of the agent's rows as stored, in any order; RELEASED ones count for nothing."""
        rows = tuple(rows)
        spends: dict[str, list[tuple[int, int]]] = {}
        for row in rows:
            if row.settled is not None and row.settled_at is not None:
                spends.setdefault(row.asset, []).append((row.settled_at, row.settled))
        nothing_open = _Open(tuple({} for _ in range(SHARDS)), {})
        opened = nothing_open.changed(row for row in rows if row.state is LedgerState.RESERVED)
        return cls(version, opened, {asset: _Spent.of(found) for asset, found in spends.items()})

    def after(self, version: int, rows: Iterable[LedgerRow]) -> "Book":
        """The book after a commit that wrote these rows (each as it stands now) and raised the version to this.

        A row is handed in as SPENT exactly once: by the commit that settles it. ValueError if the version did not rise.
        """
        if version <= self.version:
            raise ValueError(f"version {version} does not follow {self.version}")
        rows = tuple(rows)
        spent = dict(self._spent)
        for row in rows:
            if row.settled is not None and row.settled_at is not None:
                spent[row.asset] = (spent.get(row.asset) or _Spent.of(())).plus(row.settled_at, row.settled)
        return Book(version, self._open.changed(rows), spent)

    def used(self, asset: str, window_seconds: int, now: int, *, without: str | None = None) -> int:
        """Everything set aside in the asset whatever its age, and what settled later than `now - window_seconds`.

        `without` is a transaction whose own reservation is left out, for judging it again.
        """
        settled = self._spent_in(asset).since(now - window_seconds)
        return settled + self._set_aside(asset, without)

    def reserved(self, asset: str, kind: LedgerKind, *, without: str | None = None) -> int:
        """What is set aside in the asset for that kind, `without` a transaction's own."""
        own = self._open.rows(without) if without else ()
        mine = sum(row.reserved for row in own if row.asset == asset and row.kind is kind)
        return self._open.totals.get((asset, kind), 0) - mine

    def set_aside(self, tx_id: str) -> tuple[LedgerRow, ...]:
        """The RESERVED rows of one transaction."""
        return self._open.rows(tx_id)

    def allowance(self, asset: str, spender: str, *, without: str | None = None) -> int:
        """What is booked as open for the spender, `without` a transaction's own; looks at every open row."""
        opened = (row for shard in self._open.shards for rows in shard.values() for row in rows)
        return sum(
            row.reserved
            for row in opened
            if (row.kind, row.asset, row.spender) == (LedgerKind.ALLOWANCE, asset, spender) and row.tx_id != without
        )

    def allowances(self) -> dict[tuple[str, str], int]:
        """(asset, spender) → what is booked as open or asked for; looks at every open row."""
        found: dict[tuple[str, str], int] = {}
        for row in (row for shard in self._open.shards for rows in shard.values() for row in rows):
            if row.kind is LedgerKind.ALLOWANCE and row.spender is not None:
                found[row.asset, row.spender] = found.get((row.asset, row.spender), 0) + row.reserved
        return found

    def next_release(
        self, asset: str, window_seconds: int, now: int, *, room: int, without: str | None = None
    ) -> int | None:
        """The earliest time, not before `now`, when `used` is at most `room` if nothing else happens.

        None if what is set aside alone is more than that: nobody knows when it settles.
        """
        left = room - self._set_aside(asset, without)
        if left < 0:
            return None
        falls = self._spent_in(asset).falls_to(left)
        return now if falls is None else max(now, falls + window_seconds)

    def _set_aside(self, asset: str, without: str | None) -> int:
        return sum(self.reserved(asset, kind, without=without) for kind in LedgerKind)

    def _spent_in(self, asset: str) -> _Spent:
        return self._spent.get(asset) or _Spent.of(())
