"""Blocks, transactions and receipts as Ethereum nodes show them."""

from collections.abc import Sequence
from typing import Any

from waiaas.localnet.evm.machine import Event, Header, Outcome, encode_header
from waiaas.localnet.evm.transactions import ACCESS_LIST, CHAIN_ID, DYNAMIC_FEE, Signed

NO_BLOOM = bytes(256)


def quantity(number: int) -> str:
    return hex(number)


def data(value: bytes) -> str:
    return "0x" + value.hex()


def as_transaction(transaction: Signed, header: Header | None = None, position: int | None = None) -> dict[str, Any]:
    """A transaction, of a block or, without one, of the pool."""
    body: Any = transaction.body
    price = transaction.fee_cap if header is None else transaction.price(header.base_fee_per_gas)
    shown: dict[str, Any] = {
        "type": quantity(transaction.type),
        "hash": data(transaction.hash),
        "blockHash": None if header is None else data(header.hash),
        "blockNumber": None if header is None else quantity(header.block_number),
        "transactionIndex": None if position is None else quantity(position),
        "from": data(transaction.sender),
        "to": data(transaction.to) if transaction.to else None,
        "nonce": quantity(transaction.nonce),
        "gas": quantity(transaction.gas),
        "gasPrice": quantity(price),
        "value": quantity(transaction.value),
        "input": data(transaction.data),
        "chainId": quantity(CHAIN_ID),
        "v": quantity(body.y_parity if transaction.type else body.v),
        "r": quantity(body.r),
        "s": quantity(body.s),
    }
    if transaction.type >= ACCESS_LIST:
        shown["yParity"] = quantity(body.y_parity)
        shown["accessList"] = [
            {"address": data(account), "storageKeys": [data(key.to_bytes(32)) for key in keys]}
            for account, keys in body.access_list
        ]
    if transaction.type == DYNAMIC_FEE:
        shown["maxFeePerGas"] = quantity(transaction.fee_cap)
        shown["maxPriorityFeePerGas"] = quantity(transaction.tip_cap)
    return shown


def as_receipt(
    transaction: Signed,
    outcome: Outcome,
    header: Header,
    *,
    position: int,
    gas_before: int,
    bloom: int,
    logs: list[Any],
) -> dict[str, Any]:
    """A receipt; the address of a contract is told for every creation, as geth does it, even one that failed."""
    return {
        "type": quantity(transaction.type),
        "status": quantity(int(outcome.error is None)),
        "transactionHash": data(transaction.hash),
        "transactionIndex": quantity(position),
        "blockHash": data(header.hash),
        "blockNumber": quantity(header.block_number),
        "from": data(transaction.sender),
        "to": data(transaction.to) if transaction.to else None,
        "contractAddress": None if outcome.created is None else data(outcome.created),
        "gasUsed": quantity(outcome.gas_used),
        "cumulativeGasUsed": quantity(gas_before + outcome.gas_used),
        "effectiveGasPrice": quantity(transaction.price(header.base_fee_per_gas)),
        "logsBloom": data(bloom.to_bytes(256)),
        "logs": logs,
    }


def as_log(event: Event, transaction: Signed, header: Header, *, position: int, index: int) -> dict[str, Any]:
    """A log; `index` counts through the block, `position` is that of its transaction."""
    return {
        "address": data(event.address),
        "topics": [data(topic) for topic in event.topics],
        "data": data(event.data),
        "blockNumber": quantity(header.block_number),
        "blockHash": data(header.hash),
        "blockTimestamp": quantity(header.timestamp),
        "transactionHash": data(transaction.hash),
        "transactionIndex": quantity(position),
        "logIndex": quantity(index),
        "removed": False,
    }


def as_block(header: Header, transactions: Sequence[Signed]) -> dict[str, Any]:
    """A block with the hashes of its transactions."""
    return {
        "number": quantity(header.block_number),
        "hash": data(header.hash),
        "parentHash": data(header.parent_hash),
        "sha3Uncles": data(header.uncles_hash),
        "miner": data(header.coinbase),
        "stateRoot": data(header.state_root),
        "transactionsRoot": data(header.transaction_root),
        "receiptsRoot": data(header.receipt_root),
        "logsBloom": data(header.bloom.to_bytes(256)),
        "difficulty": quantity(header.difficulty),
        "gasLimit": quantity(header.gas_limit),
        "gasUsed": quantity(header.gas_used),
        "timestamp": quantity(header.timestamp),
        "extraData": data(header.extra_data),
        "mixHash": data(header.mix_hash),
        "nonce": data(header.nonce),
        "baseFeePerGas": quantity(header.base_fee_per_gas),
        "withdrawalsRoot": data(header.withdrawals_root),
        "blobGasUsed": quantity(header.blob_gas_used),
        "excessBlobGas": quantity(header.excess_blob_gas),
        "parentBeaconBlockRoot": data(header.parent_beacon_block_root),
        "requestsHash": data(header.requests_hash),
        "size": quantity(size(header, transactions)),
        "uncles": [],
        "withdrawals": [],
        "transactions": [data(each.hash) for each in transactions],
    }


def size(header: Header, transactions: Sequence[Signed]) -> int:
    """Bytes of the block in RLP: header, transactions, no uncles, no withdrawals."""
    wire = sum(listed(len(each.raw)) if each.type else len(each.raw) for each in transactions)
    return listed(len(encode_header(header)) + listed(wire) + 2)


def listed(payload: int) -> int:
    """Bytes of an RLP list or string over so many bytes (more than one)."""
    return payload + 1 + (0 if payload < 56 else (payload.bit_length() + 7) // 8)
