#!/usr/bin/env bash
# Deletes what the build made of this workspace's own members more than N days ago; other crates' output stays.
#
#   .ci/prune.sh 3
#
# Every change of a member leaves its old binaries behind, a RocksDB in each: gigabytes in a week.
set -euo pipefail
cd "$(dirname "$0")/.."
days=$1
target=${CARGO_TARGET_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/tokenvault/target}
[ -d "$target" ] || exit 0

names=$(cargo metadata --format-version 1 --no-deps | python3 -c '
import json, sys
names = set()
for package in json.load(sys.stdin)["packages"]:
    names.add(package["name"])
    names.update(target["name"] for target in package["targets"])
print("|".join(sorted(names | {name.replace("-", "_") for name in names})))')
before=$(du -sk "$target" | cut -f1)
for profile in "$target"/*/; do
  for folder in deps .fingerprint build; do
    [ -d "$profile$folder" ] || continue
    find "$profile$folder" -mindepth 1 -maxdepth 1 -mtime "+$((days - 1))" -regextype posix-extended \
      -regex ".*/(lib)?($names)-[0-9a-f]{16}(\\..*)?" -exec rm -rf {} +
  done
done
after=$(du -sk "$target" | cut -f1)
freed=$(((before - after) / 1024))
echo "prune: $freed MB of members' output of $days days and more deleted, $((after / 1024)) MB left"
