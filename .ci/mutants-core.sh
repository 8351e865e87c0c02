#!/usr/bin/env bash
# Breaks the code on purpose, one patch at a time, and asks whether the test that guards the place turns red.
#
#   .ci/mutants-core.sh                 every patch in tests/mutants/
#   .ci/mutants-core.sh reveal-*.patch  these only
#
# A patch is a unified diff under a heading of three lines:
#   Breaks: the promise, in one sentence
#   Build: what cargo is told to build, for example -p vault-engine --lib
#   Test: the full name of the one test that must fail, as `cargo nextest list` prints it behind the binary's name
#
# The tree is copied, this one is never touched. The copy has a target folder of its own: cargo tells the outputs of two
# copies of one workspace apart by time stamps alone, so that a shared folder could hand a broken build to `make test`.
# It fails if a mutant survives, does not compile or no longer applies, and if a named test is not green without one.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
cache="${XDG_CACHE_HOME:-$HOME/.cache}/tokenvault"
target=${CARGO_TARGET_DIR:-$cache/target}
tree=$cache/mutants/tree
export CARGO_TARGET_DIR=$cache/mutants/target
export GIT_CEILING_DIRECTORIES=$cache/mutants

field() { sed -nE "s/^$1: *(.*[^ ]) *$/\1/p;/^diff /q" "$2" | head -n 1; }
run() { "$root/.ci/env.sh" --tools "$@"; }

# Copies what differs in content, with a new time stamp, so that cargo builds exactly that again.
sync_tree() {
  local file
  mkdir -p "$tree"
  while IFS= read -r -d '' file; do
    [ -f "$file" ] || continue
    cmp -s "$file" "$tree/$file" || { mkdir -p "$tree/$(dirname "$file")"; cp "$file" "$tree/$file"; }
  done < <(git ls-files -coz --exclude-standard)
  ( cd "$tree" && find . -type f -print0 ) | while IFS= read -r -d '' file; do
    [ -f "$root/$file" ] || rm -f "$tree/$file"
  done
}

# Other crates' output is taken over as it is: only this workspace's members are built again.
seed_target() {
  [ ! -d "$CARGO_TARGET_DIR" ] && [ -d "$target/release" ] || return 0
  echo "mutants: seeding $CARGO_TARGET_DIR from $target" >&2
  mkdir -p "$CARGO_TARGET_DIR/release"
  local folder
  for folder in deps build .fingerprint; do
    cp -a --reflink=auto "$target/release/$folder" "$CARGO_TARGET_DIR/release/"
  done
  ( cd "$root" && .ci/prune.sh 0 ) >&2
}

# Exit codes of nextest: 0 passed, 100 a test failed, 101 the build failed, 4 no test of this name.
one_test() {
  local build test
  read -ra build <<<"$(field Build "$1")"
  test=$(field Test "$1")
  # What the tests of commands start is no test, and nextest does not build it.
  case " ${build[*]} " in
    *" --bins "*) ( cd "$tree" && run cargo build -p tokenvault --release --locked ) >"$log" 2>&1 || return 101 ;;
  esac
  ( cd "$tree" && run cargo nextest run "${build[@]}" --release --locked --config-file .ci/nextest.toml \
      -E "test(=$test)" ) >"$log" 2>&1
}

patches=()
if [ $# -gt 0 ]; then
  for name in "$@"; do patches+=("$root/tests/mutants/$(basename "$name")"); done
else
  for name in "$root"/tests/mutants/*.patch; do [ -f "$name" ] && patches+=("$name"); done
fi
if [ ${#patches[@]} -eq 0 ]; then echo "mutants: there is no patch in tests/mutants" >&2; exit 1; fi

log=$(mktemp "${TMPDIR:-/tmp}/mutants.XXXXXX")
trap 'rm -f "$log"' EXIT
sync_tree
seed_target

table=""
faults=0
record() { # patch, seconds, verdict, ok|fault
  table+=$(printf '  %-36s %5s s  %-28s %s' "$(basename "$1" .patch)" "$2" "$3" "$(field Breaks "$1")")$'\n'
  printf 'mutants: %s: %s (%s s)\n' "$(basename "$1" .patch)" "$3" "$2" >&2
  [ "$4" = ok ] || faults=$((faults + 1))
}

# Whatever can be told without a build is told first.
ready=()
for patch in "${patches[@]}"; do
  if [ -z "$(field Breaks "$patch")" ] || [ -z "$(field Build "$patch")" ] || [ -z "$(field Test "$patch")" ]; then
    record "$patch" 0 "no Breaks, Build or Test line" fault
  elif ! ( cd "$tree" && git apply --check "$patch" ); then
    record "$patch" 0 "no longer applies" fault
  else
    ready+=("$patch")
  fi
done

# All the green runs before the first patch: the tree changes once for each mutant, not twice.
armed=()
for patch in "${ready[@]}"; do
  start=$SECONDS
  code=0; one_test "$patch" || code=$?
  if [ $code -eq 0 ]; then armed+=("$patch"); continue; fi
  tail -n 30 "$log" >&2
  record "$patch" $((SECONDS - start)) "not green without it ($code)" fault
done

for patch in "${armed[@]}"; do
  start=$SECONDS
  ( cd "$tree" && git apply "$patch" )
  code=0; one_test "$patch" || code=$?
  sync_tree
  case $code in
    100) record "$patch" $((SECONDS - start)) killed ok; continue ;;
    0) verdict=SURVIVED ;;
    101) verdict="does not compile" ;;
    *) verdict="nextest: exit code $code" ;;
  esac
  tail -n 30 "$log" >&2
  record "$patch" $((SECONDS - start)) "$verdict" fault
done

printf '\n== mutants\n%s' "$table"
echo "mutants: ${#patches[@]} tried, $faults faults"
[ "$faults" -eq 0 ]
