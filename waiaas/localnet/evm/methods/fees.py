"""Methods about the price of gas."""

from collections.abc import Sequence
from typing import Any

import msgspec

from waiaas.localnet.evm.machine import decode_header, next_base_fee
from waiaas.localnet.evm.node import Node
from waiaas.localnet.evm.params import Count, Params, Table, Tag, get_header, invalid
from waiaas.localnet.evm.show import quantity

#: nobody competes for blocks here; anvil suggests the same
SUGGESTED_TIP = 1_000_000_000

MAX_HISTORY = 1024

NOTHING = quantity(0)
BLOB_BASE_FEE = quantity(1)


class HistoryParams(Params, frozen=True):
    """How many blocks, up to which, and the percentiles of their tips by gas."""

    count: Count
    newest: Tag
    percentiles: tuple[float, ...] = ()


def get_gas_price(node: Node, params: Params) -> str:
    return quantity(next_base_fee(node.chain.head) + SUGGESTED_TIP)


def get_tip(node: Node, params: Params) -> str:
    return quantity(SUGGESTED_TIP)


def get_history(node: Node, params: HistoryParams) -> dict[str, Any]:
    """The base fees of some blocks and of the one after them, how full they were, and what tips they took."""
    if any(not 0 <= each <= 100 for each in params.percentiles) or list(params.percentiles) != sorted(
        params.percentiles
    ):
        raise invalid("invalid reward percentile")
    last = int(get_header(node.chain, params.newest).block_number)
    first = max(0, last + 1 - min(max(params.count, 0), MAX_HISTORY))
    blocks = [(decode_header(header), tips) for header, tips in node.chain.store.tips(first, last)]
    headers = [header for header, _ in blocks]
    following = [next_base_fee(headers[-1])] if headers else []
    history: dict[str, Any] = {
        "oldestBlock": quantity(first),
        "baseFeePerGas": [quantity(fee) for fee in [*(each.base_fee_per_gas for each in headers), *following]],
        "gasUsedRatio": [each.gas_used / each.gas_limit for each in headers],
        "baseFeePerBlobGas": [BLOB_BASE_FEE] * (len(headers) + len(following)),
        "blobGasUsedRatio": [0.0] * len(headers),
    }
    if params.percentiles:
        history["reward"] = [rewards(msgspec.json.decode(tips), params.percentiles) for _, tips in blocks]
    return history


def rewards(tips: Sequence[tuple[int, int]], percentiles: Sequence[float]) -> list[str]:
    """For each percentile of a block's gas the tip that was paid there; zeros for an empty block."""
    if not tips:
        return [NOTHING] * len(percentiles)
    total = sum(gas for _, gas in tips)
    found, at, reached = [], 0, tips[0][1]
    for percentile in percentiles:
        while reached < total * percentile / 100 and at < len(tips) - 1:
            at += 1
            reached += tips[at][1]
        found.append(quantity(tips[at][0]))
    return found


METHODS: Table = {
    "eth_feeHistory": (HistoryParams, get_history),
    "eth_gasPrice": (Params, get_gas_price),
    "eth_maxPriorityFeePerGas": (Params, get_tip),
}
