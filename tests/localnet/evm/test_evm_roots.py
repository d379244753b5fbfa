"""The roots of blocks, against the trie of py-evm that inserts item by item."""

import rlp
from hypothesis import given, settings
from hypothesis import strategies as st
from trie import HexaryTrie

from waiaas.localnet.evm.roots import list_root


def inserted(items: list[bytes]) -> bytes:
    trie = HexaryTrie({})
    for index, item in enumerate(items):
        trie[rlp.encode(index)] = item
    return trie.root_hash


@settings(max_examples=40, deadline=None)
@given(st.lists(st.binary(min_size=1, max_size=80), max_size=40))
def test_a_root_is_that_of_the_trie_with_the_same_items(items):
    assert list_root(items) == inserted(items)


def test_a_long_list_has_the_root_of_the_trie_too():
    items = [bytes([number % 251 + 1]) * (number % 70 + 1) for number in range(300)]
    assert list_root(items) == inserted(items)
