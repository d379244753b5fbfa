"""From a request to the steps that carry it out, once its mints and token accounts are known."""

from base64 import b64decode
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec

from waiaas.chains.solana.answers import Account
from waiaas.chains.solana.programs import PRECOMPILES, SYSTEM, TOKEN_PROGRAMS
from waiaas.chains.solana.steps import Allow, Call, Close, Memo, Message, Move, Open, Revoke, Send, Step, written
from waiaas.chains.solana.tokens import Holder, Mint, associated, is_of_token_program, read_holder, read_mint
from waiaas.domain.request import (
    Approve,
    Batch,
    ContractCall,
    Item,
    Request,
    Sweep,
    SweepToken,
    Token,
    TokenTransfer,
    Transfer,
    swept,
)
from waiaas.errors import InsufficientTokenBalance, SimulationFailed, TokenMismatch

Accounts = Mapping[str, Account | None]


class Plan(msgspec.Struct, frozen=True):
    """What a request comes down to on chain."""

    sender: str
    steps: tuple[Step, ...]
    #: the sender first
    writable: tuple[str, ...]
    notes: tuple[str, ...]
    #: the sender keeps nothing: no priority is paid, and what the signature leaves is what is moved
    empties: bool = False

    def message(self, units: int, unit_price: int, blockhash: str) -> Message:
        """What signed bytes for it must say."""
        return Message(self.sender, self.steps, frozenset(self.writable), units, unit_price, blockhash)

    @property
    def opened(self) -> tuple[Open, ...]:
        """The token accounts that it pays for."""
        return tuple(step for step in self.steps if isinstance(step, Open))

    @property
    def closes(self) -> bool:
        """Whether rent comes back to the sender."""
        return any(isinstance(step, Close) for step in self.steps)

    @property
    def calls(self) -> bool:
        """Whether programs run of which nothing is known."""
        return any(isinstance(step, Call) for step in self.steps)

    def given(self) -> Counter[str]:
        """Lamports moved to each recipient; what the sender sends itself stays."""
        moved: Counter[str] = Counter()
        for step in self.steps:
            if isinstance(step, Move) and step.to != self.sender:
                moved[step.to] += step.lamports
        return moved


def items(request: Request) -> tuple[Item, ...]:
    """The items of a batch; any other request is its own, a sweep what it will come to."""
    if isinstance(request, Sweep | SweepToken):
        return (swept(request, 0),)
    return request.instructions if isinstance(request, Batch) else (request,)


def signatures(request: Request) -> int:
    """How many signatures the fee is asked for: the sender's, and those that calls have checked."""
    calls = [item for item in items(request) if isinstance(item, ContractCall) and item.program_id in PRECOMPILES]
    return 1 + sum(sum(payload(call)[:1]) for call in calls)


def holders(request: Request) -> int:
    """How many token accounts the request may have to open."""
    sends = (item for item in items(request) if isinstance(item, TokenTransfer))
    return len({(send.to, send.token.address) for send in sends})


def to_look_up(request: Request, sender: str) -> list[str]:
    """The accounts that must be known before there can be a plan: none, unless it is about tokens."""
    wanted: dict[str, None] = {}
    for item in items(request):
        if isinstance(item, TokenTransfer | Approve):
            owners = [sender, item.to] if isinstance(item, TokenTransfer) else [sender]
            derived = [associated(owner, item.token.address, program) for owner in owners for program in TOKEN_PROGRAMS]
            wanted |= dict.fromkeys([item.token.address, *owners, *derived])
    return list(wanted)


def make_plan(request: Request, sender: str, known: Accounts) -> Plan:
    """TokenMismatch or InsufficientTokenBalance where the chain already says that it would not do what was asked."""
    notes: list[str] = []
    steps = tuple(once(step for item in items(request) for step in steps_of(item, sender, known, notes)))
    if not any(isinstance(step, Call) for step in steps):
        cover(steps, sender, known)
    return Plan(sender, steps, tuple(writable(request, sender, steps)), tuple(notes))


def steps_of(item: Item, sender: str, known: Accounts, notes: list[str]) -> Iterator[Step]:
    """The steps of one item, its memo last."""
    match item:
        case Transfer():
            yield Move(item.to, int(item.amount))
        case TokenTransfer():
            yield from send(item, sender, known)
        case Approve():
            yield approve(item, sender, known, notes)
        case ContractCall():
            yield call(item, sender)
    if isinstance(item, Transfer | TokenTransfer):
        if item.to == sender:
            notes.append("The agent sends this to itself.")
        if item.memo is not None:
            yield Memo(item.memo)


