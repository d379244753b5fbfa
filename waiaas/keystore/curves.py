"""The two signature schemes, over secrets in wipeable buffers."""

from typing import Literal, Protocol

from coincurve import PrivateKey, PublicKey
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from eth_hash.auto import keccak
from solders.pubkey import Pubkey

from waiaas.domain.chain import Chain
from waiaas.ids import entropy

SEED_SIZE = 32


class Curve(Protocol):
    """One signature scheme."""

    @property
    def name(self) -> Literal["ed25519", "secp256k1"]:
        """As agent files spell it."""
        ...

    def generate(self) -> bytearray:
        """A new secret in the form it is stored, for the caller to wipe."""
        ...

    def public_key(self, secret: bytearray) -> str:
        """The public key of a secret as agents show it; ValueError if this is no secret of the scheme."""
        ...

    def sign(self, secret: bytearray, payload: bytes) -> bytes:
        """The signature of a payload."""
        ...

    def verify(self, public_key: str, payload: bytes, signature: bytes) -> bool:
        """Whether the signature is of that payload by that key."""
        ...


class Ed25519:
    """RFC 8032: the secret is seed‖public key, the public key base58, the signature 64 bytes."""

    name: Literal["ed25519"] = "ed25519"

    def generate(self) -> bytearray:
        secret = bytearray(entropy(SEED_SIZE))
        secret += load(secret).public_key().public_bytes_raw()
        return secret

    def public_key(self, secret: bytearray) -> str:
        public = load(secret).public_key().public_bytes_raw()
        if secret[SEED_SIZE:] != public:
            raise ValueError("seed and public key do not belong together")
        return str(Pubkey(public))

    def sign(self, secret: bytearray, payload: bytes) -> bytes:
        return load(secret).sign(payload)

    def verify(self, public_key: str, payload: bytes, signature: bytes) -> bool:
        try:
            Ed25519PublicKey.from_public_bytes(bytes(Pubkey.from_string(public_key))).verify(signature, payload)
        except InvalidSignature:
            return False
        return True


class Secp256k1:
    """SEC 2: the secret is the scalar, the public key an EIP-55 address, the signature r‖s‖v over a 32-byte hash."""

    name: Literal["secp256k1"] = "secp256k1"

    def generate(self) -> bytearray:
        while True:
            secret = bytearray(entropy(SEED_SIZE))
            try:
                PrivateKey(bytes(secret))
            except ValueError:
                # 0, or not below the order of the curve: one in 2^128
                continue
            return secret

    def public_key(self, secret: bytearray) -> str:
        return address(PublicKey.from_valid_secret(bytes(secret)))

    def sign(self, secret: bytearray, payload: bytes) -> bytes:
        if len(payload) != 32:
            raise ValueError("secp256k1 signs a hash of 32 bytes")
        return PrivateKey(bytes(secret)).sign_recoverable(payload, hasher=None)

    def verify(self, public_key: str, payload: bytes, signature: bytes) -> bool:
        return address(PublicKey.from_signature_and_message(signature, payload, hasher=None)) == public_key


def load(secret: bytearray) -> Ed25519PrivateKey:
    """The signer of a seed‖public key."""
    with memoryview(secret) as view:
        return Ed25519PrivateKey.from_private_bytes(view[:SEED_SIZE])


def address(public: PublicKey) -> str:
    """The EIP-55 address: the last 20 bytes of the Keccak-256 of the point, their letters' case a checksum."""
    digits = keccak(public.format(compressed=False)[1:])[-20:].hex()
    checks = keccak(digits.encode()).hex()
    return "0x" + "".join(
        digit.upper() if check >= "8" else digit for digit, check in zip(digits, checks, strict=False)
    )


ED25519 = Ed25519()
SECP256K1 = Secp256k1()
CURVES: dict[str, Curve] = {curve.name: curve for curve in (ED25519, SECP256K1)}
CURVE_OF: dict[Chain, Curve] = {Chain.SOLANA: ED25519, Chain.ETHEREUM: SECP256K1}
