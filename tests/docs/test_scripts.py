"""The demo and the bench, run as the scripts run them."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"
FIGURES = [
    "bare hello, first",
    "bare hello, last",
    "health",
    "authenticated read",
    "list of 20",
    "send → confirmed, Solana",
    "send → confirmed, EVM",
    "one agent's 64 sends, EVM",
    "to confirmed − block, EVM",
    "send accepted, workers held",
    *(
        f"decisions, {held}, {rows} ledger rows"
        for held in ("1 policy", "10 policies", "100 policies")
        for rows in ("100", "2,000")
    ),
    "first decision, 2,000 ledger rows: CPU",
]


@pytest.fixture
def temporary(tmp_path):
    """An environment whose temporary files lie in a directory of the test's own, and that directory."""
    (tmp_path / "tmp").mkdir()
    return os.environ | {"TMPDIR": str(tmp_path / "tmp"), "COLUMNS": "120"}, tmp_path / "tmp"


def test_the_demo_ends_confirmed_and_leaves_nothing(temporary):
    environment, directory = temporary
    begun = time.monotonic()
    done = subprocess.run(
        [sys.executable, SCRIPTS / "demo.py"], env=environment, capture_output=True, text=True, timeout=50
    )
    assert done.returncode == 0, done.stdout + done.stderr
    solana, ethereum = done.stdout.split("\nethereum, network ")
    for shown in (solana, ethereum):
        places = [shown.index(f" {status} ") for status in ("PENDING", "EXECUTING", "SUBMITTED", "CONFIRMED")]
        assert places == sorted(places)
    assert "bob   100 SOL → 100.5 SOL" in solana
    assert "bob   100 ETH → 100.05 ETH" in ethereum
    assert time.monotonic() - begun < 30
    assert list(directory.iterdir()) == []


def test_the_demo_serves_on_until_interrupted(temporary):
    environment, directory = temporary
    demo = subprocess.Popen(
        [sys.executable, SCRIPTS / "demo.py", "--serve"], env=environment, stdout=subprocess.PIPE, text=True
    )
    try:
        lines = []
        for line in demo.stdout:
            lines.append(line)
            if line.startswith("Ctrl-C stops it"):
                break
        shell = [line.strip() for line in lines if line.startswith("    ")]
        told = subprocess.run(["sh"], input="\n".join(shell), capture_output=True, text=True, timeout=20).stdout
        assert '"status":"ok"' in told
        assert '"balance":"99499995000"' in told
        demo.send_signal(signal.SIGINT)
        assert demo.wait(30) == 0
    finally:
        demo.kill()
        demo.communicate()
    assert list(directory.iterdir()) == []


def test_the_demo_tells_what_went_wrong_and_keeps_it(temporary):
    environment, directory = temporary
    (directory / "sitecustomize.py").write_text(
        "import sys\nif 'serve' in sys.orig_argv: sys.exit('broken on purpose')\n"
    )
    environment = environment | {"PYTHONPATH": str(directory)}
    done = subprocess.run(
        [sys.executable, SCRIPTS / "demo.py"], env=environment, capture_output=True, text=True, timeout=50
    )
    assert done.returncode == 1
    assert "broken on purpose" in done.stdout
    assert len(list(directory.glob("waiaas-demo-*"))) == 1


@pytest.mark.timeout(150)
def test_the_bench_measures_everything(temporary):
    environment, directory = temporary
    options = ("--seconds", "0.2", "--transfers", "20", "--agents", "8", "--rows", "2000", "--json")
    command = [sys.executable, SCRIPTS / "bench.py", *options]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=140)
    assert done.returncode == 0, done.stdout + done.stderr
    figures = {figure["name"]: figure["value"] for figure in json.loads(done.stdout)["figures"]}
    assert all(figures[name] > 0 for name in FIGURES)
    assert "to confirmed − block, Solana" in figures
    looks = [
        [figures[f"{count} in flight, {chain}: HTTP"] for count in ("100", "1,000", "10,000")]
        for chain in ("Solana", "EVM")
    ]
    # 256 signatures a question and two of those a body; a hundred receipts a body; 10,000 rows are more than one page
    assert looks == [[1, 2, 21], [2, 11, 102]]
    assert list(directory.iterdir()) == []
