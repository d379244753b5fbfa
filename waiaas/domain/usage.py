"""What sessions have used: amounts and allowances per asset, fees left out."""

from collections.abc import Collection, Iterable

import msgspec

from waiaas.domain.ledger import LedgerKind, LedgerRow, LedgerState


class Used(msgspec.Struct, frozen=True):
    """So much of one asset, in base units."""

    reserved: int = 0
    spent: int = 0

    @property
    def total(self) -> int:
        return self.reserved + self.spent


NOTHING = Used()


class Usage:
    """What one agent's sessions have used: sums of what is settled, and every row that is still open.

    A sum costs the number of sessions that are asked for, a change of a few rows does not depend on the history.
    """

    def __init__(self, rows: Iterable[LedgerRow] = ()) -> None:
        self._spent: dict[str, dict[str, int]] = {}
        self._reserved: dict[str, dict[str, int]] = {}
        self._open: dict[str, dict[str, LedgerRow]] = {}
        self.take(rows)

    def take(self, rows: Iterable[LedgerRow]) -> None:
        """Go on by the rows that changed; a row is handed in as SPENT exactly once. Fees are passed over."""
        for row in rows:
            if row.session_id is None or row.kind is LedgerKind.FEE:
                continue
            self._close(row.session_id, row)
            if row.settled is not None:
                _add(self._spent, row.session_id, row.asset, row.settled)
            elif row.state is LedgerState.RESERVED:
                _add(self._reserved, row.session_id, row.asset, row.reserved)
                self._open.setdefault(row.tx_id, {})[row.id] = row

    def of(self, sessions: Iterable[str], *, without: Collection[str] = ()) -> dict[str, Used]:
        """Asset → what these sessions have used, what is set aside for the transactions `without` left out."""
        found: dict[str, Used] = {}
        for session_id in sessions:
            for asset, amount in self._spent.get(session_id, {}).items():
                _gain(found, asset, Used(0, amount))
            for asset, amount in self._reserved.get(session_id, {}).items():
                _gain(found, asset, Used(amount, 0))
            for row in self._rows(without, session_id):
                _gain(found, row.asset, Used(-row.reserved, 0))
        return found

    def _rows(self, tx_ids: Collection[str], session_id: str) -> Iterable[LedgerRow]:
        opened = (row for tx_id in tx_ids for row in self._open.get(tx_id, {}).values())
        return (row for row in opened if row.session_id == session_id)

    def _close(self, session_id: str, row: LedgerRow) -> None:
        """What was known of it counts no more."""
        opened = self._open.get(row.tx_id, {})
        if (before := opened.pop(row.id, None)) is not None:
            _add(self._reserved, session_id, before.asset, -before.reserved)
            if not opened:
                del self._open[row.tx_id]


def _add(sums: dict[str, dict[str, int]], session_id: str, asset: str, amount: int) -> None:
    by_asset = sums.setdefault(session_id, {})
    by_asset[asset] = by_asset.get(asset, 0) + amount


def _gain(found: dict[str, Used], asset: str, more: Used) -> None:
    before = found.get(asset, NOTHING)
    found[asset] = Used(before.reserved + more.reserved, before.spent + more.spent)
