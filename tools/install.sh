#!/usr/bin/env bash
# Makes .venv from requirements.lock. Everything it downloads is cached in .cache; nothing is written outside the checkout.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
unset PYTHONDONTWRITEBYTECODE PYTHONPATH PYTHONHOME VIRTUAL_ENV

uv_version=0.13.8
export UV_CACHE_DIR="$PWD/.cache/uv" PIP_CACHE_DIR="$PWD/.cache/pip" XDG_DATA_HOME="$PWD/.cache/share"
export UV_HTTP_TIMEOUT="${UV_HTTP_TIMEOUT:-180}" PIP_DISABLE_PIP_VERSION_CHECK=1 VIRTUAL_ENV="$PWD/.venv"

# requirements.lock is resolved for Python 3.11, and 3.12 resolves to the same versions; 3.13 doesn't.
fits() { "$1" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12)))' 2>/dev/null; }

find_python() {
    local name
    for name in "${PYTHON:-}" python3.11 python3.12 python3 python; do
        if [[ -n $name ]] && fits "$name"; then
            command -v "$name"
            return
        fi
    done
    echo "No Python 3.11 or 3.12 with its venv module found (python3 here: $(python3 --version 2>&1 || true))." >&2
    echo "Install one (Debian, Ubuntu: python3.11 and python3.11-venv) or name one: make PYTHON=/path/to/python3.11" >&2
    return 1
}

started=$SECONDS
if ! fits .venv/bin/python; then
    python=$(find_python)
    echo "Making .venv with $("$python" --version) ..."
    rm -rf .venv
    "$python" -m venv .venv
fi
if [[ "$(.venv/bin/uv --version 2>/dev/null)" != "uv $uv_version"* ]]; then
    echo "Installing uv $uv_version, the installer ..."
    .venv/bin/python -m pip install --quiet "uv==$uv_version"
fi
echo "Installing $(grep -c '^[A-Za-z0-9]' requirements.lock) packages into .venv: half a minute from the cache, some minutes without ..."
.venv/bin/uv pip install --quiet --compile-bytecode -r requirements.lock
echo "Installing plumewatch itself, editable ..."
.venv/bin/uv pip install --quiet --no-deps -e .
echo "$((SECONDS - started))" > .venv/installed  # seconds; its date is what `make` compares
echo "Installed in $((SECONDS - started)) s."
