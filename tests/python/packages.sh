#!/usr/bin/env bash
# Prints the folder that holds what a client in Python needs, and fetches it first if it is not there yet.
set -euo pipefail
cd "$(dirname "$0")"

requirements=../../docs/examples/python-service/requirements.txt
python=$(python3 -c 'import platform, sys; print(f"{sys.implementation.cache_tag}-{platform.machine()}")')
key=$(sha256sum "$requirements" | cut -c1-12)
out="${XDG_CACHE_HOME:-$HOME/.cache}/tokenvault/python-$key/$python"
if [ -d "$out" ]; then printf '%s\n' "$out"; exit 0; fi

echo "python: fetching what docs/examples/python-service/requirements.txt names into $out (11 MB)" >&2
work=$(mktemp -d "${TMPDIR:-/tmp}/python.XXXXXX")
trap 'rm -rf "$work"' EXIT
../../.ci/pip.sh install --quiet --no-deps --require-hashes --only-binary :all: \
  --target "$work/out" -r "$requirements" >&2
mkdir -p "$(dirname "$out")"
# Two that fetch at once fetch the same: the second keeps what the first has put there.
mv -T "$work/out" "$out" 2>/dev/null || [ -d "$out" ]
printf '%s\n' "$out"
