"""The wheel: everything it needs is in it, and it works from any directory."""

import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run(*command, cwd, data=None):
    """The finished process; its data directory and nothing else of this one's environment is handed on."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(cwd)} | ({"WAIAAS_DATA_DIR": str(data)} if data else {})
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=60)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built as `python -m build` does it, from what lies here and without any download."""
    out = tmp_path_factory.mktemp("dist")
    built = run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(ROOT), cwd=out)
    assert built.returncode == 0, built.stdout + built.stderr
    return next(out.glob("*.whl"))


@pytest.fixture(scope="module")
def python(wheel, tmp_path_factory):
    """An environment of its own with the wheel installed; the dependencies are borrowed from this one."""
    place = tmp_path_factory.mktemp("elsewhere") / "venv"
    made = run(sys.executable, "-m", "venv", "--without-pip", str(place), cwd=place.parent)
    assert made.returncode == 0, made.stderr
    packages = next(place.glob("lib/python*/site-packages"))
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(packages)
    borrowed = [path for path in sorted(Path(sysconfig.get_paths()["purelib"]).iterdir()) if not is_ours(path)]
    lent = place / "lent"
    lent.mkdir()
    for path in borrowed:
        (lent / path.name).symlink_to(path)
    (packages / "borrowed.pth").write_text(f"{lent}\n")
    return place / "bin" / "python"


def is_ours(path):
    """Whether an entry of site-packages leads to this checkout: it would hide what the wheel lacks."""
    return "waiaas" in path.name or path.suffix == ".pth"


def test_the_wheel_carries_the_schema_and_no_tests(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {f"waiaas/sql/{path.name}" for path in (ROOT / "sql").glob("*.sql")} <= names
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"waiaas"}


def test_the_wheel_runs_from_any_directory(python, tmp_path):
    found = run(str(python), "-c", "import waiaas; print(waiaas.__file__)", cwd=tmp_path)
    assert found.stdout.startswith(str(python.parent.parent)), found.stdout + found.stderr

    data = tmp_path / "wallet"
    made = run(str(python), "-m", "waiaas", "init", "--generate-password", cwd=tmp_path, data=data)
    assert made.returncode == 0, made.stdout + made.stderr
    status = run(str(python), "-m", "waiaas", "db", "status", "--json", cwd=tmp_path, data=data)
    assert (status.returncode, '"state":"current"' in status.stdout) == (0, True), status.stdout + status.stderr


def test_without_a_wallet_the_status_says_so(python, tmp_path):
    status = run(str(python), "-m", "waiaas", "db", "status", cwd=tmp_path, data=tmp_path / "nothing")
    assert status.returncode == 3
    assert "waiaas init" in status.stderr
