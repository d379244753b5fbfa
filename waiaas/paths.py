"""The data directory: where it is, what lies in it, and whether it is safe to use."""

import os
import stat
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from waiaas.errors import DirectoryUnsafe

MEBIBYTE = 1024 * 1024
SPACE_NEEDED = 64 * MEBIBYTE
SPACE_WANTED = 256 * MEBIBYTE

#: WAL needs shared memory and flock needs one kernel, so these cannot hold the database
NETWORK_FILESYSTEMS = {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "fuse.sshfs"}


class DataDir(msgspec.Struct, frozen=True):
    """An absolute directory and the fixed names inside it."""

    root: Path

    def within(self, path: str) -> Path:
        """A path of the configuration, taken relative to the data directory."""
        return self.root / path

    @property
    def config(self) -> Path:
        return self.root / "config.toml"

    @property
    def password_file(self) -> Path:
        return self.root / ".master-password"

    @property
    def lock(self) -> Path:
        return self.root / "daemon.lock"

    @property
    def pid(self) -> Path:
        return self.root / "daemon.pid"

    @property
    def epoch(self) -> Path:
        return self.root / "epoch.json"

    @property
    def data(self) -> Path:
        return self.root / "data"

    @property
    def keystore(self) -> Path:
        return self.root / "keystore"

    @property
    def master(self) -> Path:
        """Written last by `init`: its presence is what "initialised" means."""
        return self.keystore / "master.json"

    @property
    def localnet(self) -> Path:
        return self.root / "localnet"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def backups(self) -> Path:
        return self.root / "backups"

    @property
    def directories(self) -> tuple[Path, ...]:
        return (self.data, self.keystore, self.localnet, self.logs, self.backups)

    @property
    def files(self) -> tuple[Path, ...]:
        return (self.password_file, self.lock, self.pid, self.epoch)

    @property
    def initialised(self) -> bool:
        """Whether `init` has run to its end."""
        return self.master.is_file()


def locate(option: str | None, environ: Mapping[str, str]) -> DataDir:
    """`--data-dir`, else WAIAAS_DATA_DIR, else $XDG_DATA_HOME/waiaas if that is absolute, else ~/.waiaas."""
    xdg = environ.get("XDG_DATA_HOME", "")
    if chosen := option or environ.get("WAIAAS_DATA_DIR"):
        root = Path(chosen).expanduser()
    elif xdg.startswith("/"):
        root = Path(xdg) / "waiaas"
    else:
        root = Path.home() / ".waiaas"
    return DataDir(Path(os.path.abspath(root)))


def create(data: DataDir) -> None:
    """The directory and those inside it, each 0700; what exists is kept. DirectoryUnsafe if it holds other things."""
    ours = {path.name for path in (*data.directories, *data.files, data.config)}
    found = {entry.name for entry in data.root.iterdir()} if data.root.is_dir() else set()
    if found - {"lost+found"} and not found & ours:
        raise DirectoryUnsafe(f"{data.root} is not empty and holds no wallet: name another with --data-dir.")
    data.root.mkdir(mode=0o700, parents=True, exist_ok=True)
    for path in data.directories:
        path.mkdir(mode=0o700, exist_ok=True)


def check(data: DataDir, *, allow_network_filesystem: bool) -> list[str]:
    """All that must hold at start; what was repaired or is worth a warning. DirectoryUnsafe if it does not hold."""
    return [
        *check_entries(data),
        *check_filesystem(data.root, mount_table(), allow=allow_network_filesystem),
        *check_space(free_bytes(data.root)),
    ]


def check_entries(data: DataDir) -> list[str]:
    """Owner, symlinks and modes of everything in the directory; wider modes are narrowed and told of."""
    notices = [narrow(data.root, data.root.stat(), 0o700)]
    for path in (*data.files, *data.directories):
        notices += [check_entry(entry) for entry in tree(path)]
    notices.append(check_config(data.config))
    return [notice for notice in notices if notice]


def tree(path: Path) -> Iterator[Path]:
    """The path and everything below it, symlinks not followed; nothing if it is absent."""
    if path.is_symlink() or path.exists():
        yield path
    if path.is_dir() and not path.is_symlink():
        for child in sorted(path.iterdir()):
            yield from tree(child)


def check_entry(path: Path) -> str | None:
    """DirectoryUnsafe for a symlink or another user's entry; a notice if its mode had to be narrowed."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return None
    if stat.S_ISLNK(found.st_mode):
        raise DirectoryUnsafe(f"{path} is a symbolic link: put the real file or directory in its place.")
    return narrow(path, found, 0o700 if stat.S_ISDIR(found.st_mode) else 0o600)


def narrow(path: Path, found: os.stat_result, mode: int) -> str | None:
    """Take away the permissions beyond `mode`; DirectoryUnsafe if the entry is not ours or cannot be changed."""
    if found.st_uid != os.geteuid():
        raise DirectoryUnsafe(f"{path} belongs to user {found.st_uid}, not to user {os.geteuid()} who runs this.")
    present = stat.S_IMODE(found.st_mode)
    if not present & ~mode:
        return None
    try:
        path.chmod(present & mode)
    except OSError as error:
        raise DirectoryUnsafe(f"{path} has mode {present:04o} and cannot be narrowed: {error.strerror}.") from error
    return f"{path} had mode {present:04o}, now {present & mode:04o}"


def check_config(path: Path) -> str | None:
    """config.toml alone may be a symlink or a read-only mount: what cannot be narrowed is only told of."""
    if path.is_symlink() or not path.exists():
        return None
    try:
        return narrow(path, path.stat(), 0o600)
    except DirectoryUnsafe as error:
        return error.message


def mount_table() -> str:
    """The kernel's mount table (proc(5), mountinfo); empty where there is none."""
    return Path("/proc/self/mountinfo").read_text() if sys.platform == "linux" else ""


def filesystem_of(path: Path, mounts: str) -> str | None:
    """The type of the file system that holds the path, by the longest mount point above it."""
    best: tuple[int, str] | None = None
    for line in mounts.splitlines():
        left, _, right = line.partition(" - ")
        point = Path(left.split()[4].encode().decode("unicode_escape"))
        if path.is_relative_to(point) and (best is None or len(point.parts) >= best[0]):
            best = (len(point.parts), right.split()[0])
    return best[1] if best else None


def check_filesystem(root: Path, mounts: str, *, allow: bool) -> list[str]:
    """DirectoryUnsafe on a network file system; a warning if the configuration allows it."""
    kind = filesystem_of(root.resolve(), mounts)
    if kind not in NETWORK_FILESYSTEMS:
        return []
    text = f"{root} lies on {kind}, a network file system, where the database can be damaged"
    if not allow:
        raise DirectoryUnsafe(f"{text}: choose a local one, or set database.allow_network_filesystem = true.")
    return [text]


def free_bytes(path: Path) -> int:
    """Bytes that this user may still write on the file system of the path."""
    found = os.statvfs(path)
    return found.f_bavail * found.f_frsize


def check_space(free: int) -> list[str]:
    """DirectoryUnsafe below 64 MiB of free space, a warning below 256 MiB."""
    text = f"only {free // MEBIBYTE} MiB are free on the file system of the data directory"
    if free < SPACE_NEEDED:
        raise DirectoryUnsafe(f"{text}: free some space; at least {SPACE_NEEDED // MEBIBYTE} MiB are needed.")
    return [text] if free < SPACE_WANTED else []
