"""AES-256-GCM and key derivation over buffers that are overwritten after use."""

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from waiaas.ids import entropy

KEY_SIZE = 32
NONCE_SIZE = 12
TAG_SIZE = 16

Buffer = bytes | bytearray | memoryview


class Box(msgspec.Struct, frozen=True):
    """Encrypted bytes: a nonce of 12 bytes, and ciphertext‖tag."""

    nonce: bytes
    body: bytes


def encrypt(key: Buffer, plaintext: Buffer, aad: bytes) -> Box:
    """Under a fresh random nonce, bound to `aad`."""
    nonce = entropy(NONCE_SIZE)
    return Box(nonce, AESGCM(key).encrypt(nonce, plaintext, aad))


def decrypt(key: Buffer, box: Box, aad: bytes) -> bytearray:
    """The plaintext, for the caller to wipe; InvalidTag if key, box or `aad` is not that of the encryption."""
    plaintext = bytearray(len(box.body) - TAG_SIZE)
    try:
        AESGCM(key).decrypt_into(box.nonce, box.body, aad, plaintext)
    except InvalidTag:
        wipe(plaintext)
        raise
    return plaintext


def derive(root: Buffer, info: bytes) -> bytearray:
    """A 32-byte key by HKDF-SHA256 (RFC 5869) without salt, for the caller to wipe."""
    key = bytearray(KEY_SIZE)
    HKDF(SHA256(), KEY_SIZE, None, info).derive_into(root, key)
    return key


def wipe(buffer: bytearray) -> None:
    """Overwrite with zeros, in place."""
    buffer[:] = bytes(len(buffer))
