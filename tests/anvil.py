"""A real node for tests: anvil, from its npm package in tests/js, on a port of its own.

from tests.anvil import anvil  # a fixture for a conftest.py; `anvil.url` is a fresh chain of id 31337
"""

import json
import platform
import random
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.localnet import javascript

BINARY = javascript.SCRIPTS / "node_modules" / "@foundry-rs" / "anvil-linux-amd64" / "bin" / "anvil"
#: below the range from which the system takes ports for connections
PORTS = range(20_000, 32_768)
#: a pristine account is all there is, so that whoever answers can be told from any other node
OPTIONS = ("--hardfork", "prague", "--accounts", "1", "--balance", "0", "--mnemonic-random", "12")


class Anvil:
    """One running process; `url` is its JSON-RPC."""

    def __init__(self, process: subprocess.Popen[bytes], url: str) -> None:
        self.process = process
        self.url = url

    def call(self, method: str, *params: object) -> object:
        """The result of a call, from outside any event loop."""
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        reply = httpx.post(self.url, json=body, trust_env=False).json()
        assert "error" not in reply, reply["error"]
        return reply["result"]


@contextmanager
def run(directory: Path, *options: str) -> Iterator[Anvil]:
    """Start it with further options and stop it at the end; `directory` takes its output."""
    process, port = start(directory, options)
    try:
        node = Anvil(process, f"http://127.0.0.1:{port}")
        mine = json.loads((directory / "anvil.json").read_text())["available_accounts"]
        said = node.call("eth_accounts")
        assert [each.lower() for each in mine] == said, f"another process answers on port {port}"
        yield node
    finally:
        process.terminate()
        process.wait(10)


def start(directory: Path, options: tuple[str, ...]) -> tuple[subprocess.Popen[bytes], int]:
    """The process and its port, once it listens; another port is tried if somebody was faster."""
    log = directory / "anvil.log"
    for _ in range(5):
        port = free_port()
        command = [install(), *OPTIONS, *options, "--port", str(port), "--config-out", directory / "anvil.json"]
        with log.open("wb") as output:
            process = subprocess.Popen(command, stdout=output, stderr=output)
        while process.poll() is None:
            if b"Listening on" in log.read_bytes():
                return process, port
            time.sleep(0.01)
    pytest.fail(f"anvil does not start: {log.read_text()}")


def install() -> Path:
    """The binary; fails with what to do if there is none."""
    javascript.install()
    if not BINARY.exists():
        pytest.fail(
            f"npm has no anvil for {platform.system()} on {platform.machine()}: put one (getfoundry.sh) at {BINARY}, "
            "or run these tests on Linux on x86-64, where 'python -m tests.localnet.javascript' installs it."
        )
    return BINARY


def free_port() -> int:
    """A port nobody listens on."""
    for port in random.sample(PORTS, 100):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    pytest.fail("no port is free")


@pytest.fixture(scope="session")
def anvil(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Anvil]:
    """One process for the whole session; whoever changes its chain takes it back with evm_snapshot and evm_revert."""
    with run(tmp_path_factory.mktemp("anvil")) as node:
        yield node
