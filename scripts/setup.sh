# Sourced by the scripts beside it: .venv holds what requirements.lock names, and its python comes first on PATH.
set -eu
cd "$(dirname "$0")/.."
for candidate in python3 python3.14 python3.13 python3.12 python3.11 none; do
    "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && break
done
if [ "$candidate" = none ]; then
    echo "WAIaaS needs Python 3.11 or newer. On Debian 12, Ubuntu 24.04 and later:" >&2
    echo "    sudo apt-get update && sudo apt-get install -y python3 python3-venv" >&2
    exit 1
fi
"$candidate" scripts/setup.py
PATH="$PWD/.venv/bin:$PATH"
export PATH
