"""Base58 as Solana writes bytes in text (the alphabet of Bitcoin)."""

ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
DIGITS = {character: value for value, character in enumerate(ALPHABET)}


def encode(data: bytes) -> str:
    """Bytes to text; a leading zero byte is a leading 1."""
    number, digits = int.from_bytes(data), ""
    while number:
        number, digit = divmod(number, 58)
        digits = ALPHABET[digit] + digits
    return "1" * (len(data) - len(data.lstrip(b"\0"))) + digits


def decode(text: str) -> bytes:
    """Text to bytes; ValueError if a character is not in the alphabet."""
    number = 0
    for character in text:
        if character not in DIGITS:
            raise ValueError(f"{character!r} is not a base58 digit")
        number = number * 58 + DIGITS[character]
    zeros = len(text) - len(text.lstrip("1"))
    return bytes(zeros) + number.to_bytes((number.bit_length() + 7) // 8)
