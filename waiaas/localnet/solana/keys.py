"""The account keys of a transaction: those in its message, then those it loads from lookup tables."""

from collections.abc import Callable, Iterable

import msgspec
from solders.account import Account
from solders.message import Message, MessageV0
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

#: a lookup table's addresses follow this many bytes of its own state
TABLE_HEADER_SIZE = 56

AnyMessage = Message | MessageV0

Read = Callable[[Pubkey], Account | None]


class Keys(msgspec.Struct, frozen=True):
    """Keys in the order in which instructions and balances count them."""

    static: tuple[Pubkey, ...]
    #: of the static keys, which may be written
    static_writable: frozenset[int]
    loaded_writable: tuple[Pubkey, ...] = ()
    loaded_readonly: tuple[Pubkey, ...] = ()

    @property
    def all(self) -> tuple[Pubkey, ...]:
        return self.static + self.loaded_writable + self.loaded_readonly

    @property
    def writable(self) -> tuple[Pubkey, ...]:
        return tuple(self.static[index] for index in sorted(self.static_writable)) + self.loaded_writable

    def is_writable(self, index: int) -> bool:
        """Whether the key at that place may be written."""
        past = index - len(self.static)
        return index in self.static_writable if past < 0 else past < len(self.loaded_writable)


def message_of(transaction: VersionedTransaction) -> AnyMessage:
    """The message of a transaction of a known version."""
    message = transaction.message
    assert isinstance(message, AnyMessage)
    return message


def with_loaded(message: AnyMessage, writable: Iterable[Pubkey], readonly: Iterable[Pubkey]) -> Keys:
    """The keys of a message whose loaded addresses are known."""
    static = tuple(message.account_keys)
    header = message.header
    signers = header.num_required_signatures
    indexes = frozenset(range(signers - header.num_readonly_signed_accounts)) | frozenset(
        range(signers, len(static) - header.num_readonly_unsigned_accounts)
    )
    return Keys(static, indexes, tuple(writable), tuple(readonly))


def read_keys(message: AnyMessage, read: Read) -> Keys:
    """All keys of a message; a table that cannot be read loads none, and the runtime then refuses the transaction."""
    writable: list[Pubkey] = []
    readonly: list[Pubkey] = []
    if isinstance(message, MessageV0):
        for lookup in message.address_table_lookups:
            addresses = table(read(lookup.account_key))
            writable += [addresses[index] for index in lookup.writable_indexes if index < len(addresses)]
            readonly += [addresses[index] for index in lookup.readonly_indexes if index < len(addresses)]
    return with_loaded(message, writable, readonly)


def table(account: Account | None) -> list[Pubkey]:
    """The addresses in a lookup table."""
    data = account.data[TABLE_HEADER_SIZE:] if account else b""
    return [Pubkey(data[start : start + 32]) for start in range(0, len(data) - 31, 32)]
