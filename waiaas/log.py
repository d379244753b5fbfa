"""The log: JSON lines without secrets, in a file rotated by size."""

import logging
import os
import re
import sys
import threading
from collections.abc import Callable, Mapping, MutableMapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import msgspec
import structlog

from waiaas.clock import Clock

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warn": logging.WARNING, "error": logging.ERROR}

SECRETS = re.compile(r"\b(wai_sess_|wk_|whsec_)[A-Za-z0-9_.\-]+")
SECRET_WORDS = {"password", "secret", "token", "signature", "key"}
#: names that end in one of those words and hold nothing secret
PUBLIC_NAMES = {"public_key", "idempotency_key"}
HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
MASK = "***"

Event = MutableMapping[str, Any]


class Sink(Protocol):
    """Where lines go."""

    def write(self, line: bytes) -> None: ...

    def close(self) -> None: ...


class Stderr:
    """Lines on standard error, for containers that collect it."""

    def write(self, line: bytes) -> None:
        """Write one line."""
        sys.stderr.buffer.write(line)
        sys.stderr.buffer.flush()

    def close(self) -> None:
        """Nothing to close."""


class RotatingFile:
    """Lines in a 0600 file; past `largest` bytes it becomes `.1`, the newest of `count` files with the present one.

    A line that cannot be written goes to standard error: a full disk must not fail who logs.
    """

    def __init__(self, path: Path, *, largest: int, count: int) -> None:
        self._path, self._largest, self._count = path, largest, count
        self._lock = threading.Lock()
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._open()

    def _open(self) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        self._descriptor = os.open(self._path, flags, 0o600)
        self._size = os.fstat(self._descriptor).st_size

    def write(self, line: bytes) -> None:
        """Append one line, after a rotation if it would not fit."""
        with self._lock:
            try:
                if self._size and self._size + len(line) > self._largest:
                    self._rotate()
                self._append(line)
            except OSError as error:
                Stderr().write(line + f"log file: {error}\n".encode())

    def _append(self, line: bytes) -> None:
        self._size += len(line)
        rest = memoryview(line)
        while rest:
            rest = rest[os.write(self._descriptor, rest) :]

    def _rotate(self) -> None:
        for number in range(self._count - 1, 0, -1):
            older = self._numbered(number)
            newer = self._numbered(number - 1) if number > 1 else self._path
            if newer.exists():
                newer.replace(older)
        if self._count == 1:
            self._path.unlink()
        os.close(self._descriptor)
        self._open()

    def _numbered(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}")

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)


class Bridge(logging.Handler):
    """What libraries log through the standard library, as lines of ours."""

    def emit(self, record: logging.LogRecord) -> None:
        """One record, with its traceback if it has one."""
        logger = structlog.get_logger().bind(logger=record.name)
        logger.log(record.levelno, record.getMessage(), exc_info=record.exc_info)


def start(sink: Sink, *, level: str, clock: Clock) -> None:
    """Have every logger of the process write its lines of `level` and above to `sink`."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.format_exc_info,
            stamp(clock),
            mask,
            structlog.processors.JSONRenderer(serializer=encode),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=lambda *_: Lines(sink),
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(handlers=[Bridge()], level=max(LEVELS[level], logging.WARNING), force=True)


def sink_for(path: Path | None, *, largest: int, count: int) -> Sink:
    """A rotated file, or standard error where no file is wanted."""
    return RotatingFile(path, largest=largest, count=count) if path else Stderr()


class Lines:
    """structlog's last link: a rendered line to the sink, whatever its level."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    def msg(self, line: str) -> None:
        """Write one line."""
        self._sink.write(line.encode() + b"\n")

    debug = info = warning = error = critical = exception = log = msg


def stamp(clock: Clock) -> Callable[[Any, str, Event], Event]:
    """A processor that adds the wall time, UTC, in ISO 8601."""

    def add(_logger: Any, _name: str, event: Event) -> Event:
        at = datetime.fromtimestamp(clock.wall(), UTC).isoformat(timespec="milliseconds")
        return {"at": at, "level": event.pop("level"), "event": event.pop("event"), **event}

    return add


def mask(_logger: Any, _name: str, event: Event) -> Event:
    """A processor that hides secrets: tokens of ours in any text, and fields whose name says secret."""
    return {name: MASK if is_secret(name) else masked(value) for name, value in event.items()}


def masked(value: Any) -> Any:
    """The value with every secret inside it hidden; bytes are never shown."""
    if isinstance(value, str):
        return SECRETS.sub(lambda found: found[1] + MASK, value)
    if isinstance(value, Mapping):
        return {name: MASK if is_secret(str(name)) else masked(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [masked(inner) for inner in value]
    if isinstance(value, bytes | bytearray | memoryview):
        return f"<{len(value)} bytes>"
    return value if value is None or isinstance(value, bool | int | float) else masked(str(value))


def is_secret(name: str) -> bool:
    """Whether a field's name ends in a word for something secret: `password`, `ownerSignature`, `wrap_key`."""
    words = HUMP.sub("_", name).lower().replace("-", "_")
    return words.rpartition("_")[2] in SECRET_WORDS and words not in PUBLIC_NAMES


def encode(event: Event, **_: Any) -> str:
    """One JSON object."""
    return msgspec.json.encode(event).decode()
