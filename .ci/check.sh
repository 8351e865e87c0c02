#!/usr/bin/env bash
# Everything that must hold before a change lands, the same at home and in the pipeline.
#
#   .ci/check.sh             all stages, in order; stops at the first that fails
#   .ci/check.sh fmt doc     these stages only
#
# Prints the seconds of each stage and a table at the end.
set -euo pipefail
cd "$(dirname "$0")/.."

# `--workspace` is the whole; one crate by hand: SCOPE="-p vault-ledger" .ci/check.sh clippy test
read -ra scope <<<"${SCOPE:---workspace}"

setup() {
  .ci/setup.sh test && .ci/tools.sh
  # What tests drive the system with, fetched before them: they would not all wait for it.
  tests/python/packages.sh >/dev/null
  tests/python/packages.sh clients/python/tests/requirements.txt >/dev/null
  .ci/oidc.sh >/dev/null
}
rocksdb() { .ci/rocksdb.sh; }
fmt() { cargo fmt --all --check; }
clippy() { run cargo clippy "${scope[@]}" --all-targets --release --locked -- -D warnings; }
build() { run cargo build "${scope[@]}" --release --locked; }
# nextest keeps its report inside of the tree (target/ is ignored by git), so that two clones never mix theirs up.
junit=target/nextest/default/junit.xml
tests() { rm -f "$junit"; run cargo nextest run "${scope[@]}" --release --locked --config-file .ci/nextest.toml; }
doctests() { run cargo test "${scope[@]}" --doc --release --locked --quiet; }
doc() { RUSTDOCFLAGS="-D warnings" run cargo doc "${scope[@]}" --no-deps --release --locked; }
deny() {
  local config=(--locked --config .ci/deny.toml) what=(bans licenses sources)
  run cargo deny "${config[@]}" check --hide-inclusion-graph "${what[@]}" && return
  # Once more, the faults alone, with who brought them in.
  run cargo deny "${config[@]}" --log-level error check "${what[@]}"
}
# A bench run without `--bench` measures nothing and goes through its code once.
benches() { run cargo test --workspace --bench "*" --release --locked; }
coverage() { python3 .ci/coverage-ran.py "$junit" docs/COVERAGE.md; }
prune() { .ci/prune.sh 3; }

all=(setup rocksdb fmt clippy build tests doctests doc deny benches prune coverage)

run() { .ci/env.sh --tools "$@"; }
table=""
row() { table+=$(printf '  %-10s %6s s  %s' "$1" "$2" "$3")$'\n'; }
summary() { printf '\n== summary\n%s' "$table"; }

stages=("$@")
[ ${#stages[@]} -gt 0 ] || stages=("${all[@]}")
for stage in "${stages[@]}"; do
  if [[ " ${all[*]} " != *" $stage "* ]]; then
    echo "check: there is no stage '$stage'; there are: ${all[*]}" >&2
    exit 2
  fi
done
for stage in "${stages[@]}"; do
  printf '\n== %s\n' "$stage"
  start=$SECONDS
  # A function called in a condition would ignore its own failures (errexit is off there), hence the shell of its own.
  set +e
  ( set -e; "$stage" )
  status=$?
  set -e
  if [ $status -ne 0 ]; then
    row "$stage" $((SECONDS - start)) FAILED
    summary
    echo "check: stage '$stage' failed (exit code $status); again by itself: .ci/check.sh $stage" >&2
    exit 1
  fi
  row "$stage" $((SECONDS - start)) ok
  printf '== %s: %s s\n' "$stage" $((SECONDS - start))
done
row total "$SECONDS" ok
summary
