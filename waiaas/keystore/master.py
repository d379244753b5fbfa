"""`master.json`: root and seal keys, wrapped under what Argon2id makes of the master password."""

import hmac
from pathlib import Path

import msgspec
from cryptography.exceptions import InvalidTag

from waiaas.errors import KeystoreCorrupted, KeystoreError, NotInitialised, WrongPassword
from waiaas.files import read_bytes, write_atomic
from waiaas.ids import entropy
from waiaas.keystore.ciphers import KEY_SIZE, Buffer, decrypt, encrypt, wipe
from waiaas.keystore.format import Kdf, Master, Seal, Wrapped, box_of, decode, encode, fields_of, master_aad
from waiaas.keystore.passwords import check_new_password, stretch

NAME = "master.json"
ROOT = "root"


class KdfParams(msgspec.Struct, frozen=True):
    """What Argon2id costs when a master file is written."""

    memory_kib: int = 65536
    iterations: int = 3
    lanes: int = 4


class Opened(msgspec.Struct, frozen=True):
    """What a master file holds once its password is known; the keys are for the holder to wipe."""

    installation: str
    generation: int
    root: bytearray
    seals: dict[str, bytearray]


def create(directory: Path, password: str, *, installation: str, params: KdfParams, now: int) -> None:
    """Write the master file of a new keystore; KeystoreError if the directory holds a master or any key already."""
    check_new_password(password)
    if any(directory.glob("*.json")):
        raise KeystoreError(f"{directory} holds a keystore already; it was left as it is")
    salt = entropy(16).hex()
    kdf = Kdf("argon2id", 19, salt, params.memory_kib, params.iterations, params.lanes, 64)
    data = encode(wrap_new_keys(password.encode(), blank(installation, kdf, now)))
    decode(data, Master, NAME)
    write_atomic(directory / NAME, data)


def blank(installation: str, kdf: Kdf, now: int) -> Master:
    """The public part of a first master; its keys are still to be made."""
    root = Wrapped(nonce="", ciphertext="", tag="")
    seal = Seal(entropy(4).hex(), nonce="", ciphertext="", tag="")
    return Master(2, "master", installation, 1, now, kdf, "", root, (seal,))


def wrap_new_keys(password: bytes, master: Master) -> Master:
    """The master with a verifier and fresh random keys in every entry."""
    stretched = stretch(password, master.kdf)
    try:
        wrap, verify = halves(stretched)
        return msgspec.structs.replace(
            master,
            verifier=verifier(verify, master).hex(),
            root=Wrapped(**wrapped(wrap, master, ROOT)),
            seal=tuple(Seal(seal.id, **wrapped(wrap, master, seal.id)) for seal in master.seal),
        )
    finally:
        wipe(stretched)


def wrapped(wrap: Buffer, master: Master, entry: str) -> dict[str, str]:
    """32 fresh random bytes as the encrypted fields of an entry."""
    key = bytearray(entropy(KEY_SIZE))
    try:
        return fields_of(encrypt(wrap, key, master_aad(master, entry)))
    finally:
        wipe(key)


def open_master(directory: Path, password: bytes) -> Opened:
    """One Argon2id; WrongPassword if the verifier differs, KeystoreCorrupted if the file is damaged."""
    master = read_master(directory)
    stretched = stretch(password, master.kdf)
    try:
        wrap, verify = halves(stretched)
        if not hmac.compare_digest(verifier(verify, master), bytes.fromhex(master.verifier)):
            raise WrongPassword
        root = decrypt(wrap, box_of(master.root), master_aad(master, ROOT))
        seals = {seal.id: decrypt(wrap, box_of(seal), master_aad(master, seal.id)) for seal in master.seal}
    except InvalidTag:
        raise KeystoreCorrupted(f"{NAME}: the password is right, but a wrapped key was changed") from None
    finally:
        wipe(stretched)
    return Opened(master.installation, master.generation, root, seals)


def read_master(directory: Path) -> Master:
    """The master file; NotInitialised if there is none, KeystoreCorrupted if it is damaged."""
    try:
        data = read_bytes(directory / NAME)
    except FileNotFoundError:
        raise NotInitialised from None
    except OSError as fault:
        raise KeystoreError(f"{NAME} cannot be read: {fault.strerror}") from fault
    return decode(data, Master, NAME)


def halves(stretched: bytearray) -> tuple[memoryview, memoryview]:
    """Wrap key and verify key, as views of the one buffer that is wiped."""
    view = memoryview(stretched)
    return view[:KEY_SIZE], view[KEY_SIZE:]


def verifier(verify: Buffer, master: Master) -> bytes:
    """What tells a wrong password from a damaged file."""
    return hmac.digest(verify, f"waiaas master v2{master.installation}{master.generation}".encode(), "sha256")
