"""ERC-20 tokens: what a request is compared with before it is signed, and what an address holds."""

import asyncio
from collections.abc import Callable, Sequence
from typing import TypeVar

import msgspec
import structlog

from waiaas.chains.base import Asset
from waiaas.chains.evm import abi, ask, refusals
from waiaas.chains.rpc import Rpc
from waiaas.domain.chain import native_of
from waiaas.domain.request import Approve, TokenTransfer
from waiaas.errors import InsufficientTokenBalance, NodeRefused, TokenMismatch, Transient

log = structlog.get_logger(__name__)
T = TypeVar("T")

#: names come from whoever made the token
LONGEST_SYMBOL, LONGEST_NAME = 16, 64


class Holding(msgspec.Struct, frozen=True):
    """A request's token as the chain has it: decimals, the sender's balance, what the spender may move already."""

    decimals: int
    balance: int
    allowance: int


async def read(rpc: Rpc, request: TokenTransfer | Approve, sender: str) -> Holding:
    """TokenMismatch if the contract does not answer as a token does; Transient if the node does not."""
    token = request.token.address
    questions = [abi.call(abi.DECIMALS), abi.call(abi.BALANCE_OF, sender)]
    if isinstance(request, Approve):
        questions.append(abi.call(abi.ALLOWANCE, sender, request.spender))
    decimals, balance, *allowance = await asyncio.gather(
        *(refusals.outcome(ask.view(rpc, token, data)) for data in questions)
    )
    return Holding(
        decimals=_said(decimals, abi.small_number),
        balance=_said(balance, abi.number),
        allowance=_said(allowance[0], abi.number) if allowance else 0,
    )


async def balance(rpc: Rpc, token: str, owner: str) -> int:
    """What an owner holds of a token; TokenMismatch if the contract does not answer as one."""
    return _said(await refusals.outcome(ask.view(rpc, token, abi.call(abi.BALANCE_OF, owner))), abi.number)


def _said(answer: bytes | NodeRefused, decode: Callable[[bytes], int]) -> int:
    if isinstance(answer, NodeRefused):
        if isinstance(failure := refusals.failure(answer), Transient):
            raise failure
        raise TokenMismatch("The address is not a token: it refuses to answer as one.")
    try:
        return decode(answer)
    except ValueError as error:
        raise TokenMismatch("The address is not a token: it does not answer as one.") from error


def check(request: TokenTransfer | Approve, holding: Holding) -> None:
    """TokenMismatch for other decimals than asked for; InsufficientTokenBalance if a transfer is not covered."""
    if holding.decimals != request.token.decimals:
        raise TokenMismatch(
            f"The token has {holding.decimals} decimals, the request says {request.token.decimals}.",
            decimals=holding.decimals,
        )
    if isinstance(request, TokenTransfer) and holding.balance < int(request.amount):
        raise InsufficientTokenBalance(held=str(holding.balance), amount=request.amount)


async def list_assets(rpc: Rpc, address: str, tokens: Sequence[str]) -> list[Asset]:
    """Native first, then those of `tokens` with a balance, largest first; what cannot be read is left out."""
    balance, found = await asyncio.gather(
        ask.balance(rpc, address), asyncio.gather(*(_asset(rpc, address, token) for token in dict.fromkeys(tokens)))
    )
    native = native_of(rpc.network)
    held = [asset for asset in found if asset is not None and asset.balance]
    return [
        Asset("native", native.symbol, native.symbol, balance, native.decimals, True),
        *sorted(held, key=lambda asset: (-asset.balance, asset.symbol, asset.mint)),
    ]


async def _asset(rpc: Rpc, address: str, token: str) -> Asset | None:
    """None, with a line in the log, for what is no token."""
    questions = [abi.call(abi.BALANCE_OF, address), *map(abi.call, (abi.DECIMALS, abi.SYMBOL, abi.NAME))]
    try:
        balance, decimals, symbol, name = await asyncio.gather(
            *(refusals.outcome(ask.view(rpc, token, data)) for data in questions)
        )
        return Asset(
            mint=token,
            symbol=_name(symbol)[:LONGEST_SYMBOL],
            name=_name(name)[:LONGEST_NAME],
            balance=_said(balance, abi.number),
            decimals=_said(decimals, abi.small_number),
            is_native=False,
        )
    except (TokenMismatch, Transient) as error:
        log.warning("token left out", network=rpc.network, token=token, reason=error.message)
        return None


def _name(answer: bytes | NodeRefused) -> str:
    """What a token calls itself; empty where it does not say."""
    try:
        return "" if isinstance(answer, NodeRefused) else abi.text(answer)
    except ValueError as error:
        log.info("token without a readable name", reason=str(error))
        return ""
