"""Signed bytes from what they are to say: steps become instructions, a message, a transaction."""

from solders.hash import Hash
from solders.instruction import AccountMeta, Instruction
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.transaction import VersionedTransaction

from waiaas.chains.solana.programs import COMPUTE_BUDGET, SYSTEM
from waiaas.chains.solana.steps import Allow, Call, Close, Memo, Message, Move, Open, Revoke, Send, Step, program_of
from waiaas.errors import TransactionTooLarge

#: the smallest MTU of IPv6 less headers (solana-packet, PACKET_DATA_SIZE)
LARGEST_TRANSACTION = 1232
ADDRESS_SIZE = 32
MAX_UNITS = 1_400_000
LAMPORTS_PER_SIGNATURE = 5000
#: instructions in front of the request's own
BUDGET = (COMPUTE_BUDGET, COMPUTE_BUDGET)


def fee(units: int, unit_price: int, signatures: int = 1) -> int:
    """Lamports: the signatures, and the unit limit at its price in micro-lamports, rounded up."""
    return LAMPORTS_PER_SIGNATURE * signatures + -(-units * unit_price // 1_000_000)


def compiled(message: Message) -> MessageV0:
    """The v0 message: unit limit, unit price, steps; no lookup tables, one signer."""
    instructions = [
        Instruction(Pubkey.from_string(COMPUTE_BUDGET), b"\x02" + little(message.units, 4), []),
        Instruction(Pubkey.from_string(COMPUTE_BUDGET), b"\x03" + little(message.unit_price, 8), []),
        *(instruction(step, message) for step in message.steps),
    ]
    named = {meta.pubkey for one in instructions for meta in one.accounts}
    if len(named) * ADDRESS_SIZE > LARGEST_TRANSACTION:
        raise TransactionTooLarge(f"The transaction names {len(named)} accounts, more than it has room for.")
    sender = Pubkey.from_string(message.sender)
    return MessageV0.try_compile(sender, instructions, [], Hash.from_string(message.blockhash))


def wire(message: MessageV0, signature: Signature) -> bytes:
    """The bytes as sent; TransactionTooLarge above 1232."""
    raw = bytes(VersionedTransaction.populate(message, [signature]))
    if len(raw) > LARGEST_TRANSACTION:
        raise TransactionTooLarge(f"The transaction has {len(raw)} bytes, {LARGEST_TRANSACTION} are allowed.")
    return raw


def instruction(step: Step, message: Message) -> Instruction:
    """One step; that an account signs or is written is the message's to say."""
    metas = [
        AccountMeta(Pubkey.from_string(key), is_signer=key == message.sender, is_writable=key in message.writable)
        for key in accounts(step, message.sender)
    ]
    return Instruction(Pubkey.from_string(program_of(step)), data(step), metas)


def accounts(step: Step, sender: str) -> tuple[str, ...]:
    """The accounts of an instruction in the order its program wants them."""
    match step:
        case Move():
            return (sender, step.to)
        case Open():
            return (sender, step.holder, step.owner, step.mint, SYSTEM, step.program)
        case Send():
            return (step.source, step.mint, step.target, sender)
        case Allow():
            return (step.source, step.mint, step.delegate, sender)
        case Revoke():
            return (step.source, sender)
        case Close():
            return (step.holder, sender, sender)
        case Memo():
            return ()
        case Call():
            return step.accounts


def data(step: Step) -> bytes:
    """An instruction's data: its kind, then its numbers (System, SPL Token and Associated Token programs)."""
    match step:
        case Move():
            return b"\x02\x00\x00\x00" + little(step.lamports, 8)
        case Open():
            return b"\x01"
        case Send():
            return b"\x0c" + little(step.amount, 8) + little(step.decimals, 1)
        case Allow():
            return b"\x0d" + little(step.amount, 8) + little(step.decimals, 1)
        case Revoke():
            return b"\x05"
        case Close():
            return b"\x09"
        case Memo():
            return step.text.encode()
        case Call():
            return step.data


def little(number: int, size: int) -> bytes:
    """A little-endian unsigned number of that many bytes."""
    return number.to_bytes(size, "little")
