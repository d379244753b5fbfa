"""The walk-throughs of README and owner.md, pasted into a shell against the daemon that scripts/serve starts."""

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


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def home(place):
    """A newcomer's environment: an empty home directory, and nothing that names another wallet."""
    kept = {name: text for name, text in os.environ.items() if not name.startswith(("WAIAAS_", "XDG_"))}
    return kept | {"HOME": str(place)}


@pytest.fixture(scope="module")
def url(home, place):
    """Where `scripts/serve` listens, on a port of its own; stopped afterwards as Ctrl-C would."""
    port = free_port()
    with open(place / "serve.out", "wb") as output:
        process = subprocess.Popen(
            [ROOT / "scripts" / "serve", "--port", str(port)],
            cwd=place,
            env=home,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_until_ready(f"http://127.0.0.1:{port}", process)
        yield f"http://127.0.0.1:{port}"
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0, (place / "serve.out").read_text()
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize(
    ("page", "printed"),
    [
        ("README.md", ["CONFIRMED", "99499995000", "CANCELLED"]),
        ("docs/owner.md", ["GRACE", "CONFIRMED", "LOCKED"]),
    ],
)
def test_the_walk_through_works_when_pasted(url, home, page, printed):
    block = re.search(r"pastes this into a shell -->\n```sh\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)[1]
    done = subprocess.run(
        ["bash", "-u"],
        input=block,
        cwd=ROOT,
        env=home | {"WAIAAS_BASE_URL": url},
        capture_output=True,
        text=True,
        timeout=50,
    )
    assert done.stderr == ""
    assert done.stdout.splitlines() == printed
