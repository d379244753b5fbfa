"""The master password: what one may look like, what is derived from it, how a candidate is compared."""

import hmac

from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from waiaas.errors import PasswordRefused
from waiaas.ids import entropy
from waiaas.keystore.format import Kdf

SHORTEST_CHARACTERS = 12
LONGEST_BYTES = 128


def check_new_password(text: str) -> None:
    """PasswordRefused unless it is 12 characters to 128 bytes that survive a header, a file and a terminal."""
    if len(text) < SHORTEST_CHARACTERS:
        raise PasswordRefused(f"The master password needs at least {SHORTEST_CHARACTERS} characters.")
    if len(text.encode(errors="surrogatepass")) > LONGEST_BYTES:
        raise PasswordRefused(f"The master password may have at most {LONGEST_BYTES} bytes in UTF-8.")
    if text != text.strip() or any(not (character.isprintable() or character == " ") for character in text):
        # HTTP strips blanks around a header value and forbids control characters inside (RFC 9110 5.5)
        raise PasswordRefused("The master password may not begin or end with a blank, nor hold control characters.")


def stretch(password: bytes, kdf: Kdf) -> bytearray:
    """Argon2id of a password: wrap key ‖ verify key, 32 bytes each, for the caller to wipe."""
    stretched = bytearray(kdf.length)
    Argon2id(
        salt=bytes.fromhex(kdf.salt),
        length=kdf.length,
        iterations=kdf.iterations,
        lanes=kdf.lanes,
        memory_cost=kdf.memory_kib,
    ).derive_into(password, stretched)
    return stretched


class PasswordCheck:
    """Compares candidates with the password in one HMAC, without keeping it."""

    def __init__(self, password: bytes) -> None:
        self._key = entropy(32)
        self._digest = hmac.digest(self._key, password, "sha256")

    def matches(self, candidate: bytes) -> bool:
        """Whether the candidate is the password; the time it takes does not tell."""
        return hmac.compare_digest(self._digest, hmac.digest(self._key, candidate, "sha256"))
