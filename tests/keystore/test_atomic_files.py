"""waiaas.files: whole or absent."""

import errno
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from waiaas.files import alive, read_bytes, sweep, write_atomic


def names(directory: Path) -> list[str]:
    return sorted(os.listdir(directory))


def test_a_file_is_created_with_its_mode_and_replaced_whole(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        write_atomic(tmp_path / "a", b"one")
        write_atomic(tmp_path / "a", b"two!")
    finally:
        os.umask(old)
    assert (tmp_path / "a").read_bytes() == b"two!"
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o600
    assert names(tmp_path) == ["a"]


@pytest.mark.parametrize("call", ["write", "fsync", "rename"])
def test_a_failing_write_leaves_the_old_file_and_no_temporary(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    write_atomic(tmp_path / "a", b"old")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch, pytest.raises(OSError):
        patch.setattr(os, call, full)
        write_atomic(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"old"
    assert names(tmp_path) == ["a"]


def test_data_is_on_disk_before_the_name_and_the_name_before_the_return(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    fsync, rename = os.fsync, os.rename

    def note_fsync(descriptor: int) -> None:
        calls.append("sync directory" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "sync file")
        fsync(descriptor)

    def note_rename(source: Path, target: Path) -> None:
        calls.append("rename")
        rename(source, target)

    monkeypatch.setattr(os, "fsync", note_fsync)
    monkeypatch.setattr(os, "rename", note_rename)
    write_atomic(tmp_path / "a", b"data")
    assert calls == ["sync file", "rename", "sync directory"]


def test_a_kernel_that_takes_one_byte_at_a_time_still_gets_them_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:1]))
    write_atomic(tmp_path / "a", b"every byte")
    assert (tmp_path / "a").read_bytes() == b"every byte"


def test_a_symlink_is_replaced_not_written_through(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_bytes(b"untouched")
    (tmp_path / "a").symlink_to(tmp_path / "elsewhere")
    write_atomic(tmp_path / "a", b"data")
    assert (tmp_path / "elsewhere").read_bytes() == b"untouched"
    assert not (tmp_path / "a").is_symlink()


def test_a_symlink_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(b"data")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with pytest.raises(OSError):
        read_bytes(tmp_path / "link")


def test_a_named_pipe_does_not_hang_its_reader(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert read_bytes(tmp_path / "pipe") == b""


def test_a_large_file_is_read_whole(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(bytes(200_000))
    assert len(read_bytes(tmp_path / "a")) == 200_000


def dead_pid() -> int:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


def test_sweeping_removes_what_the_dead_left_and_nothing_else(tmp_path: Path) -> None:
    left_by_the_dead = f".a.json.{dead_pid()}.0123abcd"
    left_by_an_earlier_life_of_our_pid = f".a.json.{os.getpid()}.0123abcd"
    kept = ["a.json", ".hidden", f".a.json.{os.getppid()}.0123abcd", ".a.json.x.0123abcd", f".a.json.{os.getpid()}.0"]
    for name in [left_by_the_dead, left_by_an_earlier_life_of_our_pid, *kept]:
        (tmp_path / name).touch()
    assert sorted(sweep(tmp_path)) == sorted([left_by_the_dead, left_by_an_earlier_life_of_our_pid])
    assert names(tmp_path) == sorted(kept)


def test_sweeping_in_the_middle_of_a_write_leaves_it_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rename = os.rename

    def sweep_first(source: Path, target: Path) -> None:
        assert sweep(tmp_path) == []
        rename(source, target)

    monkeypatch.setattr(os, "rename", sweep_first)
    write_atomic(tmp_path / "a", b"data")
    assert (tmp_path / "a").read_bytes() == b"data"


def test_liveness_is_told_for_any_number() -> None:
    assert alive(os.getpid())
    assert alive(1)
    assert not alive(dead_pid())
    assert not alive(2**70)
