#!/usr/bin/env bash
# Installs clients/python and runs its tests, or one file of them, against a binary: client.sh TOKENVAULT [FILE]
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
packages=$("$root/tests/python/packages.sh" "$root/clients/python/tests/requirements.txt")
work=$(mktemp -d "${TMPDIR:-/tmp}/python-client.XXXXXX")
trap 'rm -rf "$work"' EXIT
# As `pip install ./clients/python` does it, but from what is there, and to a place of its own.
export PYTHONDONTWRITEBYTECODE=1 PYTHONPATH="$packages"
"$root/.ci/pip.sh" install --quiet --no-deps --no-index --no-build-isolation --target "$work/out" \
  "$root/clients/python" >&2
export PYTHONPATH="$work/out:$packages" TOKENVAULT_BINARY="$1" TOKENVAULT_REPOSITORY="$root"
# From elsewhere: what is tested is what was installed.
cd "$work"
python3 -m pytest -p no:cacheprovider --basetemp "$work/tests" -q --tb=short \
  -c "$root/clients/python/pyproject.toml" --rootdir "$root/clients/python" "$root/clients/python/tests/${2:-}"
