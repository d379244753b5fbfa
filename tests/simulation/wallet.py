"""The wallet that a run begins with: the database's image, the files, the agents and their tokens."""

import copy
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
from msgspec import structs

from tests.conftest import PASSWORD, settings
from waiaas import paths
from waiaas.config import Config
from waiaas.domain.chain import Network
from waiaas.keystore import Keystore
from waiaas.keystore.master import Opened
from waiaas.keystore.passwords import PasswordCheck

SOLANA, EVM = Network.DEVNET, Network.ETHEREUM_SEPOLIA


class Member(msgspec.Struct, frozen=True):
    """An agent, and the session that a program acts with."""

    agent_id: str
    network: Network
    address: str
    session_id: str
    token: str
    #: it has an owner who has proved the key
    is_owned: bool = False


class Wallet(msgspec.Struct, frozen=True):
    """What a run copies."""

    image: bytes
    files: Path
    opened: Opened
    members: tuple[Member, ...] = ()

    def of(self, network: Network) -> list[Member]:
        """The agents of a network."""
        return [member for member in self.members if member.network is network]

    def unlock(self, directory: Path) -> Keystore:
        """The keystore in a copy of the files; the password was stretched once for all."""
        return Keystore(paths.DataDir(directory).keystore, copy.deepcopy(self.opened), PasswordCheck(PASSWORD.encode()))

    @contextmanager
    def copied(self) -> Iterator[Path]:
        """A directory of its own for a run, in memory where the system has such a place."""
        memory = Path("/dev/shm")
        with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as directory:
            shutil.copytree(self.files, Path(directory) / "wallet")
            yield Path(directory) / "wallet"


def config() -> Config:
    """Two endpoints for each of two networks; delays short enough to be waited for, and no limits on calls."""
    rpc: dict[str, object] = {
        name: () for name, urls in structs.asdict(Config().rpc).items() if isinstance(urls, tuple)
    }
    rpc |= {"solana_devnet": ("embedded",) * 2, "evm_ethereum_sepolia": ("embedded",) * 2}
    unlimited = {"rate_limit_tx_rpm": 0, "rate_limit_session_rpm": 0, "rate_limit_global_ip_rpm": 0}
    return settings(rpc=rpc, security={"policy_defaults_delay_seconds": 60, **unlimited})
