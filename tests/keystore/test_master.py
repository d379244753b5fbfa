"""master.json: what each kind of damage is called, and what one password costs."""

import hashlib
import hmac
import json
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

import waiaas.keystore.master as master_module
from waiaas.errors import (
    KeystoreCorrupted,
    KeystoreError,
    NotInitialised,
    PasswordRefused,
    WrongPassword,
)
from waiaas.ids import new_id
from waiaas.keystore import KdfParams, Keystore, create

PASSWORD = "correct horse battery"
CHEAP = KdfParams(memory_kib=32768, iterations=1, lanes=1)
MakeAgent = Callable[..., tuple[str, str]]
Rewrite = Callable[..., None]

Fields = dict[str, Any]


def canonical(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def flipped(text: str) -> str:
    return f"{text[:-1]}{int(text[-1], 16) ^ 1:x}"


def test_the_master_file_is_as_the_format_says(directory: Path) -> None:
    path = directory / "master.json"
    fields = json.loads(path.read_bytes())
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_text().startswith('{\n  "format": 2,')
    assert {name: fields[name] for name in ("format", "kind", "generation", "createdAt")} == {
        "format": 2,
        "kind": "master",
        "generation": 1,
        "createdAt": 1_800_000_000,
    }
    salt = fields["kdf"].pop("salt")
    assert fields["kdf"] == {
        "name": "argon2id",
        "version": 19,
        "memoryKiB": 32768,
        "iterations": 1,
        "lanes": 1,
        "length": 64,
    }
    fields["kdf"]["salt"] = salt
    assert len(bytes.fromhex(salt)) == 16
    checksum = fields.pop("checksum")
    assert checksum == hashlib.sha256(canonical(fields)).hexdigest()


def test_files_open_with_nothing_but_the_published_format(directory: Path, make_agent: MakeAgent) -> None:
    """An independent reading of both files, from the text of the format alone."""
    agent_id, _ = make_agent()
    master = json.loads((directory / "master.json").read_bytes())
    kdf = master["kdf"]
    stretched = Argon2id(
        salt=bytes.fromhex(kdf["salt"]),
        length=kdf["length"],
        iterations=kdf["iterations"],
        lanes=kdf["lanes"],
        memory_cost=kdf["memoryKiB"],
    ).derive(PASSWORD.encode())
    wrap, verify = stretched[:32], stretched[32:]
    told = b"waiaas master v2" + master["installation"].encode() + b"1"
    assert master["verifier"] == hmac.digest(verify, told, "sha256").hex()

    header = canonical({name: master[name] for name in ("format", "kind", "generation", "installation", "kdf")})
    root = opened(wrap, master["root"], header + b"|root")
    (seal,) = master["seal"]
    assert len(opened(wrap, seal, header + b"|" + seal["id"].encode())) == 32

    agent = json.loads((directory / f"{agent_id}.json").read_bytes())
    public = {name: agent[name] for name in agent.keys() - {"nonce", "ciphertext", "tag", "checksum"}}
    file_key = HKDF(SHA256(), 32, None, b"waiaas agent v2|" + agent_id.encode()).derive(root)
    assert len(opened(file_key, agent, canonical(public))) == 64


def opened(key: bytes, box: Fields, aad: bytes) -> bytes:
    return AESGCM(key).decrypt(bytes.fromhex(box["nonce"]), bytes.fromhex(box["ciphertext"] + box["tag"]), aad)


def test_the_right_password_unlocks_and_a_wrong_one_is_told_as_such(directory: Path) -> None:
    assert Keystore.unlock(directory, PASSWORD).installation
    for wrong in ("correct horse batterY", "", "\udcff" * 12):
        with pytest.raises(WrongPassword):
            Keystore.unlock(directory, wrong)


def test_any_number_of_agents_costs_one_derivation(
    directory: Path, make_agent: MakeAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = dict(make_agent() for _ in range(12))
    derivations = []
    stretch = master_module.stretch
    monkeypatch.setattr(
        master_module, "stretch", lambda password, kdf: derivations.append(kdf) or stretch(password, kdf)
    )
    with pytest.raises(WrongPassword):
        Keystore.unlock(directory, "not the password")
    assert len(derivations) == 1

    derivations.clear()
    keystore = Keystore.unlock(directory, PASSWORD)
    assert keystore.load(rows) == {}
    keystore.sign(next(iter(rows)), b"payload")
    keystore.check_password(PASSWORD.encode())
    assert len(derivations) == 1


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "zero length": lambda data: b"",
    "half of it": lambda data: data[: len(data) // 2],
    "not JSON": lambda data: b"\xff\xfe" + data,
    "not an object": lambda data: b"[]",
    "nothing but zeros": lambda data: bytes(len(data)),
    "checksum changed": lambda data: data.replace(b'"checksum": "', b'"checksum": "0'),
    "a field changed": lambda data: data.replace(b"1800000000", b"1800000001"),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_torn_or_changed_master_file_is_corrupted_not_a_wrong_password(
    directory: Path, damage: Callable[[bytes], bytes]
) -> None:
    path = directory / "master.json"
    before = path.read_bytes()
    path.write_bytes(damage(before))
    assert path.read_bytes() != before
    with pytest.raises(KeystoreCorrupted, match=r"master\.json"):
        Keystore.unlock(directory, PASSWORD)


SHAPES: dict[str, Callable[[Fields], object]] = {
    "field missing": lambda f: f.pop("verifier"),
    "field too many": lambda f: f.update(extra=1),
    "format 1": lambda f: f.update(format=1),
    "other kind": lambda f: f.update(kind="agent"),
    "generation 0": lambda f: f.update(generation=0),
    "upper-case hex": lambda f: f.update(verifier="AB" * 32),
    "short verifier": lambda f: f.update(verifier=f["verifier"][:-2]),
    "short root": lambda f: f["root"].update(ciphertext=f["root"]["ciphertext"][:-2]),
    "no seal key": lambda f: f.update(seal=[]),
    "other function": lambda f: f["kdf"].update(name="argon2i"),
    "other version": lambda f: f["kdf"].update(version=16),
    "too little memory": lambda f: f["kdf"].update(memoryKiB=32767),
    "too much memory": lambda f: f["kdf"].update(memoryKiB=1048577),
    "no iterations": lambda f: f["kdf"].update(iterations=0),
    "too many iterations": lambda f: f["kdf"].update(iterations=21),
    "too many lanes": lambda f: f["kdf"].update(lanes=17),
    "short salt": lambda f: f["kdf"].update(salt="00"),
}


@pytest.mark.parametrize("edit", SHAPES.values(), ids=SHAPES)
def test_a_wrong_shape_is_corrupted_even_with_a_right_checksum(
    directory: Path, rewrite: Rewrite, monkeypatch: pytest.MonkeyPatch, edit: Callable[[Fields], object]
) -> None:
    rewrite(directory / "master.json", edit)
    monkeypatch.setattr(master_module, "stretch", None)  # parameters are judged before anything is derived from them
    with pytest.raises(KeystoreCorrupted):
        Keystore.unlock(directory, PASSWORD)


TAMPERED: dict[str, Callable[[Fields], object]] = {
    "root ciphertext": lambda f: f["root"].update(ciphertext=flipped(f["root"]["ciphertext"])),
    "root tag": lambda f: f["root"].update(tag=flipped(f["root"]["tag"])),
    "root nonce": lambda f: f["root"].update(nonce=flipped(f["root"]["nonce"])),
    "seal ciphertext": lambda f: f["seal"][0].update(ciphertext=flipped(f["seal"][0]["ciphertext"])),
    "seal tag": lambda f: f["seal"][0].update(tag=flipped(f["seal"][0]["tag"])),
    "seal renamed": lambda f: f["seal"][0].update(id=flipped(f["seal"][0]["id"])),
    "seal in place of root": lambda f: f.update(root={k: v for k, v in f["seal"][0].items() if k != "id"}),
}


@pytest.mark.parametrize("edit", TAMPERED.values(), ids=TAMPERED)
def test_a_right_password_over_changed_keys_is_corrupted(
    directory: Path, rewrite: Rewrite, edit: Callable[[Fields], object]
) -> None:
    rewrite(directory / "master.json", edit)
    with pytest.raises(KeystoreCorrupted, match="the password is right"):
        Keystore.unlock(directory, PASSWORD)
    with pytest.raises(WrongPassword):
        Keystore.unlock(directory, "not the password")


VERIFIED: dict[str, Callable[[Fields], object]] = {
    "verifier": lambda f: f.update(verifier=flipped(f["verifier"])),
    "salt": lambda f: f["kdf"].update(salt=flipped(f["kdf"]["salt"])),
    "iterations": lambda f: f["kdf"].update(iterations=2),
    "generation": lambda f: f.update(generation=2),
    "installation": lambda f: f.update(installation=new_id()),
}


@pytest.mark.parametrize("edit", VERIFIED.values(), ids=VERIFIED)
def test_what_the_verifier_covers_cannot_be_changed_unseen(
    directory: Path, rewrite: Rewrite, edit: Callable[[Fields], object]
) -> None:
    rewrite(directory / "master.json", edit)
    with pytest.raises(WrongPassword):
        Keystore.unlock(directory, PASSWORD)


def test_without_a_master_file_there_is_no_wallet(tmp_path: Path) -> None:
    with pytest.raises(NotInitialised):
        Keystore.unlock(tmp_path, PASSWORD)


def test_a_symlink_in_place_of_the_master_file_is_refused(directory: Path) -> None:
    (directory / "master.json").rename(directory / "moved")
    (directory / "master.json").symlink_to(directory / "moved")
    with pytest.raises(KeystoreError, match="cannot be read"):
        Keystore.unlock(directory, PASSWORD)


def test_an_existing_keystore_is_never_overwritten(directory: Path) -> None:
    before = (directory / "master.json").read_bytes()
    with pytest.raises(KeystoreError, match="already"):
        create(directory, PASSWORD, installation=new_id(), params=CHEAP, now=0)
    assert (directory / "master.json").read_bytes() == before


def test_no_new_master_is_put_beside_keys_that_lost_theirs(directory: Path, make_agent: MakeAgent) -> None:
    make_agent()
    (directory / "master.json").unlink()
    with pytest.raises(KeystoreError, match="already"):
        create(directory, PASSWORD, installation=new_id(), params=CHEAP, now=0)


@pytest.mark.parametrize("params", [KdfParams(memory_kib=32767), KdfParams(iterations=21), KdfParams(lanes=17)])
def test_nothing_is_written_that_could_not_be_read_again(tmp_path: Path, params: KdfParams) -> None:
    with pytest.raises(KeystoreCorrupted):
        create(tmp_path, PASSWORD, installation=new_id(), params=params, now=0)
    assert list(tmp_path.iterdir()) == []


def test_a_short_password_makes_no_keystore(tmp_path: Path) -> None:
    with pytest.raises(PasswordRefused):
        create(tmp_path, "elevenchars", installation=new_id(), params=CHEAP, now=0)
    assert list(tmp_path.iterdir()) == []
