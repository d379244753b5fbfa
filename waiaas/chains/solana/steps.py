"""What a Solana message says: a step per instruction, and which accounts it may write."""

import msgspec

from waiaas.chains.solana.programs import ASSOCIATED_TOKEN, MEMO, SYSTEM


class Move(msgspec.Struct, frozen=True):
    """The sender pays lamports."""

    to: str
    lamports: int


class Open(msgspec.Struct, frozen=True):
    """The sender pays for an owner's associated token account, unless it exists by then."""

    program: str
    owner: str
    mint: str
    holder: str


class Send(msgspec.Struct, frozen=True):
    """The sender's tokens go from one token account to another."""

    program: str
    source: str
    mint: str
    target: str
    amount: int
    decimals: int


class Allow(msgspec.Struct, frozen=True):
    """A delegate may move so many of the sender's tokens, and nobody else but the sender any."""

    program: str
    source: str
    mint: str
    delegate: str
    amount: int
    decimals: int


class Revoke(msgspec.Struct, frozen=True):
    """Nobody but the sender may move the sender's tokens."""

    program: str
    source: str


class Close(msgspec.Struct, frozen=True):
    """An empty token account of the sender's is no more; what it held as rent is the sender's again."""

    program: str
    holder: str


class Memo(msgspec.Struct, frozen=True):
    """Words for the record."""

    text: str


class Call(msgspec.Struct, frozen=True):
    """Any other instruction; which of its accounts are written is said once for the whole message."""

    program: str
    data: bytes
    accounts: tuple[str, ...]


Step = Move | Open | Send | Allow | Revoke | Close | Memo | Call


class Message(msgspec.Struct, frozen=True):
    """Everything that signed bytes say; the sender pays, signs, and is the only one who does."""

    sender: str
    steps: tuple[Step, ...]
    writable: frozenset[str]
    units: int
    unit_price: int
    blockhash: str


def program_of(step: Step) -> str:
    """The program that runs the step."""
    match step:
        case Move():
            return SYSTEM
        case Open():
            return ASSOCIATED_TOKEN
        case Memo():
            return MEMO
        case Send() | Allow() | Revoke() | Close() | Call():
            return step.program


def written(step: Step) -> tuple[str, ...]:
    """The accounts, besides the sender, that a step of ours writes; a Call does not know."""
    match step:
        case Move():
            return (step.to,)
        case Open() | Close():
            return (step.holder,)
        case Send():
            return (step.source, step.target)
        case Allow() | Revoke():
            return (step.source,)
        case Memo() | Call():
            return ()
