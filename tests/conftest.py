"""A real daemon for tests: real files, a real database and keystore, the embedded chain; only the socket is missing."""

import asyncio
import copy
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from waiaas import app, lifecycle, paths
from waiaas.clock import Clock
from waiaas.config import Config
from waiaas.keystore import Keystore
from waiaas.keystore.master import Opened, open_master
from waiaas.keystore.passwords import PasswordCheck

PASSWORD = "correct horse battery staple"

#: Argon2id at its cheapest, so that a test does not pay for a real password
CHEAP = msgspec.convert({"argon2_memory": 32768, "argon2_time": 1, "argon2_parallelism": 1}, type(Config().keystore))


class ManualClock(Clock):
    """Stands still until it is moved; wall clock and boot clock can be moved apart."""

    def __init__(self, wall: float = 1_800_000_000.0) -> None:
        super().__init__()
        self._wall = wall
        self._boot = 1000.0

    def wall(self) -> float:
        return self._wall

    def boot(self) -> float:
        return self._boot

    def monotonic(self) -> float:
        return self._boot

    def move(self, seconds: float) -> None:
        """Time passes."""
        self._wall += seconds
        self._boot += seconds

    def step(self, seconds: float) -> None:
        """Somebody sets the wall clock."""
        self._wall += seconds


class BriskClock(Clock):
    """Eight times as fast as real time, so that a test waits less for the slots of the embedded Solana chain."""

    RATE = 8

    def __init__(self) -> None:
        super().__init__()
        self._wall, self._boot, self._monotonic = super().wall(), super().boot(), super().monotonic()

    def wall(self) -> float:
        return self._wall + self.RATE * (super().wall() - self._wall)

    def boot(self) -> float:
        return self._boot + self.RATE * (super().boot() - self._boot)

    def monotonic(self) -> float:
        return self._monotonic + self.RATE * (super().monotonic() - self._monotonic)


def settings(**sections: dict[str, object]) -> Config:
    """The default configuration with some keys set: settings(security={"max_pending_tx": 1})."""
    config = msgspec.structs.replace(Config(), keystore=CHEAP)
    changed = {name: msgspec.structs.replace(getattr(config, name), **keys) for name, keys in sections.items()}
    rpc = changed.get("rpc", msgspec.structs.replace(config.rpc, solana_default_network="localnet"))
    return msgspec.structs.replace(config, **{**changed, "rpc": rpc})


@pytest.fixture(scope="session", autouse=True)
def _collected_as_in_the_daemon() -> None:
    """The collector of garbage looks at less than it would, as in the process that is tested."""
    lifecycle.keep_started()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def data(tmp_path: Path) -> paths.DataDir:
    """A data directory with its subdirectories, not initialised."""
    made = paths.DataDir(tmp_path / "waiaas")
    paths.create(made)
    return made


class Founded:
    """A wallet that was initialised once for all tests, its password stretched once."""

    def __init__(self, directory: Path) -> None:
        self._data = paths.DataDir(directory)
        paths.create(self._data)
        # long before any test begins, so that no clock of theirs goes back
        asyncio.run(app.initialise(self._data, settings(), PASSWORD, clock=ManualClock(1_600_000_000)))
        self._opened: Opened = open_master(self._data.keystore, PASSWORD.encode())
        self._master = self._data.master.read_bytes()

    def put(self, data: paths.DataDir) -> None:
        """It is in that directory too."""
        shutil.copytree(self._data.root, data.root, dirs_exist_ok=True)

    def unlock(self, data: paths.DataDir) -> Keystore:
        """What `Keystore.unlock` gives; without Argon2id if that is where this wallet was put."""
        if data.master.read_bytes() != self._master:
            return Keystore.unlock(data.keystore, PASSWORD)
        return Keystore(data.keystore, copy.deepcopy(self._opened), PasswordCheck(PASSWORD.encode()))


@pytest.fixture(scope="session")
def founded(tmp_path_factory: pytest.TempPathFactory) -> Founded:
    return Founded(tmp_path_factory.mktemp("founded") / "waiaas")


OpenDaemon = Callable[..., AbstractAsyncContextManager[app.Daemon]]


@pytest.fixture
def open_daemon(data: paths.DataDir, founded: Founded) -> OpenDaemon:
    """`async with open_daemon(config, clock=...)`: initialised once, opened as often as a test restarts it."""

    @asynccontextmanager
    async def opened(config: Config | None = None, *, clock: Clock | None = None) -> AsyncIterator[app.Daemon]:
        config, clock = config or settings(), clock or BriskClock()
        if not data.initialised:
            founded.put(data)
        keystore = founded.unlock(data)
        async with app.open_daemon(data, config, keystore, clock=clock, options=app.Options()) as daemon:
            yield daemon

    return opened


@pytest.fixture
async def daemon(open_daemon: OpenDaemon) -> AsyncIterator[app.Daemon]:
    """A running daemon."""
    async with open_daemon() as running:
        yield running
