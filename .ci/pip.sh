#!/usr/bin/env bash
# Runs pip: the system's own where there is one, else that of a throw-away venv. Which index it asks is pip's own
# configuration; nothing here names a host.
set -euo pipefail
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
if python3 -m pip --version >/dev/null 2>&1; then exec python3 -m pip "$@"; fi
venv=$(mktemp -d "${TMPDIR:-/tmp}/pip.XXXXXX")
trap 'rm -rf "$venv"' EXIT
python3 -m venv "$venv" || { echo "pip: python3 has neither pip nor venv; run .ci/setup.sh demo" >&2; exit 1; }
"$venv/bin/python" -m pip "$@"