def send(item: TokenTransfer, sender: str, known: Accounts) -> Iterator[Step]:
    """TransferChecked between associated accounts, behind the opening of the recipient's if there is none."""
    mint = token(item.token, known)
    if is_of_token_program(known[item.to]):
        raise TokenMismatch("The recipient is a token account or a token; name the owner's address.")
    source, target = (associated(owner, mint.address, mint.program) for owner in (sender, item.to))
    if item.to != sender:
        if is_missing(known[target]):
            yield Open(mint.program, item.to, mint.address, target)
        else:
            held_by(item.to, mint, known[target])
    yield Send(mint.program, source, mint.address, target, int(item.amount), mint.decimals)


def approve(item: Approve, sender: str, known: Accounts, notes: list[str]) -> Step:
    """ApproveChecked, or Revoke for 0; a token account has one delegate, so a note tells whom this replaces."""
    mint = token(item.token, known)
    source = associated(sender, mint.address, mint.program)
    holder = held_by(sender, mint, known[source])
    if holder.delegate is not None:
        notes.append(f"Replaces the allowance of {holder.delegate}, who may still move {holder.delegated} base units.")
    if int(item.amount) == 0:
        return Revoke(mint.program, source)
    return Allow(mint.program, source, mint.address, item.spender, int(item.amount), mint.decimals)


def call(item: ContractCall, sender: str) -> Step:
    """The instruction as it was given; only the agent can sign it."""
    if item.program_id is None or any(each.is_signer and each.pubkey != sender for each in item.accounts or ()):
        raise SimulationFailed("A call names its program, and nobody but the agent can sign it.")
    return Call(item.program_id, payload(item), tuple(each.pubkey for each in item.accounts or ()))


def payload(item: ContractCall) -> bytes:
    """An instruction's data."""
    try:
        return b64decode(item.instruction_data or "", validate=True)
    except ValueError as error:
        raise SimulationFailed("The instruction's data is not base64.") from error


def token(named: Token, known: Accounts) -> Mint:
    """The token as the chain knows it; TokenMismatch if it has other decimals than the caller thinks."""
    mint = read_mint(named.address, known[named.address])
    if mint.decimals != named.decimals:
        raise TokenMismatch(f"The token has {mint.decimals} decimals, not {named.decimals}.")
    return mint


def held_by(owner: str, mint: Mint, account: Account | None) -> Holder:
    """The owner's account of a token; TokenMismatch if there is none, or if it has come to belong to another."""
    holder = read_holder(account)
    if holder is None or (holder.owner, holder.mint, holder.program) != (owner, mint.address, mint.program):
        raise TokenMismatch(f"{owner} has no associated account of this token.")
    return holder


def is_missing(account: Account | None) -> bool:
    """Nobody has opened it yet; lamports that somebody sent there do not make it a token account."""
    return account is None or account.owner == SYSTEM


def cover(steps: Iterable[Step], sender: str, known: Accounts) -> None:
    """InsufficientTokenBalance unless every source holds what leaves it; what returns to it does not leave."""
    leaving: Counter[str] = Counter()
    for step in steps:
        if isinstance(step, Send):
            leaving[step.source] += step.amount if step.target != step.source else 0
    for source, amount in leaving.items():
        holder = read_holder(known[source])
        held = holder.amount if holder is not None and holder.owner == sender else 0
        if held < amount or holder is None:
            raise InsufficientTokenBalance(held=str(held), amount=str(amount))


def once(steps: Iterable[Step]) -> Iterator[Step]:
    """The same steps, each token account opened only the first time."""
    opened: set[Step] = set()
    for step in steps:
        if not isinstance(step, Open) or step not in opened:
            yield step
        opened.add(step)


def writable(request: Request, sender: str, steps: Sequence[Step]) -> list[str]:
    """Every account that may be written, the sender first."""
    calls = [item for item in items(request) if isinstance(item, ContractCall)]
    asked = [each.pubkey for item in calls for each in item.accounts or () if each.is_writable]
    return list(dict.fromkeys([sender, *(key for step in steps for key in written(step)), *asked]))
