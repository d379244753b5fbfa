"""Amounts: base-unit ints inside, decimal digit strings at the edges."""

import re

from waiaas.domain.chain import Chain

DIGITS = re.compile(r"[0-9]{1,78}", re.ASCII)
#: the largest amount a chain can carry: u64 lamports, uint256 wei
LARGEST = {Chain.SOLANA: 2**64 - 1, Chain.ETHEREUM: 2**256 - 1}


def parse_amount(text: str, largest: int = 2**256 - 1) -> int:
    """Base units from decimal digits, leading zeros allowed; ValueError says what is wrong."""
    if not DIGITS.fullmatch(text):
        raise ValueError("must be a string of 1 to 78 decimal digits, in base units")
    if (amount := int(text)) > largest:
        raise ValueError(f"must be at most {largest}")
    return amount


def in_units(amount: int, decimals: int) -> str:
    """Whole units for people: 1500000000 with 9 decimals is `1.5`."""
    whole, rest = divmod(amount, 10**decimals)
    return f"{whole}.{rest:0{decimals}d}".rstrip("0").rstrip(".") if decimals else str(whole)
