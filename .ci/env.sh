#!/usr/bin/env bash
# Runs a command in the build's environment: .ci/env.sh cargo build --release
#
# One target folder outside of the tree, RocksDB from its archive, and the pinned tools if they are there.
# A variable that is set already stays as it is.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/tokenvault/target}"
# To cargo a member is the same in every clone, and fresh if its files are older than its last build: of another clone's
# members nothing may count as built.
tree=$(dirname "$here")
if [ -d "$CARGO_TARGET_DIR" ] && [ "$(cat "$CARGO_TARGET_DIR/built-from" 2>/dev/null)" != "$tree" ]; then
  rm -rf "$CARGO_TARGET_DIR"/*/.fingerprint/{vault-,tokenvault-}*
  echo "$tree" >"$CARGO_TARGET_DIR/built-from"
fi
if [ -z "${ROCKSDB_LIB_DIR:-}" ]; then
  ROCKSDB_LIB_DIR=$("$here/rocksdb.sh")
  export ROCKSDB_LIB_DIR ROCKSDB_STATIC=1
fi
if [ "${1:-}" = --tools ]; then
  shift
  PATH="$("$here/tools.sh"):$PATH"
  export PATH
fi
exec "$@"
