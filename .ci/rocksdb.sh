#!/usr/bin/env bash
# Builds librocksdb.a once, from the sources that the locked librocksdb-sys crate carries, and prints its folder.
#
# Why not leave it to cargo: the crate's build script compiles 343 files one at a time, again for every profile.
# Twelve files to a translation unit cost a third of the time, and one archive serves every profile.
# The flags are those of the crate's own build script (build.rs of librocksdb-sys), without compression libraries:
# ciphertext does not compress.
set -euo pipefail
cd "$(dirname "$0")/.."

version=$(sed -n '/^name = "librocksdb-sys"$/{n;s/^version = "\(.*\)"$/\1/p}' Cargo.lock)
case "$(uname -m)" in
  x86_64) cpu="-msse4.2 -mpclmul"; tag=sse42 ;;
  aarch64) cpu="-march=armv8-a+crc+crypto"; tag=armcrc ;;
  *) cpu=""; tag=plain ;;
esac
out="${XDG_CACHE_HOME:-$HOME/.cache}/tokenvault/rocksdb-$version-$tag"
if [ -f "$out/librocksdb.a" ]; then printf '%s\n' "$out"; exit 0; fi

metadata=$(cargo metadata --format-version 1 --locked)
src=$(python3 -c 'import json, os, sys
for package in json.load(sys.stdin)["packages"]:
    if package["name"] == "librocksdb-sys": print(os.path.dirname(package["manifest_path"]))' <<<"$metadata")
echo "building RocksDB from librocksdb-sys $version: once, about 5 minutes on two cores, 30 MB kept in $out" >&2
work=$(mktemp -d "${TMPDIR:-/tmp}/rocksdb-build.XXXXXX")
trap 'rm -rf "$work"' EXIT
( cd "$work"
  grep -v 'util/build_version.cc' "$src/rocksdb_lib_sources.txt" | sed '/^[[:space:]]*$/d' | split -l 12 -d -a 3 - part.
  for p in part.*; do
    while read -r f; do printf '#include "rocksdb/%s"\n' "$f"; done <"$p" >"unit${p#part.}.cc"
  done
  cp "$src/build_version.cc" unit900.cc
  cxx="g++"; if command -v ccache >/dev/null; then cxx="ccache g++"; fi
  export COMPILE="$cxx -std=c++20 -O3 -fPIC -w -fno-rtti $cpu -DNDEBUG=1 -DHAVE_ALIGNED_NEW -DHAVE_UINT128_EXTENSION
    -DOS_LINUX -DROCKSDB_PLATFORM_POSIX -DROCKSDB_LIB_IO_POSIX -DROCKSDB_SCHED_GETCPU_PRESENT
    -DROCKSDB_AUXV_GETAUXVAL_PRESENT -DROCKSDB_FALLOCATE_PRESENT -DROCKSDB_RANGESYNC_PRESENT
    -I$src/rocksdb/include -I$src/rocksdb -I$src/rocksdb/third-party/gtest-1.8.1/fused-src -I$src"
  # shellcheck disable=SC2016  # $COMPILE is for the inner shell
  printf '%s\n' unit*.cc | xargs -P "$(nproc)" -I{} sh -c '$COMPILE -c {} -o {}.o'
  ar rcs librocksdb.a unit*.cc.o ) >&2
mkdir -p "$out"
mv "$work/librocksdb.a" "$out/librocksdb.a.new" && mv "$out/librocksdb.a.new" "$out/librocksdb.a"
printf '%s\n' "$out"
