"""What leaves an agent beyond what its request declares, as a simulation shows it.

Counted are the agent's lamports and its token accounts among those that the message may write. An account
that the agent no longer controls afterwards (another authority, another one who may close it, another
owner program) has left with all it holds. Wrapped SOL counts as the lamports it is, so that wrapping and
unwrapping move nothing.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType

import msgspec

from waiaas.chains.solana.plan import Accounts
from waiaas.chains.solana.programs import SYSTEM, WRAPPED_SOL
from waiaas.chains.solana.tokens import Holder, read_holder
from waiaas.domain.chain import Chain, native_asset
from waiaas.domain.request import Effect

NATIVE = native_asset(Chain.SOLANA)
WRAPPED = f"{Chain.SOLANA}:{WRAPPED_SOL}"


class Estate(msgspec.Struct, frozen=True):
    """What an agent controls among some accounts: base units by asset, and its token accounts by address."""

    held: Mapping[str, int]
    holders: Mapping[str, Holder]


def undeclared(
    effects: Iterable[Effect], sender: str, program: str, before: Accounts, after: Accounts, paid: int
) -> tuple[Effect, ...]:
    """The further effects; `paid` is what the simulated message costs in fee and rent, `program` who is held to it."""
    had = estate(sender, before)
    has = estate(sender, after, had.holders)
    declared = list(effects)
    return (*transfers(declared, sender, program, had, has, paid), *allowances(declared, had, has))


def estate(sender: str, accounts: Accounts, known: Mapping[str, Holder] = MappingProxyType({})) -> Estate:
    """What is the sender's; a token account that another may close is so only if he already could in `known`."""
    held: Counter[str] = Counter()
    holders: dict[str, Holder] = {}
    for address, account in accounts.items():
        holder = read_holder(account)
        if account is not None and address == sender and account.owner == SYSTEM:
            held[NATIVE] += account.lamports
        elif account is not None and holder is not None and controls(sender, holder, known.get(address, holder)):
            holders[address] = holder
            held[NATIVE] += account.lamports
            if holder.mint != WRAPPED_SOL:
                held[asset_of(holder)] += holder.amount
    return Estate(held, holders)


def controls(sender: str, holder: Holder, was: Holder) -> bool:
    """Whether a token account is still the sender's alone."""
    return holder.owner == sender and holder.close_authority in (None, sender, was.close_authority)


def transfers(
    declared: Iterable[Effect], sender: str, program: str, had: Estate, has: Estate, paid: int
) -> Iterator[Effect]:
    """What is gone of each asset and was not declared to go; what is declared to go to the agent itself does not."""
    own = {sender, *had.holders, *has.holders}
    told: Counter[str] = Counter()
    for effect in declared:
        if effect.kind in ("TRANSFER", "TOKEN_TRANSFER") and effect.counterparty not in own and effect.asset:
            told[NATIVE if effect.asset == WRAPPED else effect.asset] += effect.amount or 0
    told[NATIVE] += paid
    for asset in sorted(had.held):
        amount = had.held[asset] - has.held.get(asset, 0) - told[asset]
        if amount > 0:
            kind = "TRANSFER" if asset == NATIVE else "TOKEN_TRANSFER"
            yield Effect(kind, program, asset, amount)


def allowances(declared: Iterable[Effect], had: Estate, has: Estate) -> Iterator[Effect]:
    """Delegates that may move more than before, and more than was declared."""
    told = {(e.counterparty, e.asset): e.amount or 0 for e in declared if e.kind == "APPROVE"}
    for address, holder in has.holders.items():
        if holder.delegate is None:
            continue
        was = had.holders.get(address)
        before = was.delegated if was is not None and was.delegate == holder.delegate else 0
        if holder.delegated > max(before, told.get((holder.delegate, asset_of(holder)), 0)):
            yield Effect("APPROVE", holder.delegate, asset_of(holder), holder.delegated)


def asset_of(holder: Holder) -> str:
    """How the token is named as an asset."""
    return f"{Chain.SOLANA}:{holder.mint}"
