"""What sessions have used: amounts and allowances per asset, fees left out."""

from collections.abc import Collection, Iterable

import msgspec

from waiaas.domain.ledger import LedgerState


class SessionSpend(msgspec.Struct, frozen=True):
    """A ledger row of a session; `amount` is what is set aside, or settled once it is SPENT, or 0."""

    id: str
    session_id: str
    tx_id: str
    asset: str
    state: LedgerState
    amount: int


class Used(msgspec.Struct, frozen=True):
    """So much of one asset, in base units."""

    reserved: int = 0
    spent: int = 0

    @property
    def total(self) -> int:
        return self.reserved + self.spent


NOTHING = Used()


class Usage:
    """One agent's sessions at one ledger version: sums of what is settled, and every row that is still open.

    A sum costs the number of sessions that are asked for, a change of a few rows does not depend on the history.
    """

    def __init__(self) -> None:
        self.version = -1
        self._spent: dict[str, dict[str, int]] = {}
        self._reserved: dict[str, dict[str, int]] = {}
        self._open: dict[str, dict[str, SessionSpend]] = {}

    def take(self, version: int, rows: Iterable[SessionSpend]) -> None:
        """Go on to a later version by the rows that changed since; a row is handed in as SPENT exactly once."""
        for row in rows:
            self._close(row)
            if row.state is LedgerState.SPENT:
                _add(self._spent, row, row.amount)
            elif row.state is LedgerState.RESERVED:
                _add(self._reserved, row, row.amount)
                self._open.setdefault(row.tx_id, {})[row.id] = row
        self.version = version

    def of(self, sessions: Iterable[str], *, without: Collection[str] = ()) -> dict[str, Used]:
        """Asset → what these sessions have used, what is set aside for the transactions `without` left out."""
        found: dict[str, Used] = {}
        for session_id in sessions:
            for asset, amount in self._spent.get(session_id, {}).items():
                _gain(found, asset, Used(0, amount))
            for asset, amount in self._reserved.get(session_id, {}).items():
                _gain(found, asset, Used(amount, 0))
            for row in self._rows(without, session_id):
                _gain(found, row.asset, Used(-row.amount, 0))
        return found

    def _rows(self, tx_ids: Collection[str], session_id: str) -> Iterable[SessionSpend]:
        opened = (row for tx_id in tx_ids for row in self._open.get(tx_id, {}).values())
        return (row for row in opened if row.session_id == session_id)

    def _close(self, row: SessionSpend) -> None:
        """What was known of it counts no more."""
        opened = self._open.get(row.tx_id, {})
        if (before := opened.pop(row.id, None)) is not None:
            _add(self._reserved, before, -before.amount)
            if not opened:
                del self._open[row.tx_id]


def _add(sums: dict[str, dict[str, int]], row: SessionSpend, amount: int) -> None:
    by_asset = sums.setdefault(row.session_id, {})
    by_asset[row.asset] = by_asset.get(row.asset, 0) + amount


def _gain(found: dict[str, Used], asset: str, more: Used) -> None:
    before = found.get(asset, NOTHING)
    found[asset] = Used(before.reserved + more.reserved, before.spent + more.spent)
