"""Addresses: one canonical spelling per chain, so that every comparison is exact."""

import re

from waiaas.domain.chain import Chain

BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
HEX_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}", re.ASCII)


def canonical_address(text: str, chain: Chain | None = None) -> str:
    """The address as it is stored and compared; without a chain that of the one it has the form of. ValueError."""
    if chain is None:
        chain = Chain.ETHEREUM if text.startswith("0x") else Chain.SOLANA
    return _solana(text) if chain is Chain.SOLANA else _ethereum(text)


def checksummed(number: int) -> str:
    """The EIP-55 spelling of an address of 160 bits."""
    # the only user of Keccak here; its import costs 0.2 s that a Solana-only start need not pay
    from eth_utils.address import to_checksum_address

    return str(to_checksum_address(f"0x{number:040x}"))


def _solana(text: str) -> str:
    """Base58 of exactly 32 bytes has one spelling, so it is only checked."""
    if not 32 <= len(text) <= 44:
        raise ValueError("must be an address on solana: base58 of 32 bytes")
    number = 0
    for character in text:
        if (digit := BASE58.find(character)) < 0:
            raise ValueError("must be an address on solana: base58 of 32 bytes")
        number = number * 58 + digit
    zeros = len(text) - len(text.lstrip(BASE58[0]))
    if zeros + (number.bit_length() + 7) // 8 != 32:
        raise ValueError("must be an address on solana: base58 of 32 bytes")
    return text


def _ethereum(text: str) -> str:
    """EIP-55: one case says nothing of a checksum, mixed case must carry it."""
    if not HEX_ADDRESS.fullmatch(text):
        raise ValueError("must be an address on ethereum: 0x and 40 hex digits")
    canonical = checksummed(int(text, 16))
    if text[2:] not in (text[2:].lower(), text[2:].upper(), canonical[2:]):
        raise ValueError("does not carry its EIP-55 checksum")
    return canonical
