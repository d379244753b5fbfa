"""Files that are whole or absent: the atomic write that every file but log and database goes through."""

import os
import re
from pathlib import Path

from waiaas.ids import entropy

TEMPORARY = re.compile(r"\..+\.([1-9][0-9]*)\.[0-9a-f]{8}", re.ASCII)

#: temporaries this process is writing now; any other that bears its pid is from an earlier life of the number
_writing: set[str] = set()


def write_atomic(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Put `data` at `path`, replacing what is there; on disk when it returns, old or new but never torn on OSError."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{entropy(4).hex()}")
    _writing.add(temporary.name)
    try:
        write_new(temporary, data, mode)
        os.rename(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    finally:
        _writing.discard(temporary.name)
    sync_directory(path.parent)


def write_new(path: Path, data: bytes, mode: int = 0o600) -> None:
    """A file that must not exist yet, its content on disk; a failure may leave a part of it."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    try:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_bytes(path: Path) -> bytes:
    """The whole of a file; OSError if there is none, or a symlink in its place."""
    # without O_NONBLOCK a named pipe put in the file's place would hang the reader
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        chunks = []
        while chunk := os.read(descriptor, 65536):
            chunks.append(chunk)
        return b"".join(chunks)
    finally:
        os.close(descriptor)


def sync_directory(directory: Path) -> None:
    """Have the names in a directory on disk."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sweep(directory: Path) -> list[str]:
    """Remove the temporaries that dead processes left in a directory; their names."""
    swept = [name for name in os.listdir(directory) if is_debris(name)]
    for name in swept:
        (directory / name).unlink(missing_ok=True)
    return swept


def is_debris(name: str) -> bool:
    """Whether that is the name of a temporary nobody is writing any more."""
    found = TEMPORARY.fullmatch(name)
    if found is None:
        return False
    pid = int(found[1])
    return name not in _writing if pid == os.getpid() else not alive(pid)


def alive(pid: int) -> bool:
    """Whether a process with that id runs, ours or another user's."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True
