"""Signatures as wallets make them: Ed25519 over a text or its off-chain envelope, EIP-191 over secp256k1."""

import base64
import binascii
import re

from coincurve import PublicKey
from eth_hash.auto import keccak
from solders.pubkey import Pubkey
from solders.signature import Signature

from waiaas.domain.address import BASE58
from waiaas.domain.chain import Chain
from waiaas.keystore.curves import address

HEX = re.compile(r"0x(?:[0-9a-fA-F]{2})+")
#: secp256k1's n // 2: of the two values of s that verify only the low one is taken (EIP-2)
HIGHEST_S = 0x7FFFFFFF_FFFFFFFF_FFFFFFFF_FFFFFFFF_5D576E73_57A4501D_DFE92F46_681B20A0
#: digits of 65 bytes
LONGEST_BASE58 = 89
SIZE = {Chain.SOLANA: 64, Chain.ETHEREUM: 65}
#: v as wallets write it, and the recovery id it means
RECOVERY = {0: 0, 1: 1, 27: 0, 28: 1}
#: off-chain messages of Solana, version 0: signing domain, version; format and length follow
ENVELOPE = b"\xffsolana offchain\x00"
FORMATS = (0, 1)


def decode_signature(text: str, chain: Chain, *, any_spelling: bool = False) -> bytes:
    """The bytes of a signature: 0x hex on EVM, base64 (88 characters ending ==) or base58 on Solana. ValueError.

    With `any_spelling` each of the three is taken on either chain.
    """
    if HEX.fullmatch(text):
        if chain is Chain.SOLANA and not any_spelling:
            raise ValueError("a signature on solana is base64 or base58")
        found = bytes.fromhex(text[2:])
    elif chain is Chain.ETHEREUM and not any_spelling:
        raise ValueError("a signature on ethereum is 0x hex")
    elif len(text) == 88 and text.endswith("="):
        found = _base64(text)
    else:
        found = from_base58(text)
    if len(found) != SIZE[chain]:
        raise ValueError(f"a signature on {chain} has {SIZE[chain]} bytes")
    return found


def is_signed_by(owner: str, message: str, signature: bytes, chain: Chain) -> bool:
    """Whether the key of this canonical address signed the text."""
    text = message.encode()
    if chain is Chain.ETHEREUM:
        return _recovered(text, signature) == owner
    public, made = Pubkey.from_string(owner), Signature.from_bytes(signature)
    # as strict as the chain is: of a key of small order (the System Program's address is one) anybody can sign
    return any(made.verify(public, payload) for payload in (text, *_enveloped(text)))


def eip191(text: bytes) -> bytes:
    """What personal_sign signs: Keccak-256 of the prefixed text (EIP-191, version 0x45)."""
    return keccak(b"\x19Ethereum Signed Message:\n%d" % len(text) + text)


def _enveloped(text: bytes) -> list[bytes]:
    return [ENVELOPE + bytes([form]) + len(text).to_bytes(2, "little") + text for form in FORMATS]


def _recovered(text: bytes, signature: bytes) -> str | None:
    recovery = RECOVERY.get(signature[64])
    if recovery is None or int.from_bytes(signature[32:64], "big") > HIGHEST_S:
        return None
    try:
        public = PublicKey.from_signature_and_message(signature[:64] + bytes([recovery]), eip191(text), hasher=None)
    except ValueError:
        # no point of the curve: nobody's signature
        return None
    return address(public)


def _base64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError("not base64") from error


def from_base58(text: str) -> bytes:
    """Base58 of at most 65 bytes (the Bitcoin alphabet; each leading 1 is a zero byte); ValueError."""
    if len(text) > LONGEST_BASE58:
        raise ValueError("more than 65 bytes")
    number = 0
    for character in text:
        if (digit := BASE58.find(character)) < 0:
            raise ValueError("not base58")
        number = number * 58 + digit
    zeros = len(text) - len(text.lstrip(BASE58[0]))
    return bytes(zeros) + number.to_bytes((number.bit_length() + 7) // 8, "big")
