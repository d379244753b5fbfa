"""What callers hand in: positional params as structs, and the text forms of addresses, signatures and transactions."""

import binascii
from base64 import b64decode
from collections.abc import Callable, Mapping
from typing import Any, Literal

import msgspec
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.transaction import Legacy, VersionedTransaction

from waiaas.errors import RpcRefusal
from waiaas.localnet.jsonrpc import INVALID_PARAMS
from waiaas.localnet.solana import base58

#: PACKET_DATA_SIZE: the most bytes of a transaction with its signatures
MAX_TRANSACTION_BYTES = 1232

Commitment = Literal["processed", "confirmed", "finalized", "recent", "single", "singleGossip", "root", "max"]
WireEncoding = Literal["base58", "base64"]
AccountEncoding = Literal["binary", "base58", "base64", "jsonParsed"]
TransactionEncoding = Literal["json", "jsonParsed", "base58", "base64"]


class Config(msgspec.Struct, frozen=True, rename="camel"):
    """What every method takes. All commitments see the same chain: the newest block."""

    commitment: Commitment | None = None
    min_context_slot: int = 0


class DataSlice(msgspec.Struct, frozen=True):
    """A part of an account's data."""

    offset: int
    length: int


class AccountConfig(Config, frozen=True, rename="camel"):
    """How to show accounts."""

    encoding: AccountEncoding = "binary"
    data_slice: DataSlice | None = None


class Params(msgspec.Struct, frozen=True, array_like=True):
    """No params, or only a config."""

    config: Config = Config()


class AddressParams(msgspec.Struct, frozen=True, array_like=True):
    address: str
    config: AccountConfig = AccountConfig()


class AddressesParams(msgspec.Struct, frozen=True, array_like=True):
    addresses: list[str]
    config: AccountConfig = AccountConfig()


class TextParams(msgspec.Struct, frozen=True, array_like=True):
    """One text: a message, a blockhash."""

    text: str
    config: Config = Config()


class NumberParams(msgspec.Struct, frozen=True, array_like=True):
    """One number: a size, a slot."""

    number: int
    config: Config = Config()


#: RPC method → the struct of its params, and its function of cluster and params
Table = Mapping[str, tuple[type[Any], Callable[..., Any]]]


def invalid(message: str) -> RpcRefusal:
    """The refusal of a param that cannot be understood."""
    return RpcRefusal(INVALID_PARAMS, message)


def as_address(text: str) -> Pubkey:
    """An address from base58; RpcRefusal if it is none."""
    try:
        return Pubkey.from_string(text)
    except ValueError:
        raise invalid("Invalid param: Invalid") from None


def as_signature(text: str) -> Signature:
    """A signature from base58; RpcRefusal if it is none."""
    try:
        return Signature.from_string(text)
    except ValueError:
        raise invalid("Invalid param: Invalid") from None


def as_bytes(text: str, encoding: WireEncoding) -> bytes:
    """Bytes from text; RpcRefusal if it is not in that encoding."""
    try:
        return b64decode(text, validate=True) if encoding == "base64" else base58.decode(text)
    except (binascii.Error, ValueError) as error:
        raise invalid(f"invalid {encoding} encoding: {error}") from None


def as_transaction(text: str, encoding: WireEncoding) -> VersionedTransaction:
    """A whole transaction, well formed; RpcRefusal if it is none."""
    raw = as_bytes(text, encoding)
    if len(raw) > MAX_TRANSACTION_BYTES:
        raise invalid(f"decoded VersionedTransaction too large: {len(raw)} bytes (max: {MAX_TRANSACTION_BYTES} bytes)")
    try:
        transaction = VersionedTransaction.from_bytes(raw)
    except ValueError as error:
        raise invalid(f"failed to deserialize VersionedTransaction: {error}") from None
    if transaction.version() not in (Legacy.Legacy, 0):
        raise invalid("invalid transaction: Transaction version is unsupported")
    try:
        transaction.sanitize()
    except Exception as error:  # solders' SanitizeError has no narrower base
        raise invalid(f"invalid transaction: {error}") from None
    return transaction
