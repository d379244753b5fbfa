"""Methods that read accounts or execute on top of them, at any block."""

from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from waiaas.localnet.evm.chain import CALL_SECONDS
from waiaas.localnet.evm.estimate import estimate
from waiaas.localnet.evm.machine import Header, Outcome, TooLong
from waiaas.localnet.evm.node import Node
from waiaas.localnet.evm.params import (
    AccountParams,
    Address,
    Data,
    Hash,
    Params,
    Quantity,
    Table,
    Tag,
    get_header,
    invalid,
)
from waiaas.localnet.evm.reasons import failure
from waiaas.localnet.evm.show import data, quantity
from waiaas.localnet.evm.transactions import BASE_GAS, GAS_LIMIT, Call, check_gas, refused

NOBODY = bytes(20)
#: addresses up to this one run without having code, or are the empty one that creates a contract
LAST_PRECOMPILE = 0xFFFF


class StorageParams(Params, frozen=True):
    """A slot of an account's storage."""

    address: Address
    slot: Quantity
    tag: Tag = "latest"


class Access(msgspec.Struct, frozen=True, rename="camel"):
    """An entry of an access list (EIP-2930)."""

    address: Address
    storage_keys: list[Hash] = []


class CallObject(msgspec.Struct, frozen=True, rename="camel"):
    """A call as clients describe it; its nonce, type and chain do not matter."""

    sender: Address = msgspec.field(default=Address(NOBODY), name="from")
    to: Address | None = None
    gas: Quantity | None = None
    gas_price: Quantity | None = None
    max_fee_per_gas: Quantity | None = None
    value: Quantity = Quantity(0)
    data: Data | None = None
    input: Data | None = None
    access_list: list[Access] = []


class CallParams(Params, frozen=True):
    call: CallObject
    tag: Tag = "latest"


def get_balance(node: Node, params: AccountParams) -> str:
    return quantity(node.chain.accounts(get_header(node.chain, params.tag)).balance(params.address))


def get_transaction_count(node: Node, params: AccountParams) -> str:
    nonce = node.chain.accounts(get_header(node.chain, params.tag)).nonce(params.address)
    return quantity(node.chain.pool.next_nonce(params.address, nonce) if params.tag == "pending" else nonce)


def get_code(node: Node, params: AccountParams) -> str:
    return data(node.chain.accounts(get_header(node.chain, params.tag)).code(params.address))


def get_storage(node: Node, params: StorageParams) -> str:
    accounts = node.chain.accounts(get_header(node.chain, params.tag))
    return data(accounts.storage(params.address, params.slot).to_bytes(32))


def call(node: Node, params: CallParams) -> str:
    header = get_header(node.chain, params.tag)
    wanted = as_call(params.call)
    check_gas(wanted.gas, wanted, is_creation=not wanted.to)
    check_value(node, wanted, header)
    if is_plain(node, wanted, header):
        return data(b"")
    with in_time():
        outcome = node.chain.call(wanted, header, node.chain.patience())
    if outcome.error is not None:
        raise failure(outcome)
    return data(outcome.output)


def estimate_gas(node: Node, params: CallParams) -> str:
    header = get_header(node.chain, params.tag)
    wanted = as_call(params.call)
    check_value(node, wanted, header)
    price = params.call.max_fee_per_gas or params.call.gas_price or 0
    if price:
        wanted = msgspec.structs.replace(wanted, gas=min(wanted.gas, allowance(node, wanted, header) // price))
    if wanted.gas >= BASE_GAS and is_plain(node, wanted, header):
        return quantity(BASE_GAS)

    is_over = node.chain.patience()

    def run(each: Call) -> Outcome:
        return node.chain.call(each, header, is_over)

    with in_time():
        return quantity(estimate(wanted, run))


@contextmanager
def in_time() -> Iterator[None]:
    """RpcRefusal in geth's words (--rpc.evmtimeout) if the time of a call is over."""
    try:
        yield
    except TooLong as late:
        raise refused(f"execution aborted (timeout = {CALL_SECONDS:g}s)") from late


def as_call(wanted: CallObject) -> Call:
    """The call, with the gas of a whole block unless less is asked for."""
    if wanted.data is not None and wanted.input is not None and wanted.data != wanted.input:
        raise invalid('both "data" and "input" are set and not equal')
    return Call(
        sender=bytes(wanted.sender),
        to=bytes(wanted.to or b""),
        value=wanted.value,
        data=bytes(wanted.input or wanted.data or b""),
        gas=min(wanted.gas or GAS_LIMIT, GAS_LIMIT),
        access_list=tuple(
            (bytes(each.address), tuple(int.from_bytes(key) for key in each.storage_keys))
            for each in wanted.access_list
        ),
    )


def is_plain(node: Node, wanted: Call, header: Header) -> bool:
    """Whether nothing runs: money goes to an address without code, which costs BASE_GAS and cannot fail."""
    if wanted.data or wanted.access_list or int.from_bytes(wanted.to) <= LAST_PRECOMPILE:
        return False
    return not node.chain.accounts(header).code(wanted.to)


def allowance(node: Node, wanted: Call, header: Header) -> int:
    """What the sender has left for gas."""
    return node.chain.accounts(header).balance(wanted.sender) - wanted.value


def check_value(node: Node, wanted: Call, header: Header) -> None:
    """RpcRefusal if the sender does not have what it sends."""
    have = allowance(node, wanted, header) + wanted.value
    if have < wanted.value:
        need = "insufficient funds for gas * price + value"
        raise refused(f"{need}: address {data(wanted.sender)} have {have} want {wanted.value}")


METHODS: Table = {
    "eth_call": (CallParams, call),
    "eth_estimateGas": (CallParams, estimate_gas),
    "eth_getBalance": (AccountParams, get_balance),
    "eth_getCode": (AccountParams, get_code),
    "eth_getStorageAt": (StorageParams, get_storage),
    "eth_getTransactionCount": (AccountParams, get_transaction_count),
}
