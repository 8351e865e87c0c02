#!/usr/bin/env bash
# Installs clients/python and runs its tests against a binary: client.sh TOKENVAULT [PYTEST OPTIONS]
set -euo pipefail
cd "$(dirname "$0")/../.."
packages=$(tests/python/packages.sh clients/python/tests/requirements.txt)
work=$(mktemp -d "${TMPDIR:-/tmp}/python-client.XXXXXX")
trap 'rm -rf "$work"' EXIT
# As `pip install ./clients/python` does it, but from what is there, and to a place of its own.
export PYTHONDONTWRITEBYTECODE=1 PYTHONPATH="$packages"
.ci/pip.sh install --quiet --no-deps --no-index --no-build-isolation --target "$work/out" ./clients/python >&2
export PYTHONPATH="$work/out:$packages" TOKENVAULT_BINARY="$1" TOKENVAULT_REPOSITORY="$PWD"
# From elsewhere: what is tested is what was installed.
cd "$work"
python3 -m pytest -p no:cacheprovider -q --tb=short "${@:2}" -c "$TOKENVAULT_REPOSITORY/clients/python/pyproject.toml" \
  --rootdir "$TOKENVAULT_REPOSITORY/clients/python" "$TOKENVAULT_REPOSITORY/clients/python/tests"
