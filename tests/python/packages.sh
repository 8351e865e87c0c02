#!/usr/bin/env bash
# Prints the folder that holds what a client in Python needs, or what another file of requirements names, and fetches it
# first if it is not there yet: packages.sh [REQUIREMENTS]
set -euo pipefail
example="$(cd "$(dirname "$0")/../.." && pwd)/docs/examples/python-service/requirements.txt"
requirements=$(realpath "${1:-$example}")
cd "$(dirname "$0")"

python=$(python3 -c 'import platform, sys; print(f"{sys.implementation.cache_tag}-{platform.machine()}")')
# Other files build on the example's.
key=$(cat "$requirements" "$example" | sha256sum | cut -c1-12)
out="${XDG_CACHE_HOME:-$HOME/.cache}/tokenvault/python-$key/$python"
if [ -d "$out" ]; then printf '%s\n' "$out"; exit 0; fi

echo "python: fetching what $(basename "$requirements") names into $out" >&2
work=$(mktemp -d "${TMPDIR:-/tmp}/python.XXXXXX")
trap 'rm -rf "$work"' EXIT
../../.ci/pip.sh install --quiet --no-deps --require-hashes --only-binary :all: \
  --target "$work/out" -r "$requirements" >&2
mkdir -p "$(dirname "$out")"
# Two that fetch at once fetch the same: the second keeps what the first has put there.
mv -T "$work/out" "$out" 2>/dev/null || [ -d "$out" ]
printf '%s\n' "$out"
