#!/usr/bin/env bash
# Prints the path of the demo's input, and fetches it first if it is not there yet.
#
# CDNOW_master.txt: the purchases of 23 570 customers of a music shop, 1997 and 1998; 69 659 lines under a heading.
# It is published inside the MIT-licensed Python package Lifetimes; it is fetched by that package's name and not kept
# in this tree. Only the one file is taken out of the wheel: nothing of the package is installed or run.
set -euo pipefail
cd "$(dirname "$0")"
package=Lifetimes==0.11.3
member=lifetimes/datasets/CDNOW_master.txt
sum=eff6889ed364c5199d6eacbbeb7a6d559971df4406ac876f322c373f00a072ef

out="${XDG_CACHE_HOME:-$HOME/.cache}/tokenvault/demo/CDNOW_master.txt"
intact() { echo "$sum  $1" | sha256sum --check --status; }
if [ -f "$out" ] && intact "$out"; then printf '%s\n' "$out"; exit 0; fi

echo "demo data: fetching $package (0.6 MB), keeping $out (2 MB)" >&2
work=$(mktemp -d "${TMPDIR:-/tmp}/demo-data.XXXXXX")
trap 'rm -rf "$work"' EXIT
./pip.sh download --quiet --no-deps --only-binary :all: --dest "$work" "$package" >&2
python3 -c 'import sys, zipfile; sys.stdout.buffer.write(zipfile.ZipFile(sys.argv[1]).read(sys.argv[2]))' \
  "$work"/*.whl "$member" >"$work/data"
if ! intact "$work/data"; then
  echo "demo data: $member of $package is not the file this demo was written for (SHA-256 differs); not used" >&2
  exit 1
fi
mkdir -p "$(dirname "$out")"
mv "$work/data" "$out"
printf '%s\n' "$out"
