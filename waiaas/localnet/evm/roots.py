"""The root of a list as blocks commit to it: a Merkle Patricia trie keyed by the RLP of each index.

The trie of py-evm inserts item by item, which costs more than executing a full block; the list is known
whole, so it is built from the sorted keys at once (Ethereum yellow paper, appendix D).
"""

from collections.abc import Sequence

import rlp
from eth_hash.auto import keccak

Nibbles = tuple[int, ...]
#: a node as RLP sees it: nested lists of bytes
Node = bytes | list["Node"]

EMPTY = b""


def list_root(items: Sequence[bytes]) -> bytes:
    """The root over encoded transactions or receipts, in their order."""
    leaves = sorted((nibbles(rlp.encode(index)), item) for index, item in enumerate(items))
    return bytes(keccak(rlp.encode(node(leaves, 0))))


def node(leaves: Sequence[tuple[Nibbles, bytes]], depth: int) -> Node:
    """The node over sorted leaves that agree in their first `depth` nibbles."""
    if not leaves:
        return EMPTY
    first, last = leaves[0][0], leaves[-1][0]
    if len(leaves) == 1:
        return [packed(first[depth:], is_leaf=True), leaves[0][1]]
    shared = depth
    while shared < len(first) and first[shared] == last[shared]:
        shared += 1
    if shared > depth:
        return [packed(first[depth:shared], is_leaf=False), reference(node(leaves, shared))]
    return branch(leaves, depth)


def branch(leaves: Sequence[tuple[Nibbles, bytes]], depth: int) -> Node:
    """A node of sixteen children; no key of a list ends inside another, so it has no value of its own."""
    children: list[list[tuple[Nibbles, bytes]]] = [[] for _ in range(16)]
    for leaf in leaves:
        children[leaf[0][depth]].append(leaf)
    return [*(reference(node(child, depth + 1)) for child in children), EMPTY]


def reference(child: Node) -> Node:
    """A child as its parent holds it: itself if it is short, else its hash."""
    if child == EMPTY:
        return EMPTY
    encoded = rlp.encode(child)
    return child if len(encoded) < 32 else bytes(keccak(encoded))


def packed(path: Nibbles, *, is_leaf: bool) -> bytes:
    """A part of a key in hex-prefix encoding (yellow paper, appendix C)."""
    flag = 2 if is_leaf else 0
    padded = (flag + 1, *path) if len(path) % 2 else (flag, 0, *path)
    return bytes(high << 4 | low for high, low in zip(padded[::2], padded[1::2], strict=True))


def nibbles(key: bytes) -> Nibbles:
    """The half bytes of a key."""
    return tuple(half for byte in key for half in (byte >> 4, byte & 15))
