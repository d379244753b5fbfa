"""Signed bytes, read by code that shares nothing with the product: what they say, who signed them, what they move."""

from typing import NamedTuple

import rlp
from coincurve import PublicKey
from eth_hash.auto import keccak
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

SYSTEM = "11111111111111111111111111111111"
COMPUTE_BUDGET = "ComputeBudget111111111111111111111111111111"
MEMO = "MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr"
TOKEN = "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA"
ASSOCIATED_TOKEN = "ATokenGPvbdGVxr1b2hvZbsiqW5xWH25efTNsLJA8knL"
ERC20_TRANSFER, ERC20_APPROVE = "a9059cbb", "095ea7b3"


class Refused(ValueError):
    """No node would take these bytes."""


class Instruction(NamedTuple):
    """One instruction of a Solana message, its accounts by address."""

    program: str
    data: bytes
    accounts: tuple[str, ...]


class SolanaBytes(NamedTuple):
    """A Solana transaction; `keys` are the message's accounts in its order, the payer first."""

    hash: str
    payer: str
    signatures: int
    blockhash: str
    keys: tuple[str, ...]
    instructions: tuple[Instruction, ...]

    @property
    def fee(self) -> int:
        """Lamports: 5000 for each signature, and the unit limit at its price."""
        limit, price = 200_000 * max(len(self.instructions), 1), 0
        for one in self.instructions:
            if one.program == COMPUTE_BUDGET and one.data[0] == 2:
                limit = int.from_bytes(one.data[1:5], "little")
            elif one.program == COMPUTE_BUDGET and one.data[0] == 3:
                price = int.from_bytes(one.data[1:9], "little")
        return 5000 * self.signatures - (-limit * price // 1_000_000)


class EvmBytes(NamedTuple):
    """An EIP-1559 transaction; `to` and `signer` are in lower case."""

    hash: str
    signer: str
    chain_id: int
    nonce: int
    tip: int
    max_fee: int
    gas: int
    to: str
    value: int
    data: bytes


def solana(raw: bytes, *, verify: bool = True) -> SolanaBytes:
    """Refused if it is no transaction, or (`verify`) not signed by everybody it names as a signer."""
    try:
        transaction = VersionedTransaction.from_bytes(raw)
    except ValueError as error:
        raise Refused("not a transaction") from error
    message = transaction.message
    if isinstance(message, MessageV0) and message.address_table_lookups:
        raise Refused("address tables")
    if verify and not all(transaction.verify_with_results()):
        raise Refused("not signed")
    keys = tuple(str(key) for key in message.account_keys)
    instructions = tuple(
        Instruction(keys[one.program_id_index], bytes(one.data), tuple(keys[place] for place in one.accounts))
        for one in message.instructions
    )
    signature, count = str(transaction.signatures[0]), len(transaction.signatures)
    return SolanaBytes(signature, keys[0], count, str(message.recent_blockhash), keys, instructions)


def evm(raw: bytes) -> EvmBytes:
    """Refused if it is no EIP-1559 transaction, or signed in another way than EIP-2 allows."""
    if raw[:1] != b"\x02":
        raise Refused("transaction type not supported")
    try:
        fields = rlp.decode(raw[1:])
        numbers = [int.from_bytes(fields[place], "big") for place in (0, 1, 2, 3, 4, 6, 9, 10, 11)]
    except (rlp.exceptions.DecodingError, IndexError, TypeError) as error:
        raise Refused("rlp: not a transaction") from error
    chain_id, nonce, tip, max_fee, gas, value, v, r, s = numbers
    if v > 1 or s * 2 > 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141:
        raise Refused("invalid signature")
    payload = keccak(b"\x02" + rlp.encode(fields[:9]))
    try:
        public = PublicKey.from_signature_and_message(
            r.to_bytes(32, "big") + s.to_bytes(32, "big") + bytes([v]), payload, hasher=None
        )
    except ValueError as error:
        raise Refused("invalid signature") from error
    signer = "0x" + keccak(public.format(compressed=False)[1:])[-20:].hex()
    to = "0x" + fields[5].hex()
    return EvmBytes("0x" + keccak(raw).hex(), signer, chain_id, nonce, tip, max_fee, gas, to, value, bytes(fields[7]))


def associated(owner: str, mint: str) -> str:
    """The address of an owner's token account (SPL Token)."""
    seeds = [bytes(Pubkey.from_string(key)) for key in (owner, TOKEN, mint)]
    return str(Pubkey.find_program_address(seeds, Pubkey.from_string(ASSOCIATED_TOKEN))[0])


def word(data: bytes, place: int) -> int:
    """An argument of calldata."""
    return int.from_bytes(data[4 + 32 * place : 36 + 32 * place], "big")


def address(data: bytes, place: int) -> str:
    """An argument of calldata that is an address, in lower case."""
    return f"0x{word(data, place):040x}"
