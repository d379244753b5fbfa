"""scripts/setup.sh: what makes .venv on a machine with little on it, run on a small project of its own."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"

PYPROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
[project]
name = "small"
version = "1"
"""

BACKEND = """
import pathlib, zipfile
def build_editable(directory, config_settings=None, metadata_directory=None):
    name = "small-1-py3-none-any.whl"
    with zipfile.ZipFile(pathlib.Path(directory) / name, "w") as wheel:
        wheel.writestr("small.py", "")
        wheel.writestr("small-1.dist-info/METADATA", "Metadata-Version: 2.1\\nName: small\\nVersion: 1\\n")
        wheel.writestr("small-1.dist-info/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr("small-1.dist-info/RECORD", "")
    return name
"""


@pytest.fixture
def project(tmp_path):
    """A checkout of which nothing is made yet."""
    return checkout(tmp_path)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A checkout, and what was said while its .venv was made."""
    root = checkout(tmp_path_factory.mktemp("made"))
    return root, run(root)


def checkout(parent):
    """The set-up scripts, no dependencies, and a script that prints which python it gets."""
    root = parent / "checkout"
    (root / "scripts").mkdir(parents=True)
    for name in ("setup.sh", "setup.py"):
        shutil.copy(SCRIPTS / name, root / "scripts")
    (root / "scripts" / "which").write_text(
        '#!/bin/sh\n. "$(dirname "$0")/setup.sh"\nexec python -c "import small, sys; print(sys.prefix)"\n'
    )
    (root / "scripts" / "which").chmod(0o755)
    (root / "pyproject.toml").write_text(PYPROJECT)
    (root / "backend.py").write_text(BACKEND)
    (root / "requirements.lock").write_text("# nothing\n")
    return root


def environment(**changes):
    """This interpreter's base as python3, first on PATH."""
    base = Path(sys.base_prefix) / "bin"
    return os.environ | {"PATH": f"{base}:{os.environ['PATH']}", "PIP_NO_INDEX": "1"} | changes


def start(project, **changes):
    return subprocess.Popen(
        [project / "scripts" / "which"],
        env=environment(**changes),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(project, **changes):
    """(what it printed, what it said beside)."""
    out, err = start(project, **changes).communicate(timeout=50)
    return out.strip(), err.splitlines()


SAID = ["Setting up .venv (once): making .venv", "Setting up .venv (once): packages", "Setting up .venv (once): ready"]


def test_it_is_made_once_and_quietly_reused(made):
    project, said = made
    assert said == (str(project / ".venv"), SAID)
    assert run(project) == (str(project / ".venv"), [])


def test_a_changed_lock_file_and_an_interrupted_set_up_are_gone_over_again(made):
    project, _ = made
    (project / "requirements.lock").write_text("# changed\n")
    assert run(project) == (str(project / ".venv"), SAID[1:])
    (project / ".venv" / "installed").unlink()
    assert run(project) == (str(project / ".venv"), SAID[1:])


def test_a_moved_checkout_gets_a_new_one(made, tmp_path):
    project, _ = made
    moved = Path(shutil.copytree(project, tmp_path / "elsewhere", symlinks=True))
    assert run(moved) == (str(moved / ".venv"), SAID)


def test_two_at_once_make_one(project):
    both = [start(project), start(project)]
    results = [process.communicate(timeout=50) for process in both]
    assert {out.strip() for out, _ in results} == {str(project / ".venv")}
    assert sorted(err.count("making .venv") for _, err in results) == [0, 1]


def test_without_ensurepip_the_pip_of_the_system_installs(project, tmp_path):
    (tmp_path / "ensurepip.py").write_text("raise ImportError('not shipped')")
    assert run(project, PYTHONPATH=str(tmp_path)) == (str(project / ".venv"), SAID)
    assert not list(project.glob(".venv/lib/*/site-packages/pip"))


def test_a_failure_tells_what_was_run_and_leaves_no_stamp(made):
    project, _ = made
    lock = project / "requirements.lock"
    good = lock.read_text()
    lock.write_text("nowhere-to-be-found==1 --hash=sha256:" + 64 * "0" + "\n")
    out, err = run(project)
    assert (out, "nowhere-to-be-found" in "\n".join(err)) == ("", True)
    assert not (project / ".venv" / "installed").exists()
    lock.write_text(good)


def test_without_a_new_enough_python_it_names_the_apt_line(project, tmp_path):
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("sh", "dirname"):
        (tools / name).symlink_to(shutil.which(name))
    (tools / "python3").write_text("#!/bin/sh\nexit 1\n")
    (tools / "python3").chmod(0o755)
    out, err = run(project, PATH=str(tools))
    assert out == ""
    assert err[-1].strip() == "sudo apt-get update && sudo apt-get install -y python3 python3-venv"
