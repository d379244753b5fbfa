"""What signed bytes say, read back from them; shares nothing with `build.py` but the programs' addresses."""

from collections.abc import Callable, Iterator, Sequence

import msgspec
from solders.message import MessageV0
from solders.transaction import VersionedTransaction

from waiaas.chains.solana.programs import ASSOCIATED_TOKEN, COMPUTE_BUDGET, MEMO, SYSTEM, TOKEN_PROGRAMS
from waiaas.chains.solana.steps import Allow, Call, Close, Memo, Message, Move, Open, Revoke, Send, Step


class Plain(msgspec.Struct, frozen=True):
    """An instruction as it stands in the bytes, its accounts by address."""

    program: str
    data: bytes
    accounts: tuple[str, ...]


def read(raw: bytes, wanted: Sequence[type[Step]]) -> tuple[Message, str]:
    """What signed bytes say, and their hash; `wanted` says as what kind of step each instruction is to be read.

    ValueError if they are anything but such a message, signed by its sender and by nobody else.
    """
    transaction = VersionedTransaction.from_bytes(raw)
    compiled = transaction.message
    if bytes(transaction) != raw or not isinstance(compiled, MessageV0) or compiled.address_table_lookups:
        raise ValueError("not a plain v0 transaction")
    if transaction.verify_with_results() != [True]:
        raise ValueError("not signed by its sender, and by nobody else")
    sender, *_ = keys = [str(key) for key in compiled.account_keys]
    limit, price, *rest = plain(compiled, keys)
    said = Message(
        sender=sender,
        steps=tuple(READERS[kind](one, sender) for kind, one in zip(wanted, rest, strict=True)),
        writable=frozenset(writable(compiled, keys)),
        units=number(tagged(limit, b"\x02", COMPUTE_BUDGET), 4),
        unit_price=number(tagged(price, b"\x03", COMPUTE_BUDGET), 8),
        blockhash=str(compiled.recent_blockhash),
    )
    return said, str(transaction.signatures[0])


def plain(compiled: MessageV0, keys: Sequence[str]) -> Iterator[Plain]:
    """Every instruction, in order."""
    for one in compiled.instructions:
        yield Plain(keys[one.program_id_index], bytes(one.data), tuple(keys[index] for index in one.accounts))


def writable(compiled: MessageV0, keys: Sequence[str]) -> Iterator[str]:
    """The accounts the header lets be written: signers come first, and of both kinds the writable ones."""
    header = compiled.header
    signers = header.num_required_signatures
    yield from keys[: signers - header.num_readonly_signed_accounts]
    yield from keys[signers : len(keys) - header.num_readonly_unsigned_accounts]


def read_move(one: Plain, sender: str) -> Move:
    """System: Transfer."""
    source, to = one.accounts
    require(source == sender)
    return Move(to, number(tagged(one, b"\x02\x00\x00\x00", SYSTEM), 8))


def read_open(one: Plain, sender: str) -> Open:
    """Associated Token Account: CreateIdempotent."""
    payer, holder, owner, mint, system, program = one.accounts
    require(payer == sender and system == SYSTEM and program in TOKEN_PROGRAMS)
    require(tagged(one, b"\x01", ASSOCIATED_TOKEN) == b"")
    return Open(program, owner, mint, holder)


def read_send(one: Plain, sender: str) -> Send:
    """Token: TransferChecked."""
    source, mint, target, authority = one.accounts
    require(authority == sender)
    amount, decimals = checked(tagged(one, b"\x0c", *TOKEN_PROGRAMS))
    return Send(one.program, source, mint, target, amount, decimals)


def read_allow(one: Plain, sender: str) -> Allow:
    """Token: ApproveChecked."""
    source, mint, delegate, authority = one.accounts
    require(authority == sender)
    amount, decimals = checked(tagged(one, b"\x0d", *TOKEN_PROGRAMS))
    return Allow(one.program, source, mint, delegate, amount, decimals)


def read_revoke(one: Plain, sender: str) -> Revoke:
    """Token: Revoke."""
    source, authority = one.accounts
    require(authority == sender and tagged(one, b"\x05", *TOKEN_PROGRAMS) == b"")
    return Revoke(one.program, source)


def read_close(one: Plain, sender: str) -> Close:
    """Token: CloseAccount, the rent to the sender."""
    holder, to, authority = one.accounts
    require(to == sender and authority == sender and tagged(one, b"\x09", *TOKEN_PROGRAMS) == b"")
    return Close(one.program, holder)


def read_memo(one: Plain, sender: str) -> Memo:
    """Memo, which no account stands by."""
    require(not one.accounts)
    return Memo(tagged(one, b"", MEMO).decode())


def read_call(one: Plain, sender: str) -> Call:
    """Whatever it is."""
    return Call(one.program, one.data, one.accounts)


READERS: dict[type[Step], Callable[[Plain, str], Step]] = {
    Move: read_move,
    Open: read_open,
    Send: read_send,
    Allow: read_allow,
    Revoke: read_revoke,
    Close: read_close,
    Memo: read_memo,
    Call: read_call,
}


def require(is_so: bool) -> None:
    """ValueError unless it is so."""
    if not is_so:
        raise ValueError("not the instruction it should be")


def tagged(one: Plain, tag: bytes, *programs: str) -> bytes:
    """An instruction's data behind its tag; ValueError if it is of another program or kind."""
    require(one.program in programs and one.data.startswith(tag))
    return one.data[len(tag) :]


def checked(text: bytes) -> tuple[int, int]:
    """Amount and decimals."""
    return number(text[:8], 8), number(text[8:], 1)


def number(text: bytes, size: int) -> int:
    """A little-endian unsigned number of exactly that many bytes."""
    require(len(text) == size)
    return int.from_bytes(text, "little")
