"""What an accepted request sets aside in the ledger."""

from collections.abc import Sequence
from typing import NamedTuple

from waiaas.domain.chain import Chain, native_asset
from waiaas.domain.ledger import LedgerKind
from waiaas.domain.request import Effect
from waiaas.policy.facts import OUTFLOW


class Booking(NamedTuple):
    """So much of an asset, in base units; `spender` is given for an ALLOWANCE."""

    asset: str
    kind: LedgerKind
    amount: int
    spender: str | None = None


def reservation(effects: Sequence[Effect], fee: int, chain: Chain) -> list[Booking]:
    """The outflow per asset, what each spender is let spend per asset, and the fee in native money."""
    amounts: dict[str, int] = {}
    allowances: dict[tuple[str, str], int] = {}
    for effect in effects:
        if effect.asset is None or effect.amount is None:
            continue
        if effect.kind in OUTFLOW:
            amounts[effect.asset] = amounts.get(effect.asset, 0) + effect.amount
        elif effect.kind == "APPROVE" and effect.amount:
            place = effect.asset, effect.counterparty
            allowances[place] = allowances.get(place, 0) + effect.amount
    return [
        *(Booking(asset, LedgerKind.AMOUNT, amount) for asset, amount in amounts.items()),
        *(Booking(asset, LedgerKind.ALLOWANCE, amount, spender) for (asset, spender), amount in allowances.items()),
        Booking(native_asset(chain), LedgerKind.FEE, fee),
    ]
