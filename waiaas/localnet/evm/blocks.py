"""The making of a block: transactions executed one after another, then all their roots at once."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from waiaas.localnet.evm.machine import Accounts, Header, Nodes, Outcome, encode_header
from waiaas.localnet.evm.roots import list_root
from waiaas.localnet.evm.show import as_block, as_log, as_receipt, as_transaction, data
from waiaas.localnet.evm.store import Block, Landed, Logged
from waiaas.localnet.evm.transactions import Signed


class Executed(msgspec.Struct, frozen=True):
    """A transaction in its block; `receipt` is py-evm's, `gas_before` what the ones before it used."""

    transaction: Signed
    outcome: Outcome
    receipt: Any
    gas_before: int


class Made(msgspec.Struct, frozen=True):
    """A block that nobody has been told of; `dropped` are transactions that no block can take any more."""

    header: Header
    block: Block
    executed: Sequence[Executed]
    dropped: Sequence[Signed]


def make_block(
    nodes: Nodes,
    header: Header,
    root: bytes,
    ancestors: Iterator[bytes],
    *,
    candidates: Sequence[Signed],
    balances: Mapping[bytes, int],
) -> Made:
    """The block of `header` on the state at `root`: set balances, then as many candidates as its gas is enough for."""
    accounts = Accounts(nodes, header, root, ancestors)
    for address, balance in balances.items():
        accounts.set_balance(address, balance)
    executed, dropped = fill(accounts, header, candidates)
    transactions = [each.transaction for each in executed]
    header = header.copy(
        state_root=accounts.write(),
        transaction_root=list_root([each.raw for each in transactions]),
        receipt_root=list_root([each.receipt.encode() for each in executed]),
        bloom=bloom_of(executed),
        gas_used=sum(each.outcome.gas_used for each in executed),
    )
    return Made(header, as_saved(header, executed, nodes.take()), executed, dropped)


def fill(accounts: Accounts, header: Header, candidates: Sequence[Signed]) -> tuple[list[Executed], list[Signed]]:
    """Execute what fits, in order; whose sender can no longer pay is dropped, and what followed it waits."""
    executed: list[Executed] = []
    dropped: list[Signed] = []
    gas = 0
    for transaction in candidates:
        if gas + transaction.gas > header.gas_limit:
            break
        if accounts.nonce(transaction.sender) != transaction.nonce:
            continue
        if accounts.balance(transaction.sender) < transaction.cost:
            dropped.append(transaction)
            continue
        outcome = accounts.execute(transaction)
        executed.append(Executed(transaction, outcome, receipt_of(transaction, outcome, gas), gas))
        gas += outcome.gas_used
    return executed, dropped


def receipt_of(transaction: Signed, outcome: Outcome, gas_before: int) -> Any:
    """The receipt that the block commits to."""
    entries = tuple(
        (event.address, tuple(int.from_bytes(topic) for topic in event.topics), event.data) for event in outcome.events
    )
    status = b"\x01" if outcome.error is None else b""
    return transaction.body.make_receipt(status, gas_before + outcome.gas_used, entries)


def bloom_of(executed: Sequence[Executed]) -> int:
    bloom = 0
    for each in executed:
        bloom |= each.receipt.bloom
    return bloom


def as_saved(header: Header, executed: Sequence[Executed], nodes: Mapping[bytes, bytes]) -> Block:
    """The block as the store takes it."""
    landed: list[Landed] = []
    logged: list[Logged] = []
    for position, each in enumerate(executed):
        logs = list(logs_of(each, header, position, len(logged)))
        logged += logs
        landed.append(as_landed(each, header, position, [msgspec.Raw(log.shown) for log in logs]))
    return Block(
        number=header.block_number,
        hash=header.hash,
        header=encode_header(header),
        shown=msgspec.json.encode(as_block(header, [each.transaction for each in executed])),
        tips=msgspec.json.encode(sorted(tip_of(each, header.base_fee_per_gas) for each in executed)),
        transactions=landed,
        logs=logged,
        nodes=nodes,
    )


def as_landed(each: Executed, header: Header, position: int, logs: list[msgspec.Raw]) -> Landed:
    receipt = as_receipt(
        each.transaction,
        each.outcome,
        header,
        position=position,
        gas_before=each.gas_before,
        bloom=each.receipt.bloom,
        logs=logs,
    )
    return Landed(
        hash=each.transaction.hash,
        block=header.block_number,
        position=position,
        shown=msgspec.json.encode(as_transaction(each.transaction, header, position)),
        receipt=msgspec.json.encode(receipt),
    )


def logs_of(each: Executed, header: Header, position: int, first: int) -> Iterator[Logged]:
    """The logs of one transaction; `first` is the index of its first one in the block."""
    for index, event in enumerate(each.outcome.events, first):
        shown = as_log(event, each.transaction, header, position=position, index=index)
        yield Logged(
            block=header.block_number,
            position=index,
            address=data(event.address),
            topics=[data(topic) for topic in event.topics],
            shown=msgspec.json.encode(shown),
        )


def tip_of(each: Executed, base_fee: int) -> tuple[int, int]:
    """What the miner got per gas, and for how much gas."""
    return each.transaction.price(base_fee) - base_fee, each.outcome.gas_used
