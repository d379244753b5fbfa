"""Signed transactions as they come in: decoded, their sender recovered, checked as far as bytes alone can be."""

from typing import Any

import msgspec
import rlp
from eth.abc import SignedTransactionAPI
from eth.exceptions import PyEVMError
from eth.vm.forks.berlin.transactions import calculate_txn_intrinsic_gas_berlin
from eth.vm.forks.prague import PragueVM
from eth_keys.exceptions import BadSignature
from eth_utils.exceptions import ValidationError

from waiaas.errors import RpcRefusal

CHAIN_ID = 31337
#: of every block
GAS_LIMIT = 30_000_000

SERVER_ERROR = -32000

ACCESS_LIST = 1
DYNAMIC_FEE = 2

#: geth's txpool takes no larger one
MAX_BYTES = 131_072
#: EIP-3860
MAX_INITCODE_BYTES = 49_152
INITCODE_WORD_GAS = 2
#: EIP-7623
FLOOR_GAS_PER_TOKEN = 10
BASE_GAS = 21_000
#: EIP-2681
MAX_NONCE = 2**64 - 1
#: half the order of secp256k1 (EIP-2)
MAX_S = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0


class Signed(msgspec.Struct, frozen=True):
    """A transaction with its sender; fees in wei per gas, `type` 0 (legacy), 1 or 2."""

    raw: bytes
    hash: bytes
    type: int
    sender: bytes
    nonce: int
    gas: int
    fee_cap: int
    tip_cap: int
    value: int
    to: bytes
    data: bytes
    #: as py-evm executes it
    body: SignedTransactionAPI

    @property
    def cost(self) -> int:
        """The most it can take from its sender, in wei."""
        return self.gas * self.fee_cap + self.value

    def price(self, base_fee: int) -> int:
        """Wei per gas that it pays at a base fee (EIP-1559)."""
        return min(self.fee_cap, base_fee + self.tip_cap)


class Call(msgspec.Struct, frozen=True):
    """What eth_call and eth_estimateGas execute: a transaction without signature, nonce and price.

    It has the attributes that py-evm reads of a transaction. An empty `to` creates a contract.
    """

    sender: bytes
    to: bytes
    value: int
    data: bytes
    gas: int
    access_list: tuple[tuple[bytes, tuple[int, ...]], ...] = ()
    type_id: int = DYNAMIC_FEE
    max_fee_per_gas: int = 0
    max_priority_fee_per_gas: int = 0

    @property
    def intrinsic_gas(self) -> int:
        """Gas for being a transaction at all, without the words of initcode."""
        gas: int = calculate_txn_intrinsic_gas_berlin(self)  # type: ignore[arg-type]  # see the class
        return gas


def refused(message: str) -> RpcRefusal:
    """The refusal of something well formed, with the code geth has for all of them."""
    return RpcRefusal(SERVER_ERROR, message)


def read(raw: bytes) -> Signed:
    """A transaction from its bytes; RpcRefusal in geth's words if no pool would take it."""
    if len(raw) > MAX_BYTES:
        raise refused(f"oversized data: transaction size {len(raw)}, limit {MAX_BYTES}")
    if raw[:1] in (b"\x03", b"\x04"):
        raise refused("transaction type not supported")
    body = decode(raw)
    check_chain(body)
    signed = Signed(
        raw=raw,
        hash=body.hash,
        type=body.type_id or 0,
        sender=recover(body),
        nonce=body.nonce,
        gas=body.gas,
        fee_cap=body.max_fee_per_gas,
        tip_cap=body.max_priority_fee_per_gas,
        value=body.value,
        to=body.to,
        data=body.data,
        body=body,
    )
    check(signed)
    return signed


def decode(raw: bytes) -> Any:
    """A py-evm transaction; RpcRefusal if the bytes are not exactly one."""
    try:
        body = PragueVM.get_transaction_builder().decode(raw)
        exact = body.encode() == raw
    except (rlp.exceptions.RLPException, ValidationError, PyEVMError, IndexError, TypeError) as error:
        raise refused(f"rlp: {error}") from None
    if not exact:
        raise refused("rlp: not in its canonical form")
    return body


def check_chain(body: Any) -> None:
    """RpcRefusal if it is meant for another chain, or for any (EIP-155)."""
    if body.chain_id is None:
        raise refused("only replay-protected (EIP-155) transactions allowed over RPC")
    if body.chain_id != CHAIN_ID:
        raise refused(f"invalid sender: invalid chain id for signer: have {body.chain_id} want {CHAIN_ID}")


def recover(body: Any) -> bytes:
    """The address whose key signed; RpcRefusal if no key can have."""
    try:
        if body.s > MAX_S:
            raise BadSignature("s is in the upper half")
        # py-evm remembers it, and asks again when it executes
        sender: bytes = body.sender
    except (BadSignature, ValidationError):
        raise refused("invalid sender: invalid transaction v, r, s values") from None
    return sender


def check(signed: Signed) -> None:
    """RpcRefusal if no block may hold it, whatever the state."""
    if max(signed.fee_cap, signed.tip_cap, signed.value) >= 2**256:
        raise refused("rlp: value larger than its type")
    if any(len(account) != 20 for account, _ in signed.body.access_list):
        raise refused("rlp: an address has 20 bytes")
    if signed.nonce >= MAX_NONCE:
        raise refused("nonce has max value")
    if not signed.to and len(signed.data) > MAX_INITCODE_BYTES:
        raise refused(f"max initcode size exceeded: code size {len(signed.data)}, limit {MAX_INITCODE_BYTES}")
    if signed.gas > GAS_LIMIT:
        raise refused("exceeds block gas limit")
    if signed.fee_cap < signed.tip_cap:
        raise refused("max priority fee per gas higher than max fee per gas")
    check_gas(signed.gas, signed.body, is_creation=not signed.to)


def check_gas(gas: int, body: Any, *, is_creation: bool) -> None:
    """RpcRefusal if the gas does not even pay for the bytes (EIP-2028, 2930, 3860, 7623)."""
    words = (len(body.data) + 31) // 32 if is_creation else 0
    intrinsic = body.intrinsic_gas + INITCODE_WORD_GAS * words
    if gas < intrinsic:
        raise refused(f"intrinsic gas too low: gas {gas}, minimum needed {intrinsic}")
    tokens = 4 * len(body.data) - 3 * body.data.count(0)
    floor = BASE_GAS + FLOOR_GAS_PER_TOKEN * tokens
    if gas < floor:
        raise refused(f"insufficient gas for floor data gas cost: gas {gas}, minimum needed {floor}")
