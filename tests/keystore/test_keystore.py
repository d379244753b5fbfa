"""Keys of agents: made, loaded, used, quarantined, put away."""

import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from waiaas.domain.chain import Chain, Network
from waiaas.errors import KeystoreCorrupted, KeystoreError, KeystoreLocked, KeyUnreadable, ValidationFailed
from waiaas.ids import new_id
from waiaas.keystore import Keystore, NewKey
from waiaas.keystore.curves import CURVE_OF, ED25519, Ed25519
from waiaas.keystore.master import Opened, open_master

PASSWORD = "correct horse battery"
MakeAgent = Callable[..., tuple[str, str]]
Rewrite = Callable[..., None]

PAYLOAD = bytes(range(32))
Fields = dict[str, Any]


def flipped(text: str) -> str:
    return f"{text[:-1]}{int(text[-1], 16) ^ 1:x}"


@pytest.mark.parametrize("chain", Chain)
def test_a_stored_key_signs_at_once_and_after_every_unlock(
    directory: Path, keystore: Keystore, make_agent: MakeAgent, chain: Chain
) -> None:
    agent_id, public_key = make_agent(chain)
    again = Keystore.unlock(directory, PASSWORD)
    assert again.load({agent_id: public_key}) == {}
    for opened in (keystore, again):
        assert opened.usable(agent_id)
        assert CURVE_OF[chain].verify(public_key, PAYLOAD, opened.sign(agent_id, PAYLOAD))


def test_the_file_shows_public_fields_and_hides_the_secret(directory: Path, keystore: Keystore) -> None:
    agent_id, key = new_id(), keystore.generate(Chain.SOLANA)
    secret = bytes(key.secret)
    keystore.store(agent_id, Network.LOCALNET, key, now=1_800_000_000)
    path = directory / f"{agent_id}.json"
    fields = json.loads(path.read_bytes())
    assert {name: fields[name] for name in fields.keys() - {"nonce", "ciphertext", "tag", "checksum"}} == {
        "format": 2,
        "kind": "agent",
        "generation": 1,
        "id": agent_id,
        "chain": "solana",
        "network": "localnet",
        "curve": "ed25519",
        "publicKey": key.public_key,
        "createdAt": 1_800_000_000,
        "cipher": "aes-256-gcm",
    }
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert secret[:32].hex() not in path.read_text()


def test_two_keys_are_never_encrypted_under_one_nonce_or_alike(directory: Path, make_agent: MakeAgent) -> None:
    files = [json.loads((directory / f"{make_agent()[0]}.json").read_bytes()) for _ in range(8)]
    for name in ("nonce", "ciphertext", "tag", "publicKey"):
        assert len({fields[name] for fields in files}) == 8


def test_a_locked_keystore_signs_and_seals_nothing(keystore: Keystore, make_agent: MakeAgent) -> None:
    agent_id, _ = make_agent()
    sealed = keystore.seal("here", b"value")
    keystore.lock()
    with pytest.raises(KeystoreLocked):
        keystore.sign(agent_id, PAYLOAD)
    with pytest.raises(KeystoreLocked):
        keystore.seal("here", b"value")
    with pytest.raises(KeystoreLocked):
        keystore.unseal("here", sealed)
    with pytest.raises(KeystoreLocked):
        keystore.load({agent_id: "any"})
    assert not keystore.usable(agent_id)


def test_locking_overwrites_root_and_seal_keys_where_they_lie(keystore: Keystore) -> None:
    buffers = [keystore._root, *keystore._seals._keys.values()]
    assert all(any(buffer) for buffer in buffers)
    keystore.lock()
    assert all(buffer == bytes(32) for buffer in buffers)


