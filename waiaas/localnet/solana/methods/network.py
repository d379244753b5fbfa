"""Methods about the cluster: its time, its identity, its prices."""

from typing import Any

import msgspec
from solders.hash import Hash, ParseHashError

from waiaas.errors import RpcRefusal
from waiaas.localnet.solana import base58
from waiaas.localnet.solana.cluster import Cluster
from waiaas.localnet.solana.context import API_VERSION, in_context
from waiaas.localnet.solana.params import Config, NumberParams, Params, Table, TextParams, as_address, invalid
from waiaas.localnet.solana.slots import MAX_AGE, SLOTS_PER_EPOCH

BLOCK_NOT_AVAILABLE = -32004


class PricesParams(msgspec.Struct, frozen=True, array_like=True):
    addresses: list[str] = []
    config: Config = Config()


def get_health(cluster: Cluster, params: Params) -> str:
    return "ok"


def get_version(cluster: Cluster, params: Params) -> dict[str, Any]:
    return {"solana-core": API_VERSION, "feature-set": 0}


def get_genesis_hash(cluster: Cluster, params: Params) -> str:
    return base58.encode(cluster.genesis_hash)


def get_slot(cluster: Cluster, params: Params) -> int:
    return cluster.slots.current


def get_first_available_block(cluster: Cluster, params: Params) -> int:
    """History is kept for good."""
    return 0


def get_epoch_info(cluster: Cluster, params: Params) -> dict[str, int]:
    epoch, index = divmod(cluster.slots.current, SLOTS_PER_EPOCH)
    return {
        "absoluteSlot": cluster.slots.current,
        "blockHeight": cluster.slots.current,
        "epoch": epoch,
        "slotIndex": index,
        "slotsInEpoch": SLOTS_PER_EPOCH,
        "transactionCount": cluster.store.count,
    }


def get_block_time(cluster: Cluster, params: NumberParams) -> int:
    """Epoch seconds of a slot; RpcRefusal for one that is still to come."""
    if not 0 <= params.number <= cluster.slots.current:
        raise RpcRefusal(BLOCK_NOT_AVAILABLE, f"Block not available for slot {params.number}")
    return cluster.slots.second(params.number)


def get_latest_blockhash(cluster: Cluster, params: Params) -> dict[str, Any]:
    blockhash, last_valid = cluster.slots.latest()
    return in_context(cluster, {"blockhash": base58.encode(blockhash), "lastValidBlockHeight": last_valid})


def is_blockhash_valid(cluster: Cluster, params: TextParams) -> dict[str, Any]:
    try:
        blockhash = Hash.from_string(params.text)
    except ParseHashError:
        raise invalid("Invalid param: Invalid") from None
    return in_context(cluster, cluster.slots.is_recent(bytes(blockhash)))


def get_minimum_balance_for_rent_exemption(cluster: Cluster, params: NumberParams) -> int:
    if params.number < 0:
        raise invalid("Invalid params: the size cannot be negative.")
    return cluster.machine.rent(params.number)


def get_recent_prioritization_fees(cluster: Cluster, params: PricesParams) -> list[dict[str, int]]:
    """All zero: blocks are never full, so nobody has to pay for precedence."""
    for address in params.addresses:
        as_address(address)
    newest = cluster.slots.current
    return [{"slot": slot, "prioritizationFee": 0} for slot in range(max(0, newest - MAX_AGE + 1), newest + 1)]


METHODS: Table = {
    "getBlockHeight": (Params, get_slot),
    "getBlockTime": (NumberParams, get_block_time),
    "getEpochInfo": (Params, get_epoch_info),
    "getFirstAvailableBlock": (Params, get_first_available_block),
    "getGenesisHash": (Params, get_genesis_hash),
    "getHealth": (Params, get_health),
    "getLatestBlockhash": (Params, get_latest_blockhash),
    "getMinimumBalanceForRentExemption": (NumberParams, get_minimum_balance_for_rent_exemption),
    "getRecentPrioritizationFees": (PricesParams, get_recent_prioritization_fees),
    "getSlot": (Params, get_slot),
    "getVersion": (Params, get_version),
    "isBlockhashValid": (TextParams, is_blockhash_valid),
}
