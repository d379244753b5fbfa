"""Keystore format 2 on disk: two kinds of JSON file, their checksum, and what counts as damage."""

import hashlib
from typing import Annotated, Any, Literal, TypeVar

import msgspec

from waiaas.domain.chain import Chain, Network
from waiaas.domain.request import canonical
from waiaas.errors import KeystoreCorrupted
from waiaas.keystore.ciphers import TAG_SIZE, Box

UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"

Uuid = Annotated[str, msgspec.Meta(pattern=rf"\A{UUID}\Z")]
Hex = Annotated[str, msgspec.Meta(pattern=r"\A([0-9a-f]{2})*\Z")]
Hex12 = Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{24}\Z")]
Hex16 = Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{32}\Z")]
Hex32 = Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{64}\Z")]
SealId = Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{8}\Z")]
Positive = Annotated[int, msgspec.Meta(ge=1)]
Epoch = Annotated[int, msgspec.Meta(ge=0)]


class Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """What every object of the format is: exactly its fields, in camel case."""


class Kdf(Record, frozen=True):
    """Argon2id (RFC 9106) parameters, in the ranges of the [keystore] settings."""

    name: Literal["argon2id"]
    version: Literal[19]
    salt: Hex16
    memory_kib: Annotated[int, msgspec.Meta(ge=32768, le=1048576)] = msgspec.field(name="memoryKiB")
    iterations: Annotated[int, msgspec.Meta(ge=1, le=20)]
    lanes: Annotated[int, msgspec.Meta(ge=1, le=16)]
    length: Literal[64]


class Wrapped(Record, frozen=True):
    """A 32-byte key encrypted under the wrap key."""

    nonce: Hex12
    ciphertext: Hex32
    tag: Hex16


class Seal(Record, frozen=True):
    """A wrapped seal key and the name that sealed values call it by."""

    id: SealId
    nonce: Hex12
    ciphertext: Hex32
    tag: Hex16


class Master(Record, frozen=True):
    """`master.json`; the last of `seal` seals, all of them unseal."""

    format: Literal[2]
    kind: Literal["master"]
    installation: Uuid
    generation: Positive
    created_at: Epoch
    kdf: Kdf
    verifier: Hex32
    root: Wrapped
    seal: Annotated[tuple[Seal, ...], msgspec.Meta(min_length=1)]


class AgentFile(Record, frozen=True):
    """`<agent id>.json`: public fields, and the secret encrypted under the file's own key."""

    format: Literal[2]
    kind: Literal["agent"]
    generation: Positive
    id: Uuid
    chain: Chain
    network: Network
    curve: Literal["ed25519", "secp256k1"]
    public_key: str
    created_at: Epoch
    cipher: Literal["aes-256-gcm"]
    nonce: Hex12
    ciphertext: Hex
    tag: Hex16


R = TypeVar("R", bound=Record)


def encode(record: Record) -> bytes:
    """The file of a record: two-space indent, checksum last."""
    fields = msgspec.to_builtins(record)
    return msgspec.json.format(msgspec.json.encode({**fields, "checksum": checksum(fields)}), indent=2) + b"\n"


def decode(data: bytes, kind: type[R], name: str) -> R:
    """The record in a file called `name`; KeystoreCorrupted if it is not JSON, not of that shape, or changed."""
    try:
        fields = msgspec.json.decode(data, type=dict[str, Any])
        claimed = fields.pop("checksum", None)
        record = msgspec.convert(fields, kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as fault:
        raise KeystoreCorrupted(f"{name}: {fault}") from None
    if claimed != checksum(fields):
        raise KeystoreCorrupted(f"{name}: the checksum differs")
    return record


def checksum(fields: dict[str, Any]) -> str:
    """SHA-256 in hex of the canonical JSON of a file without its checksum."""
    return hashlib.sha256(canonical(fields)).hexdigest()


def box_of(record: Wrapped | Seal | AgentFile) -> Box:
    """The encrypted part of a record, in bytes."""
    return Box(bytes.fromhex(record.nonce), bytes.fromhex(record.ciphertext + record.tag))


def fields_of(box: Box) -> dict[str, str]:
    """An encrypted part as the three hex fields of a record."""
    body = box.body
    return {"nonce": box.nonce.hex(), "ciphertext": body[:-TAG_SIZE].hex(), "tag": body[-TAG_SIZE:].hex()}


def agent_aad(file: AgentFile) -> bytes:
    """What the tag of an agent file vouches for beside the secret: all public fields, as canonical JSON."""
    fields = msgspec.to_builtins(file)
    for name in ("nonce", "ciphertext", "tag"):
        del fields[name]
    return canonical(fields)


def master_aad(master: Master, entry: str) -> bytes:
    """What the tag of a wrapped key vouches for: whose master it is, how it was derived, and the entry's name."""
    fields = msgspec.to_builtins(master)
    header = {name: fields[name] for name in ("format", "kind", "generation", "installation", "kdf")}
    return canonical(header) + f"|{entry}".encode()
