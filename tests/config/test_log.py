"""JSON lines, rotated by size, without secrets."""

import json
import logging
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from waiaas import log
from waiaas.clock import Clock


class Noon(Clock):
    """2027-01-15, 08:00 UTC."""

    def wall(self) -> float:
        return 1_800_000_000.25


class Kept:
    """The lines, in memory."""

    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []

    def write(self, line: bytes) -> None:
        self.lines.append(json.loads(line))

    def close(self) -> None:
        pass


@pytest.fixture
def kept() -> Iterator[Kept]:
    """Where the lines of this test go."""
    root, handlers, level = logging.getLogger(), logging.getLogger().handlers[:], logging.getLogger().level
    sink = Kept()
    log.start(sink, level="info", clock=Noon())
    yield sink
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


def test_a_line_tells_when_how_grave_and_what(kept: Kept):
    structlog.get_logger().info("agent created", agent="a1", count=2)
    assert kept.lines == [
        {"at": "2027-01-15T08:00:00.250+00:00", "level": "info", "event": "agent created", "agent": "a1", "count": 2}
    ]


def test_lines_below_the_level_are_not_written(kept: Kept):
    structlog.get_logger().debug("detail")
    assert kept.lines == []


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("token wai_sess_eyJh.eyJz.sig-_x refused", "token wai_sess_*** refused"),
        ("key wk_abcDEF-123_x", "key wk_***"),
        ("whsec_abc", "whsec_***"),
        ("nothing here", "nothing here"),
    ],
)
def test_tokens_of_ours_are_masked_in_any_text(kept: Kept, text: str, shown: str):
    structlog.get_logger().info(text, inner={"list": [text]}, error=ValueError(text))
    assert kept.lines[0]["event"] == shown
    assert kept.lines[0]["inner"] == {"list": [shown]}
    assert kept.lines[0]["error"] == shown


@pytest.mark.parametrize(
    "name",
    ["password", "secret", "token", "signature", "key", "master_password", "ownerSignature", "X-Master-Password"],
)
def test_fields_named_after_secrets_are_masked(kept: Kept, name: str):
    structlog.get_logger().info("x", **{name: "planted", "inner": {name: "planted"}, "many": [{name: "planted"}]})
    assert "planted" not in json.dumps(kept.lines)


def test_fields_that_only_sound_like_it_are_shown(kept: Kept):
    structlog.get_logger().info("x", public_key="P", keys=3, tokens=2, idempotency_key="k", keystore="open")
    assert {"public_key": "P", "keys": 3, "tokens": 2, "idempotency_key": "k", "keystore": "open"}.items() <= (
        kept.lines[0].items()
    )


def test_bytes_are_never_shown(kept: Kept):
    structlog.get_logger().info("x", raw=b"planted", inner=[bytearray(b"planted")])
    assert (kept.lines[0]["raw"], kept.lines[0]["inner"]) == ("<7 bytes>", ["<7 bytes>"])


def test_a_traceback_is_written_and_masked(kept: Kept):
    try:
        raise ValueError("wai_sess_planted")
    except ValueError:
        structlog.get_logger().exception("failed")
    assert "ValueError: wai_sess_***" in kept.lines[0]["exception"]


def test_what_libraries_log_becomes_lines_of_ours(kept: Kept):
    logging.getLogger("hypercorn.error").warning("bad request with wk_planted")
    assert kept.lines[0]["event"] == "bad request with wk_***"
    assert kept.lines[0]["logger"] == "hypercorn.error"


def test_libraries_do_not_fill_the_log_with_their_remarks(kept: Kept):
    logging.getLogger("httpx").info("HTTP Request: GET …")
    assert kept.lines == []


def test_the_file_is_rotated_by_size_and_the_newest_is_1(tmp_path: Path):
    sink = log.RotatingFile(tmp_path / "logs" / "daemon.log", largest=10, count=3)
    for number in range(5):
        sink.write(b"line %d\n" % number)
    sink.close()
    found = {path.name: path.read_text() for path in (tmp_path / "logs").iterdir()}
    assert found == {"daemon.log": "line 4\n", "daemon.log.1": "line 3\n", "daemon.log.2": "line 2\n"}
    assert {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "logs").iterdir()} == {0o600}


def test_one_file_alone_starts_anew_when_it_is_full(tmp_path: Path):
    sink = log.RotatingFile(tmp_path / "daemon.log", largest=10, count=1)
    sink.write(b"line 0\n")
    sink.write(b"line 1\n")
    sink.close()
    assert [path.read_text() for path in tmp_path.iterdir()] == ["line 1\n"]


def test_a_file_of_an_earlier_run_is_continued(tmp_path: Path):
    for number in range(2):
        sink = log.RotatingFile(tmp_path / "daemon.log", largest=100, count=2)
        sink.write(b"run %d\n" % number)
        sink.close()
    assert (tmp_path / "daemon.log").read_text() == "run 0\nrun 1\n"


def test_a_log_that_cannot_be_written_fails_nobody(tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]):
    sink = log.RotatingFile(tmp_path / "daemon.log", largest=100, count=2)
    sink.close()
    sink.write(b"money moved\n")
    told = capfdbinary.readouterr().err
    assert told.startswith(b"money moved\nlog file: ")


def test_without_a_file_lines_go_to_standard_error(capfdbinary: pytest.CaptureFixture[bytes]):
    sink = log.sink_for(None, largest=1, count=1)
    sink.write(b"line\n")
    sink.close()
    assert capfdbinary.readouterr().err == b"line\n"
