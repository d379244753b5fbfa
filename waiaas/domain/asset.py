"""How an asset is named: `native:<chain>`, or `<chain>:<token address>` in the chain's canonical spelling."""

import re

from waiaas.domain.chain import Chain, native_asset

BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
HEX_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}", re.ASCII)
NATIVE = frozenset(native_asset(chain) for chain in Chain)


def parse_asset(text: str) -> str:
    """The canonical name of an asset; ValueError says what is wrong with the text."""
    if text in NATIVE:
        return text
    chain, _, address = text.partition(":")
    if chain == Chain.SOLANA:
        return f"{chain}:{_solana_address(address)}"
    if chain == Chain.ETHEREUM:
        return f"{chain}:{_ethereum_address(address)}"
    raise ValueError("must be native:solana, native:ethereum, or solana: or ethereum: and a token address")


def chain_of_asset(asset: str) -> Chain:
    """The chain an asset lives on."""
    first, _, rest = asset.partition(":")
    return Chain(rest if first == "native" else first)


def token_of(asset: str) -> str | None:
    """The token's address; None for native money."""
    return None if asset in NATIVE else asset.partition(":")[2]


def _solana_address(text: str) -> str:
    """Base58 of exactly 32 bytes has one spelling, so it is only checked."""
    if len(text) > 44:
        raise ValueError("a token address on solana must be base58 of 32 bytes")
    number = 0
    for character in text:
        if (digit := BASE58.find(character)) < 0:
            raise ValueError("a token address on solana must be base58")
        number = number * 58 + digit
    zeros = len(text) - len(text.lstrip(BASE58[0]))
    if zeros + (number.bit_length() + 7) // 8 != 32:
        raise ValueError("a token address on solana must be base58 of 32 bytes")
    return text


def _ethereum_address(text: str) -> str:
    """EIP-55: one case says nothing of a checksum, mixed case must carry it."""
    # the only user of Keccak here; its import costs 0.2 s that a Solana-only start need not pay
    from eth_utils.address import to_checksum_address

    if not HEX_ADDRESS.fullmatch(text):
        raise ValueError("a token address on ethereum must be 0x and 40 hex digits")
    canonical = str(to_checksum_address(text.lower()))
    if text[2:] not in (text[2:].lower(), text[2:].upper(), canonical[2:]):
        raise ValueError("the token address does not carry its EIP-55 checksum")
    return canonical
