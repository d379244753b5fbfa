"""Values of the database that are sealed under a key of `master.json`."""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode

from cryptography.exceptions import InvalidTag

from waiaas.errors import KeystoreCorrupted
from waiaas.keystore.ciphers import Box, decrypt, encrypt, wipe

SEALED = re.compile(r"v1\.([0-9a-f]{8})\.([A-Za-z0-9_-]{16})\.([A-Za-z0-9_-]{22,})")


class Seals:
    """The seal keys by id: the last one seals, all of them unseal."""

    def __init__(self, keys: dict[str, bytearray]) -> None:
        self._keys = keys
        self._current = list(keys)[-1]

    def seal(self, place: str, plaintext: bytes) -> str:
        """`v1.<seal key id>.<nonce>.<ciphertext‖tag>`, which opens in `place` alone."""
        box = encrypt(self._keys[self._current], plaintext, place.encode())
        return f"v1.{self._current}.{to_base64url(box.nonce)}.{to_base64url(box.body)}"

    def unseal(self, place: str, text: str) -> bytes:
        """The plaintext; KeystoreCorrupted if it was changed, moved or sealed elsewhere."""
        found = SEALED.fullmatch(text)
        if found is None or found[1] not in self._keys:
            raise KeystoreCorrupted(f"{place}: not a value sealed by this keystore")
        try:
            box = Box(from_base64url(found[2]), from_base64url(found[3]))
            return bytes(decrypt(self._keys[found[1]], box, place.encode()))
        except (InvalidTag, ValueError):
            raise KeystoreCorrupted(f"{place}: the sealed value was changed or moved") from None

    def wipe(self) -> None:
        """Overwrite the keys where they lie."""
        for key in self._keys.values():
            wipe(key)


def to_base64url(data: bytes) -> str:
    """RFC 4648 section 5, without padding."""
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def from_base64url(text: str) -> bytes:
    """The inverse of `to_base64url`; ValueError for a length that no data has."""
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))
