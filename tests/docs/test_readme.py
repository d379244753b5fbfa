"""The walk-through of the README, pasted into a shell against the daemon that scripts/serve starts."""

import os
import re
import signal
import socket
import subprocess
import time
from pathlib import Path

import httpx
import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def free_port():
    """A port nobody listens on, below those that outgoing connections take."""
    for port in range(21000 + os.getpid() % 5000, 32000):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)):
                return port
    raise AssertionError("no free port")


def wait_until_ready(url, process, seconds=40):
    for _ in range(seconds * 10):
        assert process.poll() is None, "scripts/serve ended"
        try:
            if httpx.get(f"{url}/ready").status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise AssertionError("scripts/serve was not ready in time")


@pytest.fixture
def home(tmp_path):
    """A newcomer's environment: an empty home directory, and nothing that names another wallet."""
    kept = {name: text for name, text in os.environ.items() if not name.startswith(("WAIAAS_", "XDG_"))}
    return kept | {"HOME": str(tmp_path)}


@pytest.fixture
def url(home, tmp_path):
    """Where `scripts/serve` listens, on a port of its own; stopped afterwards as Ctrl-C would."""
    port = free_port()
    with open(tmp_path / "serve.out", "wb") as output:
        process = subprocess.Popen(
            [ROOT / "scripts" / "serve", "--port", str(port)],
            cwd=tmp_path,
            env=home,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_until_ready(f"http://127.0.0.1:{port}", process)
        yield f"http://127.0.0.1:{port}"
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0, (tmp_path / "serve.out").read_text()
    finally:
        process.kill()
        process.wait()


def walk_through():
    """The block of shell under "By hand"."""
    return re.search(r"```sh\n(.*?)```", README.split("## By hand")[1], re.DOTALL)[1]


def test_the_walk_through_works_when_pasted(url, home, tmp_path):
    done = subprocess.run(
        ["bash", "-u"],
        input=walk_through(),
        cwd=tmp_path,
        env=home | {"WAIAAS_BASE_URL": url},
        capture_output=True,
        text=True,
        timeout=50,
    )
    assert done.stderr == ""
    assert done.stdout.splitlines() == ["CONFIRMED", "99499995000", "CANCELLED"]
