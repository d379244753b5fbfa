"""Everything an address has: what a withdrawal can move, and the plans that leave nothing behind."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence

import msgspec
import structlog

from waiaas.chains.base import Holding
from waiaas.chains.rpc import Rpc
from waiaas.chains.solana import answers, build, plan
from waiaas.chains.solana.answers import Account, Answer, Contextual, EncodedAccount
from waiaas.chains.solana.plan import Accounts, Plan
from waiaas.chains.solana.programs import TOKEN_PROGRAMS
from waiaas.chains.solana.steps import Close, Move, Open, Send, Step
from waiaas.chains.solana.tokens import Holder, Mint, associated, is_of_token_program, read_holder, read_mint
from waiaas.domain.request import Request, Sweep, SweepToken, Token, swept
from waiaas.errors import InsufficientForFee, InsufficientTokenBalance, TokenMismatch

log = structlog.get_logger(__name__)

CONFIRMED = "confirmed"
#: accounts that getMultipleAccounts takes at once
ACCOUNTS = 100


class Owned(Answer, frozen=True):
    """One token account and its address."""

    pubkey: str
    account: EncodedAccount


OWNED: msgspec.json.Decoder[Contextual[list[Owned]]] = msgspec.json.Decoder(Contextual[list[Owned]])


def token_plan(request: SweepToken, sender: str, known: Accounts) -> tuple[Request, Plan]:
    """The whole of a token account to the owner, then the account is closed, where the sender may do that.

    TokenMismatch if it is not the sender's or the token is refused, InsufficientTokenBalance if nothing is in it.
    """
    assert request.account is not None
    mint, account = plan.token(request.token, known), request.account
    holder = own(known[account], sender, mint)
    if is_of_token_program(known[request.to]):
        raise TokenMismatch("The owner's address is a token account or a token.")
    if holder.amount == 0:
        raise InsufficientTokenBalance(held="0", amount="0")
    target = associated(request.to, mint.address, mint.program)
    is_open = not plan.is_missing(known[target])
    if is_open:
        plan.held_by(request.to, mint, known[target])
    steps = tuple(_emptying(request.to, mint, account, target, holder, is_open=is_open))
    transfer = swept(request, holder.amount)
    return transfer, Plan(sender, steps, tuple(plan.writable(transfer, sender, steps)), ())


def _emptying(to: str, mint: Mint, account: str, target: str, holder: Holder, *, is_open: bool) -> Iterator[Step]:
    if not is_open:
        yield Open(mint.program, to, mint.address, target)
    yield Send(mint.program, account, mint.address, target, holder.amount, mint.decimals)
    if holder.close_authority in (None, holder.owner):
        yield Close(mint.program, account)


def own(account: Account | None, sender: str, mint: Mint) -> Holder:
    """The sender's account of a token; TokenMismatch if it is anything else."""
    holder = read_holder(account)
    if holder is None or (holder.owner, holder.mint, holder.program) != (sender, mint.address, mint.program):
        raise TokenMismatch("The token account is not the agent's account of this token any more.")
    return holder


def to_look_up(request: SweepToken) -> list[str]:
    """The accounts that must be known before there can be a plan."""
    assert request.account is not None
    mint = request.token.address
    return [mint, request.account, request.to, *(associated(request.to, mint, one) for one in TOKEN_PROGRAMS)]


def native_plan(request: Sweep, sender: str, lamports: int) -> tuple[Request, Plan]:
    """All but the price of one signature; InsufficientForFee if there is no more than that."""
    amount = lamports - build.LAMPORTS_PER_SIGNATURE
    if amount <= 0:
        raise InsufficientForFee(held=str(lamports), fee=str(build.LAMPORTS_PER_SIGNATURE))
    steps = (Move(request.to, amount),)
    transfer = swept(request, amount)
    return transfer, Plan(sender, steps, tuple(plan.writable(transfer, sender, steps)), (), empties=True)


async def list_holdings(rpc: Rpc, address: str) -> list[Holding]:
    """Every token account with something in it, of both token programs."""
    answer = await asyncio.gather(
        *(rpc.call("getTokenAccountsByOwner", owned_by(address, program), owned) for program in TOKEN_PROGRAMS)
    )
    accounts = {key: holder for found in answer for key, holder in found.items() if holder.amount}
    mints = await _mints(rpc, sorted({holder.mint for holder in accounts.values()}))
    return [_holding(key, holder, mints[holder.mint]) for key, holder in sorted(accounts.items())]


def owned_by(address: str, program: str) -> list[object]:
    """Parameters of getTokenAccountsByOwner for one token program, whole accounts."""
    return [address, {"programId": program}, {"encoding": "base64", "commitment": CONFIRMED}]


def owned(text: bytes) -> dict[str, Holder]:
    """Reads getTokenAccountsByOwner; what is no token account is left out."""
    return held(OWNED.decode(text).value)


def held(accounts: Sequence[Owned]) -> dict[str, Holder]:
    """Token accounts by address; ValueError where one is not base64."""
    read = {one.pubkey: read_holder(answers.decoded(one.account)) for one in accounts}
    return {key: holder for key, holder in read.items() if holder is not None}


async def _mints(rpc: Rpc, addresses: Sequence[str]) -> Mapping[str, Account | None]:
    chunks = [addresses[start : start + ACCOUNTS] for start in range(0, len(addresses), ACCOUNTS)]
    config = {"commitment": CONFIRMED, "encoding": "base64"}
    calls = (rpc.call("getMultipleAccounts", [one, config], answers.accounts(one)) for one in chunks)
    return {key: account for found in await asyncio.gather(*calls) for key, account in found.items()}


def _holding(account: str, holder: Holder, mint: Account | None) -> Holding:
    try:
        decimals, obstacle = read_mint(holder.mint, mint).decimals, "frozen" if holder.frozen else None
    except TokenMismatch as refusal:
        log.info("token not swept", token=holder.mint, reason=refusal.message)
        decimals, obstacle = 0, "unsupported"
    return Holding(Token(holder.mint, decimals, ""), holder.amount, account, obstacle)
