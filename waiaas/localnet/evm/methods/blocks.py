"""Methods about blocks and the logs in them."""

from typing import Any

import msgspec

from waiaas.localnet.evm.node import Node
from waiaas.localnet.evm.params import (
    Address,
    Data,
    Hash,
    Params,
    Table,
    Tag,
    find_header,
    from_text,
    get_header,
    invalid,
)
from waiaas.localnet.evm.show import data, quantity
from waiaas.localnet.evm.store import Filter, Json
from waiaas.localnet.evm.transactions import refused

MAX_TOPICS = 4


class BlockParams(Params, frozen=True):
    """A block, with whole transactions or only their hashes."""

    tag: Tag
    whole: bool = False


class TagParams(Params, frozen=True):
    tag: Tag


class LogQuery(msgspec.Struct, frozen=True, rename="camel"):
    """Which logs: a range of blocks or one block by hash, alternatives of addresses, alternatives per topic."""

    from_block: Tag = "latest"
    to_block: Tag = "latest"
    block_hash: Hash | None = None
    # a union with a type that is made from text cannot be told apart while decoding: see `alternatives`
    address: Any = None
    topics: list[Any] = []


class LogParams(Params, frozen=True):
    query: LogQuery


def get_number(node: Node, params: Params) -> str:
    return quantity(node.chain.head.block_number)


def get_block(node: Node, params: BlockParams) -> dict[str, Any] | None:
    header = find_header(node.chain, params.tag)
    shown = node.chain.store.block(header.block_number) if header else None
    if header is None or shown is None:
        return None
    block: dict[str, Any] = msgspec.json.decode(shown)
    return block | {"transactions": node.chain.store.transactions(header.block_number)} if params.whole else block


def get_receipts(node: Node, params: TagParams) -> list[Json] | None:
    header = find_header(node.chain, params.tag)
    return node.chain.store.receipts(header.block_number) if header else None


def get_logs(node: Node, params: LogParams) -> list[Json]:
    query, head = params.query, node.chain.head.block_number
    if query.block_hash:
        number = node.chain.store.number_of(query.block_hash)
        if number is None:
            raise refused("unknown block")
        first = last = number
    else:
        first, last = (edge(node, tag) for tag in (query.from_block, query.to_block))
    if first > last:
        raise invalid("invalid block range params")
    if len(query.topics) > MAX_TOPICS:
        raise invalid("exceed max topics")
    addresses = alternatives(Address, query.address)
    topics = [alternatives(Hash, each) for each in query.topics]
    return node.chain.store.logs(Filter(min(first, head + 1), min(last, head), addresses, topics))


def edge(node: Node, tag: Tag) -> int:
    """The number of a block that a range begins or ends with; it may be still to come."""
    header = find_header(node.chain, tag)
    if header is not None:
        return int(header.block_number)
    if isinstance(tag, str) and len(tag) < 66:
        return int(tag, 16)
    return int(get_header(node.chain, tag).block_number)


def alternatives(kind: type[Data], wanted: Any) -> list[str] | None:
    """One text, a list of them or null, as lower-case texts; null and the empty list take anything."""
    texts = wanted if isinstance(wanted, list) else [wanted]
    if texts in ([], [None]):
        return None
    try:
        return [data(from_text(kind, text)) for text in texts]
    except ValueError as error:
        raise invalid(f"invalid argument: {error}") from None


METHODS: Table = {
    "eth_blockNumber": (Params, get_number),
    "eth_getBlockByHash": (BlockParams, get_block),
    "eth_getBlockByNumber": (BlockParams, get_block),
    "eth_getBlockReceipts": (TagParams, get_receipts),
    "eth_getLogs": (LogParams, get_logs),
}
