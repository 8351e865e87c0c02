#!/usr/bin/env bash
# Prints the folder of the identity provider that access tokens are tested with, installed if it is not there yet:
# tests/oidc, with the packages that its lock file names, outside of the tree. A changed lock file makes another folder.
set -euo pipefail
here=$(cd "$(dirname "$0")/../tests/oidc" && pwd)
for tool in node npm; do
  command -v $tool >/dev/null || { echo "oidc: there is no $tool; run .ci/setup.sh test" >&2; exit 1; }
done
name=$(cat "$here"/* | sha256sum | cut -c1-16)
cache="${XDG_CACHE_HOME:-$HOME/.cache}/tokenvault/oidc"
folder="$cache/$name"
mkdir -p "$cache"
exec 9>"$cache/lock"
flock 9
if [ ! -e "$folder/done" ]; then
  rm -rf "$folder"
  mkdir "$folder"
  cp "$here"/* "$folder/"
  npm --prefix "$folder" ci --no-audit --no-fund --ignore-scripts --loglevel=error >&2
  touch "$folder/done"
fi
echo "$folder"