def test_a_rest_that_comes_while_the_root_is_read_again_wins(
    keystore: Keystore, make_agent: MakeAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent_id, public_key = make_agent()
    keystore.rest()
    read: list[Opened] = []

    def rested_meanwhile(directory: Path, password: bytes) -> Opened:
        read.append(open_master(directory, password))
        keystore.rest()
        return read[-1]

    with monkeypatch.context() as patch, pytest.raises(KeystoreLocked):
        patch.setattr("waiaas.keystore.keystore.open_master", rested_meanwhile)
        keystore.wake(PASSWORD.encode())
    assert not any(read[0].root)
    assert not keystore.usable(agent_id)
    keystore.wake(PASSWORD.encode())
    assert keystore.load({agent_id: public_key}) == {}
    assert keystore.usable(agent_id)


def test_a_locked_keystore_stores_nothing_and_wipes_the_new_key(directory: Path, keystore: Keystore) -> None:
    key = keystore.generate(Chain.SOLANA)
    keystore.lock()
    with pytest.raises(KeystoreLocked):
        keystore.store(new_id(), Network.LOCALNET, key, now=0)
    assert not any(key.secret)
    assert os.listdir(directory) == ["master.json"]


def test_a_lock_between_reading_the_root_and_signing_is_no_damage(
    keystore: Keystore, make_agent: MakeAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent_id, _ = make_agent()
    monkeypatch.setattr("waiaas.keystore.keystore.derive", lambda root, info: keystore.lock() or bytearray(32))
    with pytest.raises(KeystoreLocked):
        keystore.sign(agent_id, PAYLOAD)


def test_after_a_lock_the_password_is_still_checked_and_unlocks_again(
    directory: Path, keystore: Keystore, make_agent: MakeAgent
) -> None:
    agent_id, public_key = make_agent()
    keystore.lock()
    assert keystore.check_password(PASSWORD.encode())
    assert not keystore.check_password(b"correct horse batterY")
    again = Keystore.unlock(directory, PASSWORD)
    assert again.load({agent_id: public_key}) == {}
    assert ED25519.verify(public_key, PAYLOAD, again.sign(agent_id, PAYLOAD))


def test_the_secret_is_overwritten_after_signing_even_if_signing_fails(
    keystore: Keystore, make_agent: MakeAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent_id, _ = make_agent()
    seen: list[bytearray] = []

    def fail(self: Ed25519, secret: bytearray, payload: bytes) -> bytes:
        assert any(secret)
        seen.append(secret)
        raise RuntimeError("the signer broke")

    monkeypatch.setattr(Ed25519, "sign", fail)
    with pytest.raises(RuntimeError):
        keystore.sign(agent_id, PAYLOAD)
    assert seen == [bytearray(64)]


def reasons(directory: Path, rows: dict[str, str], bad: str) -> str:
    """Load everything anew: only `bad` may be quarantined; why it was."""
    keystore = Keystore.unlock(directory, PASSWORD)
    with capture_logs() as logs:
        quarantined = keystore.load(rows)
    assert list(quarantined) == [bad]
    assert [entry["agent_id"] for entry in logs] == [bad]
    assert not keystore.usable(bad)
    with pytest.raises(KeyUnreadable):
        keystore.sign(bad, PAYLOAD)
    for good in rows.keys() - {bad}:
        assert len(keystore.sign(good, PAYLOAD)) == 64
    return quarantined[bad]


TORN: dict[str, Callable[[bytes], bytes]] = {
    "zero length": lambda data: b"",
    "half of it": lambda data: data[: len(data) // 2],
    "nothing but zeros": lambda data: bytes(len(data)),
    "checksum changed": lambda data: data.replace(b'"checksum": "', b'"checksum": "0'),
    "a field changed": lambda data: data.replace(b"1800000000", b"1800000001"),
    "nested without end": lambda data: b'{"format": ' + b"[" * 5_000,
    "unknown network": lambda data: data.replace(b'"localnet"', b'"nowhere"'),
}


@pytest.mark.parametrize("damage", TORN.values(), ids=TORN)
def test_a_torn_file_quarantines_its_agent_alone_and_stays_as_it_is(
    directory: Path, make_agent: MakeAgent, damage: Callable[[bytes], bytes]
) -> None:
    rows = dict(make_agent() for _ in range(3))
    bad = list(rows)[1]
    path = directory / f"{bad}.json"
    torn = damage(path.read_bytes())
    assert torn != path.read_bytes()
    path.write_bytes(torn)
    assert f"{bad}.json" in reasons(directory, rows, bad)
    assert path.read_bytes() == torn


def test_no_byte_of_a_key_file_can_be_flipped_or_cut_off(
    directory: Path, keystore: Keystore, make_agent: MakeAgent
) -> None:
    agent_id, public_key = make_agent()
    path = directory / f"{agent_id}.json"
    data = path.read_bytes()
    assert data.endswith(b"}\n")
    for position in range(len(data) - 1):
        for mask in (0x01, 0x80):
            path.write_bytes(data[:position] + bytes([data[position] ^ mask]) + data[position + 1 :])
            assert keystore.load({agent_id: public_key}), (position, mask)
        path.write_bytes(data[:position])
        assert keystore.load({agent_id: public_key}), position
    path.write_bytes(data)
    assert keystore.load({agent_id: public_key}) == {}


TAMPERED: dict[str, tuple[Callable[[Fields], object], str]] = {
    "tag": (lambda f: f.update(tag=flipped(f["tag"])), "was changed"),
    "nonce": (lambda f: f.update(nonce=flipped(f["nonce"])), "was changed"),
    "ciphertext": (lambda f: f.update(ciphertext=flipped(f["ciphertext"])), "was changed"),
    "no ciphertext": (lambda f: f.update(ciphertext=""), "was changed"),
    "header": (lambda f: f.update(createdAt=f["createdAt"] + 1), "was changed"),
    "network": (lambda f: f.update(network="devnet"), "was changed"),
    "curve": (lambda f: f.update(curve="secp256k1"), "was changed"),
    "generation": (lambda f: f.update(generation=2), "generation 2, not 1"),
    "id": (lambda f: f.update(id=new_id()), "this is the file of"),
    "public key": (lambda f: f.update(publicKey="11111111111111111111111111111111"), "not that of the agent"),
}


@pytest.mark.parametrize(("edit", "reason"), TAMPERED.values(), ids=TAMPERED)
def test_a_tampered_file_with_a_right_checksum_is_seen(
    directory: Path, make_agent: MakeAgent, rewrite: Rewrite, edit: Callable[[Fields], object], reason: str
) -> None:
    rows = dict(make_agent() for _ in range(2))
    bad = next(iter(rows))
    rewrite(directory / f"{bad}.json", edit)
    assert reason in reasons(directory, rows, bad)


def test_swapped_files_quarantine_both(directory: Path, make_agent: MakeAgent) -> None:
    (one, one_key), (other, other_key) = make_agent(), make_agent()
    swap(directory / f"{one}.json", directory / f"{other}.json")
    keystore = Keystore.unlock(directory, PASSWORD)
    assert keystore.load({one: one_key, other: other_key}).keys() == {one, other}


def test_swapped_files_whose_ids_were_edited_do_not_open(
    directory: Path, make_agent: MakeAgent, rewrite: Rewrite
) -> None:
    (one, one_key), (other, other_key) = make_agent(), make_agent()
    swap(directory / f"{one}.json", directory / f"{other}.json")
    for agent_id, public_key in ((one, one_key), (other, other_key)):
        rewrite(directory / f"{agent_id}.json", lambda f, i=agent_id, k=public_key: f.update(id=i, publicKey=k))
    quarantined = Keystore.unlock(directory, PASSWORD).load({one: one_key, other: other_key})
    assert quarantined.keys() == {one, other}
    assert all("was changed" in reason for reason in quarantined.values())


def swap(one: Path, other: Path) -> None:
    first, second = one.read_bytes(), other.read_bytes()
    one.write_bytes(second)
    other.write_bytes(first)


def test_a_missing_file_quarantines(directory: Path, make_agent: MakeAgent) -> None:
    rows = dict([make_agent(), make_agent()])
    bad = next(iter(rows))
    (directory / f"{bad}.json").unlink()
    assert "No such file" in reasons(directory, rows, bad)


def test_a_symlink_in_place_of_a_key_file_is_not_followed(directory: Path, make_agent: MakeAgent) -> None:
    rows = dict([make_agent(), make_agent()])
    bad = next(iter(rows))
    path = directory / f"{bad}.json"
    path.rename(directory.parent / "moved")
    path.symlink_to(directory.parent / "moved")
    assert "cannot be read" in reasons(directory, rows, bad)


def test_a_directory_in_place_of_a_key_file_quarantines(directory: Path, make_agent: MakeAgent) -> None:
    rows = dict([make_agent(), make_agent()])
    bad = next(iter(rows))
    (directory / f"{bad}.json").unlink()
    (directory / f"{bad}.json").mkdir()
    assert "cannot be read" in reasons(directory, rows, bad)


def test_a_row_with_another_public_key_quarantines(directory: Path, make_agent: MakeAgent) -> None:
    rows = dict([make_agent(), make_agent()])
    bad = next(iter(rows))
    rows[bad] = make_agent()[1]
    assert "not that of the agent" in reasons(directory, rows, bad)


def test_a_file_of_another_keystore_does_not_open(
    directory: Path, make_agent: MakeAgent, tmp_path: Path, rewrite: Rewrite
) -> None:
    rows = dict([make_agent(), make_agent()])
    bad = next(iter(rows))
    keystore = Keystore.unlock(directory, PASSWORD)
    keystore._root[:] = bytes(32)
    key = keystore.generate(Chain.SOLANA)
    (directory / f"{bad}.json").write_bytes(keystore._encrypted(bad, Network.LOCALNET, key, now=0))
    rows[bad] = key.public_key
    assert "belongs to another keystore" in reasons(directory, rows, bad)


@pytest.mark.parametrize("secret", ["of another key", "without its public half", "too short"])
def test_the_public_key_is_derived_again_and_compared(
    directory: Path, keystore: Keystore, make_agent: MakeAgent, secret: str
) -> None:
    rows = dict([make_agent(), make_agent()])
    bad = next(iter(rows))
    key = keystore.generate(Chain.SOLANA)
    if secret == "of another key":
        key.secret = keystore.generate(Chain.SOLANA).secret
    else:
        key.secret = key.secret[:31] if secret == "too short" else key.secret[:32] + bytes(32)
    (directory / f"{bad}.json").write_bytes(keystore._encrypted(bad, Network.LOCALNET, key, now=0))
    rows[bad] = key.public_key
    assert "belongs to another public key" in reasons(directory, rows, bad)


def test_a_scalar_outside_the_group_quarantines(directory: Path, keystore: Keystore) -> None:
    agent_id, key = new_id(), keystore.generate(Chain.ETHEREUM)
    key.secret = bytearray(b"\xff" * 32)
    (directory / f"{agent_id}.json").write_bytes(keystore._encrypted(agent_id, Network.ETHEREUM_LOCALNET, key, now=0))
    assert agent_id in keystore.load({agent_id: key.public_key})


def test_a_key_that_goes_bad_is_not_used_on_from_memory(
    directory: Path, keystore: Keystore, make_agent: MakeAgent
) -> None:
    agent_id, public_key = make_agent()
    (directory / f"{agent_id}.json").write_bytes(b"")
    assert agent_id in keystore.load({agent_id: public_key})
    assert not keystore.usable(agent_id)


def test_an_agent_that_was_never_loaded_cannot_sign(keystore: Keystore) -> None:
    with pytest.raises(KeyUnreadable):
        keystore.sign(new_id(), PAYLOAD)


ID = "01a1fd34-8c0c-7227-af3c-30293ce40fe4"
HOSTILE = ["../../etc/passwd", "a\0b", "a/b", "", "master", "..", f"{ID}\n", ID.upper(), f"../{ID}"]


@pytest.mark.parametrize("agent_id", HOSTILE)
def test_an_id_that_is_no_uuid_never_reaches_the_file_system(
    keystore: Keystore, monkeypatch: pytest.MonkeyPatch, agent_id: str
) -> None:
    key = keystore.generate(Chain.SOLANA)
    calls: list[Callable[[], object]] = [
        lambda: keystore.load({agent_id: key.public_key}),
        lambda: keystore.store(agent_id, Network.LOCALNET, key, now=0),
        lambda: keystore.forget(agent_id),
        lambda: keystore.retire(agent_id),
    ]

    def touched(*arguments: object, **_: object) -> None:
        raise AssertionError(f"touched {arguments[0]!r}")

    for name in ("open", "stat", "unlink", "rename"):
        monkeypatch.setattr(os, name, touched)
    for call in calls:
        with pytest.raises(ValidationFailed):
            call()
    with pytest.raises(KeyUnreadable):
        keystore.sign(agent_id, PAYLOAD)
    assert not keystore.usable(agent_id)


def test_only_files_named_after_an_agent_count(directory: Path, keystore: Keystore, make_agent: MakeAgent) -> None:
    agent_id, _ = make_agent()
    for name in ("notes.txt", "x.json", f"{new_id()}.json.next", f".{new_id()}.json.1.0123abcd", f"{new_id()}"):
        (directory / name).touch()
    assert keystore.files() == {agent_id}


def test_no_key_is_ever_made_for_an_agent_that_has_a_file(
    directory: Path, keystore: Keystore, make_agent: MakeAgent
) -> None:
    agent_id, _ = make_agent()
    before = (directory / f"{agent_id}.json").read_bytes()
    with pytest.raises(KeystoreError, match="exists already"):
        keystore.store(agent_id, Network.LOCALNET, keystore.generate(Chain.SOLANA), now=0)
    assert (directory / f"{agent_id}.json").read_bytes() == before


def test_a_stored_new_key_is_wiped_and_never_shown(keystore: Keystore) -> None:
    key = keystore.generate(Chain.SOLANA)
    secret = bytes(key.secret)
    assert secret.hex() not in repr(key)
    assert repr(secret) not in repr(key)
    keystore.store(new_id(), Network.LOCALNET, key, now=0)
    assert not any(key.secret)


def test_a_creation_given_up_leaves_no_file(directory: Path, keystore: Keystore, make_agent: MakeAgent) -> None:
    agent_id, _ = make_agent()
    keystore.forget(agent_id)
    keystore.forget(agent_id)
    assert os.listdir(directory) == ["master.json"]
    assert not keystore.usable(agent_id)


def test_a_retired_key_is_moved_aside_once_and_signs_no_more(
    directory: Path, keystore: Keystore, make_agent: MakeAgent
) -> None:
    agent_id, _ = make_agent()
    old = os.umask(0)
    try:
        keystore.retire(agent_id)
    finally:
        os.umask(old)
    keystore.retire(agent_id)
    assert keystore.files() == set()
    assert os.listdir(directory / "retired") == [f"{agent_id}.json"]
    assert stat.S_IMODE((directory / "retired").stat().st_mode) == 0o700
    with pytest.raises(KeyUnreadable):
        keystore.sign(agent_id, PAYLOAD)


def test_a_sealed_value_opens_in_its_place_after_a_restart(directory: Path, keystore: Keystore) -> None:
    text = keystore.seal("key_value_store|value|jwt_secret_current", b"\0secret\xff")
    version, seal_id, nonce, body = text.split(".")
    assert (version, len(seal_id), len(nonce)) == ("v1", 8, 16)
    assert "=" not in body
    again = Keystore.unlock(directory, PASSWORD)
    assert again.unseal("key_value_store|value|jwt_secret_current", text) == b"\0secret\xff"


@pytest.mark.parametrize("size", [0, 1, 2, 3, 100])
def test_values_of_any_size_are_sealed(keystore: Keystore, size: int) -> None:
    assert keystore.unseal("here", keystore.seal("here", bytes(size))) == bytes(size)


def test_a_sealed_value_moved_or_changed_does_not_open(keystore: Keystore) -> None:
    text = keystore.seal("webhooks|secret|1", b"value")
    with pytest.raises(KeystoreCorrupted, match="changed or moved"):
        keystore.unseal("webhooks|secret|2", text)
    version, seal_id, nonce, body = text.split(".")
    other = "B" if body[0] == "A" else "A"
    for changed in (other + body[1:], body + "AAAA", body[:25]):
        with pytest.raises(KeystoreCorrupted, match="changed or moved"):
            keystore.unseal("webhooks|secret|1", f"{version}.{seal_id}.{nonce}.{changed}")


@pytest.mark.parametrize("text", ["", "v1", "plain", "v2.00000000.AAAAAAAAAAAAAAAA.AAAAAAAAAAAAAAAAAAAAAA"])
def test_what_was_never_sealed_here_does_not_open(keystore: Keystore, text: str) -> None:
    with pytest.raises(KeystoreCorrupted, match="not a value sealed"):
        keystore.unseal("here", text)
    with pytest.raises(KeystoreCorrupted, match="not a value sealed"):
        keystore.unseal("here", "v1.00000000.AAAAAAAAAAAAAAAA.AAAAAAAAAAAAAAAAAAAAAA")


def test_new_keys_are_new_every_time(keystore: Keystore) -> None:
    keys: list[NewKey] = [keystore.generate(chain) for chain in Chain for _ in range(4)]
    assert len({key.public_key for key in keys}) == 8
