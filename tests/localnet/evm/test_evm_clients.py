"""`waiaas localnet serve --evm-port`, and the official JavaScript clients against it over a real socket."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.localnet import javascript

SERVE = [sys.executable, "-m", "waiaas", "localnet", "serve", "--json", "--solana-port", "0", "--evm-port", "0"]


def start(directory: Path) -> tuple[subprocess.Popen, dict]:
    """The two chains, and their URLs."""
    process = subprocess.Popen([*SERVE, "--data-dir", directory], stdout=subprocess.PIPE)
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, process.wait(10)
    return process, json.loads(line)


def stop(process: subprocess.Popen) -> int:
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=10)
    return process.returncode


def ask(url: str, method: str, *params):
    return httpx.post(url, json={"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).json()["result"]


@pytest.fixture(scope="module")
def url(tmp_path_factory) -> Iterator[str]:
    process, urls = start(tmp_path_factory.mktemp("chain") / "data")
    yield urls["ethereum"]
    assert stop(process) == 0


@pytest.mark.timeout(300)
@pytest.mark.parametrize("script", ["ethers.mjs", "web3-ethereum.mjs"])
async def test_the_official_clients_work_against_it(script, url):
    javascript.install()
    await javascript.run(script, url)


def test_both_chains_are_served_and_go_on_where_they_stopped(tmp_path):
    process, urls = start(tmp_path / "data")
    assert ask(urls["solana"], "getHealth") == "ok"
    ask(urls["ethereum"], "evm_mine")
    block = ask(urls["ethereum"], "eth_getBlockByNumber", "latest", False)
    assert stop(process) == 0
    process, urls = start(tmp_path / "data")
    assert ask(urls["ethereum"], "eth_getBlockByNumber", "latest", False) == block
    process.kill()
    process.communicate()
