"""Both signature schemes against published vectors and other libraries."""

import pytest
from eth_account import Account
from eth_keys.datatypes import Signature as EthSignature
from solders.keypair import Keypair
from solders.signature import Signature

from waiaas.keystore.curves import CURVES, ED25519, SECP256K1, Curve

#: RFC 8032 section 7.1, test 1
SEED = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
PUBLIC = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
SIGNATURE = bytes.fromhex(
    "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
    "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"
)


def test_ed25519_signs_as_rfc_8032_says() -> None:
    secret = bytearray(SEED + PUBLIC)
    assert ED25519.sign(secret, b"") == SIGNATURE
    assert ED25519.verify(ED25519.public_key(secret), b"", SIGNATURE)


def test_an_ed25519_key_is_what_a_solana_keypair_would_be() -> None:
    secret = ED25519.generate()
    keypair = Keypair.from_bytes(bytes(secret))
    assert ED25519.public_key(secret) == str(keypair.pubkey())
    assert Signature.from_bytes(ED25519.sign(secret, b"payload")).verify(keypair.pubkey(), b"payload")


def test_a_seed_with_the_public_key_of_another_is_no_secret() -> None:
    with pytest.raises(ValueError, match="belong together"):
        ED25519.public_key(bytearray(SEED + bytes(32)))


@pytest.mark.parametrize(
    ("scalar", "address"),
    [
        (1, "0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf"),
        (2, "0x2B5AD5c4795c026514f8317c7a215E218DcCD6cF"),
        (3, "0x6813Eb9362372EEF6200f3b1dbC3f819671cBA69"),
    ],
)
def test_secp256k1_addresses_carry_their_eip_55_checksum(scalar: int, address: str) -> None:
    assert SECP256K1.public_key(bytearray(scalar.to_bytes(32, "big"))) == address


def test_a_secp256k1_key_is_what_eth_account_would_make_of_it() -> None:
    for _ in range(20):
        secret = SECP256K1.generate()
        assert SECP256K1.public_key(secret) == Account.from_key(bytes(secret)).address


def test_a_recoverable_signature_is_r_s_v_over_the_hash_itself() -> None:
    secret, digest = SECP256K1.generate(), bytes(range(32))
    signature = SECP256K1.sign(secret, digest)
    assert len(signature) == 65
    recovered = EthSignature(signature).recover_public_key_from_msg_hash(digest)
    assert recovered.to_checksum_address() == SECP256K1.public_key(secret)


@pytest.mark.parametrize("payload", [b"", bytes(31), bytes(33)])
def test_secp256k1_signs_nothing_but_a_hash(payload: bytes) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        SECP256K1.sign(SECP256K1.generate(), payload)


@pytest.mark.parametrize("scalar", [bytes(32), b"\xff" * 32])
def test_a_scalar_outside_the_group_is_no_secret(scalar: bytes) -> None:
    with pytest.raises(ValueError):
        SECP256K1.public_key(bytearray(scalar))


@pytest.mark.parametrize("curve", CURVES.values(), ids=CURVES)
def test_a_signature_of_something_else_or_by_someone_else_does_not_verify(curve: Curve) -> None:
    secret, other = curve.generate(), curve.generate()
    signature = curve.sign(secret, bytes(32))
    assert curve.verify(curve.public_key(secret), bytes(32), signature)
    assert not curve.verify(curve.public_key(secret), b"\1" * 32, signature)
    assert not curve.verify(curve.public_key(other), bytes(32), signature)
