"""What a Solana node answers, typed; anything else is unreadable (https://solana.com/docs/rpc/http)."""

from base64 import b64decode
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Generic, Literal, TypeVar

import msgspec
from solders.hash import Hash, ParseHashError

from waiaas.chains.base import Blockhash
from waiaas.domain.chain import Chain
from waiaas.domain.money import LARGEST
from waiaas.errors import Lie

T = TypeVar("T")
Count = Annotated[int, msgspec.Meta(ge=0)]


class Answer(msgspec.Struct, frozen=True, rename="camel"):
    """Keys as the node spells them; unknown ones are ignored."""


class At(Answer, frozen=True):
    """The slot an answer was read at."""

    slot: Count


class Contextual(Answer, Generic[T], frozen=True):
    """A value and the slot it was read at."""

    context: At
    value: T


class EncodedAccount(Answer, frozen=True):
    """An account, its data in base64."""

    lamports: Count
    owner: str
    data: tuple[str, Literal["base64"]]


class Account(msgspec.Struct, frozen=True):
    """An account: lamports, the program that owns it, and as much of its data as was asked for."""

    lamports: int
    owner: str
    data: bytes


class LatestBlockhash(Answer, frozen=True):
    """A blockhash and the last block height at which it is valid."""

    blockhash: str
    last_valid_block_height: Count


class PrioritizationFee(Answer, frozen=True):
    """What one recent slot took at least, in micro-lamports per compute unit."""

    prioritization_fee: Count


class Simulated(Answer, frozen=True):
    """The outcome of a simulation; `accounts` only if some were asked for, as it leaves them."""

    err: Any = None
    logs: list[str] | None = None
    units_consumed: Count | None = None
    accounts: list[EncodedAccount | None] | None = None


class Status(Answer, frozen=True):
    """Where a signature was seen."""

    slot: Count
    err: Any = None
    confirmations: Count | None = None
    confirmation_status: str | None = None


class EpochInfo(Answer, frozen=True):
    """How far the cluster has come, at the commitment asked for."""

    absolute_slot: Count
    block_height: Count


class Meta(Answer, frozen=True):
    """Fee and balances, the latter in the order of the message's accounts: the fee payer first."""

    fee: Count
    pre_balances: list[Count]
    post_balances: list[Count]


class Body(Answer, frozen=True):
    """A transaction as landed, so far as it is needed to know it again."""

    signatures: list[str]


class Landed(Answer, frozen=True):
    """A landed transaction."""

    slot: Count
    meta: Meta
    transaction: Body


BALANCE = msgspec.json.Decoder(Contextual[Count])
ACCOUNTS: msgspec.json.Decoder[Contextual[list[EncodedAccount | None]]] = msgspec.json.Decoder(
    Contextual[list[EncodedAccount | None]]
)
BLOCKHASH = msgspec.json.Decoder(Contextual[LatestBlockhash])
FEES = msgspec.json.Decoder(list[PrioritizationFee])
SIMULATED = msgspec.json.Decoder(Contextual[Simulated])
STATUSES: msgspec.json.Decoder[Contextual[list[Status | None]]] = msgspec.json.Decoder(Contextual[list[Status | None]])
EPOCH = msgspec.json.Decoder(EpochInfo)
LANDED: msgspec.json.Decoder[Landed | None] = msgspec.json.Decoder(Landed | None)
COUNT: msgspec.json.Decoder[int] = msgspec.json.Decoder(Count)
SIGNATURE = msgspec.json.Decoder(str)


def balance(text: bytes) -> int:
    """Lamports of getBalance; ValueError above what a u64 holds."""
    lamports = BALANCE.decode(text).value
    if lamports > LARGEST[Chain.SOLANA]:
        raise ValueError("more lamports than a u64 holds")
    return lamports


def accounts(addresses: Sequence[str]) -> Callable[[bytes], dict[str, Account | None]]:
    """Reads getMultipleAccounts into accounts by address, None where there is none; ValueError if some are missing."""

    def read(text: bytes) -> dict[str, Account | None]:
        return by_address(addresses, ACCOUNTS.decode(text).value)

    return read


def simulated(addresses: Sequence[str]) -> Callable[[bytes], tuple[Simulated, dict[str, Account | None]]]:
    """Reads simulateTransaction, and the accounts asked for as it leaves them: none if it failed."""

    def read(text: bytes) -> tuple[Simulated, dict[str, Account | None]]:
        answer = SIMULATED.decode(text).value
        if answer.err is not None or not addresses:
            return answer, {}
        return answer, by_address(addresses, answer.accounts or [])

    return read


def by_address(addresses: Sequence[str], found: Sequence[EncodedAccount | None]) -> dict[str, Account | None]:
    """Accounts in the order they were asked for; ValueError if there are more or fewer."""
    pairs = zip(addresses, found, strict=True)
    return {address: None if account is None else decoded(account) for address, account in pairs}


def decoded(account: EncodedAccount) -> Account:
    """An account with its data as bytes; ValueError if they are not base64."""
    return Account(account.lamports, account.owner, b64decode(account.data[0], validate=True))


def slot(text: bytes) -> Blockhash:
    """The slot of getLatestBlockhash; ValueError if its hash is none."""
    answer = BLOCKHASH.decode(text)
    try:
        blockhash = str(Hash.from_string(answer.value.blockhash))
    except ParseHashError as error:
        raise ValueError("not a blockhash") from error
    return Blockhash(blockhash, answer.value.last_valid_block_height, answer.context.slot)


def price(text: bytes) -> int:
    """The median of getRecentPrioritizationFees, in micro-lamports per unit; 0 if there are none."""
    fees = sorted(fee.prioritization_fee for fee in FEES.decode(text))
    return fees[len(fees) // 2] if fees else 0


def signature(expected: str) -> Callable[[bytes], str]:
    """Reads the signature of sendTransaction; Lie if it is not ours."""

    def read(text: bytes) -> str:
        if (answer := SIGNATURE.decode(text)) != expected:
            raise Lie("it answered sendTransaction with a foreign signature", expected=expected, answer=answer[:128])
        return answer

    return read


def statuses(count: int) -> Callable[[bytes], Contextual[list[Status | None]]]:
    """Reads getSignatureStatuses; ValueError unless there are as many as were asked for."""

    def read(text: bytes) -> Contextual[list[Status | None]]:
        answer = STATUSES.decode(text)
        if len(answer.value) != count:
            raise ValueError("another number of statuses than asked for")
        return answer

    return read


def landed(hash: str) -> Callable[[bytes], Landed | None]:
    """Reads getTransaction; Lie if it is another transaction's."""

    def read(text: bytes) -> Landed | None:
        answer = LANDED.decode(text)
        if answer is None:
            return None
        if answer.transaction.signatures[:1] != [hash]:
            raise Lie("it answered getTransaction with another transaction", expected=hash)
        if not answer.meta.pre_balances or not answer.meta.post_balances:
            raise ValueError("no balances")
        return answer

    return read
