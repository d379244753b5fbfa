"""Six kills of the real daemon, and a daemon that cannot begin again."""

import json
import os
import subprocess
import sys

import pytest

from waiaas.cli import torture
from waiaas.cli.torture.child import Child, Place
from waiaas.cli.torture.lives import Life
from waiaas.cli.torture.points import Point
from waiaas.cli.torture.stage import Options

KILLS = 6
#: a run that gets stuck waits once, CLIENTS_SECONDS or FINAL_SECONDS at most, and then ends with a finding
MOST_SECONDS = 200


@pytest.mark.timeout(MOST_SECONDS + 10)
def test_six_kills_change_nothing(tmp_path):
    report = tmp_path / "report.json"
    command = [sys.executable, "-m", "waiaas", "torture", "--seed", "11", "--kills", str(KILLS)]
    command += ["--clients", "4", "--json", str(report)]
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=MOST_SECONDS, check=False)
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


def test_a_daemon_that_is_never_ready_again_ends_the_run_with_a_finding(tmp_path, monkeypatch, capsys):
    """The run is over at once, tells of it, and leaves everything where it is."""
    live, ready, lives = Life.live, Child.ready, []

    async def live_shortly(self, point):
        await live(self, Point("random", seconds=0.05))
        lives.append(point)

    async def never(self, client):
        return None if lives else await ready(self, client)

    monkeypatch.setattr(Life, "live", live_shortly)
    monkeypatch.setattr(Child, "ready", never)
    root, report = tmp_path / "run", tmp_path / "report.json"
    root.mkdir(mode=0o700)
    assert torture.run(Options(1, 1, 1, {}, None), root, report) is False
    told = json.loads(report.read_text())
    finding = next(text for text in told["findings"] if text.startswith("last: "))
    assert "in good weather, the daemon is not ready" in finding
    assert finding in capsys.readouterr().err
    assert (told["passed"], Place(root).output.exists()) == (False, True)
