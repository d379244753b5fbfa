"""Commands run in this process, on a data directory of their own."""

import json
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tests.cli.processes import PASSWORD, Wallet, free_port
from tests.cli.standin import Daemon
from waiaas.cli import root
from waiaas.paths import DataDir, create

Run = Callable[..., Result]


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DataDir:
    """A data directory without a wallet, and no variable of ours set."""
    for variable in [name for name in os.environ if name.startswith("WAIAAS_")]:
        monkeypatch.delenv(variable)
    made = DataDir(tmp_path / "wallet")
    create(made)
    return made


@pytest.fixture
def run(data: DataDir) -> Run:
    """Run one command on that directory."""

    def run(*arguments: str, **extra: Any) -> Result:
        return CliRunner().invoke(root, [*arguments, "--data-dir", str(data.root)], **extra)

    return run


@pytest.fixture
def daemon() -> Iterator[Daemon]:
    """A server on a loopback port that stands where the daemon would."""
    server = Daemon()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def call(run: Run, daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command against that server, with the password in the environment."""

    def call(*arguments: str, **extra: Any) -> Result:
        monkeypatch.setenv("WAIAAS_MASTER_PASSWORD", PASSWORD)
        return run(*arguments, "--base-url", daemon.url, **extra)

    return call


def told(result: Result) -> dict[str, Any]:
    """The one JSON object on stdout."""
    answer: dict[str, Any] = json.loads(result.stdout)
    return answer


@pytest.fixture(scope="session")
def first_wallet(tmp_path_factory: pytest.TempPathFactory) -> Wallet:
    """A wallet made once."""
    wallet = Wallet(tmp_path_factory.mktemp("first") / "wallet", free_port())
    wallet.told("init")
    return wallet


@pytest.fixture
def wallet(first_wallet: Wallet, tmp_path: Path) -> Wallet:
    """A wallet of the test's own."""
    return first_wallet.copy(tmp_path / "wallet")
