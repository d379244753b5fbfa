"""Where the data directory is, and when it is refused."""

import os
from pathlib import Path

import pytest

from waiaas import paths
from waiaas.errors import DirectoryUnsafe
from waiaas.paths import DataDir, locate

MOUNTS = """\
22 1 254:0 / / rw,relatime - ext4 /dev/vda rw
30 22 0:25 / /srv/with\\040space rw,relatime shared:1 - nfs4 server:/export rw
31 22 0:26 / /srv/with\\040space/local rw,relatime - ext4 /dev/vdb rw
"""


@pytest.fixture
def data(tmp_path: Path) -> DataDir:
    """A data directory as `create` makes it."""
    made = DataDir(tmp_path / "wallet")
    paths.create(made)
    return made


def put(path: Path, mode: int = 0o600) -> Path:
    """A file of that mode."""
    path.write_text("x")
    path.chmod(mode)
    return path


def refused(data: DataDir) -> str:
    """What is said of the entries of this directory."""
    with pytest.raises(DirectoryUnsafe) as caught:
        paths.check_entries(data)
    assert caught.value.exit_code == 1
    return caught.value.message


def test_the_option_comes_first_then_the_variable_then_xdg_then_home(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOME", "/home/someone")
    environ = {"WAIAAS_DATA_DIR": "/variable", "XDG_DATA_HOME": "/xdg"}
    assert locate("/option", environ).root == Path("/option")
    assert locate(None, environ).root == Path("/variable")
    assert locate(None, {**environ, "WAIAAS_DATA_DIR": ""}).root == Path("/xdg/waiaas")
    assert locate(None, {"XDG_DATA_HOME": "relative"}).root == Path("/home/someone/.waiaas")
    assert locate(None, {}).root == Path("/home/someone/.waiaas")


def test_the_directory_is_made_absolute_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.chdir(tmp_path)
    data = locate("here/../wallet", {})
    monkeypatch.chdir("/")
    assert data.root == tmp_path / "wallet"


def test_what_is_created_is_for_its_user_alone(tmp_path: Path):
    old = os.umask(0)
    try:
        data = DataDir(tmp_path / "wallet")
        paths.create(data)
    finally:
        os.umask(old)
    assert {path.stat().st_mode & 0o777 for path in (data.root, *data.directories)} == {0o700}


def test_creating_twice_keeps_what_is_there(data: DataDir):
    put(data.config)
    paths.create(data)
    assert data.config.read_text() == "x"


def test_a_directory_with_other_things_in_it_is_not_taken(tmp_path: Path):
    put(tmp_path / "thesis.tex")
    with pytest.raises(DirectoryUnsafe, match="not empty"):
        paths.create(DataDir(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_it_is_initialised_once_the_master_file_is_there(data: DataDir):
    assert not data.initialised
    put(data.master)
    assert data.initialised


def test_a_sound_directory_has_nothing_to_tell(data: DataDir):
    for path in (data.config, data.master, data.lock, data.data / "waiaas.db"):
        put(path)
    assert paths.check_entries(data) == []


@pytest.mark.parametrize("name", ["daemon.lock", "config.toml", "keystore/master.json", "data/waiaas.db-wal"])
def test_the_mode_of_a_file_is_narrowed_and_told_of(data: DataDir, name: str):
    path = put(data.within(name), 0o644)
    assert paths.check_entries(data) == [f"{path} had mode 0644, now 0600"]
    assert path.stat().st_mode & 0o777 == 0o600


def test_the_mode_of_a_directory_is_narrowed(data: DataDir):
    for path in (data.root, data.keystore):
        path.chmod(0o755)
    assert len(paths.check_entries(data)) == 2
    assert {path.stat().st_mode & 0o777 for path in (data.root, data.keystore)} == {0o700}


def test_a_narrower_mode_is_left_alone(data: DataDir):
    path = put(data.master, 0o400)
    assert paths.check_entries(data) == []
    assert path.stat().st_mode & 0o777 == 0o400


@pytest.mark.parametrize("name", ["data", "keystore", "logs", "daemon.lock", "data/waiaas.db", "keystore/master.json"])
def test_a_symlink_is_refused(data: DataDir, tmp_path: Path, name: str):
    place = data.within(name)
    if place.is_dir():
        place.rmdir()
    place.symlink_to(tmp_path)
    assert refused(data) == f"{place} is a symbolic link: put the real file or directory in its place."


def test_a_dangling_symlink_is_refused(data: DataDir):
    data.lock.symlink_to("/nowhere/at/all")
    assert "symbolic link" in refused(data)


def test_the_settings_alone_may_be_a_symlink(data: DataDir, tmp_path: Path):
    data.config.symlink_to(put(tmp_path / "mounted.toml", 0o644))
    assert paths.check_entries(data) == []
    assert (tmp_path / "mounted.toml").stat().st_mode & 0o777 == 0o644


def test_an_entry_of_another_user_is_refused(data: DataDir, monkeypatch: pytest.MonkeyPatch):
    put(data.master)
    monkeypatch.setattr(os, "geteuid", lambda: data.root.stat().st_uid + 1)
    assert "belongs to user" in refused(data)


def test_a_network_file_system_is_refused_unless_allowed():
    root = Path("/srv/with space/wallet")
    with pytest.raises(DirectoryUnsafe, match="lies on nfs4"):
        paths.check_filesystem(root, MOUNTS, allow=False)
    assert len(paths.check_filesystem(root, MOUNTS, allow=True)) == 1


@pytest.mark.parametrize("root", ["/srv/with space/local/wallet", "/srv/with space2", "/home/someone"])
def test_the_longest_mount_point_above_decides(root: str):
    assert paths.filesystem_of(Path(root), MOUNTS) == "ext4"


def test_a_machine_without_a_mount_table_is_trusted():
    assert paths.check_filesystem(Path("/srv"), "", allow=False) == []


def test_the_file_system_of_a_real_directory_is_known(tmp_path: Path):
    assert paths.filesystem_of(tmp_path.resolve(), paths.mount_table())


def test_little_free_space_is_told_of_and_hardly_any_refused():
    assert paths.check_space(256 * paths.MEBIBYTE) == []
    assert paths.check_space(256 * paths.MEBIBYTE - 1) == [
        "only 255 MiB are free on the file system of the data directory"
    ]
    assert paths.check_space(64 * paths.MEBIBYTE)
    with pytest.raises(DirectoryUnsafe, match="only 63 MiB are free"):
        paths.check_space(64 * paths.MEBIBYTE - 1)


def test_all_of_it_holds_for_a_fresh_directory(data: DataDir):
    assert paths.check(data, allow_network_filesystem=True) == []
