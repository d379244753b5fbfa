"""Type 2 transactions (EIP-1559): built from a request, and read back from signed bytes."""

import msgspec
import rlp
from coincurve import PublicKey
from eth_hash.auto import keccak

from waiaas.chains.evm import abi
from waiaas.domain.address import canonical_address, checksummed
from waiaas.domain.chain import Chain
from waiaas.domain.request import (
    Approve,
    Batch,
    ContractCall,
    Request,
    Sweep,
    SweepToken,
    TokenTransfer,
    Transfer,
)
from waiaas.errors import MemoToContract, Permanent

TYPE = b"\x02"
#: a transaction may not use more (EIP-7825)
LARGEST_GAS = 16_777_216
#: nodes take no larger transaction (geth, txMaxSize), and the other fields need some of it
LARGEST_DATA = 128 * 1024 - 300
#: the order of the curve; a signature with a larger s is another spelling of the same one (EIP-2)
ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
#: chain id, nonce, both fees, gas, to, value, data, access list; then v, r, s
FIELDS = 12


class Call(msgspec.Struct, frozen=True):
    """What a request makes the sender do: `to` in EIP-55, `value` in wei."""

    to: str
    value: int
    data: bytes


class Payment(msgspec.Struct, frozen=True):
    """Everything a signed transaction says but who signed it."""

    chain_id: int
    nonce: int
    max_priority_fee_per_gas: int
    max_fee_per_gas: int
    gas_limit: int
    call: Call


def address(text: str) -> str:
    """The EIP-55 spelling; ValueError if it is no address."""
    return canonical_address(text, Chain.ETHEREUM)


def call_of(request: Request) -> Call:
    """The one call a request is; MemoToContract for a memo with tokens, because data for a contract is a call."""
    match request:
        case Transfer():
            return Call(address(request.to), int(request.amount), (request.memo or "").encode())
        case TokenTransfer() if request.memo is not None:
            raise MemoToContract("A memo cannot travel with tokens: data for a contract is a call.")
        case TokenTransfer():
            data = abi.call(abi.TRANSFER, address(request.to), int(request.amount))
            return Call(address(request.token.address), 0, data)
        case Approve():
            data = abi.call(abi.APPROVE, address(request.spender), int(request.amount))
            return Call(address(request.token.address), 0, data)
        case ContractCall() if request.to is not None:
            data = bytes.fromhex((request.calldata or "0x").removeprefix("0x"))
            return Call(address(request.to), int(request.value), data)
        case ContractCall() | Batch() | Sweep() | SweepToken():
            raise Permanent("This request is not one call on an EVM network.")


def unsigned(pay: Payment) -> bytes:
    """Everything but the signature, as it is hashed for it."""
    return TYPE + _encoded(_fields(pay))


def digest(pay: Payment) -> bytes:
    """The 32 bytes that are signed."""
    return bytes(keccak(unsigned(pay)))


def signed(pay: Payment, signature: bytes) -> bytes:
    """The bytes as sent; `signature` is r‖s‖v."""
    r, s, v = (int.from_bytes(part, "big") for part in (signature[:32], signature[32:64], signature[64:]))
    return TYPE + _encoded([*_fields(pay), v, r, s])


def _fields(pay: Payment) -> list[object]:
    call = pay.call
    fees = (pay.max_priority_fee_per_gas, pay.max_fee_per_gas)
    return [pay.chain_id, pay.nonce, *fees, pay.gas_limit, bytes.fromhex(call.to[2:]), call.value, call.data, []]


def _encoded(fields: list[object]) -> bytes:
    # numbers are spelled out here, so that nothing has to be guessed of what the rest is
    plain = [_spelled(field) if isinstance(field, int) else field for field in fields]
    return bytes(rlp.encode(plain, infer_serializer=False))


def _spelled(number: int) -> bytes:
    return number.to_bytes((number.bit_length() + 7) // 8)


def hash_of(raw: bytes) -> str:
    """The hash by which signed bytes are known."""
    return "0x" + keccak(raw).hex()


def read(raw: bytes) -> tuple[Payment, str]:
    """What signed bytes say, and the address that signed them; ValueError if they are no type 2 transaction.

    Shares nothing with the building but the order of the fields.
    """
    if raw[:1] != TYPE:
        raise ValueError("not a type 2 transaction")
    try:
        fields = rlp.decode(raw[1:])
    except rlp.exceptions.DecodingError as error:
        raise ValueError("not RLP") from error
    if not isinstance(fields, list) or len(fields) != FIELDS or fields[8] != []:
        raise ValueError("not the fields of a type 2 transaction with an empty access list")
    chain_id, nonce, tip, most, gas, to, value, data, _, v, r, s = fields
    if not isinstance(to, bytes) or len(to) != 20 or not isinstance(data, bytes):
        raise ValueError("not a call of an address")
    call = Call(checksummed(int.from_bytes(to, "big")), _number(value), data)
    said = Payment(_number(chain_id), _number(nonce), _number(tip), _number(most), _number(gas), call)
    return said, _signer(TYPE + _encoded(fields[:9]), _number(v), _number(r), _number(s))


def _number(field: object) -> int:
    if not isinstance(field, bytes) or len(field) > 32 or field[:1] == b"\0":
        raise ValueError("not a number")
    return int.from_bytes(field, "big")


def _signer(payload: bytes, v: int, r: int, s: int) -> str:
    """The address whose key made the signature."""
    if v > 1 or s > ORDER // 2:
        raise ValueError("not the one spelling of a signature")
    signature = r.to_bytes(32, "big") + s.to_bytes(32, "big") + bytes([v])
    public = PublicKey.from_signature_and_message(signature, keccak(payload), hasher=None)
    return checksummed(int.from_bytes(keccak(public.format(compressed=False)[1:])[-20:], "big"))
