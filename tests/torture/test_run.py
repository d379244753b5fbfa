"""Six kills of the real daemon."""

import json
import os
import subprocess
import sys

import pytest

KILLS = 6


@pytest.mark.timeout(150)
def test_six_kills_change_nothing(tmp_path):
    report = tmp_path / "report.json"
    command = [sys.executable, "-m", "waiaas", "torture", "--seed", "11", "--kills", str(KILLS)]
    command += ["--clients", "4", "--json", str(report)]
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=140, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    told = json.loads(report.read_text())
    assert (told["kills"], told["duplicates"], told["lost"], told["violatedLimits"]) == (KILLS, 0, 0, 0)
    assert set(told["hitsPerPoint"]) == set("abcdefghij")
    assert sum(told["hitsPerPoint"].values()) > KILLS
    assert told["landed"] > 0
    assert [path.name for path in tmp_path.iterdir()] == ["report.json"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("--rpc", "mainnet=http://127.0.0.1:1"),
        ("--rpc", "localnet=http://192.0.2.1:8899"),
        ("--points", "z"),
        ("--kills", "0"),
    ],
)
def test_what_makes_no_sense_is_refused(tmp_path, arguments):
    ended = subprocess.run(
        [sys.executable, "-m", "waiaas", "torture", *arguments],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 1
    assert list(tmp_path.iterdir()) == []
