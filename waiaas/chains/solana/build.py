"""Solana messages: built from a request, and read back from signed bytes."""

import msgspec
from solders.compute_budget import ID as COMPUTE_BUDGET
from solders.compute_budget import set_compute_unit_limit, set_compute_unit_price
from solders.hash import Hash
from solders.instruction import CompiledInstruction, Instruction
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.system_program import ID as SYSTEM
from solders.system_program import TransferParams, transfer
from solders.transaction import VersionedTransaction

from waiaas.domain.request import Transfer
from waiaas.errors import TransactionTooLarge

MEMO = Pubkey.from_string("MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr")
#: the smallest MTU of IPv6 less headers (solana-packet, PACKET_DATA_SIZE)
LARGEST_TRANSACTION = 1232
MAX_UNITS = 1_400_000
LAMPORTS_PER_SIGNATURE = 5000
#: places of the System program's instructions: behind the two of the compute budget
TRANSFERS = frozenset({2})

UNIT_LIMIT, UNIT_PRICE, SYSTEM_TRANSFER = b"\x02", b"\x03", b"\x02\x00\x00\x00"


class Payment(msgspec.Struct, frozen=True):
    """Everything a signed native transfer says."""

    sender: str
    to: str
    amount: int
    memo: str | None
    units: int
    unit_price: int
    blockhash: str


def payment(request: Transfer, sender: str, units: int, unit_price: int, blockhash: str) -> Payment:
    """What bytes for this request must say."""
    return Payment(sender, request.to, int(request.amount), request.memo, units, unit_price, blockhash)


def fee(units: int, unit_price: int) -> int:
    """Lamports: one signature, and the unit limit at its price in micro-lamports, rounded up."""
    return LAMPORTS_PER_SIGNATURE + -(-units * unit_price // 1_000_000)


def message(pay: Payment) -> MessageV0:
    """The v0 message: unit limit, unit price, transfer, memo; no lookup tables, one signer."""
    sender = Pubkey.from_string(pay.sender)
    instructions = [
        set_compute_unit_limit(pay.units),
        set_compute_unit_price(pay.unit_price),
        transfer(TransferParams(from_pubkey=sender, to_pubkey=Pubkey.from_string(pay.to), lamports=pay.amount)),
    ]
    if pay.memo is not None:
        instructions.append(Instruction(MEMO, pay.memo.encode(), []))
    return MessageV0.try_compile(sender, instructions, [], Hash.from_string(pay.blockhash))


def wire(compiled: MessageV0, signature: Signature) -> bytes:
    """The bytes as sent; TransactionTooLarge above 1232."""
    raw = bytes(VersionedTransaction.populate(compiled, [signature]))
    if len(raw) > LARGEST_TRANSACTION:
        raise TransactionTooLarge(f"The transaction has {len(raw)} bytes, {LARGEST_TRANSACTION} are allowed.")
    return raw


def read(raw: bytes) -> tuple[Payment, str]:
    """What signed bytes say, and their hash; ValueError if they say anything but one signed native transfer.

    Shares nothing with `message` but the addresses of the programs.
    """
    transaction = VersionedTransaction.from_bytes(raw)
    compiled = transaction.message
    if bytes(transaction) != raw or not isinstance(compiled, MessageV0) or compiled.address_table_lookups:
        raise ValueError("not a plain v0 transaction")
    if transaction.verify_with_results() != [True]:
        raise ValueError("not signed by its sender, and by nobody else")
    limit, price, move, *rest = compiled.instructions
    sender, to, amount = read_transfer(compiled, move)
    if len(rest) > 1:
        raise ValueError("more instructions than asked for")
    said = Payment(
        sender=sender,
        to=to,
        amount=amount,
        memo=data(compiled, rest[0], MEMO, b"").decode() if rest else None,
        units=number(data(compiled, limit, COMPUTE_BUDGET, UNIT_LIMIT), 4),
        unit_price=number(data(compiled, price, COMPUTE_BUDGET, UNIT_PRICE), 8),
        blockhash=str(compiled.recent_blockhash),
    )
    return said, str(transaction.signatures[0])


def read_transfer(compiled: MessageV0, instruction: CompiledInstruction) -> tuple[str, str, int]:
    """Sender, recipient and lamports of a System transfer that the fee payer makes."""
    amount = number(data(compiled, instruction, SYSTEM, SYSTEM_TRANSFER), 8)
    source, target = instruction.accounts
    if source != 0:
        raise ValueError("the fee payer is not the sender")
    return str(compiled.account_keys[source]), str(compiled.account_keys[target]), amount


def data(compiled: MessageV0, instruction: CompiledInstruction, program: Pubkey, tag: bytes) -> bytes:
    """An instruction's data behind its tag; ValueError if it is of another program or kind."""
    if compiled.account_keys[instruction.program_id_index] != program or not instruction.data.startswith(tag):
        raise ValueError(f"not the instruction of {program} it should be")
    return bytes(instruction.data[len(tag) :])


def number(text: bytes, size: int) -> int:
    """A little-endian unsigned number of exactly that many bytes."""
    if len(text) != size:
        raise ValueError("a number of another size")
    return int.from_bytes(text, "little")
