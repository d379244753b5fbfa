"""Copies of a database that may be in use: a safe one to keep, and one to try things on."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from waiaas.db.connection import opened
from waiaas.errors import MigrationError, StorageCorrupt
from waiaas.files import sync_directory, write_new
from waiaas.ids import entropy


def need_space(path: Path) -> None:
    """MigrationError unless three times the file's size is free: for the copy, a rebuilt table, and the WAL."""
    needed, free = 3 * path.stat().st_size, shutil.disk_usage(path.parent).free
    if free < needed:
        raise MigrationError(f"Migrating {path.name} needs {needed} bytes of free space, and there are {free}.")


def make_backup(path: Path, backups: Path, now: int, reason: str) -> Path:
    """A checked copy of the database as it stands, on disk, under the name that tells its time; its path."""
    stamp = datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%SZ")
    target = backups / f"waiaas-{stamp}-{reason}.db"
    if target.exists():
        raise MigrationError(f"{target} exists already, and a backup is never overwritten.")
    temporary = temporary_name(target)
    try:
        copy_into(path, temporary)
        with opened(temporary) as connection:
            (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if verdict != "ok":
            raise StorageCorrupt(f"{path.name} is damaged: {verdict}")
        temporary.rename(target)
    except OSError as error:
        raise MigrationError(f"No safe copy can be made in {backups}: {error.strerror}.") from error
    finally:
        temporary.unlink(missing_ok=True)
    sync_directory(backups)
    return target


@contextmanager
def scratch_copy(path: Path) -> Iterator[Path]:
    """A copy beside the database, gone afterwards."""
    copy = temporary_name(path)
    try:
        copy_into(path, copy)
        yield copy
    finally:
        copy.unlink(missing_ok=True)


def copy_into(path: Path, target: Path) -> None:
    """A compact copy under a new name, 0600 from the start; SQLite does not sync it, so this does."""
    write_new(target, b"")
    with opened(path) as connection:
        connection.execute("VACUUM INTO ?", (str(target),))
    descriptor = os.open(target, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def temporary_name(path: Path) -> Path:
    """A name that `waiaas.files.sweep` knows as debris once this process is dead."""
    return path.with_name(f".{path.name}.{os.getpid()}.{entropy(4).hex()}")
