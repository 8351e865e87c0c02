#!/usr/bin/env bash
# Installs what a bare Debian or Ubuntu lacks; with everything in place it does nothing, at once.
#
#   .ci/setup.sh build   what the build needs: g++, libclang (for bindgen), python3 (for the scripts beside this one)
#   .ci/setup.sh demo    build, and python's venv, without which there is no pip to fetch the demo's data with
#   .ci/setup.sh test    demo, and what tests drive the system with: strace, fuse3, e2fsprogs, curl, nodejs, npm, and Go
#                        with its sumdb packages, by which others verify the access log
#   .ci/setup.sh bench   build, and PostgreSQL, which a benchmark compares the vault with
#
# Rust (by rustup), git and make must be there already. Every package is named with version and size before it is
# installed. It must never install what is not named here, and never go on when something is missing.
set -euo pipefail
profile=${1:-build}

have_libclang() { [ -n "${LIBCLANG_PATH:-}" ] || compgen -G '/usr/lib/llvm-*/lib/libclang.so' >/dev/null; }
have_postgres() { command -v postgres >/dev/null || compgen -G '/usr/lib/postgresql/*/bin/postgres' >/dev/null; }
have_sumdb() { [ -d /usr/share/gocode/src/golang.org/x/mod/sumdb/tlog ]; }
have_pip() { command -v pip3 >/dev/null || python3 -c 'import ensurepip' 2>/dev/null; }

missing=()
build() {
  command -v g++ >/dev/null || missing+=(g++)
  have_libclang || missing+=(libclang)
  command -v python3 >/dev/null || missing+=(python3)
}
demo() { build; have_pip || missing+=(python3-venv); }
tests() {
  demo
  command -v strace >/dev/null || missing+=(strace)
  command -v curl >/dev/null || missing+=(curl)
  command -v fusermount3 >/dev/null || missing+=(fuse3)
  command -v node >/dev/null || missing+=(nodejs)
  command -v npm >/dev/null || missing+=(npm)
  command -v go >/dev/null || missing+=(golang-go)
  have_sumdb || missing+=(golang-golang-x-mod-dev)
  [ -x /sbin/mkfs.ext4 ] || command -v mkfs.ext4 >/dev/null || missing+=(e2fsprogs)
}
bench() { build; have_postgres || missing+=(postgresql); }
look() { missing=(); case "$profile" in build) build ;; demo) demo ;; test) tests ;; bench) bench ;; esac; }
case "$profile" in
  build | demo | test | bench) look ;;
  *) echo "setup: there is no profile '$profile'; say build, demo, test or bench" >&2; exit 2 ;;
esac
[ ${#missing[@]} -gt 0 ] || exit 0

echo "setup: missing for $profile: ${missing[*]}" >&2
if ! command -v apt-get >/dev/null; then
  echo "setup: there is no apt-get here; install them with your system's package manager and run this again" >&2
  exit 1
fi
as_root=()
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null || { echo "setup: run it as root, or install sudo" >&2; exit 1; }
  as_root=(sudo)
fi
export DEBIAN_FRONTEND=noninteractive LC_ALL=C
echo "setup: refreshing the package lists" >&2
"${as_root[@]}" apt-get update -qq

# libclang-14 is the version that the build is checked with; distributions without it carry another under the plain name
packages=()
for name in "${missing[@]}"; do
  if [ "$name" = libclang ]; then
    name=libclang-dev
    if apt-cache show --no-all-versions libclang-14-dev >/dev/null 2>&1; then name=libclang-14-dev; fi
  fi
  packages+=("$name")
done

plan=$(apt-get install -s -y --no-install-recommends "${packages[@]}")
mapfile -t exact <<<"$(sed -nE 's/^Inst ([^ ]+) (\[[^]]*\] )?\(([^ ]+).*/\1=\3/p' <<<"$plan")"
apt-cache show "${exact[@]}" | awk '
  /^Package:/ { name = $2 }
  /^Version:/ { version = $2 }
  /^Installed-Size:/ { disk = $2 }
  /^Size:/ { size = $2 }
  function row() {
    if (!name) return
    printf "  %-28s %-28s %9.1f kB, %9.1f kB on disk\n", name, version, size / 1000, disk
    all += size; kept += disk; name = ""
  }
  /^$/ { row() }
  END {
    row()
    printf "setup: %.1f MB to fetch, %.1f MB on disk\n", all / 1e6, kept / 1000
  }' >&2
# The benchmark makes a database of its own. The package makes another one and starts it, unless told not to in between.
if [[ " ${missing[*]} " == *" postgresql "* ]]; then
  "${as_root[@]}" apt-get install -y -qq --no-install-recommends postgresql-common >&2
  "${as_root[@]}" sed -i 's/^#create_main_cluster = .*/create_main_cluster = false/' \
    /etc/postgresql-common/createcluster.conf
fi
"${as_root[@]}" apt-get install -y -qq --no-install-recommends "${packages[@]}" >&2

look
if [ ${#missing[@]} -gt 0 ]; then
  echo "setup: still missing after the installation: ${missing[*]}" >&2
  exit 1
fi
echo "setup: done" >&2
