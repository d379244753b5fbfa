"""The open keystore: loads, makes, signs with and puts away the keys of agents."""

import os
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec
import structlog
from cryptography.exceptions import InvalidTag

from waiaas.domain.chain import Chain, Network
from waiaas.errors import (
    KeystoreCorrupted,
    KeystoreError,
    KeystoreLocked,
    KeyUnreadable,
    KeyUnwritable,
    ValidationFailed,
    WrongPassword,
)
from waiaas.files import read_bytes, sweep, sync_directory, write_atomic
from waiaas.keystore.ciphers import decrypt, derive, encrypt, wipe
from waiaas.keystore.curves import CURVES
from waiaas.keystore.format import UUID, AgentFile, agent_aad, box_of, decode, encode, fields_of
from waiaas.keystore.keys import Key, NewKey
from waiaas.keystore.master import Opened, open_master
from waiaas.keystore.passwords import PasswordCheck
from waiaas.keystore.seals import Seals

AGENT_ID = re.compile(UUID)
AGENT_FILE = re.compile(rf"({UUID})\.json")
RETIRED = "retired"
#: signed and verified once with a new key; 32 bytes, as secp256k1 signs nothing else
TRIAL = b"waiaas: the key of this agent ok"

log = structlog.get_logger()


class Keystore:
    """Every key of one installation, usable until `lock`; the methods block on file or processor."""

    def __init__(self, directory: Path, opened: Opened, password: PasswordCheck) -> None:
        self.installation = opened.installation
        self._directory = directory
        self._generation = opened.generation
        self._root = opened.root
        self._seals = Seals(opened.seals)
        self._password = password
        self._keys: dict[str, Key] = {}
        self._locked = False
        #: root key overwritten: nothing is signed, sealed values still open
        self._at_rest = False
        #: how often it was put to rest: a key that was read meanwhile is not taken
        self._rests = 0
        #: held for moments, by what wipes or takes the root key: `wake` runs in a thread
        self._turn = threading.Lock()

    @classmethod
    def unlock(cls, directory: Path, password: str) -> "Keystore":
        """Open with one Argon2id; WrongPassword, KeystoreCorrupted or NotInitialised otherwise."""
        try:
            candidate = password.encode()
        except UnicodeEncodeError:
            raise WrongPassword from None
        opened = open_master(directory, candidate)
        sweep(directory)
        return cls(directory, opened, PasswordCheck(candidate))

    def check_password(self, candidate: bytes) -> bool:
        """Whether that is the password it was unlocked with; costs one HMAC, also when locked."""
        return self._password.matches(candidate)

    def lock(self) -> None:
        """Overwrite root and seal keys; nothing can be signed, sealed or unsealed any more."""
        with self._turn:
            self._locked = True
            wipe(self._root)
            self._seals.wipe()

    def rest(self) -> None:
        """Overwrite the root key: no key of an agent can be used until `wake`; values are still sealed and unsealed."""
        with self._turn:
            self._at_rest = True
            self._rests += 1
            wipe(self._root)

    def wake(self, password: bytes) -> None:
        """Read the root key again with one Argon2id; WrongPassword or KeystoreCorrupted otherwise.

        KeystoreLocked if it was locked, or put to rest again while the key was read: whoever was last decides.
        """
        rests = self._rests
        opened = open_master(self._directory, password)
        for seal in opened.seals.values():
            wipe(seal)
        with self._turn:
            if not self._locked and self._rests == rests:
                self._root = opened.root
                self._at_rest = False
                return
        wipe(opened.root)
        raise KeystoreLocked("The keystore was locked while its root key was read.")

    def load(self, agents: Mapping[str, str]) -> dict[str, str]:
        """Read the files of these agents (id → public key of the row); those in quarantine, with the reason."""
        self._require_unlocked()
        quarantined = {}
        for agent_id, public_key in agents.items():
            try:
                self._keys[agent_id] = self._read(agent_id, public_key)
            except KeystoreError as fault:
                self._keys.pop(agent_id, None)
                quarantined[agent_id] = fault.message
                log.error("agent quarantined", agent_id=agent_id, reason=fault.message)
        return quarantined

    def generate(self, chain: Chain) -> NewKey:
        """A new key that exists in memory only."""
        return NewKey(chain)

    def store(self, agent_id: str, network: Network, key: NewKey, *, now: int) -> None:
        """Give a new key its file, read it back and try it, then let it sign; after an error `forget` it."""
        path = self._path(agent_id)
        try:
            if path.exists():
                raise KeystoreError(f"{path.name} exists already; no key is made for an existing agent")
            write_atomic(path, self._encrypted(agent_id, network, key, now))
            stored = self._read(agent_id, key.public_key)
            self._try(agent_id, stored)
            self._keys[agent_id] = stored
        except OSError as fault:
            raise KeyUnwritable(f"{path.name} cannot be written: {fault.strerror}") from fault
        finally:
            key.wipe()

    def forget(self, agent_id: str) -> None:
        """Delete the file of a creation that failed, if it got that far."""
        self._keys.pop(agent_id, None)
        path = self._path(agent_id)
        if path.exists():
            path.unlink()
            sync_directory(self._directory)

    def retire(self, agent_id: str) -> None:
        """Move the file of a terminated agent aside, for money may still arrive; nothing if that was done before."""
        self._keys.pop(agent_id, None)
        path = self._path(agent_id)
        retired = self._directory / RETIRED
        if path.exists():
            retired.mkdir(mode=0o700, exist_ok=True)
            os.rename(path, retired / path.name)
            sync_directory(retired)
            sync_directory(self._directory)

    def files(self) -> set[str]:
        """Ids of the agents that have a file, whatever is in it."""
        return {found[1] for name in os.listdir(self._directory) if (found := AGENT_FILE.fullmatch(name))}

    @property
    def unlocked(self) -> bool:
        """Whether keys can be used at all."""
        return not self._locked

    def usable(self, agent_id: str) -> bool:
        """Whether this agent can sign now."""
        return not self._locked and not self._at_rest and agent_id in self._keys

    def sign(self, agent_id: str, payload: bytes) -> bytes:
        """Ed25519: 64 bytes over `payload`; secp256k1: r‖s‖v over a 32-byte hash. KeyUnreadable, KeystoreLocked."""
        self._require_unlocked()
        key = self._keys.get(agent_id)
        if key is None:
            raise KeyUnreadable
        with self._secret(agent_id, key) as secret:
            return key.curve.sign(secret, payload)

    def seal(self, place: str, plaintext: bytes) -> str:
        """Encrypt a value that belongs in `place` (`table|column|row key`) and opens nowhere else."""
        self._require_open_seals()
        return self._seals.seal(place, plaintext)

    def unseal(self, place: str, text: str) -> bytes:
        """The value sealed for `place`; KeystoreCorrupted if it was changed, moved or sealed elsewhere."""
        self._require_open_seals()
        return self._seals.unseal(place, text)

    def _read(self, agent_id: str, public_key: str) -> Key:
        path = self._path(agent_id)
        try:
            data = read_bytes(path)
        except OSError as fault:
            raise KeyUnreadable(f"{path.name} cannot be read: {fault.strerror}") from None
        file = decode(data, AgentFile, path.name)
        self._compare(file, agent_id, public_key)
        key = Key(CURVES[file.curve], public_key, box_of(file), agent_aad(file))
        with self._secret(agent_id, key) as secret:
            if derived_key(key, secret) != public_key:
                raise KeystoreCorrupted(f"{path.name}: the secret belongs to another public key")
        return key

    def _compare(self, file: AgentFile, agent_id: str, public_key: str) -> None:
        if file.id != agent_id:
            raise KeystoreCorrupted(f"{agent_id}.json: this is the file of {file.id}")
        if file.generation != self._generation:
            raise KeystoreCorrupted(f"{agent_id}.json: generation {file.generation}, not {self._generation}")
        if file.public_key != public_key:
            raise KeystoreCorrupted(f"{agent_id}.json: its public key is not that of the agent")

    def _encrypted(self, agent_id: str, network: Network, key: NewKey, now: int) -> bytes:
        file = AgentFile(
            format=2,
            kind="agent",
            generation=self._generation,
            id=agent_id,
            chain=key.chain,
            network=network,
            curve=key.curve.name,
            public_key=key.public_key,
            created_at=now,
            cipher="aes-256-gcm",
            nonce="",
            ciphertext="",
            tag="",
        )
        file_key = self._file_key(agent_id)
        try:
            return encode(msgspec.structs.replace(file, **fields_of(encrypt(file_key, key.secret, agent_aad(file)))))
        finally:
            wipe(file_key)

    def _try(self, agent_id: str, key: Key) -> None:
        with self._secret(agent_id, key) as secret:
            signature = key.curve.sign(secret, TRIAL)
        if not key.curve.verify(key.public_key, TRIAL, signature):
            raise KeystoreCorrupted(f"{agent_id}.json: a signature with this key does not verify")

    @contextmanager
    def _secret(self, agent_id: str, key: Key) -> Iterator[bytearray]:
        file_key = self._file_key(agent_id)
        try:
            secret = decrypt(file_key, key.box, key.aad)
        except InvalidTag:
            raise KeystoreCorrupted(f"{agent_id}.json: it was changed, or belongs to another keystore") from None
        finally:
            wipe(file_key)
        try:
            yield secret
        finally:
            wipe(secret)

    def _file_key(self, agent_id: str) -> bytearray:
        file_key = derive(self._root, f"waiaas agent v2|{agent_id}".encode())
        # asked after the root was read: a lock from another thread in between made this a key of zeros
        self._require_unlocked()
        return file_key

    def _path(self, agent_id: str) -> Path:
        if not AGENT_ID.fullmatch(agent_id):
            raise ValidationFailed(("id", "must be a UUID in lower case"))
        return self._directory / f"{agent_id}.json"

    def _require_unlocked(self) -> None:
        self._require_open_seals()
        if self._at_rest:
            raise KeystoreLocked("The kill switch is on: no key can be used.")

    def _require_open_seals(self) -> None:
        if self._locked:
            raise KeystoreLocked("The keystore is locked.")


def derived_key(key: Key, secret: bytearray) -> str | None:
    """The public key of a decrypted secret; None if it is no secret of its curve."""
    try:
        return key.curve.public_key(secret)
    except ValueError:
        return None
