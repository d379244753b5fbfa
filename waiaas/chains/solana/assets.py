"""What an address holds: SOL, and every token of both token programs."""

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec
import structlog

from waiaas.chains.base import Asset
from waiaas.chains.rpc import Rpc
from waiaas.chains.solana import answers
from waiaas.chains.solana.answers import Answer, Contextual
from waiaas.chains.solana.programs import TOKEN, TOKEN_2022
from waiaas.domain.chain import native_of
from waiaas.domain.money import parse_amount

log = structlog.get_logger(__name__)

CONFIRMED = "confirmed"
#: accounts that getMultipleAccounts takes at once
ACCOUNTS = 100
#: names come from whoever made the mint
LONGEST_SYMBOL, LONGEST_NAME = 16, 64


class TokenAmount(Answer, frozen=True):
    """Base units in digits, as the node writes them."""

    amount: str
    decimals: int


class Holding(Answer, frozen=True):
    """What a token account holds, of which mint."""

    mint: str
    token_amount: TokenAmount


class Parsed(Answer, frozen=True):
    """A token account as jsonParsed gives it."""

    info: Holding


class ParsedData(Answer, frozen=True):
    """The data of an account of a program the node knows."""

    parsed: Parsed


class TokenData(Answer, frozen=True):
    """An account whose data may be parsed."""

    data: ParsedData


class TokenAccount(Answer, frozen=True):
    """One token account."""

    account: TokenData


class Extension(Answer, frozen=True):
    """One extension of a Token-2022 mint; only tokenMetadata's state is looked into."""

    extension: str
    state: msgspec.Raw = msgspec.Raw(b"{}")


class MintInfo(Answer, frozen=True):
    """A mint as jsonParsed gives it."""

    extensions: tuple[Extension, ...] = ()


class ParsedMint(Answer, frozen=True):
    """The parsed part of a mint's data."""

    info: MintInfo


class MintData(Answer, frozen=True):
    """The data of a mint."""

    parsed: ParsedMint


class Mint(Answer, frozen=True):
    """The account of a mint."""

    data: MintData


class Metadata(Answer, frozen=True):
    """Name and symbol as the mint states them; empty when it does not."""

    name: str = ""
    symbol: str = ""


LIST = msgspec.json.Decoder(Contextual[list[msgspec.Raw]])
TOKEN_ACCOUNT = msgspec.json.Decoder(TokenAccount)
MINT = msgspec.json.Decoder(Mint)
METADATA = msgspec.json.Decoder(Metadata)


async def list_assets(rpc: Rpc, address: str) -> list[Asset]:
    """Native first, then tokens with a balance, largest first, ties by symbol; what cannot be read is left out."""
    lamports, plain, extended = await asyncio.gather(
        rpc.call("getBalance", [address, {"commitment": CONFIRMED}], answers.balance),
        rpc.call("getTokenAccountsByOwner", owned(address, TOKEN), LIST.decode),
        rpc.call("getTokenAccountsByOwner", owned(address, TOKEN_2022), LIST.decode),
    )
    holdings, others = list(read_holdings(plain.value)), list(read_holdings(extended.value))
    names = await metadata(rpc, sorted({holding.mint for holding in others}))
    tokens = [asset for asset in sums((*holdings, *others), names) if asset.balance]
    native = native_of(rpc.network)
    return [
        Asset("native", native.symbol, native.symbol, lamports, native.decimals, True),
        *sorted(tokens, key=lambda asset: (-asset.balance, asset.symbol, asset.mint)),
    ]


def owned(address: str, program: str) -> list[object]:
    """Parameters of getTokenAccountsByOwner for one token program."""
    return [address, {"programId": program}, {"encoding": "jsonParsed", "commitment": CONFIRMED}]


def read_holdings(accounts: Iterable[msgspec.Raw]) -> Iterator[Holding]:
    """Every account that can be read; the others are logged."""
    for account in accounts:
        try:
            holding = TOKEN_ACCOUNT.decode(account).account.data.parsed.info
            parse_amount(holding.token_amount.amount)
        except ValueError as error:
            log.warning("token account left out", reason=str(error))
        else:
            yield holding


def sums(holdings: Iterable[Holding], names: Mapping[str, Metadata]) -> list[Asset]:
    """One asset per mint, over all its accounts."""
    found: dict[str, Asset] = {}
    for holding in holdings:
        named = names.get(holding.mint, Metadata())
        before = found[holding.mint].balance if holding.mint in found else 0
        found[holding.mint] = Asset(
            holding.mint,
            named.symbol[:LONGEST_SYMBOL],
            named.name[:LONGEST_NAME],
            before + int(holding.token_amount.amount),
            holding.token_amount.decimals,
            False,
        )
    return list(found.values())


async def metadata(rpc: Rpc, mints: Sequence[str]) -> dict[str, Metadata]:
    """What Token-2022 mints say of themselves."""
    found: dict[str, Metadata] = {}
    for start in range(0, len(mints), ACCOUNTS):
        chunk = mints[start : start + ACCOUNTS]
        params = [chunk, {"encoding": "jsonParsed", "commitment": CONFIRMED}]
        answer = await rpc.call("getMultipleAccounts", params, LIST.decode)
        found |= dict(zip(chunk, map(read_metadata, answer.value), strict=False))
    return found


def read_metadata(account: msgspec.Raw) -> Metadata:
    """Name and symbol of one mint; empty if it has none or they cannot be read."""
    try:
        extensions = MINT.decode(account).data.parsed.info.extensions
        state = next((one.state for one in extensions if one.extension == "tokenMetadata"), msgspec.Raw(b"{}"))
        return METADATA.decode(state)
    except ValueError as error:
        log.info("mint without readable metadata", reason=str(error))
        return Metadata()
