"""What an EVM node answers, typed; anything else is unreadable (https://ethereum.github.io/execution-apis)."""

from collections.abc import Callable
from typing import Annotated, Any

import msgspec

from waiaas.errors import Lie

Quantity = Annotated[str, msgspec.Meta(pattern=r"^0x[0-9a-fA-F]{1,64}\Z")]
Hash = Annotated[str, msgspec.Meta(pattern=r"^0x[0-9a-fA-F]{64}\Z")]
Data = Annotated[str, msgspec.Meta(pattern=r"^0x([0-9a-fA-F]{2})*\Z")]

#: nothing costs less gas than a transfer
LEAST_GAS = 21_000


class Answer(msgspec.Struct, frozen=True, rename="camel"):
    """Keys as the node spells them; unknown ones are ignored."""


class FeeHistory(Answer, frozen=True):
    """Base fees of some blocks and of the next one; what their transactions paid above it."""

    base_fee_per_gas: list[Quantity]
    reward: list[list[Quantity]] | None = None


class Head(Answer, frozen=True):
    """A block, so far as it is needed."""

    number: Quantity
    hash: Hash
    base_fee_per_gas: Quantity | None = None


class Receipt(Answer, frozen=True):
    """Where a transaction landed and what it cost."""

    transaction_hash: Hash
    block_hash: Hash | None = None
    block_number: Quantity | None = None
    status: Quantity = ""
    gas_used: Quantity = ""
    effective_gas_price: Quantity = ""
    #: OP stack: paid for the data on L1, besides the gas
    l1_fee: Quantity | None = None


class Log(Answer, frozen=True):
    """An event of a contract, so far as it is needed."""

    transaction_hash: Hash
    data: Data


class Pending(Answer, frozen=True):
    """A transaction that the node knows, in a block or not; `sender` signed it, `to` is what it calls."""

    hash: Hash
    sender: str | None = msgspec.field(name="from", default=None)
    to: str | None = None


class Landed(msgspec.Struct, frozen=True):
    """A receipt in numbers."""

    hash: str
    block: int
    block_hash: str
    ok: bool
    fee: int


class Block(msgspec.Struct, frozen=True):
    """A block in numbers; `base_fee` None: the network has none."""

    number: int
    hash: str
    base_fee: int | None


class History(msgspec.Struct, frozen=True):
    """The base fee of the next block, and what each of the last ones paid above it, in wei."""

    base: int
    tips: tuple[int, ...]


QUANTITY = msgspec.json.Decoder(Quantity)
DATA = msgspec.json.Decoder(Data)
HASH = msgspec.json.Decoder(Hash)
HISTORY = msgspec.json.Decoder(FeeHistory)
HEAD: msgspec.json.Decoder[Head | None] = msgspec.json.Decoder(Head | None)
RECEIPT: msgspec.json.Decoder[Receipt | None] = msgspec.json.Decoder(Receipt | None)
LOGS = msgspec.json.Decoder(list[Log])
PENDING: msgspec.json.Decoder[Pending | None] = msgspec.json.Decoder(Pending | None)
ANYTHING: msgspec.json.Decoder[Any] = msgspec.json.Decoder()


def quantity(text: bytes) -> int:
    """A number."""
    return int(QUANTITY.decode(text), 16)


def gas(text: bytes) -> int:
    """The gas of eth_estimateGas; ValueError if it is less than anything costs."""
    if (units := quantity(text)) < LEAST_GAS:
        raise ValueError("less gas than anything costs")
    return units


def data(text: bytes) -> bytes:
    """What a call returned, or the code at an address."""
    return bytes.fromhex(DATA.decode(text)[2:])


def fee_history(text: bytes) -> History:
    """Base fee and tips of eth_feeHistory; no tips where the node gives none."""
    answer = HISTORY.decode(text)
    if not answer.base_fee_per_gas:
        raise ValueError("no base fee")
    tips = tuple(int(rewards[0], 16) for rewards in answer.reward or () if rewards)
    return History(int(answer.base_fee_per_gas[-1], 16), tips)


def block(text: bytes) -> Block | None:
    """A block; None where the node has none of that number or tag."""
    if (answer := HEAD.decode(text)) is None:
        return None
    base = answer.base_fee_per_gas
    return Block(int(answer.number, 16), answer.hash.lower(), int(base, 16) if base else None)


def there(text: bytes) -> Block:
    """A block that every node has: the latest."""
    if (found := block(text)) is None:
        raise ValueError("no latest block")
    return found


def landed(hash: str) -> Callable[[bytes], Landed | None]:
    """Reads eth_getTransactionReceipt: None while it is in no block; Lie if it is another transaction's."""

    def read(text: bytes) -> Landed | None:
        answer = RECEIPT.decode(text)
        if answer is None or answer.block_number is None or answer.block_hash is None:
            return None
        if answer.transaction_hash.lower() != hash:
            raise Lie("it answered eth_getTransactionReceipt with another transaction's", expected=hash)
        fee = int(answer.gas_used, 16) * int(answer.effective_gas_price, 16) + int(answer.l1_fee or "0x0", 16)
        if (status := int(answer.status, 16)) > 1:
            raise ValueError("neither success nor failure")
        return Landed(hash, int(answer.block_number, 16), answer.block_hash.lower(), status == 1, fee)

    return read


def logs(text: bytes) -> list[Log]:
    """The events of eth_getLogs."""
    return LOGS.decode(text)


def known(hash: str) -> Callable[[bytes], bool]:
    """Reads eth_getTransactionByHash: whether the node has it, in a block or not; Lie if it is another one."""

    def read(text: bytes) -> bool:
        answer = PENDING.decode(text)
        if answer is not None and answer.hash.lower() != hash:
            raise Lie("it answered eth_getTransactionByHash with another transaction", expected=hash)
        return answer is not None

    return read


def calls(hash: str, sender: str, contract: str) -> Callable[[bytes], bool]:
    """Reads eth_getTransactionByHash: whether `sender` signed it and calls that contract itself."""
    known_there = known(hash)

    def read(text: bytes) -> bool:
        answer = PENDING.decode(text) if known_there(text) else None
        said = None if answer is None else [(answer.sender or "").lower(), (answer.to or "").lower()]
        return said == [sender.lower(), contract.lower()]

    return read


def sent(hash: str) -> Callable[[bytes], str]:
    """Reads eth_sendRawTransaction; Lie if the hash is not ours."""

    def read(text: bytes) -> str:
        if (answer := HASH.decode(text).lower()) != hash:
            raise Lie("it answered eth_sendRawTransaction with a foreign hash", expected=hash, answer=answer)
        return answer

    return read


def done(text: bytes) -> None:
    """Whatever a node answers when it has done what a test network allows."""
    ANYTHING.decode(text)
