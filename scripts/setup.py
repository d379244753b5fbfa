"""Make .venv from requirements.lock; quiet and quick when it is there already. Standard library only."""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMP = VENV / "installed"
LOCK = ROOT / "requirements.lock"
APT = "sudo apt-get update && sudo apt-get install -y python3-venv"


def main() -> None:
    """Bring .venv in line with the lock file, one process at a time."""
    wanted = fingerprint()
    if stamped() == wanted:
        return
    with open(ROOT / ".venv.lock", "w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        if stamped() != wanted:
            install(wanted)


def fingerprint() -> str:
    """What an up-to-date .venv was made from: this interpreter, this place, these packages."""
    files = hashlib.sha256(LOCK.read_bytes() + (ROOT / "pyproject.toml").read_bytes()).hexdigest()
    return f"{sys.version_info[:3]} {ROOT} {files}"


def stamped() -> str:
    """The fingerprint that .venv carries; empty if there is none."""
    return STAMP.read_text() if STAMP.exists() and PYTHON.exists() else ""


def install(wanted: str) -> None:
    """Make .venv if it is missing, moved or of another Python, then install; the stamp comes last."""
    STAMP.unlink(missing_ok=True)
    if not usable():
        shutil.rmtree(VENV, ignore_errors=True)
        run([sys.executable, "-m", "venv", "--without-pip", str(VENV)], "making .venv")
    pip = find_pip()
    total = len(re.findall(r"^[a-z0-9-]+==", LOCK.read_text(), re.MULTILINE))
    run([*pip, "install", "--no-compile", "--require-hashes", "-r", str(LOCK)], "packages", total)
    run([*pip, "install", "--no-deps", "--no-build-isolation", "-e", str(ROOT)], "the project itself")
    STAMP.write_text(wanted)
    say("ready\n")


def usable() -> bool:
    """Whether .venv was made here by this Python; its scripts name their interpreter by full path."""
    settings = VENV / "pyvenv.cfg"
    if not settings.exists() or str(VENV) not in settings.read_text():
        return False
    return version(PYTHON) == version(Path(sys.executable))


def version(python: Path) -> str:
    """The full version of an interpreter; empty if it does not run."""
    try:
        return subprocess.run([python, "-IVV"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return ""


def find_pip() -> list[str]:
    """A pip that installs into .venv: its own, one from ensurepip, the system's, or the one Debian packs as a wheel."""
    own = [str(PYTHON), "-I", "-m", "pip", "--disable-pip-version-check"]
    if works([*own, "--version"]) or works([str(PYTHON), "-m", "ensurepip"]):
        return own
    system = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", str(PYTHON)]
    if works([*system, "--version"]):
        return system
    with tempfile.TemporaryDirectory() as place:
        wheel = debian_wheel(Path(place))
        run([str(PYTHON), f"{wheel}/pip", "install", "--no-index", "--no-deps", str(wheel)], "pip")
    return own


def works(command: list[str]) -> bool:
    """Whether a command exists and ends well."""
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def debian_wheel(place: Path) -> Path:
    """Debian and Ubuntu ship python3 without ensurepip: fetch their pip wheel as any user, installing nothing."""
    if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
        fail(f"this Python has neither pip nor ensurepip. On Debian or Ubuntu:\n    {APT}")
    for name in ("lists/partial", "archives/partial"):
        (place / name).mkdir(parents=True)
    apt = [
        "apt-get",
        "-qq",
        "-o",
        f"Dir::State::Lists={place}/lists",
        "-o",
        f"Dir::Cache={place}",
        "-o",
        "Debug::NoLocking=1",
    ]
    run([*apt, "update"], "pip: asking apt", cwd=place)
    run([*apt, "download", "python3-pip-whl"], "pip: asking apt", cwd=place)
    run(["dpkg-deb", "-x", str(next(place.glob("*.deb"))), str(place)], "pip")
    return next(place.glob("usr/share/python-wheels/pip-*.whl"))


def run(command: list[str], what: str, total: int = 0, cwd: Path = ROOT) -> None:
    """Run a command, showing its progress in one line; its output is shown only if it fails."""
    output, done = [], 0
    say(what)
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    with subprocess.Popen(
        command, cwd=cwd, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        for line in process.stdout or ():
            output.append(line)
            if total and re.match(r"(Collecting|Requirement already satisfied)", line):
                done += 1
                say(f"{what} {done}/{total}")
    if process.returncode:
        fail(
            f"{' '.join(command)}\n{''.join(output[-20:])}\nIf this Python lacks venv, on Debian or Ubuntu:\n    {APT}"
        )


def say(text: str) -> None:
    """One line on a terminal, rewritten as work goes on; elsewhere only the beginning and the end are told."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\033[KSetting up .venv (once): {text}")
    elif text in ("making .venv", "packages", "ready\n"):
        sys.stderr.write(f"Setting up .venv (once): {text.strip()}\n")
    sys.stderr.flush()


def fail(text: str) -> None:
    """End with a message for people."""
    sys.exit(f"\nsetting up .venv failed: {text}")


main()
