"""A keystore in a directory of its own, at the lowest Argon2id cost the format allows."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from waiaas.domain.chain import Chain, Network
from waiaas.ids import new_id
from waiaas.keystore import KdfParams, Keystore, create

PASSWORD = "correct horse battery"
CHEAP = KdfParams(memory_kib=32768, iterations=1, lanes=1)

MakeAgent = Callable[..., tuple[str, str]]
Rewrite = Callable[..., None]


@pytest.fixture(scope="session")
def master_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A master file made once, for deriving a key takes longer than most tests."""
    directory = tmp_path_factory.mktemp("master")
    create(directory, PASSWORD, installation=new_id(), params=CHEAP, now=1_800_000_000)
    return directory / "master.json"


@pytest.fixture
def directory(tmp_path: Path, master_file: Path) -> Path:
    path = tmp_path / "keystore"
    path.mkdir(mode=0o700)
    shutil.copy(master_file, path)
    return path


@pytest.fixture
def keystore(directory: Path) -> Keystore:
    return Keystore.unlock(directory, PASSWORD)


@pytest.fixture
def make_agent(keystore: Keystore) -> MakeAgent:
    """Store a new key; its agent id and public key."""

    def make(chain: Chain = Chain.SOLANA) -> tuple[str, str]:
        network = Network.LOCALNET if chain is Chain.SOLANA else Network.ETHEREUM_LOCALNET
        agent_id, key = new_id(), keystore.generate(chain)
        keystore.store(agent_id, network, key, now=1_800_000_000)
        return agent_id, key.public_key

    return make


@pytest.fixture
def rewrite() -> Rewrite:
    """Change fields of a keystore file and make its checksum right again, as someone with an editor could."""

    def change(path: Path, edit: Callable[[dict[str, Any]], None]) -> None:
        fields = json.loads(path.read_bytes())
        del fields["checksum"]
        edit(fields)
        text = json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        path.write_text(json.dumps({**fields, "checksum": hashlib.sha256(text.encode()).hexdigest()}))

    return change
