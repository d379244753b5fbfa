"""Whatever moment a creation is cut at, a file is sound or absent, and nothing else is left."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from waiaas.domain.chain import Chain, Network
from waiaas.errors import KeystoreCorrupted, KeystoreError
from waiaas.ids import new_id
from waiaas.keystore import Keystore
from waiaas.keystore.curves import Ed25519

PASSWORD = "correct horse battery"

#: stores a key in a process that kills itself at the n-th call of one function of the file layer
CHILD = """
import os, signal, sys
from pathlib import Path
from waiaas.domain.chain import Chain, Network
from waiaas.keystore import Keystore

directory, password, agent_id, name, nth = sys.argv[1:]
keystore = Keystore.unlock(Path(directory), password)
key = keystore.generate(Chain.SOLANA)
print(key.public_key, flush=True)
real, calls = getattr(os, name), 0

def deadly(*arguments, **named):
    global calls
    calls += 1
    if calls == int(nth):
        if name == "write":
            real(arguments[0], arguments[1][: len(arguments[1]) // 2])
        os.kill(os.getpid(), signal.SIGKILL)
    return real(*arguments, **named)

setattr(os, name, deadly)
keystore.store(agent_id, Network.LOCALNET, key, now=0)
raise SystemExit("survived")
"""

MOMENTS = {
    "before the temporary": ("open", 1, False),
    "in the middle of the write": ("write", 1, False),
    "before the file is synced": ("fsync", 1, False),
    "before the rename": ("rename", 1, False),
    "before the directory is synced": ("fsync", 2, True),
    "before it is read back": ("read", 1, True),
}


@pytest.mark.parametrize(("name", "nth", "survives"), MOMENTS.values(), ids=MOMENTS)
def test_a_killed_creation_leaves_a_sound_file_or_none(directory: Path, name: str, nth: int, survives: bool) -> None:
    agent_id = new_id()
    child = subprocess.run(
        [sys.executable, "-c", CHILD, str(directory), PASSWORD, agent_id, name, str(nth)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert child.returncode == -9, child.stderr
    keystore = Keystore.unlock(directory, PASSWORD)
    assert sorted(os.listdir(directory)) == sorted([f"{agent_id}.json"] * survives + ["master.json"])
    assert keystore.files() == ({agent_id} if survives else set())
    assert (keystore.load({agent_id: child.stdout.strip()}) == {}) is survives
    assert keystore.usable(agent_id) is survives


@pytest.mark.parametrize(("name", "nth"), [("open", 1), ("write", 1), ("fsync", 1), ("rename", 1), ("fsync", 2)])
def test_a_full_disk_fails_the_creation_and_forgetting_cleans_up(
    directory: Path, keystore: Keystore, monkeypatch: pytest.MonkeyPatch, name: str, nth: int
) -> None:
    agent_id, key = new_id(), keystore.generate(Chain.SOLANA)
    real, calls = getattr(os, name), []

    def full(*arguments: object, **named: object) -> object:
        calls.append(arguments)
        if len(calls) == nth:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(*arguments, **named)

    with monkeypatch.context() as patch, pytest.raises(KeystoreError, match="No space left"):
        patch.setattr(os, name, full)
        keystore.store(agent_id, Network.LOCALNET, key, now=0)
    assert not any(key.secret)
    assert not keystore.usable(agent_id)
    keystore.forget(agent_id)
    assert os.listdir(directory) == ["master.json"]


@pytest.mark.parametrize("offset", [5, 200, -90, -20])
def test_a_disk_that_changes_a_byte_is_caught_by_reading_back(
    keystore: Keystore, monkeypatch: pytest.MonkeyPatch, offset: int
) -> None:
    write = os.write

    def flip(descriptor: int, data: memoryview) -> int:
        changed = bytearray(data)
        changed[offset] ^= 1
        return write(descriptor, changed)

    agent_id = new_id()
    with monkeypatch.context() as patch, pytest.raises(KeystoreError):
        patch.setattr(os, "write", flip)
        keystore.store(agent_id, Network.LOCALNET, keystore.generate(Chain.SOLANA), now=0)
    assert not keystore.usable(agent_id)


def test_a_key_whose_signature_does_not_verify_is_not_used(keystore: Keystore, monkeypatch: pytest.MonkeyPatch) -> None:
    agent_id = new_id()
    monkeypatch.setattr(Ed25519, "sign", lambda self, secret, payload: bytes(64))
    with pytest.raises(KeystoreCorrupted, match="does not verify"):
        keystore.store(agent_id, Network.LOCALNET, keystore.generate(Chain.SOLANA), now=0)
    assert not keystore.usable(agent_id)


def test_files_are_private_whatever_the_umask(directory: Path, keystore: Keystore) -> None:
    agent_id, old = new_id(), os.umask(0)
    try:
        keystore.store(agent_id, Network.LOCALNET, keystore.generate(Chain.SOLANA), now=0)
    finally:
        os.umask(old)
    assert (directory / f"{agent_id}.json").stat().st_mode & 0o777 == 0o600
