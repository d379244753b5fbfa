"""What callers hand in: positional params as structs, and the text forms of numbers, bytes and blocks."""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from waiaas.errors import RpcRefusal
from waiaas.localnet.evm.chain import Chain
from waiaas.localnet.evm.machine import Header
from waiaas.localnet.evm.transactions import refused
from waiaas.localnet.jsonrpc import INVALID_PARAMS


class Quantity(int):
    """A number as 0x and hexadecimal digits."""


class Count(Quantity):
    """A number that may also be a plain JSON number."""


class Data(bytes):
    """Bytes as 0x and two hexadecimal digits each."""


class Address(Data):
    """20 bytes."""


class Hash(Data):
    """32 bytes."""


SIZES: dict[type[Any], int] = {Address: 20, Hash: 32}


class BlockPoint(msgspec.Struct, frozen=True, rename="camel"):
    """A block by number or by hash (EIP-1898)."""

    block_number: Quantity | None = None
    block_hash: Hash | None = None
    require_canonical: bool = False


#: "latest", a number, a hash, or an object of one of the latter
Tag = str | BlockPoint

#: all see the same chain: a block is final as soon as it is made
NEWEST = ("latest", "pending", "safe", "finalized")


class Params(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """No params."""


class AccountParams(Params, frozen=True):
    """An address at a block."""

    address: Address
    tag: Tag = "latest"


class HashParams(Params, frozen=True):
    """A transaction or block by its hash."""

    hash: Hash


class NumberParams(Params, frozen=True):
    """One number."""

    number: Quantity


#: RPC method → the struct of its params, and its function of node and params
Table = Mapping[str, tuple[type[Any], Callable[..., Any]]]


def invalid(message: str) -> RpcRefusal:
    """The refusal of a param that cannot be understood."""
    return RpcRefusal(INVALID_PARAMS, message)


def decode(params: list[Any], kind: type[Any]) -> Any:
    """The params as a struct; RpcRefusal if they do not fit."""
    try:
        return msgspec.convert(params, kind, dec_hook=from_text)
    except msgspec.ValidationError as error:
        raise invalid(f"invalid argument: {error}") from None


def from_text(kind: type[Any], text: Any) -> Any:
    """A number or bytes from text; ValueError if it is not in that form."""
    if kind is Count and type(text) is int:
        return Count(text)
    if not isinstance(text, str) or text[:2] != "0x" or not text.isalnum():
        raise ValueError("expected hexadecimal digits with prefix 0x")
    if issubclass(kind, Quantity):
        return below(2**256, kind(int(text, 16)))
    value = kind(bytes.fromhex(text[2:]))
    if len(value) != SIZES.get(kind, len(value)):
        raise ValueError(f"expected {SIZES[kind]} bytes")
    return value


def below(limit: int, number: Quantity) -> Quantity:
    if number >= limit:
        raise ValueError("the number is too large")
    return number


def find_header(chain: Chain, tag: Tag) -> Header | None:
    """The header of a block; None if there is no such block, RpcRefusal if it cannot be understood."""
    if isinstance(tag, BlockPoint):
        return find_point(chain, tag)
    if tag in NEWEST:
        return chain.head
    if tag == "earliest":
        return chain.header(0)
    try:
        value = from_text(Hash if len(tag) == 66 else Quantity, tag)
    except ValueError as error:
        raise invalid(f"invalid argument: {error}") from None
    return find_point(chain, BlockPoint(block_hash=value) if len(tag) == 66 else BlockPoint(block_number=value))


def find_point(chain: Chain, point: BlockPoint) -> Header | None:
    number = chain.store.number_of(point.block_hash) if point.block_hash else point.block_number
    return None if number is None or number > chain.head.block_number else chain.header(number)


def get_header(chain: Chain, tag: Tag) -> Header:
    """The header of a block; RpcRefusal if there is no such block."""
    header = find_header(chain, tag)
    if header is None:
        raise refused("header not found")
    return header
