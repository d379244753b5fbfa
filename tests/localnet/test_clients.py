"""`waiaas localnet`, and the official JavaScript clients against it over a real socket."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.localnet import javascript

COMMAND = [sys.executable, "-m", "waiaas", "localnet"]


def start(directory: Path, port: int = 0) -> tuple[subprocess.Popen, str]:
    """`waiaas localnet serve` and its URL."""
    serve = [*COMMAND, "serve", "--json", "--solana-port", str(port), "--data-dir", directory]
    process = subprocess.Popen(serve, stdout=subprocess.PIPE)
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, process.wait(10)
    return process, json.loads(line)["solana"]


def stop(process: subprocess.Popen) -> int:
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=10)
    return process.returncode


def reset(directory: Path) -> subprocess.CompletedProcess:
    return subprocess.run([*COMMAND, "reset", "--yes", "--data-dir", directory], capture_output=True, text=True)


def genesis(url: str) -> str:
    reply = httpx.post(url, json={"jsonrpc": "2.0", "id": 1, "method": "getGenesisHash"})
    return reply.json()["result"]


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    process, url = start(tmp_path_factory.mktemp("chain") / "data")
    yield url
    assert stop(process) == 0


@pytest.mark.timeout(300)
@pytest.mark.parametrize("script", ["web3.mjs", "kit.mjs"])
async def test_the_official_clients_work_against_it(script, url):
    javascript.install()
    await javascript.run(script, url)


@pytest.mark.timeout(300)
async def test_it_comes_to_the_same_results_as_the_bank_of_solana(url):
    javascript.install()
    await javascript.run("bankrun.mjs", url)


def test_serve_goes_on_where_it_stopped_until_reset(tmp_path):
    directory = tmp_path / "data"
    process, url = start(directory)
    first = genesis(url)
    refused = reset(directory)
    assert (refused.returncode, "running" in refused.stderr) == (2, True)
    port = httpx.URL(url).port
    taken = subprocess.run(
        [*COMMAND, "serve", "--solana-port", str(port), "--data-dir", tmp_path / "other"],
        capture_output=True,
        text=True,
    )
    assert (taken.returncode, f"Port {port} cannot be used" in taken.stderr) == (1, True)
    assert stop(process) == 0
    process, url = start(directory)
    assert genesis(url) == first
    process.kill()
    process.communicate()
    assert reset(directory).returncode == 0
    assert os.listdir(directory / "localnet") == []
    process, url = start(directory)
    assert genesis(url) != first
    assert stop(process) == 0
